"""Labels found by search: against every permutation there is, and against known optima."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

from gencomm.bitstream.index_assignment import (
    error_costs,
    learnt_labels,
    single_error_cost,
    with_labels,
)
from gencomm.bitstream.labelling import label_table
from gencomm.bitstream.scalar import ScalarQuantiser
from gencomm.codecs.scalar_quantiser import quantiser


def cost_of(label, levels, probability):
    """Written out: sum over cells and bits of P |c_i - c_j|**2."""
    cell = np.argsort(label)
    total = 0.0
    for i in range(len(levels)):
        for k in range(len(levels).bit_length() - 1):
            j = cell[label[i] ^ (1 << k)]
            total += probability[i] * np.sum((levels[i] - levels[j]) ** 2)
    return total


def test_the_cost_is_what_is_written_out():
    rng = np.random.default_rng(0)
    levels, probability = rng.normal(size=(16, 3)), rng.dirichlet(np.ones(16))
    label = rng.permutation(16)
    found = single_error_cost(np.argsort(label), error_costs(levels, probability))
    assert found == pytest.approx(cost_of(label, levels, probability))


@pytest.mark.parametrize("seed", range(3))
def test_eight_vectors_come_near_the_best_of_all_labels(seed):
    rng = np.random.default_rng(seed)
    levels, probability = rng.normal(size=(8, 2)), rng.dirichlet(np.ones(8))
    label = learnt_labels(levels, probability, [np.arange(8)])
    # labels are alike under exclusive or: let cell 0 have label 0
    best = min(cost_of(np.array([0, *p]), levels, probability) for p in permutations(range(1, 8)))
    assert sorted(label) == list(range(8))
    assert best * (1 - 1e-9) <= cost_of(label, levels, probability) <= 1.02 * best


@pytest.mark.parametrize("width", [1, 2, 3, 4, 5, 6])
def test_natural_labels_are_the_best_of_a_uniform_quantiser(width):
    """Crimmins, Horwitz, Palermo and Palermo, IEEE Trans. Inform. Theory 15(1), 1969."""
    q = ScalarQuantiser.uniform(width)
    costs = error_costs(q.levels, q.probability)
    natural = single_error_cost(np.arange(1 << width), costs)
    step = 2 / (1 << width)
    assert natural == pytest.approx(step**2 * (4**width - 1) / 3)
    found = with_labels(q, "learnt")
    assert single_error_cost(np.argsort(found.label), costs) == pytest.approx(natural)


@pytest.mark.parametrize("width", [3, 6, 8])
def test_learnt_labels_are_never_worse_than_those_by_rule(width):
    q = quantiser(width, 2.0)
    costs = error_costs(q.levels, q.probability)
    rules = [np.argsort(label_table(width, name)) for name in ("natural", "gray", "folded")]
    found = np.argsort(with_labels(q, "learnt").label)
    assert single_error_cost(found, costs) <= min(single_error_cost(r, costs) for r in rules) + 1e-9


def test_the_same_search_gives_the_same_labels():
    rng = np.random.default_rng(1)
    levels, probability = rng.normal(size=(64, 4)), np.full(64, 1 / 64)
    starts = [rng.permutation(64)]
    first, again = (learnt_labels(levels, probability, starts) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert cost_of(first, levels, probability) < cost_of(starts[0], levels, probability)

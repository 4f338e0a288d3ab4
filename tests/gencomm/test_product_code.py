"""Fixed-length product codes: against brute force over all sent vectors, and closed forms."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.stats import norm

from gencomm.bitstream.labelling import label_table, transitions
from gencomm.bitstream.product_code import ProductCode
from gencomm.bitstream.quantiser_design import (
    Density,
    _upper_envelope,
    allocate_bits,
    channel_optimised,
    lloyd_max,
)
from gencomm.bitstream.scalar import ScalarQuantiser

LABELS = ["natural", "gray", "folded", [2, 0, 3, 1]]


def gaussian(count: int = 20001) -> Density:
    """Points that stand for a normal law, equal probability each but finer in the tails."""
    edges = norm.isf(np.geomspace(1e-8, 0.5, count // 2))
    edges = np.concatenate([-edges[:-1], edges[::-1]])
    mass = np.diff(norm.cdf(edges))
    mean = (norm.pdf(edges[:-1]) - norm.pdf(edges[1:])) / mass  # of each interval
    return Density.of(mean, mass)


def mixed(seed: int = 0) -> ProductCode:
    """Values of several widths, labels and priors."""
    rng = np.random.default_rng(seed)
    parts = [
        ScalarQuantiser.uniform(2, -1, 1, [2, 0, 3, 1], rng.dirichlet(np.ones(4))),
        ScalarQuantiser.uniform(1, -2, 1, "natural"),
        ScalarQuantiser.uniform(0),
        ScalarQuantiser.uniform(3, -1, 1, "gray", rng.dirichlet(np.ones(8))),
        lloyd_max(Density.of(rng.normal(size=500)), 2, "folded"),
    ]
    return ProductCode(parts, scale=[1, 2, 3, 0.5, 4], offset=[0, 1, 7, 0, -2])


# Labels and transitions


@pytest.mark.parametrize("labels", LABELS)
def test_transitions_are_products_over_bits(labels):
    sent, p = label_table(2, labels), 0.07
    table = transitions(sent, 2, p)
    for i, j in itertools.product(range(4), range(4)):
        bits = [(int(sent[i]) >> k & 1) != (j >> k & 1) for k in (0, 1)]
        assert table[i, j] == pytest.approx(math.prod(p if b else 1 - p for b in bits))
    assert table.sum(axis=1) == pytest.approx(np.ones(4))


def test_labels_that_are_no_permutation_are_refused():
    for bad in ([0, 1, 2, 2], [0, 1], [1, 2, 3, 4]):
        with pytest.raises(ValueError, match="permutation"):
            label_table(2, bad)
    with pytest.raises(ValueError, match="natural, gray or folded"):
        label_table(2, "grey")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="0 to 0.5"):
        transitions(np.arange(4), 2, float("nan"))


# Packing


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 20), st.integers(1, 8), st.sampled_from(["natural", "gray", "folded"]))
def test_bits_carry_the_cell_that_a_value_lies_in(count, width, labels):
    code = ProductCode.uniform(count, width, labels=labels)
    rng = np.random.default_rng(count)
    values = rng.uniform(-1.2, 1.2, (7, count))
    bits = code.encode(values)
    assert bits.shape == (7, code.n_bits) == (7, count * width)
    assert np.abs(code.decode(bits) - values.clip(-1, 1)).max() <= 2.0**-width + 1e-12
    assert np.array_equal(code.encode(values[3]), bits[3])  # alone as in a batch
    assert np.array_equal(code.decode(bits[3]), code.decode(bits)[3])


def test_bits_stand_value_after_value_most_significant_first():
    code = ProductCode([ScalarQuantiser.uniform(w, 0, 2**w, "natural") for w in (3, 0, 2)])
    assert code.encode(np.array([5.5, 0.0, 2.5])).tolist() == [1, 0, 1, 1, 0]
    assert code.decode(np.array([1, 1, 0, 0, 1])).tolist() == [6.5, 0.5, 1.5]


# The posterior mean


def brute_force(code: ProductCode, chance_of_one: np.ndarray) -> np.ndarray:
    """Mean of what was sent by summing over all vectors of cells; bit k is 1 with a chance."""
    total, mass = np.zeros(len(code)), 0.0
    for cells in itertools.product(*(range(q.levels.size) for q in code.quantisers)):
        prior = math.prod(q.probability[c] for q, c in zip(code.quantisers, cells, strict=True))
        at, seen = 0, 1.0
        for q, c in zip(code.quantisers, cells, strict=True):
            for k in range(q.width - 1, -1, -1):
                one = int(q.label[c]) >> k & 1
                seen *= chance_of_one[at] if one else 1 - chance_of_one[at]
                at += 1
        levels = np.array([q.levels[c] for q, c in zip(code.quantisers, cells, strict=True)])
        total += prior * seen * levels
        mass += prior * seen
    return total / mass * code.scale + code.offset


def test_posterior_mean_is_the_sum_over_all_that_may_have_been_sent():
    code = mixed()
    rng = np.random.default_rng(1)
    llr = rng.normal(0, 3, (5, code.n_bits))
    found = code.decode_llr(llr)
    for row, soft in zip(found, llr, strict=True):
        assert row == pytest.approx(brute_force(code, 1 / (1 + np.exp(soft))), rel=1e-9)


@pytest.mark.parametrize("ber", [1e-3, 0.05, 0.3])
def test_hard_bits_of_known_error_rate_are_llrs_of_one_size(ber):
    code = mixed()
    bits = np.random.default_rng(2).integers(0, 2, (9, code.n_bits))
    odds = math.log((1 - ber) / ber)
    found = code.decode(bits, ber)
    assert found == pytest.approx(code.decode_llr(np.where(bits, -odds, odds)), rel=1e-9)
    assert found[0] == pytest.approx(brute_force(code, np.where(bits[0], 1 - ber, ber)), rel=1e-9)
    rates = np.where(np.arange(9) % 2, ber, 0.0)
    both = code.decode(bits, rates)
    assert np.array_equal(both[1::2], found[1::2])
    assert np.array_equal(both[::2], code.decode(bits)[::2])


def test_certain_and_absent_llrs():
    code = mixed()
    bits = code.encode(np.random.default_rng(3).normal(0, 1, (4, len(code))))
    sure = np.where(bits, -np.inf, np.inf)
    assert code.decode_llr(sure) == pytest.approx(code.decode(bits))
    mean = [q.probability @ q.levels for q in code.quantisers] * code.scale + code.offset
    for nothing in (0.0, np.nan):
        assert code.decode_llr(np.full(code.n_bits, nothing)) == pytest.approx(mean)
    assert code.decode(bits, 0.5) == pytest.approx(np.tile(mean, (4, 1)))


def test_bits_of_uniform_natural_codes_count_independently():
    """The closed form of the module's head."""
    code = ProductCode.uniform(1, 4, 0, 16, "natural")
    llr = np.random.default_rng(4).normal(0, 2, 4)
    one = 1 / (1 + np.exp(llr))
    assert code.decode_llr(llr)[0] == pytest.approx(0.5 + one @ [8, 4, 2, 1])


@pytest.mark.parametrize("labels", ["natural", "gray", "folded"])
def test_mean_squared_error_over_a_channel(labels):
    """The closed form beside a simulation; the interval is four standard errors."""
    rng = np.random.default_rng(5)
    points = rng.normal(size=40_000)
    quantiser = lloyd_max(Density.of(points), 3, labels)
    code = ProductCode([quantiser], scale=2, offset=1)
    values = 1 + 2 * points[:, None]
    bits = code.encode(values)
    for ber, assumed in ((0.0, 0.0), (0.02, 0.02), (0.02, 0.0), (0.1, 0.02)):
        flipped = bits ^ (rng.random(bits.shape) < ber)
        error = (code.decode(flipped, assumed) - values) ** 2
        slack = 4 * error.std() / math.sqrt(error.size) + 1e-9
        assert abs(error.mean() - code.mean_squared_error(ber, assumed)) < slack


def test_sensitivity_is_the_change_by_flipping_a_bit():
    code = mixed()
    weights = [q.probability for q in code.quantisers]
    found = code.sensitivity()
    for k in range(code.n_bits):
        total = 0.0
        for cells in itertools.product(*(range(q.levels.size) for q in code.quantisers)):
            levels = [q.levels[c] for q, c in zip(code.quantisers, cells, strict=True)]
            bits = code.encode(np.array(levels) * code.scale + code.offset)
            other = bits.copy()
            other[k] ^= 1
            share = math.prod(w[c] for w, c in zip(weights, cells, strict=True))
            total += share * ((code.decode(bits) - code.decode(other)) ** 2).sum()
        assert found[k] == pytest.approx(total)


def test_wrong_shapes_are_named():
    code = ProductCode.uniform(4, 2)
    with pytest.raises(ValueError, match=r"bits must have shape \(n, 8\)"):
        code.decode(np.zeros((3, 7), np.uint8))
    with pytest.raises(ValueError, match=r"values must have shape \(n, 4\)"):
        code.encode(np.zeros(5))
    with pytest.raises(ValueError, match=r"LLRs must have shape \(n, 8\)"):
        code.decode_llr(np.zeros((2, 3, 8)))
    with pytest.raises(ValueError, match="error rates"):
        code.decode(np.zeros((3, 8), np.uint8), np.zeros(2))


# Design without a channel: Max (1960), table I


@pytest.mark.parametrize(
    ("width", "error"), [(1, 0.3634), (2, 0.1175), (3, 0.03454), (4, 0.009497)]
)
def test_lloyd_max_on_a_gaussian_is_max(width, error):
    found = lloyd_max(gaussian(), width)
    assert found.distortion == pytest.approx(error, rel=4e-3)
    # centroids, and bounds midway
    assert found.thresholds == pytest.approx((found.levels[1:] + found.levels[:-1]) / 2)


# Design with a channel


@pytest.mark.parametrize("ber", [0.01, 0.05, 0.2])
def test_one_bit_over_a_channel(ber):
    """A sign of a Gaussian: values +-(1 - 2p) sqrt(2 / pi), error 1 - (1 - 2p)**2 2 / pi."""
    found = channel_optimised(gaussian(), 1, ber)
    assert abs(found.estimates(ber)) == pytest.approx((1 - 2 * ber) * math.sqrt(2 / math.pi), 1e-4)
    assert found.mean_squared_error(ber) == pytest.approx(
        1 - (1 - 2 * ber) ** 2 * 2 / math.pi, rel=1e-4
    )


@pytest.mark.parametrize("ber", [0.01, 0.05, 0.15])
@pytest.mark.parametrize("labels", ["natural", "gray", "folded"])
def test_two_bits_over_a_channel_are_a_local_optimum(labels, ber):
    """No nearby thresholds and values do better, by a general optimiser on the closed form."""
    found = channel_optimised(gaussian(), 2, ber, labels)
    arrive = transitions(found.label, 2, ber)

    def error(x: np.ndarray) -> float:
        bounds = np.concatenate([[-np.inf], np.sort(x[:3]), [np.inf]])
        mass = np.diff(norm.cdf(bounds))
        first = -np.diff(norm.pdf(bounds))
        joint, value = arrive, x[3:]
        return 1 - 2 * first @ joint @ value + mass @ joint @ value**2

    assert np.isfinite(found.thresholds).all()
    start = np.concatenate([found.thresholds, found.estimates(ber)])
    best = minimize(error, start, method="Nelder-Mead", options={"xatol": 1e-6, "fatol": 1e-9})
    assert found.mean_squared_error(ber) == pytest.approx(error(start), rel=1e-4)
    assert found.mean_squared_error(ber) <= best.fun * 1.0005


@pytest.mark.parametrize("labels", ["natural", "gray", "folded"])
@pytest.mark.parametrize("ber", [0.005, 0.05, 0.3])
def test_encoder_takes_the_label_of_least_expected_error(labels, ber):
    found = channel_optimised(gaussian(), 4, ber, labels)
    value = found.estimates(ber)
    arrive = transitions(np.arange(16), 4, ber)
    x = np.linspace(-4, 4, 401)
    cost = (arrive[None] * (x[:, None, None] - value[None, None, :]) ** 2).sum(axis=2)
    taken = cost[np.arange(x.size), found.encode(x)]
    assert taken == pytest.approx(cost.min(axis=1), rel=1e-3, abs=1e-5)


def test_optimising_for_the_channel_pays_and_empties_cells():
    density, ber = gaussian(), 0.1
    plain = lloyd_max(density, 5, "natural")
    found = channel_optimised(density, 5, ber, "natural")
    told = plain.mean_squared_error(ber)
    assert found.mean_squared_error(ber) < 0.9 * told < 0.9 * plain.mean_squared_error(ber, 0)
    assert (found.probability == 0).any()
    # the rate-distortion bound at the channel's capacity
    capacity = 1 + ber * math.log2(ber) + (1 - ber) * math.log2(1 - ber)
    assert found.mean_squared_error(ber) > 2 ** (-2 * 5 * capacity)
    # labels that are never sent still mean something, with and without trust in the bits
    for rate in (0.0, ber, 0.5):
        values = found.decode(np.arange(32), rate)
        assert np.isfinite(values).all()
        assert abs(values).max() < 4


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(-5, 5), st.integers(-20, 20)), min_size=1, max_size=12, unique=True
    )
)
def test_upper_envelope(lines):
    slope, height = np.array(lines, float).T
    which, bounds = _upper_envelope(slope, height)
    assert (np.diff(bounds) >= 0).all()
    assert bounds.size == which.size - 1
    x = np.linspace(-50, 50, 999)
    best = which[np.searchsorted(bounds, x)]
    assert slope[best] * x + height[best] == pytest.approx(
        (slope[:, None] * x + height[:, None]).max(0)
    )


# Sharing out bits


def test_allocation_on_a_gaussian_vector_is_water_filling():
    """At high rate 4**-w each: widths differ by half the log ratio of variances."""
    variance = 4.0 ** np.array([6, 4, 4, 3, 1])

    def distortion(k: int, width: int) -> float:
        return variance[k] * 4.0**-width

    assert allocate_bits(distortion, 5, 23, 20).tolist() == [7, 5, 5, 4, 2]
    assert allocate_bits(distortion, 5, 2, 20).tolist() == [2, 0, 0, 0, 0]
    assert allocate_bits(distortion, 5, 99, 3).tolist() == [3] * 5


def test_allocation_takes_bits_that_pay_only_together():
    table = [[1.0, 1.0, 0.0], [1.0, 0.6, 0.55]]
    assert allocate_bits(lambda k, w: table[k][w], 2, 2, 2).tolist() == [2, 0]
    assert allocate_bits(lambda k, w: table[k][w], 2, 1, 2).tolist() == [0, 1]


def test_designs_refuse_what_is_no_density():
    for bad in ([], [1, np.nan], [np.inf]):
        with pytest.raises(ValueError, match="finite points"):
            Density.of(np.array(bad))
    with pytest.raises(ValueError, match="weights"):
        Density.of(np.arange(3.0), np.array([1, -1, 1]))
    constant = lloyd_max(Density.of(np.full(9, 2.5)), 3)
    assert constant.distortion == pytest.approx(0)
    assert constant.decode(constant.encode(np.array([2.5]))) == pytest.approx([2.5])

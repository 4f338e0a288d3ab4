"""Which label stands for which cell, such that a wrong bit costs least: searched, not by rule.

An error of bit k turns label l into l ^ 2**k. Over a channel that rarely flips a bit the error it
adds is, to first order in its rate, that rate times

    sum over cells i and bits k of P_i |c_i - c_j|**2,    j the cell whose label is l_i ^ 2**k.

Finding the labels for which this is least is a quadratic assignment problem. It is searched by
annealing (Farvardin, "A study of vector quantization for noisy channels", IEEE Trans. Inform.
Theory 36(4), 1990), and what came out, and each labelling by rule, goes down the nearest valley by
exchanging pairs (the binary switching algorithm of Zeger and Gersho, "Pseudo-Gray coding", IEEE
Trans. Commun. 38(12), 1990); the best of them is taken.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache

import numpy as np

from gencomm.bitstream.assignment_kernels import anneal, descend
from gencomm.bitstream.labelling import Labels, label_table
from gencomm.bitstream.scalar import ScalarQuantiser

NAMED: tuple[Labels, ...] = ("natural", "gray", "folded")
#: Exchanges tried for each cell while cooling down, and from and to which temperature, as parts of
#: the mean cost of a label's errors.
EXCHANGES, HOT, COLD = 600, 0.5, 1e-3
#: Rounds over all pairs at most.
ROUNDS = 100


def error_costs(levels: np.ndarray, probability: np.ndarray) -> np.ndarray:
    """What confusing two cells costs, either way: float64 (n, n).

    Parameters
    ----------
    levels : float (n,) or (n, size)
        What cells stand for.
    probability : float (n,)
    """
    points = np.asarray(levels, np.float64).reshape(len(levels), -1)
    square = ((points[:, None] - points[None]) ** 2).sum(2)
    return square * (probability[:, None] + probability[None])


def single_error_cost(cell: np.ndarray, cost: np.ndarray) -> float:
    """Sum over labels and single bit errors; `cell` says which cell has each label."""
    label = np.arange(cell.size)
    flips = 1 << np.arange(cell.size.bit_length() - 1)
    return sum(float(cost[cell, cell[label ^ flip]].sum()) for flip in flips) / 2


def learnt_labels(
    levels: np.ndarray,
    probability: np.ndarray,
    starts: Iterable[np.ndarray],
    exchanges: int = EXCHANGES,
    seed: int = 0,
) -> np.ndarray:
    """Labels of cells under which a single wrong bit costs least, as far as was found.

    Parameters
    ----------
    levels : float (n,) or (n, size)
        n is a power of two.
    probability : float (n,)
    starts : iterable of int (n,)
        Labellings to begin from; what is found is never worse than the best of them.
    exchanges : int
        Tried for each cell while annealing, which begins from the first start; 0 for none.
    seed : int

    Returns
    -------
    int64 (n,)
    """
    cost = error_costs(levels, probability)
    found = [np.argsort(start) for start in starts]
    if exchanges and len(cost) > 2:
        cell, rng = found[0].copy(), np.random.default_rng(seed)
        count, n = exchanges * cell.size, cell.size
        first = rng.integers(0, n, count)
        pairs = np.stack([first, (first + rng.integers(1, n, count)) % n], 1)
        mean = single_error_cost(cell, cost) / n
        anneal(cell, cost, pairs, rng.random(count), mean * np.geomspace(HOT, COLD, count))
        found.append(cell)
    for cell in found:
        descend(cell, cost, ROUNDS)
    best = min(found, key=lambda cell: single_error_cost(cell, cost))
    return np.argsort(best)


def with_labels(quantiser: ScalarQuantiser, labels: str) -> ScalarQuantiser:
    """The same cells with labels by name: ``learnt``, or one of `label_table`'s."""
    if labels != "learnt":
        return quantiser.relabelled(label_table(quantiser.width, labels))  # type: ignore[arg-type]
    return _learnt(quantiser)


@lru_cache(maxsize=512)
def _learnt(quantiser: ScalarQuantiser) -> ScalarQuantiser:
    named = [label_table(quantiser.width, name) for name in NAMED]
    label = learnt_labels(quantiser.levels, quantiser.probability, named)
    return replace(quantiser, label=label)

"""Design of scalar quantisers for a density, with or without a noisy channel, and their bits.

A density is given as points in rising order with weights: samples, or points that stand for a
known law. Cumulative sums make a round of each method cost as much as there are levels.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from gencomm.bitstream.labelling import Labels, label_table, transitions
from gencomm.bitstream.scalar import ScalarQuantiser

_ROUNDS = 300
#: Error rates on the way from no errors to the one designed for, as parts of it.
_STEPS = (0.01, 0.1, 0.3, 1.0)


@dataclass(frozen=True)
class Density:
    """Points in rising order and weights that sum to one, with their cumulative moments."""

    points: np.ndarray
    weights: np.ndarray
    moments: np.ndarray  # (3, n + 1): sums of weight, weight x, weight x**2 below each point

    @classmethod
    def of(cls, points: np.ndarray, weights: np.ndarray | None = None) -> Density:
        """From samples (weights equal) or weighted points, in any order.

        Raises
        ------
        ValueError
            No points, some that are not finite, or weights that are negative or all zero.
        """
        points = np.asarray(points, np.float64).ravel()
        share = np.ones(points.size) if weights is None else np.asarray(weights, float).ravel()
        if points.size == 0 or not np.isfinite(points).all() or points.shape != share.shape:
            raise ValueError("a density needs finite points, and as many weights")
        if not (share >= 0).all() or not 0 < share.sum() < np.inf:
            raise ValueError("weights of a density are not negative and not all zero")
        order = np.argsort(points, kind="stable")
        points, share = points[order], share[order] / share.sum()
        terms = [share, share * points, share * points**2]
        sums = np.stack([np.concatenate([[0.0], np.cumsum(term)]) for term in terms])
        return cls(points, share, sums)

    def between(self, thresholds: np.ndarray) -> np.ndarray:
        """Weight, first and second moment of each cell: (3, thresholds + 1)."""
        inner = np.searchsorted(self.points, thresholds, side="right")
        cut = np.concatenate([[0], inner, [self.points.size]])
        return np.diff(self.moments[:, cut], axis=1)


def lloyd_max(
    density: Density,
    width: int,
    labels: Labels | Sequence[int] = "gray",
    symmetric: bool = False,
) -> ScalarQuantiser:
    """The quantiser of 2**width levels with the least mean squared error (a local minimum).

    Lloyd's method I (Lloyd 1982; Max 1960), started from Panter and Dite's point density.

    Parameters
    ----------
    density : Density
    width : int
        Bits.
    labels : name or permutation
    symmetric : bool
        Keep levels symmetric about zero, for a density that is.
    """
    points, weights = density.points, density.weights
    count = 1 << width
    if points.size > 1:
        spread = weights ** (1 / 3) * np.abs(np.gradient(points)) ** (2 / 3)
        spread = np.cumsum(spread) / max(spread.sum(), np.finfo(float).tiny)
        levels = np.interp((np.arange(count) + 0.5) / count, spread, points)
    else:
        levels = np.full(count, points[0])
    for _ in range(_ROUNDS):
        thresholds = (levels[1:] + levels[:-1]) / 2
        mass, moment, _ = density.between(thresholds)
        better = np.where(mass > 0, moment / np.where(mass > 0, mass, 1), levels)
        better = (better - better[::-1]) / 2 if symmetric else better
        if np.abs(better - levels).max() < 1e-9:
            break
        levels = better
    thresholds = (levels[1:] + levels[:-1]) / 2
    mass, moment, second = density.between(thresholds)
    error = float((second - 2 * levels * moment + levels**2 * mass).sum())
    return ScalarQuantiser(levels, mass / mass.sum(), thresholds, label_table(width, labels), error)


def channel_optimised(
    density: Density,
    width: int,
    ber: float,
    labels: Labels | Sequence[int] = "gray",
    start: ScalarQuantiser | None = None,
) -> ScalarQuantiser:
    """Cells and values that are best together for a binary symmetric channel.

    Farvardin and Vaishampayan, "Optimal quantizer design for noisy channels", IEEE Trans. Inform.
    Theory 33(6), 1987: alternate the encoder that sends for x the label i with the least expected
    error sum_j P(j|i) (x - y_j)**2 (its cells are intervals, some empty), and the decoder's
    centroids y_j = sum_i P(j|i) E[x; i] / sum_i P(j|i) P_i. The error rate rises in steps, from a
    Lloyd-Max quantiser, since the method only finds local minima.

    Parameters
    ----------
    density : Density
    width : int
    ber : float
        Designed for. 0 gives the start.
    labels : name or permutation
        Of the quantiser begun with; as cells vanish and change places, what becomes of them
        differs.
    start : ScalarQuantiser, optional

    Returns
    -------
    ScalarQuantiser
        Decode with ``ber`` (or with the true error rate, where the receiver knows it).
    """
    found = start or lloyd_max(density, width, labels)
    if ber == 0 or width == 0:
        return found
    for part in _STEPS:
        found = _optimise(density, found, part * ber, 1e-6 if part == 1 else 1e-4)
    return found


def _optimise(
    density: Density, start: ScalarQuantiser, ber: float, tolerance: float
) -> ScalarQuantiser:
    width = start.width
    arrive = transitions(np.arange(1 << width), width, ber)  # sent label, received label
    estimate = start.estimates(ber)
    last = np.inf
    for _ in range(_ROUNDS):
        # sending label i for x costs x**2 - 2 x slope_i + square_i
        slope, square = arrive @ estimate, arrive @ estimate**2
        sent, thresholds = _upper_envelope(2 * slope, -square)
        mass, moment, second = density.between(thresholds)
        weight, first = np.zeros(1 << width), np.zeros(1 << width)
        weight[sent], first[sent] = mass, moment
        error = second.sum() - 2 * (first @ slope) + weight @ square
        total = weight @ arrive
        estimate = np.where(total > 0, (first @ arrive) / np.where(total > 0, total, 1), estimate)
        if last - error <= tolerance * error:
            break
        last = error
    levels = moment / np.where(mass > 0, mass, 1)
    middle = np.clip(levels, *density.points[[0, -1]])
    levels = np.where(mass > 0, levels, middle)
    own = float((second - 2 * levels * moment + levels**2 * mass).sum())
    # empty cells go behind the others, with bounds that no value passes
    unused = np.setdiff1d(np.arange(1 << width), sent)
    rest = unused.size
    return ScalarQuantiser(
        np.concatenate([levels, np.zeros(rest)]),
        np.concatenate([mass / mass.sum(), np.zeros(rest)]),
        np.concatenate([thresholds, np.full(rest, np.inf)]),
        np.concatenate([sent, unused]).astype(np.int64),
        own,
    )


def _upper_envelope(slope: np.ndarray, height: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which of the lines slope x + height are highest somewhere, from left to right.

    Returns
    -------
    lines : int array, shape (n,)
    bounds : float array, shape (n - 1,)
        Where each gives way to the next.
    """
    order = np.lexsort((height, slope)).tolist()
    a, b = slope.tolist(), height.tolist()
    kept: list[int] = []
    bounds: list[float] = []
    for k in order:
        if kept and a[k] == a[kept[-1]]:  # parallel: the higher one comes later in the order
            kept.pop()
            if bounds:
                bounds.pop()
        while kept:
            cross = (b[kept[-1]] - b[k]) / (a[k] - a[kept[-1]])
            if not bounds or cross > bounds[-1]:
                bounds.append(cross)
                break
            kept.pop()
            bounds.pop()
        kept.append(k)
    return np.array(kept, np.int64), np.array(bounds[: len(kept) - 1])


def allocate_bits(
    distortion: Callable[[int, int], float], count: int, budget: int, most: int, step: int = 3
) -> np.ndarray:
    """Share bits out among values, each step where it saves most error a bit.

    Huang and Schultheiss (1963) by greedy steps. Where the first bit alone saves little and two
    at once more than twice as much (peaked densities, noisy channels), steps of several bits
    compete: they run along the convex hull of bits and distortion, which is optimal wherever the
    budget falls on a corner of it.

    Parameters
    ----------
    distortion : callable
        (value, bits) -> mean squared error; asked for no more than is needed. With that of
        `channel_optimised` quantisers the allocation is the one for the channel.
    count : int
        Values.
    budget : int
        Bits to share out; some remain where all values have `most`.
    most : int
        Bits of one value at most.
    step : int
        Bits of one step at most.

    Returns
    -------
    int64 array, shape (count,)
    """
    widths = np.zeros(count, np.int64)
    left = budget

    def best(k: int) -> tuple[float, int, int] | None:
        """The most rewarding step up: minus what a bit saves, value, bits."""
        width = int(widths[k])
        here, found = distortion(k, width), None
        for more in range(1, min(step, left, most - width) + 1):
            saved = (here - distortion(k, width + more)) / more
            # rounded, for the same order on every machine
            now = (-float(f"{saved:.6g}"), k, more)
            found = now if found is None or now < found else found
        return found

    heap = [found for k in range(count) if (found := best(k))]
    heapq.heapify(heap)
    while heap and left:
        _, k, more = heapq.heappop(heap)
        if more <= left:
            widths[k] += more
            left -= more
        again = best(k)
        if again:
            heapq.heappush(heap, again)
    return widths

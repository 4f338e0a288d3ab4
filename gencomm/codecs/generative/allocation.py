"""What the bits of a cell stand for, for any number of bits of a cell. No torch.

The network orders its values itself while it learns; what is fixed here is a law of variances
that falls with the rank as those of photographs do. Bits are then given, one after the other,
where they save most squared error over a channel with the error rate that the code is designed
for: either a value gets one bit more (Huang and Schultheiss 1963), or one of its leading bits is
sent twice more. So the bits of a smaller budget are always the first of a larger one's, and one
network serves all budgets.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

#: Side of a cell in pixels: what one group of bits stands for.
CELL = 32

#: Bits of a cell: the least and the most. 0.047 and 0.5 bits per pixel.
LEAST, MOST = 48, 512

#: Values of a cell. The first of them suffice for less than MOST bits.
VALUES = 280

#: Most bits of one value, and times that a bit is sent where it is sent more than once.
WIDEST, COPIES = 6, 3

#: Variance by rank k = 0, 1, ...: (1 + k)**-FALL, the first times FIRST. Fitted to the latents of
#: the transform that training starts from, at ranks 0 to 512.
FALL, FIRST = 1.35, 3.0

#: Mean squared error of the best quantisers of a Gaussian variable of 0, 1, ... bits (Max 1960).
DISTORTION = (1.0, 0.3634, 0.1175, 0.03454, 0.009497, 0.002499, 0.000642)

#: A leading bit that arrives wrong mirrors a value about the middle of what the bits before it
#: leave: twice the distance, four times the square.
MIRRORED = 4.0


@dataclass(frozen=True, eq=False)
class Layout:
    """What each bit of a cell stands for.

    Attributes
    ----------
    value : int64 (budget,)
        Which value a bit belongs to, in the order of sending: what saves most goes first.
    plane : int64 (budget,)
        Which of the value's bits it is, 0 the most significant.
    """

    value: np.ndarray
    plane: np.ndarray

    @cached_property
    def copies(self) -> np.ndarray:
        """How often each bit of each value is sent; int64 (VALUES, WIDEST)."""
        copies = np.zeros((VALUES, WIDEST), np.int64)
        np.add.at(copies, (self.value, self.plane), 1)
        return copies

    @cached_property
    def widths(self) -> np.ndarray:
        """Bits of each value, sent once or more; int64 (VALUES,)."""
        return (self.copies > 0).sum(1)

    @cached_property
    def source(self) -> np.ndarray:
        """Place of each sent bit among the values' own bits, which stand value after value."""
        first = np.cumsum(self.widths) - self.widths
        return first[self.value] + self.plane


@lru_cache(maxsize=64)
def layout(budget: int, design_ber: float) -> Layout:
    """The layout of so many bits.

    Parameters
    ----------
    budget : int
        Bits of a cell, LEAST to MOST.
    design_ber : float
        Bit error rate that bits are given for. At 0 none is sent more than once.

    Raises
    ------
    ValueError
        The budget is out of range.
    """
    if not LEAST <= budget <= MOST:
        raise ValueError(f"a cell has {LEAST} to {MOST} bits, not {budget}")
    value, plane = _order(design_ber)
    return Layout(value[:budget], plane[:budget])


@lru_cache(maxsize=8)
def _order(design_ber: float) -> tuple[np.ndarray, np.ndarray]:
    """Value and plane of the 1st, the 2nd, ... the MOST-th bit."""
    ranks = np.arange(1, VALUES + 1, dtype=np.float64)
    variance = ranks**-FALL
    variance[0] *= FIRST
    widths, protected = np.zeros(VALUES, np.int64), np.zeros(VALUES, np.int64)
    heap = [step for k in range(VALUES) for step in _steps(k, 0, 0, design_ber, variance[k])]
    heapq.heapify(heap)
    given: list[tuple[int, int]] = []
    while len(given) < MOST:
        _, k, more, width, kept = heapq.heappop(heap)
        if (width, kept) != (widths[k], protected[k]):
            continue  # of a state that this value has left
        given += [(k, width if more == 1 else kept)] * more
        widths[k] += more == 1
        protected[k] += more > 1
        state = int(widths[k]), int(protected[k])
        for step in _steps(k, *state, design_ber, variance[k]):
            heapq.heappush(heap, step)
    table = np.array(given[:MOST], np.int64)
    return table[:, 0], table[:, 1]


def _steps(
    k: int, width: int, protected: int, ber: float, variance: float
) -> Iterator[tuple[float, int, int, int, int]]:
    """What may come next for a value: minus the error that a bit saves, value, bits, its state.

    A majority of three is wrong with probability p**2 (3 - 2 p).
    """
    if width < WIDEST:
        saved = DISTORTION[width] - DISTORTION[width + 1] - MIRRORED * ber * DISTORTION[width]
        if saved > 0:  # rounded, for the same order on every machine
            yield -float(f"{variance * saved:.9g}"), k, 1, width, protected
    if protected < width and ber > 0:
        saved = MIRRORED * DISTORTION[protected] * (ber - ber**2 * (3 - 2 * ber))
        each = variance * saved / (COPIES - 1)
        yield -float(f"{each:.9g}"), k, COPIES - 1, width, protected


def rate_position(budget: int, points: int) -> float:
    """A budget on a logarithmic axis, 0 at LEAST and points - 1 at MOST."""
    return float(np.log(budget / LEAST) / np.log(MOST / LEAST) * (points - 1))

"""How many bits each value of a cell has, for any number of bits of a cell. No torch.

The network orders its values itself while it learns; what is fixed here is a law of variances
that falls with the rank as those of photographs do, after which bits are given where the next
one saves most squared error (Huang and Schultheiss 1963). So the bits of a smaller budget are
always among those of a larger one, and one network serves all budgets.
"""

from __future__ import annotations

import heapq
from functools import lru_cache

import numpy as np

#: Side of a cell in pixels: what one group of bits stands for.
CELL = 32

#: Bits of a cell: the least and the most. 0.047 and 0.5 bits per pixel.
LEAST, MOST = 48, 512

#: Most bits of one value.
WIDEST = 6

#: Variance by rank k = 0, 1, ...: (1 + k)**-FALL, the first times FIRST. Fitted to the latents of
#: the transform that training starts from, at ranks 0 to 512.
FALL, FIRST = 1.35, 3.0

#: Mean squared error of the best quantisers of a Gaussian variable of 0, 1, ... bits (Max 1960).
DISTORTION = (1.0, 0.3634, 0.1175, 0.03454, 0.009497, 0.002499, 0.000642)


@lru_cache(maxsize=1)
def order() -> np.ndarray:
    """Which value gets the 1st, the 2nd, ... the MOST-th bit; int64 (MOST,)."""
    ranks = np.arange(1, MOST + 1, dtype=np.float64)
    variance = ranks**-FALL
    variance[0] *= FIRST
    saved = -np.diff(DISTORTION)
    # rounded, for the same order on every machine
    heap = [(-float(f"{v * saved[0]:.9g}"), k, 0) for k, v in enumerate(variance)]
    heapq.heapify(heap)
    given = np.empty(MOST, np.int64)
    for bit in range(MOST):
        _, k, width = heapq.heappop(heap)
        given[bit] = k
        if width + 1 < WIDEST:
            step = -float(f"{variance[k] * saved[width + 1]:.9g}")
            heapq.heappush(heap, (step, k, width + 1))
    return given


#: Values of a cell that get any bits at all.
VALUES = int(order().max()) + 1


def widths(budget: int) -> np.ndarray:
    """Bits of each value of a cell; int64 (VALUES,), the sum is `budget`.

    Raises
    ------
    ValueError
        The budget is not between LEAST and MOST.
    """
    if not LEAST <= budget <= MOST:
        raise ValueError(f"a cell has {LEAST} to {MOST} bits, not {budget}")
    return np.bincount(order()[:budget], minlength=VALUES)


def rate_position(budget: int, points: int) -> float:
    """A budget on a logarithmic axis, 0 at LEAST and points - 1 at MOST."""
    return float(np.log(budget / LEAST) / np.log(MOST / LEAST) * (points - 1))

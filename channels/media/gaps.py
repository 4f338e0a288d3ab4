"""Where rare things happen: positions drawn by their geometric gaps, not one draw per bit."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from channels.jit import Kernel

#: Positions drawn at once: 512 KiB of float64, which stays in the second-level cache.
BLOCK = 1 << 16
#: Up to here numpy is quick enough and numba need not be imported.
FEW = 1 << 14

_MASKS = (0x80 >> np.arange(8)).astype(np.uint8)


def position_blocks(rng: np.random.Generator, p: float, n: int) -> Iterator[np.ndarray]:
    """Positions in ``range(n)`` at which an event of probability `p` happens, in rising order.

    The gap between events is geometric: the whole part of E / -ln(1 - p), where E is exponential
    with mean 1, since P(E >= -k ln(1 - p)) = (1 - p)**k. The draws follow one another, so the
    positions below n are the same for every larger n.

    Parameters
    ----------
    rng : numpy.random.Generator
    p : float
        Probability of an event at each position, in 0..1.
    n : int
        Number of positions.

    Yields
    ------
    int64 arrays of at most `BLOCK` positions
    """
    if p <= 0 or n <= 0:
        return
    scale = 1.0 if p >= 1 else -1 / math.log1p(-p)
    last = -1.0
    while last < n:
        expected = (n - last) * p
        count = int(min(BLOCK, expected + 6 * math.sqrt(expected) + 16))
        steps = rng.standard_exponential(count)
        if p >= 1:
            steps.fill(0.0)
        steps *= scale
        np.floor(steps, out=steps)
        steps += 1
        steps[0] += last
        np.cumsum(steps, out=steps)  # whole numbers below 2**53 add exactly
        last = float(steps[-1])
        if last >= n:
            steps = steps[: np.searchsorted(steps, n)]
        if steps.size:
            yield steps.astype(np.int64)


@Kernel
def _flip(row, positions):
    for position in positions:
        row[position >> 3] ^= 128 >> (position & 7)


def flip_bits(row: np.ndarray, positions: np.ndarray) -> None:
    """Invert bits of a packed row in place.

    Parameters
    ----------
    row : uint8 array, shape (n_bytes,)
    positions : int64 array
        Numbers of bits, most significant first, each at most once.
    """
    if positions.size <= FEW:
        np.bitwise_xor.at(row, positions >> 3, _MASKS[positions & 7])
    else:
        _flip(row, positions)


def sojourns(
    rng: np.random.Generator, p_bad: float, burst: float, n: int
) -> tuple[np.ndarray, np.ndarray]:
    """Intervals that a two-state Markov chain spends in its bad state, within ``range(n)``.

    The chain is drawn by its sojourn times, which are geometric with means `burst` (bad) and
    `burst` (1 - p_bad) / p_bad (good), and starts in its stationary distribution.

    Parameters
    ----------
    rng : numpy.random.Generator
    p_bad : float
        Stationary probability of the bad state, 0 < p_bad < 1.
    burst : float
        Mean number of steps that a visit to the bad state lasts, at least 1.
    n : int
        Number of steps.

    Returns
    -------
    starts, ends : int64 arrays
        Half-open intervals, in rising order, cut at n.
    """
    leave_bad, leave_good = 1 / burst, min(1.0, p_bad / (burst * (1 - p_bad)))
    # geometric times don't age, so a chain that starts in its stationary state stays for as long
    begins_bad = rng.random() < p_bad
    first = 0.0 if begins_bad else float(rng.geometric(leave_good))
    starts, ends = [], []
    at = first
    while at < n:
        cycle = burst / p_bad
        count = int(min(BLOCK, 2 * (n - at) / cycle + 16))
        pairs = rng.geometric([leave_bad, leave_good], (count, 2)).astype(np.float64)
        edges = at + np.cumsum(pairs.ravel())
        starts.append(np.concatenate(([at], edges[1:-1:2])))
        ends.append(edges[::2])
        at = float(edges[-1])
    if not starts:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    start, end = np.concatenate(starts), np.minimum(np.concatenate(ends), n)
    kept = start < n
    return start[kept].astype(np.int64), end[kept].astype(np.int64)

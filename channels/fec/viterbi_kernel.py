"""Viterbi decoding of the 64-state code (133, 171), 32 frames at a time.

Why it is quick. Path metrics of 32 frames lie side by side, so that one step of one state is one
vector instruction on 512-bit machines (two on 256-bit ones). All of a step's working memory is one
array addressed with offsets that are constants once `_four` is inlined: the compiler then sees by
itself that no two of them overlap, which for separate arrays it would check at run time, at a
price above that of the work. Metrics are int16 and wrap around: only their differences count, and
they stay far below 2**15 (Hekstra, "An alternative to metric rescaling in Viterbi decoders",
IEEE Trans. Commun. 37, 1989), so nothing is ever normalised.

The state holds the last six bits, the newest as bit 0. States j and j + 32 lead to 2j and 2j + 1.
"""

from __future__ import annotations

import numpy as np

from channels.jit import kernel

#: Frames decoded side by side.
LANES = 32
#: Largest size of a quantised LLR. The metrics of two states differ by at most 24 times that; an
#: excluded starting state lies another 24 times that lower: 48 * 511 < 2**15.
LIMIT = 511
#: A quantised LLR of middling size (the power of two next to a frame's geometric mean) is this.
MIDDLE_EXPONENT = 5
#: Metric of the states that a terminated frame can't start from.
_EXCLUDED = -24 * LIMIT - 1

_NEXT = 64 * LANES
_BRANCH = 128 * LANES
_WORD = 132 * LANES
#: int16 cells of working memory: metrics now and next, four branch metrics, eight decision words
WORK = 140 * LANES


@kernel(forceinline=True)
def _butterfly(work, old, new, lane, metric, bit):
    """Two old states, two new ones; two decisions as bits `bit` and `bit` + 1."""
    low, high = work[old + lane], work[old + 32 * LANES + lane]
    stay, cross = np.int16(low + metric), np.int16(high - metric)
    even = np.int16(stay - cross)
    work[new + lane] = stay if even >= np.int16(0) else cross
    stay, cross = np.int16(low - metric), np.int16(high + metric)
    odd = np.int16(stay - cross)
    work[new + LANES + lane] = stay if odd >= np.int16(0) else cross
    first = np.int16(np.int16(even >> np.int16(15)) & np.int16(1 << bit))
    return np.int16(first | np.int16(np.int16(odd >> np.int16(15)) & np.int16(2 << bit)))


@kernel(forceinline=True)
def _four(work, group, first, second):
    """Butterflies 4 * group ... 4 * group + 3, whose branches carry +first +second -first -second.

    That order holds for all groups: going from one butterfly to the next of four changes the same
    code bits in each.
    """
    old, new = 4 * group * LANES, _NEXT + 8 * group * LANES
    for lane in range(LANES):
        p, q = work[first + lane], work[second + lane]
        word = _butterfly(work, old, new, lane, p, 0)
        word = np.int16(word | _butterfly(work, old + LANES, new + 2 * LANES, lane, q, 2))
        minus = np.int16(-p)
        word = np.int16(word | _butterfly(work, old + 2 * LANES, new + 4 * LANES, lane, minus, 4))
        minus = np.int16(-q)
        word = np.int16(word | _butterfly(work, old + 3 * LANES, new + 6 * LANES, lane, minus, 6))
        work[_WORD + group * LANES + lane] = word


@kernel
def forward(soft, first, work, decisions):
    """Steps of the trellis from `first` on, round and round, from the metrics that stand in `work`.

    Parameters
    ----------
    soft : int16 array, shape (steps, 2 * LANES)
        Quantised LLRs: those of code bit A of all frames, then those of B.
    work : int16 array, shape (WORK,)
    decisions : uint8 array, shape (rows, 8 * LANES)
        Out, one row for each step made: bit i of cell group * LANES + lane says where state
        8 * group + i came from.
    """
    for row in range(decisions.shape[0]):
        t = (first + row) % soft.shape[0]
        for lane in range(LANES):
            a, b = soft[t, lane], soft[t, LANES + lane]
            total, difference = np.int16(a + b), np.int16(a - b)
            work[_BRANCH + lane] = total
            work[_BRANCH + LANES + lane] = difference
            work[_BRANCH + 2 * LANES + lane] = np.int16(-total)
            work[_BRANCH + 3 * LANES + lane] = np.int16(-difference)
        _four(work, 0, _BRANCH, _BRANCH + LANES)
        _four(work, 1, _BRANCH + 2 * LANES, _BRANCH + 3 * LANES)
        _four(work, 2, _BRANCH, _BRANCH + LANES)
        _four(work, 3, _BRANCH + 2 * LANES, _BRANCH + 3 * LANES)
        _four(work, 4, _BRANCH + 3 * LANES, _BRANCH + 2 * LANES)
        _four(work, 5, _BRANCH + LANES, _BRANCH)
        _four(work, 6, _BRANCH + 3 * LANES, _BRANCH + 2 * LANES)
        _four(work, 7, _BRANCH + LANES, _BRANCH)
        for cell in range(64 * LANES):
            work[cell] = work[_NEXT + cell]
        for cell in range(8 * LANES):
            decisions[row, cell] = np.uint8(work[_WORD + cell])


@kernel
def quantise(llr, positions, soft):
    """Fill `soft` with up to LANES frames, each scaled by a power of two.

    The scale comes from the mean of the binary exponents of a frame's finite, non-zero LLRs: any
    scale of LLRs will do, a few huge ones among them do no harm, and being a sum of whole numbers
    it is the same on every machine. NaN counts as no information.

    Parameters
    ----------
    llr : float32 array, shape (frames, n), C-contiguous
    positions : int64 array, shape (n,)
        Where among the code bits A0 B0 A1 B1 ... of the unpunctured code each LLR belongs.
    soft : int16 array, shape (steps, 2 * LANES)
    """
    soft[:] = 0
    n = positions.size
    for lane in range(llr.shape[0]):
        row = llr[lane]
        exponents = 0
        counted = 0
        for pattern in row.view(np.int32):
            exponent = (pattern >> 23) & 0xFF
            usual = (exponent > 0) & (exponent < 0xFF)
            exponents += exponent if usual else 0
            counted += usual
        middle = round(exponents / max(counted, 1)) - 127 if counted else 0
        scale = 2.0 ** (MIDDLE_EXPONENT - middle)
        for i in range(n):
            value = min(max(row[i] * scale, -LIMIT), LIMIT)
            place = positions[i]
            column = (place & 1) * LANES + lane
            soft[place >> 1, column] = np.int16(np.rint(value)) if value == value else np.int16(0)


@kernel
def trace(decisions, states, skip, bits, closed):
    """Follow the decisions back from state `states[i]` of frame i, eight frames at a time.

    Row skip + t of `decisions` gives bit t, for as many as `bits` (frames, k) takes; `closed` says
    whether frame i is in the same state before the first of these bits and behind the last.
    """
    k = bits.shape[1]
    now, end = np.empty(8, np.int64), np.empty(8, np.int64)
    for base in range(0, bits.shape[0], 8):
        count = min(8, bits.shape[0] - base)
        now[:count] = states[base : base + count]
        for row in range(decisions.shape[0] - 1, skip - 1, -1):
            t = row - skip
            if t == k - 1:
                end[:] = now
            for i in range(count):
                lane, state = base + i, now[i]
                if t < k:
                    bits[lane, t] = state & 1
                came = (decisions[row, (state >> 3) * LANES + lane] >> (state & 7)) & 1
                now[i] = (state >> 1) | (np.int64(came) << 5)
        for i in range(count):
            closed[base + i] = now[i] == end[i]


@kernel
def best_states(work, states):
    """State of the largest metric for each frame; the lowest of equals."""
    for lane in range(states.size):
        best = 0
        for state in range(1, 64):
            if np.int16(work[state * LANES + lane] - work[best * LANES + lane]) > np.int16(0):
                best = state
        states[lane] = best


def decode(
    llr: np.ndarray, positions: np.ndarray, steps: int, wrap: int | None, bits: np.ndarray
) -> np.ndarray:
    """Decode frames; fills `bits`.

    Parameters
    ----------
    llr : float32 array, shape (frames, n), C-contiguous
    positions : int64 array, shape (n,)
        See :func:`quantise`.
    steps : int
        Of the trellis, a tail included.
    wrap : int or None
        None: frames begin and end in state 0. Else they end in the state they began in, whichever
        that is: the decoder runs around the frame, from `wrap` steps before its beginning to
        `wrap` steps past its end, so that it knows what comes before and after each bit.
    bits : uint8 array, shape (frames, k)

    Returns
    -------
    bool array, shape (frames,)
        Whether the path found begins and ends in one state.
    """
    around = wrap or 0
    work = np.zeros(WORK, np.int16)
    soft = np.empty((steps, 2 * LANES), np.int16)
    decisions = np.empty((around + steps + around, 8 * LANES), np.uint8)
    closed = np.empty(llr.shape[0], bool)
    states = np.zeros(LANES, np.int64)
    for first in range(0, llr.shape[0], LANES):
        here = slice(first, first + LANES)
        quantise(llr[here], positions, soft)
        work[:] = 0
        if wrap is None:
            work[LANES : 64 * LANES] = _EXCLUDED
        forward(soft, -around % steps, work, decisions)
        if wrap is not None:
            best_states(work, states)
        trace(decisions, states, around, bits[here], closed[here])
    return closed


def closed_paths(
    llr: np.ndarray, positions: np.ndarray, steps: int
) -> tuple[np.ndarray, np.ndarray]:
    """For each of the 64 states the likeliest path that begins and ends in it.

    Parameters
    ----------
    llr : float32 array, shape (n,)
        One frame.
    positions, steps
        As for :func:`decode`.

    Returns
    -------
    bits : uint8 array, shape (64, steps)
        Of these paths.
    soft : int64 array, shape (2 * steps,)
        Quantised LLRs of all code bits, to compare the paths by.
    """
    soft = np.empty((steps, 2 * LANES), np.int16)
    quantise(llr[None], positions, soft)
    row = soft[:, ::LANES].copy()
    soft[:] = np.repeat(row, LANES, axis=1)
    decisions = np.empty((steps, 8 * LANES), np.uint8)
    bits = np.empty((64, steps), np.uint8)
    for first in (0, LANES):
        states = first + np.arange(LANES)
        work = np.full(WORK, _EXCLUDED, np.int16)
        work[states * LANES + np.arange(LANES)] = 0
        forward(soft, 0, work, decisions)
        trace(decisions, states, 0, bits[first : first + LANES], np.empty(LANES, bool))
    return bits, row.reshape(-1).astype(np.int64)

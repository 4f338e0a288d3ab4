"""Noise on condition that something is hit, for error rates so small that most trials are clean.

At a BER of 1e-8 one picture in hundreds is hit at all, and the others need no simulation: what
isn't hit comes back as it was sent. With w the probability of a hit, the mean of any quantity is
``(1 - w) * (its value when clean) + w * (its mean over trials that are hit)``, so that w is the
weight of a trial drawn on that condition. The draws are exact: the first hit has the truncated
geometric distribution, what lies before it is clean, what lies behind it is as always.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from channels.media.gaps import position_blocks

#: Amplitudes are moved by this much where rounding to float32 undid a decision.
ROUNDING = 1e-6


def hit_probability(p: float, n: int) -> float:
    """Probability 1 - (1 - p)**n that at least one of `n` independent places is hit."""
    if n <= 0 or p <= 0:
        return 0.0
    return 1.0 if p >= 1 else -math.expm1(n * math.log1p(-p))


def first_hit(rng: np.random.Generator, p: float, n: int) -> int:
    """First of `n` places to be hit, given that one is: P(k) = (1 - p)**k p / w for k < n.

    Where the distribution function, (1 - (1 - p)**(k + 1)) / w, passes a uniform draw.
    """
    if p >= 1:
        return 0
    reached = math.log1p(-rng.random() * hit_probability(p, n)) / math.log1p(-p)
    return min(int(reached), n - 1)  # rounding may carry it to n


def hit_position_blocks(rng: np.random.Generator, p: float, n: int) -> Iterator[np.ndarray]:
    """Like :func:`channels.media.gaps.position_blocks`, given that there is at least one."""
    first = first_hit(rng, p, n)
    yield np.array([first])
    for positions in position_blocks(rng, p, n - first - 1):
        yield positions + (first + 1)


def force_errors(
    symbols: np.ndarray,
    received: np.ndarray,
    bits_per_symbol: int,
    sigma: float,
    rngs: Sequence[np.random.Generator],
) -> None:
    """Change received BPSK or QPSK symbols so that at least one bit is decided wrongly.

    Each bit has an amplitude of its own, along which the noise is Gaussian, so bits are decided
    wrongly independently of one another. Noise before the first wrong bit is drawn again where it
    led to an error, that of the first is drawn from the tail of the Gaussian, and the rest stays.

    Parameters
    ----------
    symbols : complex64 array, shape (trials, n_symbols)
        As sent, of energy 1.
    received : complex64 array, shape (trials, n_symbols)
        Symbols with unconditional noise; changed in place.
    bits_per_symbol : {1, 2}
    sigma : float
        Standard deviation of the noise on each axis.
    rngs : sequence of numpy.random.Generator
        One a trial.
    """
    from scipy.special import ndtr, ndtri

    # the amplitude of a BPSK bit is I + Q, with the noise of both
    level, spread = (math.sqrt(0.5), sigma) if bits_per_symbol == 2 else (2**0.5, 2**0.5 * sigma)
    p = float(ndtr(-level / spread))
    for sent, row, rng in zip(symbols, received, rngs, strict=True):
        should = _amplitudes(sent, bits_per_symbol) < 0
        first = first_hit(rng, p, should.size)
        wrong = (_amplitudes(row, bits_per_symbol)[:first] < 0) != should[:first]
        for bit in np.flatnonzero(wrong).tolist():
            outward = -1 if should[bit] else 1
            while (_amplitude(row, bits_per_symbol, bit) < 0) != should[bit]:
                drawn = outward * level + spread * rng.standard_normal()
                _move(row, bits_per_symbol, bit, drawn)
        outward = -1 if should[first] else 1
        beyond = level + spread * float(ndtri(p * (1 - rng.random())))
        _move(row, bits_per_symbol, first, outward * beyond)
        while (_amplitude(row, bits_per_symbol, first) < 0) == should[first]:
            beyond -= ROUNDING  # float32 has put it on the wrong side of the threshold
            _move(row, bits_per_symbol, first, outward * beyond)


def _amplitudes(row: np.ndarray, bits_per_symbol: int) -> np.ndarray:
    """What each bit is decided by, float32."""
    parts = row.view(np.float32)
    return parts if bits_per_symbol == 2 else parts[0::2] + parts[1::2]


def _amplitude(row: np.ndarray, bits_per_symbol: int, bit: int) -> float:
    symbol, part = divmod(bit, bits_per_symbol)
    return float(_amplitudes(row[symbol : symbol + 1], bits_per_symbol)[part])


def _move(row: np.ndarray, bits_per_symbol: int, bit: int, amplitude: float) -> None:
    """Give a bit another amplitude; BPSK keeps the noise across its axis."""
    parts = row.view(np.float32)
    if bits_per_symbol == 2:
        parts[bit] = amplitude
    else:
        by = amplitude - _amplitude(row, bits_per_symbol, bit)
        parts[2 * bit : 2 * bit + 2] += np.float32(by / 2)

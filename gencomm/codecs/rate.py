"""Meeting a rate: the one search that turns ``bpp=0.5`` into a quality, for every codec."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

from gencomm.codecs.contract import Encoded, Item

#: A result this close below the target is as good as any: a quarter of a percent.
TOLERANCE = 0.0025


def check_rate(name: str, quality: float | None, bpp: float | None, low: float, high: float):
    """Refuse both or absurd values of a codec's two ways to settle its rate.

    Raises
    ------
    ValueError
        Saying which value is wrong and what is allowed.
    """
    if quality is not None and bpp is not None:
        raise ValueError(f"{name} takes quality or bpp, not both")
    if quality is not None and not low <= quality <= high:
        raise ValueError(f"quality of {name} goes from {low:g} to {high:g}, got {quality:g}")
    if bpp is not None and not 0 < bpp <= 1000:  # NaN fails too
        raise ValueError(f"bpp must be a positive number of bits per pixel, got {bpp}")


def encode_at_rate(
    encode: Callable[[float], Encoded],
    ladder: Sequence[float],
    item: Item,
    bpp: float,
    guess: int | None = None,
    step: float | None = None,
) -> Encoded:
    """Encode `item` at the highest step of `ladder` whose bits stay within `bpp`.

    Everything counts: headers and side information too. A budget is never overdrawn, so that no
    codec is given more bits than another; only where even the lowest step costs more is that
    step taken, with ``meta["bpp_met"]`` false.

    The search keeps a bracket of steps and tries next where a straight line through the
    logarithms of the two rates crosses the target, or the middle whenever that has failed to
    halve the bracket (regula falsi with bisection as its guard). It tries each step at most once
    and depends on nothing but its arguments. Where the rate is not monotone in the step, the
    result is a step within budget whose successor tried is not.

    Parameters
    ----------
    encode : callable
        Quality -> Encoded.
    ladder : sequence of float
        Qualities, in order of rising rate.
    item : Item
    bpp : float
        Target, in bits per pixel.
    guess : int, optional
        Index to try first; the middle by default.
    step : float, optional
        By how much one step of the ladder raises the rate, roughly; by default as if the whole
        ladder spanned a factor of 64. Used until two rates are known.

    Returns
    -------
    Encoded
        With ``quality``, ``bpp``, ``bpp_target``, ``bpp_met`` and ``encodes`` (how many were
        tried) added to its `meta`.
    """
    target = bpp * item.pixels
    slope = math.log(step) if step else math.log(64) / len(ladder)
    low, high = -1, len(ladder)  # below `low` all fit, from `high` on none does
    bits: dict[int, int] = {}
    best: tuple[int, Encoded] | None = None
    lowest: Encoded | None = None
    index = len(ladder) // 2 if guess is None else min(max(guess, 0), len(ladder) - 1)
    halve = False
    while high - low > 1:
        encoded = encode(ladder[index])
        bits[index] = encoded.total_bits
        width = high - low
        if encoded.total_bits <= target:
            low, best = index, (index, encoded)
            if encoded.total_bits >= (1 - TOLERANCE) * target:
                break
        else:
            high = index
            if index == 0:
                lowest = encoded
        bracketed = low in bits and high in bits
        halve = bracketed and not halve and 2 * (high - low) > width
        index = _next(low, high, bits, target, slope, halve)
    if best is None:
        assert lowest is not None
        return _noted(lowest, ladder[0], bpp, item, False, len(bits))
    return _noted(best[1], ladder[best[0]], bpp, item, True, len(bits))


def _next(
    low: int, high: int, bits: dict[int, int], target: float, slope: float, halve: bool
) -> int:
    """The step to try in the open bracket (low, high)."""
    first, last = low + 1, high - 1
    if halve or first >= last:
        return (low + high) // 2
    rate = {k: math.log(max(size, 1)) for k, size in bits.items()}
    tried = sorted(rate)
    if low in rate and high in rate:
        a, b = low, high
    elif low in rate:  # all fit so far: go on from the last two
        a, b = tried[-2] if len(tried) > 1 else low, low
    else:
        a, b = high, tried[1] if len(tried) > 1 else high
    if a != b and rate[b] > rate[a]:
        slope = (rate[b] - rate[a]) / (b - a)
    base = a if low not in rate or high in rate else b
    at = base + (math.log(max(target, 1e-9)) - rate[base]) / slope
    return min(max(math.floor(at), first), last)


def _noted(
    encoded: Encoded, quality: float, bpp: float, item: Item, met: bool, encodes: int
) -> Encoded:
    notes = {
        "quality": quality,
        "bpp": encoded.total_bits / item.pixels,
        "bpp_target": bpp,
        "bpp_met": met,
        "encodes": encodes,
    }
    return replace(encoded, meta={**encoded.meta, **notes})

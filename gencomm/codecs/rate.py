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

    Returns
    -------
    Encoded
        With ``quality``, ``bpp``, ``bpp_target``, ``bpp_met`` and ``encodes`` (how many were
        tried) added to its `meta`.
    """
    target = bpp * item.pixels
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
        halve = not halve and 2 * (high - low) > width and len(bits) > 1
        index = _next(low, high, bits, target, halve)
    if best is None:
        assert lowest is not None
        return _noted(lowest, ladder[0], bpp, item, False, len(bits))
    return _noted(best[1], ladder[best[0]], bpp, item, True, len(bits))


def _next(low: int, high: int, bits: dict[int, int], target: float, halve: bool) -> int:
    """The step to try in the open bracket (low, high)."""
    first, last = low + 1, high - 1
    if first >= last:
        return min(first, last)
    tried = sorted(bits)
    if halve or len(tried) < 2:
        # one point known: assume that the ladder spans a factor of 64
        if len(tried) == 1 and not halve:
            (k,) = tried
            step = (high - low + 1) * math.log(target / max(bits[k], 1)) / math.log(64)
            return min(max(round(k + step), first), last)
        return (low + high) // 2
    below = [k for k in tried if k <= low]
    above = [k for k in tried if k >= high]
    a, b = (below[-1], above[0]) if below and above else (tried[0], tried[1])
    if not above:
        a, b = tried[-2], tried[-1]
    slope = (math.log(max(bits[b], 1)) - math.log(max(bits[a], 1))) / (b - a)
    if slope <= 0:
        return (low + high) // 2
    at = a + (math.log(max(target, 1e-9)) - math.log(max(bits[a], 1))) / slope
    return int(min(max(math.floor(at), first), last))


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

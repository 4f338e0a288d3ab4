"""From received amplitudes to bits and LLRs, one axis of a square Gray QAM at a time.

Amplitudes are scaled so that levels are odd whole numbers. Decision boundaries, and all points
halfway between two levels, are then whole numbers: the nearest level with a given bit is the same
for a whole cell [c, c + 1), which makes a max-log LLR one multiplication after a table look-up,
for any size of constellation.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from channels.jit import Kernel

#: Amplitudes worked on at once: 64 KiB of float64, which stays in the second-level cache. A
#: multiple of 8, so that every portion but the last fills whole bytes.
CHUNK = 1 << 13
#: Amplitudes beyond this, and those that are no numbers, tell nothing.
HUGE = np.float32(1e9)
#: Smallest noise variance (for levels 2 apart) that LLRs are computed from.
TINY = np.float32(1e-20)


@dataclass(frozen=True)
class AxisTables:
    """One axis of a constellation.

    Attributes
    ----------
    bits : int
        Bits an axis.
    scale : float32
        What received amplitudes are multiplied with to make levels odd whole numbers.
    spread : float32
        Variance of the noise on the scaled axis, over N0.
    levels : float32 array, shape (2**bits,)
        Rising.
    labels : uint8 array, shape (2**bits, bits)
        Bits of each level.
    middle, slope : float32 arrays, shape (2 * 2**bits, bits)
        For each cell, whose number is floor(amplitude) + 2**bits, and each bit: the max-log LLR
        is slope (amplitude - middle) / variance.
    """

    bits: int
    scale: np.float32
    spread: np.float32
    levels: np.ndarray
    labels: np.ndarray
    middle: np.ndarray
    slope: np.ndarray

    @classmethod
    def build(cls, levels: np.ndarray, scale: float, spread: float) -> AxisTables:
        """Tables for `levels` given by label, shape (2**bits,)."""
        size = levels.size
        bits = size.bit_length() - 1
        order = np.argsort(levels)
        rising = levels[order]
        labels = (order[:, None] >> np.arange(bits)[::-1] & 1).astype(np.uint8)
        centre = np.arange(-size, size) + 0.5
        middle, slope = np.empty((2, 2 * size, bits), np.float32)
        for bit in range(bits):
            nearest = []
            for value in (0, 1):
                among = rising[labels[:, bit] == value]
                nearest.append(among[np.abs(centre[:, None] - among).argmin(axis=1)])
            zero, one = nearest
            middle[:, bit] = (zero + one) / 2
            slope[:, bit] = zero - one
        return cls(
            bits,
            np.float32(scale),
            np.float32(spread),
            rising.astype(np.float32),
            labels,
            middle,
            slope,
        )


def hard_bits(amplitudes: np.ndarray, axis: AxisTables, out: np.ndarray) -> None:
    """Decide for the nearest point; a tie gives 0, as an LLR of 0 does.

    Parameters
    ----------
    amplitudes : float32 array, shape (n_symbols, axes)
        As received. Axes take turns in the bits: b0 on I, b1 on Q, b2 on I ...
    axis : AxisTables
    out : uint8 array, shape (n_bytes,)
        Packed bits are written, as many as it holds.
    """
    axes = amplitudes.shape[1]
    for first in range(0, amplitudes.shape[0], CHUNK):
        part = amplitudes[first : first + CHUNK]
        found = np.empty((part.shape[0], axis.bits, axes), np.bool_)
        np.less(part, 0, out=found[:, 0])
        if axis.bits > 1:
            # folding at 2**k leaves the nested constellation of one bit less; it is exact in
            # float64, so decisions are the signs of the max-log LLRs to the last bit
            folded = np.abs((part * axis.scale).astype(np.float64))
            for bit in range(1, axis.bits):
                folded -= 1 << (axis.bits - bit)
                np.greater(folded, 0, out=found[:, bit])
                np.abs(folded, out=folded)
        start = first * axis.bits * axes // 8
        packed = np.packbits(found)[: out.size - start]
        out[start : start + packed.size] = packed


def maxlog_llrs(
    amplitudes: np.ndarray, noise: np.ndarray, axis: AxisTables, out: np.ndarray
) -> None:
    """Max-log LLRs: of the nearest point with the bit 0 and the nearest with the bit 1.

    Parameters
    ----------
    amplitudes : float32 array, shape (n_symbols, axes)
        As received.
    noise : float32 array, shape (n_symbols,)
        N0 of each symbol.
    axis : AxisTables
    out : float32 array, shape (n_bits,)
        LLRs are written, as many as it holds.
    """
    _maxlog(amplitudes, noise, axis.scale, axis.spread, axis.middle, axis.slope, HUGE, TINY, out)


def exact_llrs(
    amplitudes: np.ndarray, noise: np.ndarray, axis: AxisTables, out: np.ndarray
) -> None:
    """LLRs from the likelihoods of all points. Parameters as for :func:`maxlog_llrs`."""
    _exact(amplitudes, noise, axis.scale, axis.spread, axis.levels, axis.labels, HUGE, TINY, out)


@Kernel
def _maxlog(amplitudes, noise, scale, spread, middle, slope, huge, tiny, out):
    n_symbols, axes = amplitudes.shape
    cells, bits = middle.shape
    for symbol in range(n_symbols):
        weight = np.float32(1) / max(noise[symbol] * spread, tiny)
        base = symbol * bits * axes
        for axis in range(axes):
            t = amplitudes[symbol, axis] * scale
            w = weight
            if not (-huge < t < huge):
                t = np.float32(0)
                w = np.float32(0)
            cell = int(np.floor(t)) + (cells >> 1)
            cell = min(max(cell, 0), cells - 1)
            for bit in range(bits):
                at = base + bit * axes + axis
                if at < out.size:  # the last symbol may carry padding
                    out[at] = slope[cell, bit] * w * (t - middle[cell, bit])


@Kernel
def _exact(amplitudes, noise, scale, spread, levels, labels, huge, tiny, out):
    # Likelihoods relative to the nearest level's. Levels are 2 apart, so going outward each is
    # the one before times a ratio, and the ratio shrinks by exp(-8 weight) with each step.
    n_symbols, axes = amplitudes.shape
    size, bits = labels.shape
    sums = np.empty((bits, 2))
    for symbol in range(n_symbols):
        half = 0.5 / max(noise[symbol] * spread, tiny)
        shrink_all = np.exp(-8 * half)
        for axis in range(axes):
            t = np.float64(amplitudes[symbol, axis] * scale)
            weight, shrink = half, shrink_all
            if not (-huge < t < huge):
                t, weight, shrink = 0.0, 0.0, 1.0
            nearest = min(max(int(np.floor((t + size) * 0.5)), 0), size - 1)
            beside = t - levels[nearest]
            for bit in range(bits):
                sums[bit, labels[nearest, bit]] = 1.0
                sums[bit, 1 - labels[nearest, bit]] = 0.0
            term, ratio = 1.0, np.exp(4 * weight * (beside - 1))
            for i in range(nearest + 1, size):
                term *= ratio
                if term < 1e-290:
                    break
                ratio *= shrink
                for bit in range(bits):
                    sums[bit, labels[i, bit]] += term
            term, ratio = 1.0, np.exp(-4 * weight * (beside + 1))
            for i in range(nearest - 1, -1, -1):
                term *= ratio
                if term < 1e-290:
                    break
                ratio *= shrink
                for bit in range(bits):
                    sums[bit, labels[i, bit]] += term
            for bit in range(bits):
                at = (symbol * bits + bit) * axes + axis
                if at >= out.size:
                    continue
                zero, one = sums[bit, 0], sums[bit, 1]
                if min(zero, one) > 1e-270:  # what was left out is nothing beside it
                    out[at] = np.log(zero / one)
                    continue
                # one side is out of reach of the exponential: start it from its own nearest point
                far = 1 if zero > one else 0
                away = 1e300
                for i in range(size):
                    if labels[i, bit] == far:
                        away = min(away, (t - levels[i]) ** 2)
                others = 0.0
                for i in range(size):
                    gap = weight * (away - (t - levels[i]) ** 2)
                    if labels[i, bit] == far and gap > -40:  # float32 sees no more
                        others += np.exp(gap)
                ratio = np.log(max(zero, one)) - np.log(others) + weight * (away - beside * beside)
                out[at] = ratio if far else -ratio

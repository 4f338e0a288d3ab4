"""Gaussian noise at twice numpy's speed, number for number the same.

``Generator.standard_normal`` asks its bit generator for one word at a time. Here words are drawn in
bulk and go through the same method, the ziggurat of Marsaglia and Tsang ("The ziggurat method for
generating random variables", J. Stat. Softw. 5(8), 2000) with 256 layers, in a compiled loop. What
comes out is what numpy gives, bit for bit; where it isn't (another numpy, another word order),
numpy itself is used.
"""

from __future__ import annotations

import math
import sys
from functools import lru_cache

import numpy as np

from channels.jit import Kernel

#: Fewer numbers than this are left to numpy: the kernel would have to be loaded first.
FEW = 1 << 18
#: 64-bit words drawn at once: 64 KiB, which stays in the second-level cache.
_WORDS = 1 << 13
_LAYERS = 256
#: Where the tail begins, for 256 layers and the whole normal density (numpy's constant).
_TAIL = 3.6541528853610087963519472518


@lru_cache(maxsize=1)
def _tables() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Thresholds (23 bits), widths and heights of the layers.

    All layers have the area v of the lowest, tail included; from below, each next edge follows from
    x_{i-1} = f^-1(v / x_i + f(x_i)) with f(x) = exp(-x**2 / 2).
    """
    edges = np.zeros(_LAYERS)
    edges[-1] = _TAIL
    height = math.exp(-0.5 * _TAIL**2)
    tail = math.sqrt(math.pi / 2) * math.erfc(_TAIL / math.sqrt(2))
    area = _TAIL * height + tail
    for i in range(_LAYERS - 1, 1, -1):
        edges[i - 1] = math.sqrt(-2 * math.log(area / edges[i] + math.exp(-0.5 * edges[i] ** 2)))
    heights = np.exp(-0.5 * edges**2)
    widths, thresholds = edges.copy(), np.zeros(_LAYERS)
    thresholds[1:] = edges[:-1] / edges[1:]
    widths[0], thresholds[0] = area / height, _TAIL * height / area  # the lowest, with the tail
    return (
        (thresholds * 2**23).astype(np.uint32),
        (widths / 2**23).astype(np.float32),
        heights.astype(np.float32),
    )


class NormalSource:
    """Standard normal float32 numbers of one generator, in the order in which numpy draws them.

    Parameters
    ----------
    rng : numpy.random.Generator
        Used by nobody else from here on: it may be taken further than the numbers need.
    total : int
        How many numbers will be asked for, all together.
    """

    def __init__(self, rng: np.random.Generator, total: int):
        self._rng = rng
        self._fast = total > FEW and _unused(rng) and same_as_numpy()
        # words not used yet stand before `_end`; one number may leave some over that it lacked
        self._words = np.zeros(2 * _WORDS, np.uint32)
        self._at = self._end = 0

    def fill(self, out: np.ndarray) -> None:
        """Write the next numbers to `out`, a contiguous float32 array."""
        if not self._fast:
            self._rng.standard_normal(out=out, dtype=np.float32)
            return
        filled = 0
        while True:
            words = self._words[self._at : self._end]
            written, used = _ziggurat(
                words, out[filled:], *_tables(), np.float32(_TAIL), np.float32(1 / _TAIL)
            )
            filled += written
            self._at += used
            if filled == out.size:
                return
            left = words[used:]
            raw = self._rng.bit_generator.random_raw(_WORDS).view(np.uint32)
            if self._words.size < left.size + raw.size:
                self._words = np.zeros(2 * (left.size + raw.size), np.uint32)
            self._words[: left.size] = left.copy()
            self._at, self._end = 0, left.size + raw.size
            self._words[left.size : self._end] = raw


def _unused(rng: np.random.Generator) -> bool:
    """Whether no half of a word is waiting to be used first."""
    return rng.bit_generator.state.get("has_uint32") == 0


@lru_cache(maxsize=1)
def same_as_numpy() -> bool:
    """Whether this machine's numpy draws what the kernel draws; tried once in a process."""
    if sys.byteorder != "little":  # a 64-bit word is used low half first
        return False
    ours, theirs = np.empty((2, 1 << 15), np.float32)
    source = NormalSource(np.random.Generator(np.random.Philox(key=1)), 0)
    source._fast = True
    source.fill(ours)
    np.random.Generator(np.random.Philox(key=1)).standard_normal(out=theirs, dtype=np.float32)
    return bool(np.array_equal(ours, theirs))


@Kernel
def _ziggurat(words, out, thresholds, widths, heights, tail, inverse_tail):
    """Numbers written and words used; stops where the words end."""
    at = 0
    unit = np.float32(1 / 16777216)
    for i in range(out.size):
        start = at
        found = False
        x = np.float32(0)
        while not found:
            if at >= words.size:
                return i, start
            word = words[at]
            at += 1
            layer = word & np.uint32(0xFF)
            size = (word >> np.uint32(9)) & np.uint32(0x7FFFFF)
            x = np.float32(size) * widths[layer]
            if word & np.uint32(0x100):
                x = -x
            if size < thresholds[layer]:
                found = True
            elif layer == 0:
                while not found:
                    if at + 1 >= words.size:
                        return i, start
                    u = np.float32(words[at] >> np.uint32(8)) * unit
                    v = np.float32(words[at + 1] >> np.uint32(8)) * unit
                    at += 2
                    far = -inverse_tail * np.log1p(-u)
                    y = -np.log1p(-v)
                    if y + y > far * far:
                        x = tail + far
                        if size >> np.uint32(8) & np.uint32(1):
                            x = -x
                        found = True
            else:
                if at >= words.size:
                    return i, start
                u = np.float32(words[at] >> np.uint32(8)) * unit
                at += 1
                y = (heights[layer - 1] - heights[layer]) * u + heights[layer]
                found = y < math.exp(-0.5 * np.float64(x) * np.float64(x))
        out[i] = x
    return out.size, at

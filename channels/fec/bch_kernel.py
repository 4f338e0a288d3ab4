"""Decoding of binary BCH codes, one block after the other."""

from __future__ import annotations

import numpy as np

from channels.fec.algebraic_kernels import find_locator, find_places
from channels.jit import kernel


@kernel
def correct(words, packed, byte_logs, powers, logs, ok):
    """Correct up to t errors in each block, in place, and say whether it could be done.

    Parameters
    ----------
    words : uint8 array, shape (blocks, n)
        Zeros and ones, the coefficient of the highest power first.
    packed : uint8 array, shape (blocks, ceil(n / 8))
        The same, eight to a byte, with zeros in front to fill whole bytes.
    byte_logs : int32 array, shape (t, 256)
        Logarithm of the polynomial that a byte stands for at alpha^(2 j + 1); -1 where it is zero.
    powers, logs : int32 arrays
        Of :class:`channels.fec.finite_field.Field`.
    ok : bool array, shape (blocks,)
    """
    blocks, n = words.shape
    t, order = byte_logs.shape[0], logs.size - 1
    syndromes = np.empty(2 * t, np.int32)
    locator = np.empty(2 * t + 1, np.int32)
    shadow, update = np.empty(2 * t + 1, np.int32), np.empty(2 * t + 1, np.int32)
    places, no_erasures = np.empty(2 * t, np.int64), np.empty(0, np.int64)
    for block in range(blocks):
        clean = True
        for j in range(t):
            total, exponent, stride = 0, 0, (8 * (2 * j + 1)) % order
            for i in range(packed.shape[1] - 1, -1, -1):
                log = byte_logs[j, packed[block, i]]
                if log >= 0:
                    total ^= powers[log + exponent]
                exponent += stride
                if exponent >= order:
                    exponent -= order
            syndromes[2 * j] = total
            clean = clean and total == 0
        ok[block] = True
        if clean:
            continue
        for j in range(2, 2 * t + 1, 2):  # squaring doubles the exponent
            half = syndromes[j // 2 - 1]
            syndromes[j - 1] = powers[2 * logs[half]] if half else 0
        degree = find_locator(syndromes, no_erasures, powers, logs, locator, shadow, update)
        ok[block] = (
            0 <= degree == find_places(locator, degree, n, 1, powers, logs, places, shadow, update)
        )
        if ok[block]:
            for i in range(degree):
                words[block, places[i]] ^= 1

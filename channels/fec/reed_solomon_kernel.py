"""Reed-Solomon encoding and decoding over GF(256), one block after the other."""

from __future__ import annotations

import numpy as np

from channels.fec.algebraic_kernels import find_locator, find_places
from channels.jit import kernel


@kernel
def remainders(data, feedback, out):
    """Rests of data(x) x^r on division by the generator polynomial of degree r.

    Parameters
    ----------
    data : uint8 array, shape (blocks, k)
        The coefficient of the highest power first.
    feedback : uint8 array, shape (256, r)
        feedback[a] is a times the generator polynomial without its leading one.
    out : uint8 array, shape (blocks, r)
    """
    r = out.shape[1]
    rest = np.zeros(r + 1, np.uint8)  # a zero behind the end is what shifts in
    for block in range(data.shape[0]):
        rest[:] = 0
        for symbol in data[block]:
            row = feedback[symbol ^ rest[0]]
            for i in range(r):
                rest[i] = rest[i + 1] ^ row[i]
        out[block] = rest[:r]


@kernel
def _find_syndromes(rest, exponents, powers, logs, syndromes):
    """Values of the rest, and so of the word, at the roots."""
    syndromes[:] = 0
    for i in range(rest.size):
        if rest[i]:
            log = logs[rest[i]]
            for j in range(rest.size):
                syndromes[j] ^= powers[log + exponents[i, j]]


@kernel
def _repair(word, places, syndromes, locator, evaluator, first_root, step, powers, logs):
    """Forney's formula: what to add at each place, from syndromes x locator modulo x^places."""
    degree = places.size
    for i in range(degree):
        total = 0
        for j in range(i + 1):
            if locator[j] and syndromes[i - j]:
                total ^= powers[logs[locator[j]] + logs[syndromes[i - j]]]
        evaluator[i] = total
    for place in places:
        log_x = (step * (word.size - 1 - place)) % 255
        inverse = 255 - log_x
        top = 0
        for i in range(degree):
            if evaluator[i]:
                top ^= powers[(logs[evaluator[i]] + inverse * i) % 255]
        derivative = 0
        for i in range(1, degree + 1, 2):
            if locator[i]:
                derivative ^= powers[(logs[locator[i]] + inverse * (i - 1)) % 255]
        if top:
            log = logs[top] - logs[derivative] + log_x * (1 - first_root)
            word[place] ^= np.uint8(powers[log % 255])


@kernel
def correct(words, erased, rests, powers, logs, first_root, step, ok):
    """Correct blocks in place where possible, and say where it was.

    Syndromes of the rest, errors-and-erasures Berlekamp-Massey, Chien search, Forney's formula:
    Blahut, "Algebraic Codes for Data Transmission", 2003, chapter 7. With e errors among s
    erasures, 2 e + s <= r is corrected; beyond it a block is left as it is and not `ok`, unless
    it lies that near to a wrong code word.

    Parameters
    ----------
    words : uint8 array, shape (blocks, n)
    erased : bool array, shape (blocks, n) or (0, n)
        Empty where nothing is erased.
    rests : uint8 array, shape (blocks, r)
        Of the words, after division by the generator polynomial.
    powers, logs : int32 arrays
        Of :class:`channels.fec.finite_field.Field`.
    first_root, step : int
        The code's roots are alpha^(step (first_root + j)), j = 0 ... r - 1.
    ok : bool array, shape (blocks,)
    """
    blocks, n = words.shape
    r = rests.shape[1]
    exponents = np.empty((r, r), np.int32)  # of root j to the power of coefficient i of the rest
    for i in range(r):
        for j in range(r):
            exponents[i, j] = (step * (first_root + j) * (r - 1 - i)) % 255
    syndromes = np.empty(r, np.int32)
    locator = np.empty(r + 1, np.int32)
    shadow, update = np.empty(r + 1, np.int32), np.empty(r + 1, np.int32)
    places, erasure_logs = np.empty(r, np.int64), np.empty(r, np.int64)
    for block in range(blocks):
        lost = 0
        if erased.shape[0]:
            for i in range(n):
                if erased[block, i]:
                    if lost < r:
                        erasure_logs[lost] = (step * (n - 1 - i)) % 255
                    lost += 1
        ok[block] = lost <= r
        if lost > r or not rests[block].any():
            continue
        _find_syndromes(rests[block], exponents, powers, logs, syndromes)
        degree = find_locator(syndromes, erasure_logs[:lost], powers, logs, locator, shadow, update)
        ok[block] = degree >= 0 and degree == find_places(
            locator, degree, n, step, powers, logs, places, shadow, update
        )
        if ok[block]:
            _repair(
                words[block],
                places[:degree],
                syndromes,
                locator,
                shadow,
                first_root,
                step,
                powers,
                logs,
            )

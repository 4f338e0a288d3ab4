"""Hamming codes, plain and extended."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from channels.fec.binary import BinaryAlgebraicCode
from channels.fec.code import check_blocks
from channels.fec.stage import CodeStage

MAX_R = 12
#: Codes of up to so many bits work from a table of all words.
SMALL = 16


class HammingCode(BinaryAlgebraicCode):
    """The systematic Hamming code of r check bits: n = 2^r - 1, corrects one error.

    Parameters
    ----------
    r : int
        2 ... 12; 3 gives (7, 4).
    extended : bool
        One more bit makes the number of ones even: n = 2^r, and two errors are found out, in
        which case the block isn't `ok`.
    """

    t = 1

    def __init__(self, r: int = 3, extended: bool = False):
        if not 2 <= r <= MAX_R:
            raise ValueError(f"r must lie in 2..{MAX_R}, got {r}")
        length = (1 << r) - 1
        self.r, self.extended = r, extended
        self.k, self.n = length - r, length + extended
        labels = np.arange(1, length + 1)
        unit = np.bitwise_count(labels) == 1
        # column i of the check matrix is the label of place i; those of the checks are units
        self.columns = np.concatenate([labels[~unit], labels[unit]])
        self._place = np.zeros(length + 1, np.int64)
        self._place[self.columns] = np.arange(length)
        self._checks = (self.columns[:, None] >> np.arange(r) & 1).astype(np.float32)

    def encode(self, bits: np.ndarray) -> np.ndarray:
        bits = check_blocks(bits, self.k, "bits")
        if self.n <= SMALL:
            return self._coded[_number(bits)]
        return self._encode(bits)

    def _encode(self, bits: np.ndarray) -> np.ndarray:
        checks = (bits.astype(np.float32) @ self._checks[: self.k]).astype(np.int64) & 1
        coded = np.concatenate([bits, checks.astype(np.uint8)], axis=1)
        if self.extended:
            even = np.bitwise_xor.reduce(coded, axis=1, keepdims=True)
            coded = np.concatenate([coded, even], axis=1)
        return coded

    def correct(self, words: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        if self.n <= SMALL:
            corrected, ok = self._corrected
            number = _number(words)
            return corrected[number], ok[number]
        return self._correct(words)

    @cached_property
    def _coded(self) -> np.ndarray:
        return self._encode(_all_words(self.k))

    @cached_property
    def _corrected(self) -> tuple[np.ndarray, np.ndarray]:
        return self._correct(_all_words(self.n))

    def _correct(self, words: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        length = self.columns.size
        checks = (words[:, :length].astype(np.float32) @ self._checks).astype(np.int64) & 1
        syndromes = checks @ (1 << np.arange(self.r))
        wrong = syndromes != 0
        if self.extended:
            odd = np.bitwise_xor.reduce(words, axis=1) == 1
            ok = odd | ~wrong  # an even number of errors that are not none
            wrong &= odd
        else:
            ok = np.ones(len(words), bool)
        corrected = words.copy()
        corrected[wrong, self._place[syndromes[wrong]]] ^= 1
        if self.extended:
            even = np.bitwise_xor.reduce(corrected[:, :-1], axis=1)
            corrected[ok, -1] = even[ok]
        return corrected, ok


def _number(words: np.ndarray) -> np.ndarray:
    """Words of up to 16 bits as numbers, the first bit the most significant; (blocks,)."""
    number = words[:, 0].astype(np.uint16)
    for column in words.T[1:]:
        number <<= 1
        number |= column
    return number


def _all_words(n: int) -> np.ndarray:
    return (np.arange(1 << n)[:, None] >> np.arange(n)[::-1] & 1).astype(np.uint8)


def hamming(r: int = 3, extended: bool = False) -> CodeStage:
    """A Hamming code as a stage: ``hamming(r=3)|bpsk|awgn(ebno_db=6)`` is (7, 4)."""
    return CodeStage(HammingCode(r, extended))

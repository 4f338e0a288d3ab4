"""Binary BCH codes, primitive and narrow-sense, also shortened."""

from __future__ import annotations

from functools import cached_property, lru_cache

import numpy as np

from channels.fec.binary import BinaryAlgebraicCode
from channels.fec.code import check_blocks
from channels.fec.finite_field import PRIMITIVE_POLYNOMIALS, field
from channels.fec.stage import CodeStage


class BCHCode(BinaryAlgebraicCode):
    """The systematic BCH code that corrects `t` errors, its k information bits first.

    Parameters
    ----------
    n : int
        Bits of a code word. Where n + 1 is no power of two, what is left of the next longer code
        when its leading bits are zero.
    k : int, optional
        Information bits; only certain ones exist for an n.
    t : int, optional
        Errors to correct. Exactly one of k and t is given; a code that corrects more at the same
        k is taken as what it is.
    """

    def __init__(self, n: int = 127, k: int | None = None, t: int | None = None):
        largest = (1 << max(PRIMITIVE_POLYNOMIALS)) - 1
        if not 3 <= n <= largest:
            raise ValueError(f"n must lie in 3..{largest}, got {n}")
        if (k is None) == (t is None):
            raise ValueError("give exactly one of k and t, such as bch(n=127,k=64)")
        self.m = n.bit_length()
        self.n = n
        parity = None if k is None else n - k
        self.t, self.generator = _find_generator(self.m, n, parity, t)
        self.k = n - (self.generator.bit_length() - 1)

    @cached_property
    def _parity(self) -> np.ndarray:
        """Parity bits of each information bit alone; float32 (k, n - k)."""
        r = self.n - self.k
        rows = np.empty((self.k, r), np.float32)
        rest, top = 1, 1 << r
        for _ in range(r):
            rest = _times_x(rest, top, self.generator)
        for row in rows[::-1]:  # x^r, x^(r + 1), ... modulo the generator
            row[:] = [rest >> (r - 1 - i) & 1 for i in range(r)]
            rest = _times_x(rest, top, self.generator)
        return rows

    def encode(self, bits: np.ndarray) -> np.ndarray:
        bits = check_blocks(bits, self.k, "bits")
        parity = (bits.astype(np.float32) @ self._parity).astype(np.int64) & 1
        return np.concatenate([bits, parity.astype(np.uint8)], axis=1)

    def correct(self, words: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        from channels.fec import bch_kernel as kernel

        tables = field(self.m)
        corrected, ok = words.copy(), np.empty(len(words), bool)
        packed = np.packbits(np.pad(words, ((0, 0), (-self.n % 8, 0))), axis=1)
        kernel.correct(corrected, packed, self._byte_logs, tables.powers, tables.logarithms, ok)
        return corrected, ok

    @cached_property
    def _byte_logs(self) -> np.ndarray:
        """See :func:`channels.fec.bch_kernel.correct`."""
        tables = field(self.m)
        bits = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).astype(np.int32)
        exponents = np.outer(2 * np.arange(self.t) + 1, np.arange(7, -1, -1)) % tables.order
        values = np.bitwise_xor.reduce(bits * tables.powers[exponents][:, None, :], axis=2)
        return np.where(values, tables.logarithms[values], -1).astype(np.int32)


def _times_x(rest: int, top: int, generator: int) -> int:
    rest <<= 1
    return rest ^ generator if rest & top else rest


@lru_cache(maxsize=64)
def _find_generator(m: int, n: int, parity: int | None, t: int | None) -> tuple[int, int]:
    """Errors corrected and generator polynomial (bit i the coefficient of x^i).

    The generator is the product of the minimal polynomials of alpha, alpha^3, ..., alpha^(2t - 1).
    """
    tables = field(m)
    generator, seen, found = 1, set(), {}
    for errors in range(1, tables.order // 2 + 1):
        exponent = 2 * errors - 1
        if exponent not in seen:
            conjugates = {exponent * 2**i % tables.order for i in range(m)}
            seen |= conjugates
            generator = _multiply(generator, _minimal_polynomial(tables, conjugates))
        degree = generator.bit_length() - 1
        if degree >= n:
            break
        found[degree] = errors, generator  # the last of equal degree corrects most
        if t is not None and errors == t:
            parity = degree
        if parity is not None and degree > parity:
            break
    if parity in found:
        return found[parity]
    there = ", ".join(f"k={n - degree} (t={errors})" for degree, (errors, _) in found.items())
    asked = f"t={t}" if parity is None else f"k={n - parity}"
    raise ValueError(f"there is no BCH code of n={n} with {asked}; there is: {there} ...")


def _minimal_polynomial(tables, conjugates: set[int]) -> int:
    """Product of x - alpha^c over the conjugates c, whose coefficients are 0 and 1."""
    product = [1]  # the highest power first
    for c in conjugates:
        root = int(tables.powers[c])
        shifted, scaled = [*product, 0], [0, *(tables.times(root, a) for a in product)]
        product = [a ^ b for a, b in zip(shifted, scaled, strict=True)]
    return int("".join(map(str, product)), 2)


def _multiply(a: int, b: int) -> int:
    """Product of polynomials over GF(2)."""
    product = 0
    while b:
        if b & 1:
            product ^= a
        a, b = a << 1, b >> 1
    return product


def bch(n: int = 127, k: int | None = None, t: int | None = None) -> CodeStage:
    """A BCH code as a stage: ``bch(n=127,k=64)|bpsk|awgn(ebno_db=5)``."""
    return CodeStage(BCHCode(n, k, t))

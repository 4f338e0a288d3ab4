"""Modulations: bits to constellation points, and points to hard decisions or LLRs.

Constellations and labels are those of 3GPP TS 38.211, section 5.1: Gray, with even bits on I and
odd bits on Q, so a square QAM is two amplitude modulations that are worked on apart. Mean energy
is 1. LLR = ln(P(bit = 0) / P(bit = 1)).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from channels.bits import clear_spare_bits
from channels.demapping import AxisTables, exact_llrs, hard_bits, maxlog_llrs
from channels.stage import Batch, Context, Sizes, Stage

#: Groups of bytes mapped at once.
_CHUNK = 1 << 13


def axis_levels(axis_bits: int) -> np.ndarray:
    """Amplitudes of one axis by label, in odd whole numbers; shape (2**axis_bits,), float64.

    TS 38.211 nests them: (1 - 2 b0) [4 - (1 - 2 b1) [2 - (1 - 2 b2)]] for three bits, the first
    bit the most significant of the label.
    """
    label = np.arange(1 << axis_bits)
    levels = 1.0 - 2.0 * (label & 1)  # the innermost bracket holds the last bit
    for position in range(1, axis_bits):
        levels = (1.0 - 2.0 * (label >> position & 1)) * (2.0**position - levels)
    return levels


class QAM(Stage):
    """Base of the modulations; a subclass says how many bits a symbol carries."""

    gives = "symbols"

    def __init__(self, llr: Literal["maxlog", "exact"] = "maxlog"):
        """Choose how LLRs are computed where somebody asks for them.

        Parameters
        ----------
        llr : {"maxlog", "exact"}
            Of the nearest point with either value of the bit, or of all points. The signs of the
            first are the decisions for the nearest point; the second decide for the likelier bit,
            which differs at low SNR. For BPSK and QPSK both are the same.
        """
        axis_bits = max(1, self.bits_per_symbol // 2)
        levels = axis_levels(axis_bits)
        self.llr = llr if axis_bits > 1 else "maxlog"
        self.calibrated = axis_bits == 1 or llr == "exact"
        self.points = self._points(levels)
        energy = 2 * float(np.mean(levels**2))
        # BPSK has all its energy on the diagonal, and half of the noise; see `_axes`
        scale, spread = (
            (math.sqrt(0.5), 0.5) if self.bits_per_symbol == 1 else (energy**0.5, energy / 2)
        )
        self._axis = AxisTables.build(levels, scale, spread)
        self._soft = False

    def _points(self, levels: np.ndarray) -> np.ndarray:
        label = np.arange(1 << self.bits_per_symbol)
        bits = label[:, None] >> np.arange(self.bits_per_symbol)[::-1] & 1
        half = self.bits_per_symbol // 2
        powers = 1 << np.arange(half)[::-1]
        i, q = levels[bits[:, 0::2] @ powers], levels[bits[:, 1::2] @ powers]
        energy = 2 * np.mean(levels**2)
        return ((i + 1j * q) / math.sqrt(energy)).astype(np.complex64)

    def _scaling(self, energy: float) -> tuple[float, float]:
        """Levels over received amplitudes, and noise variance on that scale over N0."""
        return math.sqrt(energy), energy / 2

    def configure(self, context: Context) -> None:
        self._soft = context.soft

    def sizes(self, n_in: int) -> Sizes:
        symbols = -(-n_in // self.bits_per_symbol)
        padding = symbols * self.bits_per_symbol - n_in
        return Sizes(symbols, padding=padding, symbols=symbols)

    def forward(self, batch: Batch, rngs: Sequence[np.random.Generator]) -> tuple[Batch, Any]:
        assert batch.bits is not None
        n_symbols = self.sizes(batch.n_bits).symbols
        symbols = np.empty((batch.bits.shape[0], n_symbols), np.complex64)
        for row, target in zip(batch.bits, symbols, strict=True):
            map_bits(row, self.points, self.bits_per_symbol, target)
        sent = n_symbols * self.bits_per_symbol
        return batch.with_(n_bits=sent, bits=None, symbols=symbols), batch.n_bits

    def backward(self, batch: Batch, state: Any) -> Batch:
        assert batch.symbols is not None
        n_bits, symbols = state, batch.symbols
        bits = np.empty((symbols.shape[0], (n_bits + 7) // 8), np.uint8)
        if not self._soft:
            for row, target in zip(symbols, bits, strict=True):
                hard_bits(self._axes(row), self._axis, target)
            clear_spare_bits(bits, n_bits)
            return batch.with_(n_bits=n_bits, bits=bits, symbols=None)
        noise = np.broadcast_to(np.asarray(batch.noise, np.float32), symbols.shape)
        llr = np.empty((symbols.shape[0], n_bits), np.float32)
        compute = exact_llrs if self.llr == "exact" else maxlog_llrs
        for row, variance, soft, hard in zip(symbols, noise, llr, bits, strict=True):
            compute(self._axes(row), variance, self._axis, soft)
            hard[:] = np.packbits(soft < 0)
        return batch.with_(n_bits=n_bits, bits=bits, llr=llr, symbols=None)

    def _axes(self, symbols: np.ndarray) -> np.ndarray:
        """One row of symbols as float32 amplitudes, shape (n_symbols, axes)."""
        return symbols.view(np.float32).reshape(-1, 2)


class BPSK(QAM):
    """One bit a symbol, on the diagonal as TS 38.211 section 5.1.2 has it."""

    bits_per_symbol = 1
    constellation = "bpsk"

    def _points(self, levels: np.ndarray) -> np.ndarray:
        return (levels * (1 + 1j) / math.sqrt(2)).astype(np.complex64)

    def _scaling(self, energy: float) -> tuple[float, float]:
        # all the energy lies along the diagonal, and half of the noise
        return math.sqrt(0.5), 0.5

    def _axes(self, symbols: np.ndarray) -> np.ndarray:
        # I + Q is sqrt(2) times the amplitude along the diagonal
        parts = symbols.view(np.float32).reshape(-1, 2)
        return parts[:, :1] + parts[:, 1:]


class QPSK(QAM):
    """Two bits a symbol."""

    bits_per_symbol = 2
    constellation = "qpsk"


class QAM16(QAM):
    """Four bits a symbol."""

    bits_per_symbol = 4
    constellation = "qam16"


class QAM64(QAM):
    """Six bits a symbol."""

    bits_per_symbol = 6
    constellation = "qam64"


class QAM256(QAM):
    """Eight bits a symbol."""

    bits_per_symbol = 8
    constellation = "qam256"


class QAM1024(QAM):
    """Ten bits a symbol."""

    bits_per_symbol = 10
    constellation = "qam1024"


def map_bits(row: np.ndarray, points: np.ndarray, bits_per_symbol: int, out: np.ndarray) -> None:
    """Look up the points of a packed row of bits.

    Parameters
    ----------
    row : uint8 array, shape (n_bytes,)
        Packed bits; those behind its end are zeros.
    points : complex64 array, shape (2**bits_per_symbol,)
        By label, the first bit the most significant.
    bits_per_symbol : int
        1 to 16, such that symbols of a group of whole bytes span at most two of them each.
    out : complex64 array, shape (n_symbols,)
        Written.
    """
    group = math.lcm(bits_per_symbol, 8)
    n_bytes, n_symbols = group // 8, group // bits_per_symbol
    for first in range(0, -(-out.size // n_symbols), _CHUNK):
        part = row[first * n_bytes : (first + _CHUNK) * n_bytes]
        groups = -(-part.size // n_bytes)
        padded = np.zeros(groups * n_bytes + 1, np.uint16)
        padded[: part.size] = part
        here = out[first * n_symbols : (first + _CHUNK) * n_symbols]
        for number in range(n_symbols):
            target = here[number::n_symbols]
            byte, offset = divmod(number * bits_per_symbol, 8)
            word = padded[byte : byte + groups * n_bytes : n_bytes] << 8
            if offset + bits_per_symbol > 8:
                word |= padded[byte + 1 : byte + 1 + groups * n_bytes : n_bytes]
            label = word >> (16 - offset - bits_per_symbol) & ((1 << bits_per_symbol) - 1)
            target[:] = points[label[: target.size]]

"""One code block of the 5G NR LDPC codes: encoder, rate matching and decoders."""

from __future__ import annotations

from fractions import Fraction
from typing import Literal, get_args

import numpy as np

from channels.fec.code import Code, DecodedBlocks, check_blocks, check_received
from channels.fec.ldpc_graph import (
    CORE_ROWS,
    base_graph,
    choose_base_graph,
    choose_lifting,
    fewest_sent,
    lift,
)
from channels.fec.stage import CERTAIN

#: Punctured columns at the front are never sent (TS 38.212 section 5.3.2)
PUNCTURED_COLUMNS = 2
#: Fewest bits of a code block: the smallest lifting size filled
MIN_K = 12
#: Most blocks that the integer decoders interleave, and the bytes that their state may fill: far
#: beyond the second-level cache wider vectors gain nothing any more
MAX_LANES = 16
LANE_BYTES = 1 << 21

Decoder = Literal["min_star", "min_sum", "sum_product"]


class LDPCBlock(Code):
    """A code block without CRC, as in TS 38.212 sections 5.3.2 and 5.4.2 with redundancy version 0.

    Parameters
    ----------
    k, n : int
        Information bits (K') and sent bits (E). Any k up to 8448 (base graph 1) or 3840 (base
        graph 2) from 12 on; any n from about k / 0.95 on. Beyond the mother code's length bits are
        repeated.
    graph : 1, 2 or None
        Base graph; None takes the standard's for k and k / n, but graph 1 where the standard's
        choice of graph 2 couldn't be decoded even without noise (short blocks above rate 3/4).
    total : int, optional
        Bits before segmentation (B), where this is one block of several. Default k.
    iterations : int
        Most iterations of the decoder, which stops as soon as all checks hold.
    decoder : "min_star", "min_sum" or "sum_product"
        All are layered. ``min_star`` is the approximate min-star rule (Jones, Vallés, Smith and
        Villasenor, MILCOM 2003: a check tells its least reliable bit what the others say together,
        and the others what all say) on 16-bit integers: within a few hundredths of a dB of
        sum-product. ``min_sum`` is normalised min-sum on 16-bit integers, a little faster per
        iteration, a quarter dB worse. ``sum_product`` is exact, in float64, and slower by two
        orders of magnitude.
    interleave : int
        Bits per symbol Q_m of the bit interleaver (section 5.4.2.2), which gives the information
        bits the better places in a QAM symbol; 1 leaves the order alone. Where Q_m doesn't divide
        n the last bits keep their places.
    """

    soft = True

    def __init__(
        self,
        k: int,
        n: int,
        *,
        graph: int | None = None,
        total: int | None = None,
        iterations: int = 20,
        decoder: Decoder = "min_star",
        interleave: int = 1,
    ):
        if k < MIN_K:
            raise ValueError(f"a code block has at least {MIN_K} bits, got k={k}")
        if iterations < 1:
            raise ValueError(f"iterations must be at least 1, got {iterations}")
        if decoder not in get_args(Decoder):
            raise ValueError(f"decoder must be {' or '.join(get_args(Decoder))}, got {decoder!r}")
        number = default_graph(k, n, k) if graph is None else graph
        if number not in (1, 2):
            raise ValueError(f"there are base graphs 1 and 2, got {graph}")
        base = base_graph(number)
        least = fewest_sent(base, total or k, k)
        if n < least:
            raise ValueError(
                f"{k} bits in {n}, a rate of {k / max(n, 1):.3f}, is more than base graph {number} "
                f"can do: its punctured bits can be recovered from {least} bits on"
            )
        self.k, self.n, self.graph = k, n, number
        self.iterations, self.decoder = iterations, decoder
        self.z, self.set_index = choose_lifting(base, total or k, k)
        z, filled = self.z, base.info_columns * self.z
        # what the circular buffer reads: all but the punctured columns and the filler bits
        buffer = np.concatenate(
            (np.arange(PUNCTURED_COLUMNS * z, k), np.arange(filled, base.columns * z))
        )
        self._place = _interleaved(np.resize(buffer, n), interleave)
        columns = max(-(-int(self._place.max() + 1) // z), base.info_columns + CORE_ROWS)
        empty = range(-(-k // z), base.info_columns)
        self.lifted = lift(base, z, self.set_index, columns, empty)
        self._filler = np.array([k, filled])
        self._info_columns = base.info_columns

    @property
    def _structure(self) -> tuple:
        lifted = self.lifted
        return lifted.z, lifted.columns, lifted.row_start, lifted.column, lifted.shift

    def encode(self, bits: np.ndarray) -> np.ndarray:
        from channels.fec import ldpc_kernels

        bits = np.ascontiguousarray(check_blocks(bits, self.k, "bits"), np.uint8)
        coded = np.empty((bits.shape[0], self.n), np.uint8)
        ldpc_kernels.encode(bits, self._place, self._info_columns, self._structure, coded)
        return coded

    def decode(self, received: np.ndarray, erased: np.ndarray | None = None) -> DecodedBlocks:
        from channels.fec import ldpc_kernels

        llr = as_llr(check_received(received, self.n), erased)
        blocks = llr.shape[0]
        bits = np.empty((blocks, self.k), np.uint8)
        ok, iterations = np.empty(blocks, np.bool_), np.empty(blocks, np.int32)
        exact = self.decoder == "sum_product"
        kernel = ldpc_kernels.sum_product if exact else ldpc_kernels.min_sum
        limits = (self.iterations, self._lanes(blocks), self.decoder == "min_star")
        kernel(llr, self._place, self._filler, self._structure, limits, bits, ok, iterations)
        return DecodedBlocks(bits, ok, iterations)

    def _lanes(self, blocks: int) -> int:
        per_lane = 2 * self.z * (self.lifted.columns + self.lifted.column.size)
        return max(1, min(blocks, MAX_LANES, 1 << (LANE_BYTES // per_lane).bit_length() >> 1))


def default_graph(k: int, n: int, block: int) -> int:
    """The standard's base graph for `k` bits in `n`; 1 where 2 can't carry a block of `block`."""
    number, second = choose_base_graph(k, Fraction(k, max(n, 1))), base_graph(2)
    if number == 2 and block <= second.max_block and n < fewest_sent(second, block, block):
        return 1
    return number


def _interleaved(sequence: np.ndarray, order: int) -> np.ndarray:
    """Write by rows of n / order, read by columns (TS 38.212 section 5.4.2.2)."""
    whole = sequence.size - sequence.size % max(order, 1)
    head = sequence[:whole].reshape(max(order, 1), -1).T.ravel()
    return np.concatenate((head, sequence[whole:])).astype(np.int64)


def as_llr(received: np.ndarray, erased: np.ndarray | None) -> np.ndarray:
    """LLRs as a contiguous float32 array, from LLRs or from hard bits and their erasures."""
    if received.dtype != np.uint8:
        return np.ascontiguousarray(received, np.float32)
    llr = CERTAIN * (1 - 2 * received.astype(np.float32))
    if erased is not None:
        llr[erased] = 0
    return llr

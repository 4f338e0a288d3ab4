"""5G NR LDPC codes: transport blocks with CRC and segmentation, and the stage of a link."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache
from typing import Any

import numpy as np

from channels.fec.code import Code, DecodedBlocks, check_blocks, check_received
from channels.fec.crc import CRCS
from channels.fec.ldpc_block import Decoder, LDPCBlock, as_llr, default_graph
from channels.fec.ldpc_graph import base_graph, fewest_sent
from channels.fec.stage import CodeStage
from channels.stage import Batch, Context, Sizes, Stage

#: Transport blocks of more bits than this get the longer CRC (TS 38.212 section 7.2.1)
SHORT_CRC_MOST = 3824
#: Above this rate neither base graph recovers the punctured bits
MAX_RATE = Fraction(95, 100)
#: Default rate of `ldpc`
HALF = Fraction(1, 2)


class TransportBlock(Code):
    """A block of any length: CRC, segmentation, code blocks with CRC (TS 38.212 section 7.2).

    Parameters
    ----------
    k, n : int
        Payload bits (A) and sent bits (G).
    graph, iterations, decoder, interleave
        As for :class:`LDPCBlock`.

    Notes
    -----
    TS 38.214 only makes blocks that segment into equal parts. Here any length will do: fewer zeros
    than there are parts go in front of the CRC, and are not sent.
    """

    soft = True

    def __init__(
        self,
        k: int,
        n: int,
        *,
        graph: int | None = None,
        iterations: int = 20,
        decoder: Decoder = "min_star",
        interleave: int = 1,
    ):
        if k < 1:
            raise ValueError(f"a block needs at least one bit, got k={k}")
        self.k, self.n, self.crc = k, n, crc_of(k)
        total = k + self.crc.width
        number = default_graph(k, n, total) if graph is None else graph
        most, inner = base_graph(number).max_block, CRCS["crc24b"]
        parts = 1 if total <= most else -(-total // (most - inner.width))
        self.inner = inner if parts > 1 else None
        self._part = -(-total // parts)
        self._zeros = parts * self._part - total
        # rate matching (section 5.4.2.1) in units of a symbol; the last part takes what is left
        unit = interleave if n >= interleave * parts else 1
        share, longer = divmod(n // unit, parts)
        sizes = [unit * (share + (i >= parts - longer)) for i in range(parts)]
        sizes[-1] += n % unit
        block = self._part + (inner.width if self.inner else 0)
        self.blocks = [
            _code_block(block, size, number, total, iterations, decoder, interleave)
            for size in sizes
        ]

    @property
    def check_bits(self) -> int:
        """Bits of all CRCs together."""
        return self.crc.width + (self.inner.width * len(self.blocks) if self.inner else 0)

    def encode(self, bits: np.ndarray) -> np.ndarray:
        bits = check_blocks(bits, self.k, "bits")
        zeros = np.zeros((bits.shape[0], self._zeros), np.uint8)
        filled = self.crc.attach(np.concatenate((bits, zeros), axis=1))
        parts = np.split(filled, len(self.blocks), axis=1)
        if self.inner:
            parts = [self.inner.attach(part) for part in parts]
        coded = np.empty((bits.shape[0], self.n), np.uint8)
        for code, which, columns in self._groups():
            together = np.concatenate([parts[i] for i in which])
            coded[:, columns] = _side_by_side(code.encode(together), len(which))
        return coded

    def decode(self, received: np.ndarray, erased: np.ndarray | None = None) -> DecodedBlocks:
        """Decode blocks; see :meth:`channels.fec.code.Code.decode`.

        A block is `ok` where its CRC is right. `iterations` is the most that a part took.
        """
        llr = as_llr(check_received(received, self.n), erased)
        rows, most = llr.shape[0], np.zeros(llr.shape[0], np.int32)
        filled = np.empty((rows, len(self.blocks), self._part), np.uint8)
        for code, which, columns in self._groups():
            parts = llr[:, columns].reshape(rows, len(which), code.n).swapaxes(0, 1)
            result = code.decode(parts.reshape(-1, code.n))
            bits = result.bits[:, : self._part].reshape(len(which), rows, self._part)
            filled[:, which] = bits.swapaxes(0, 1)
            assert result.iterations is not None
            most = np.maximum(most, result.iterations.reshape(len(which), rows).max(axis=0))
        filled = filled.reshape(rows, len(self.blocks) * self._part)
        return DecodedBlocks(filled[:, : self.k], self.crc.check(filled), most)

    def _groups(self) -> list[tuple[LDPCBlock, list[int], slice]]:
        """Parts that have a code in common, which stand side by side, and their columns."""
        groups, start = [], 0
        for code in dict.fromkeys(self.blocks):
            which = [i for i, other in enumerate(self.blocks) if other is code]
            groups.append((code, which, slice(start, start + len(which) * code.n)))
            start += len(which) * code.n
        return groups


@lru_cache(maxsize=64)
def _code_block(
    k: int, n: int, graph: int, total: int, iterations: int, decoder: Decoder, interleave: int
) -> LDPCBlock:
    return LDPCBlock(
        k,
        n,
        graph=graph,
        total=total,
        iterations=iterations,
        decoder=decoder,
        interleave=interleave,
    )


def _side_by_side(coded: np.ndarray, parts: int) -> np.ndarray:
    """(parts * blocks, n) -> (blocks, parts * n)."""
    return (
        coded.reshape(parts, -1, coded.shape[1]).swapaxes(0, 1).reshape(-1, parts * coded.shape[1])
    )


def crc_of(k: int):
    """The CRC of a transport block of `k` bits (TS 38.212 section 7.2.1)."""
    return CRCS["crc24a" if k > SHORT_CRC_MOST else "crc16"]


def ldpc_code(
    k: int,
    rate: Fraction | float = HALF,
    *,
    n: int | None = None,
    crc: bool | None = None,
    graph: int | None = None,
    iterations: int = 20,
    decoder: Decoder = "min_star",
    interleave: int = 1,
) -> LDPCBlock | TransportBlock:
    """A code for blocks of `k` bits, of rate k / n.

    Parameters
    ----------
    k : int
    rate : Fraction or float
        Sets n to k / rate, rounded up.
    n : int, optional
        Sent bits, instead of by the rate.
    crc : bool, optional
        Whether to send a transport block with its CRC. None does so where k is too long for one
        code block.
    graph, iterations, decoder, interleave
        As for :class:`LDPCBlock`.
    """
    n = sent_bits(k, rate) if n is None else n
    if crc is None and k >= 1:
        number = default_graph(k, n, k) if graph is None else graph
        crc = k > base_graph(number).max_block
    kind = TransportBlock if crc else LDPCBlock
    return kind(k, n, graph=graph, iterations=iterations, decoder=decoder, interleave=interleave)


def sent_bits(k: int, rate: Fraction | float) -> int:
    """k / rate, rounded up."""
    if not 0 < rate <= MAX_RATE:
        raise ValueError(f"the rate of an NR LDPC code lies in 0..{float(MAX_RATE)}, got {rate}")
    exact = rate if isinstance(rate, Fraction) else Fraction(rate).limit_denominator(10_000)
    return math.ceil(k / exact)


class LDPCStage(CodeStage):
    """Blocks of fixed length. The modulation sets the bit interleaver."""

    def __init__(self, interleave: bool, **options: Any):
        self._interleave, self._options = interleave, options
        super().__init__(ldpc_code(**options))

    def configure(self, context: Context) -> None:
        super().configure(context)
        if self._interleave and context.bits_per_symbol > 1:
            self.code = ldpc_code(**self._options, interleave=context.bits_per_symbol)


class TransportStage(Stage):
    """The whole payload as one transport block, as long as it is.

    The rate is that of the payload with its CRC, so that short payloads keep their parity; CRCs are
    booked as framing.
    """

    soft_input = True

    def __init__(self, interleave: bool, rate: Fraction | float, **options: Any):
        sent_bits(1, rate)
        self.rate, self._exact, self._options = float(rate), rate, options
        self._interleave, self._order = interleave, 1

    def configure(self, context: Context) -> None:
        self._order = max(1, context.bits_per_symbol) if self._interleave else 1

    def _code(self, n_in: int) -> TransportBlock:
        total = n_in + crc_of(n_in).width
        n = sent_bits(total, self._exact)
        if total <= base_graph(1).max_block:  # at 0.95 some short blocks are just out of reach
            n = max(n, fewest_sent(base_graph(1), total, total))
        return TransportBlock(n_in, n, interleave=self._order, **self._options)

    def sizes(self, n_in: int) -> Sizes:
        if n_in == 0:
            return Sizes(0)
        code = self._code(n_in)
        return Sizes(code.n, parity=code.n - n_in - code.check_bits, framing=code.check_bits)

    def forward(self, batch: Batch, rngs: Sequence[np.random.Generator]) -> tuple[Batch, Any]:
        if batch.n_bits == 0:
            return batch, None
        stage = CodeStage(self._code(batch.n_bits))
        sent, state = stage.forward(batch, rngs)
        return sent, (stage, state)

    def backward(self, batch: Batch, state: Any) -> Batch:
        if state is None:
            return Batch(0, bits=batch.bits)
        stage, inner = state
        return stage.backward(batch, inner)


def ldpc(
    rate: Fraction | float = HALF,
    k: int | None = 1024,
    iterations: int = 20,
    decoder: Decoder = "min_star",
    crc: bool | None = None,
    graph: int | None = None,
    interleave: bool = True,
) -> Stage:
    """5G NR LDPC as a stage: ``ldpc(rate=1/2)|qpsk|awgn(ebno_db=2)``.

    Parameters
    ----------
    rate : Fraction or float
        Payload bits per sent bit, up to 0.95.
    k : int or None
        Payload bits per block. None makes the whole payload one transport block, cut into code
        blocks of up to 8448 bits with CRCs; the rate then counts the CRC as payload.
    iterations, decoder, graph
        As for :class:`channels.fec.ldpc_block.LDPCBlock`.
    crc : bool or None
        As for :func:`ldpc_code`.
    interleave : bool
        Whether to give information bits the better places in QAM symbols, as the standard does.
    """
    options = {"rate": rate, "iterations": iterations, "decoder": decoder, "graph": graph}
    if k is None:
        if crc is False:
            raise ValueError(
                "k=none sends transport blocks, which have a CRC; give a k with crc=false"
            )
        return TransportStage(interleave, **options)
    return LDPCStage(interleave, k=k, crc=crc, **options)

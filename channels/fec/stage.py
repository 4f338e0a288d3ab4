"""A code as a stage of a link: cuts the payload into blocks, fills up the last, and back."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from channels.fec.code import Code
from channels.stage import Batch, Context, Sizes, Stage

#: LLR of a certain bit, where hard bits must be turned into LLRs
CERTAIN = np.float32(30.0)


class CodeStage(Stage):
    """Runs a :class:`~channels.fec.code.Code` over a payload of any length.

    The payload is cut into blocks of k bits; the last is filled with zeros, which are sent and
    booked as padding. What is not payload or padding among the coded bits is parity.
    """

    def __init__(self, code: Code):
        self.code = code
        self.soft_input = code.soft
        self.rate = code.rate

    def blocks(self, n_in: int) -> int:
        """Number of blocks for `n_in` payload bits."""
        return -(-n_in // self.code.k)

    def sizes(self, n_in: int) -> Sizes:
        blocks = self.blocks(n_in)
        padding = blocks * self.code.k - n_in
        return Sizes(
            blocks * self.code.n, parity=blocks * (self.code.n - self.code.k), padding=padding
        )

    def configure(self, context: Context) -> None:
        self.context = context

    def forward(self, batch: Batch, rngs: Sequence[np.random.Generator]) -> tuple[Batch, Any]:
        assert batch.bits is not None
        code, n_in = self.code, batch.n_bits
        blocks, rows = self.blocks(n_in), batch.bits.shape[0]
        filled = np.zeros((rows, blocks * code.k), np.uint8)
        filled[:, :n_in] = np.unpackbits(batch.bits, axis=-1, count=n_in)
        coded = code.encode(filled.reshape(rows * blocks, code.k))
        n_out = blocks * code.n
        packed = np.packbits(coded.reshape(rows, n_out), axis=-1)
        return batch.with_(n_bits=n_out, bits=packed, classes=None), n_in

    def backward(self, batch: Batch, state: Any) -> Batch:
        n_in, code = state, self.code
        blocks = self.blocks(n_in)
        received, erased = soft_or_hard(batch, code.soft)
        rows = received.shape[0]
        shape = (rows * blocks, code.n)
        result = code.decode(
            received.reshape(shape), None if erased is None else erased.reshape(shape)
        )
        bits = result.bits.reshape(rows, blocks * code.k)[:, :n_in]
        return Batch(n_in, bits=np.packbits(bits, axis=-1))


def soft_or_hard(batch: Batch, soft: bool) -> tuple[np.ndarray, np.ndarray | None]:
    """What a decoder gets: LLRs (trials, n) where it wants them, else hard bits and erasures.

    Hard bits of a binary medium become LLRs of +-ln((1 - p) / p); an erased bit's LLR is 0.
    """
    if soft and batch.llr is not None:
        return batch.llr, None
    assert batch.bits is not None
    bits = np.unpackbits(batch.bits, axis=-1, count=batch.n_bits)
    erased = None
    if batch.erased is not None:
        erased = np.unpackbits(batch.erased, axis=-1, count=batch.n_bits).astype(bool)
    if not soft:
        return bits, erased
    p = batch.crossover
    size = CERTAIN if p <= 0 else np.float32(min(float(CERTAIN), math.log((1 - p) / p)))
    llr = size * (1 - 2 * bits.astype(np.float32))
    if erased is not None:
        llr[erased] = 0
    return llr, None

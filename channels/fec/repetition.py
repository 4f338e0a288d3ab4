"""Repetition: each bit n times, the simplest code and the yardstick of the others."""

from __future__ import annotations

from typing import Any

import numpy as np

from channels.fec.code import Code, DecodedBlocks, check_blocks, check_received
from channels.fec.stage import CodeStage, soft_or_hard
from channels.stage import Batch

MAX_N = 1000


class RepetitionCode(Code):
    """Each bit n times in a row; the LLRs of its copies add up (k = 1).

    With LLRs this is maximum-ratio combining: at a given Eb/N0 it gains nothing over sending a bit
    once on AWGN, and diversity where the copies fade apart. A tie reads 0 and isn't `ok`.
    """

    soft = True

    def __init__(self, n: int = 3):
        if not 1 <= n <= MAX_N:
            raise ValueError(f"n must lie in 1..{MAX_N}, got {n}")
        self.k, self.n = 1, n

    def encode(self, bits: np.ndarray) -> np.ndarray:
        return np.repeat(check_blocks(bits, 1, "bits")[:, 0], self.n).reshape(-1, self.n)

    def combine(self, received: np.ndarray, erased: np.ndarray | None = None) -> np.ndarray:
        """Sum of the LLRs of each bit, or 0s less 1s of hard bits; float32, shape (blocks,).

        Certainties (infinite LLRs) that contradict each other, and NaN, say nothing.
        """
        received = check_received(received, self.n)
        if received.dtype == np.uint8:
            votes = 1 - 2 * received.astype(np.float32)
            if erased is not None:
                votes[erased] = 0
        else:
            votes = np.where(np.isnan(received), np.float32(0), received)
        total = votes[:, 0].copy()
        with np.errstate(invalid="ignore"):
            for column in votes.T[1:]:
                total += column
        return np.where(np.isnan(total), np.float32(0), total)

    def decode(self, received: np.ndarray, erased: np.ndarray | None = None) -> DecodedBlocks:
        total = self.combine(received, erased)
        return DecodedBlocks((total < 0).astype(np.uint8)[:, None], total != 0)


class RepetitionStage(CodeStage):
    """Hands on LLRs to whoever wants them, which codes in general can't."""

    code: RepetitionCode

    def backward(self, batch: Batch, state: Any) -> Batch:
        received, _ = soft_or_hard(batch, True)
        rows = received.shape[0]
        llr = self.code.combine(received.reshape(-1, self.code.n)).reshape(rows, state)
        bits = np.packbits(llr < 0, axis=-1)
        erased = None if batch.erased is None else np.packbits(llr == 0, axis=-1)
        return Batch(state, bits=bits, llr=llr if self.context.soft else None, erased=erased)


def repetition(n: int = 3) -> CodeStage:
    """Each bit n times as a stage: ``repetition(n=4)|bpsk|rayleigh|awgn(ebno_db=10)``."""
    return RepetitionStage(RepetitionCode(n))

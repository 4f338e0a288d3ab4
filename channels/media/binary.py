"""What all media on bits share: copying the payload, combining damage, turning it into LLRs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from channels.bits import llr_from_bits
from channels.stage import Batch, Context, Stage


def check_range(name: str, value: float, low: float, high: float, why: str = "") -> float:
    """`value`, or a ValueError that names it and says what is allowed."""
    if not low <= value <= high:
        raise ValueError(f"{name} must lie in {low:g}..{high:g}, got {value!r}{why}")
    return value


class BinaryMedium(Stage):
    """Base of the media that take packed bits and give packed bits, some flipped, some erased.

    A subclass says in `damage` what happens to one trial, and in `crossover` with what
    probability a bit that was not erased is wrong.
    """

    medium = True
    erases = False
    crossover = 0.0
    _soft = False

    def configure(self, context: Context) -> None:
        self._soft = context.soft

    def damage(
        self, row: np.ndarray, erased: np.ndarray, n_bits: int, rng: np.random.Generator
    ) -> None:
        """Flip bits of `row` or set bits of `erased` in place.

        Parameters
        ----------
        row : uint8 array, shape (n_bytes,)
            The bits of one trial, packed.
        erased : uint8 array, shape (n_bytes,)
            Zeros; a mask of lost bits, read where `erases` is set.
        n_bits : int
            How many bits count: none behind them may be touched.
        rng : numpy.random.Generator
            The noise of this trial.
        """
        raise NotImplementedError

    def damage_hit(
        self, row: np.ndarray, erased: np.ndarray, n_bits: int, rng: np.random.Generator
    ) -> None:
        """Like `damage`, given that something is hit; where `hit_probability` is known."""
        raise NotImplementedError

    def forward(self, batch: Batch, rngs: Sequence[np.random.Generator]) -> tuple[Batch, Any]:
        return self._send(batch, rngs, self.damage)

    def forward_hit(self, batch: Batch, rngs: Sequence[np.random.Generator]) -> tuple[Batch, Any]:
        return self._send(batch, rngs, self.damage_hit)

    def _send(
        self, batch: Batch, rngs: Sequence[np.random.Generator], damage: Callable[..., None]
    ) -> tuple[Batch, Any]:
        assert batch.bits is not None
        bits = np.empty((len(rngs), batch.bits.shape[1]), np.uint8)
        np.copyto(bits, batch.bits)
        lost = np.zeros_like(bits) if self.erases else bits
        for row, mask, rng in zip(bits, lost, rngs, strict=True):
            damage(row, mask, batch.n_bits, rng)
        before = batch.crossover
        crossover = before + self.crossover - 2 * before * self.crossover
        erased = batch.erased
        if self.erases:
            erased = lost if erased is None else lost | erased
        return batch.with_(bits=bits, erased=erased, crossover=crossover), None

    def backward(self, batch: Batch, state: Any) -> Batch:
        assert batch.bits is not None
        if batch.erased is not None:
            np.bitwise_and(batch.bits, ~batch.erased, out=batch.bits)
        if self._soft and batch.llr is None:
            llr = llr_from_bits(batch.bits, batch.n_bits, batch.crossover, batch.erased)
            return batch.with_(llr=llr)
        return batch

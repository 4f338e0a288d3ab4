"""Flat fading: each symbol is multiplied by a random complex gain of mean power 1.

Stands before the noise: ``qpsk|rayleigh|awgn(ebno_db=10)``. Es/N0 and Eb/N0 of the noise are then
averages over the fading.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from channels.stage import Batch, Stage

#: Gains whose power lies below this are taken as this small where the receiver divides by them.
FAINTEST = np.float32(1e-12)
Knowledge = Literal["perfect", "estimated"]


class Fading(Stage):
    """Gains m + d: a constant m and a complex Gaussian d, with |m|^2 + E|d|^2 = 1.

    The receiver divides by its estimate g of the gain. With perfect knowledge g is the gain and
    the noise that is left has variance N0 / |g|^2. With `estimated` it is the mean of the gain
    given an observation in Gaussian noise (what pilots and a linear estimator give): gain = g + w
    with w of variance v = 10^(error_db / 10), independent of g. The symbols, of mean energy 1,
    turn w into noise as well, so that (N0 + v) / |g|^2 is left. See M. Medard, "The effect upon
    channel capacity in wireless communications of perfect and imperfect knowledge of the channel",
    IEEE Trans. Inf. Theory 46(3), 2000. LLRs are computed from that; for constellations with
    several energies it is the mean that they are told.
    """

    takes = gives = "symbols"
    medium = True

    def __init__(self, constant: float, block: int | str, csi: Knowledge, error_db: float | None):
        """See :class:`Rayleigh`; `constant` is m, real, 0 <= m < 1."""
        if block != "all" and (isinstance(block, str) or block < 1):
            raise ValueError(f"block must be at least 1 symbol, or all, got {block}")
        if (csi == "estimated") != (error_db is not None):
            raise ValueError(
                "csi=estimated goes with error_db, the variance of the estimation error in dB "
                "below the mean power of the gain, such as error_db=-20"
            )
        self.constant, self.diffuse = constant, 1 - constant**2
        self.block, self.csi, self.error_db = block, csi, error_db
        self.error = 0.0 if error_db is None else 10 ** (error_db / 10)
        if self.error >= self.diffuse:
            worst = 10 * math.log10(self.diffuse)
            raise ValueError(
                f"error_db must lie below {worst:.3g} dB, at which the receiver knows no more "
                f"than the mean of the gain; got {error_db}"
            )

    def forward(self, batch: Batch, rngs: Sequence[np.random.Generator]) -> tuple[Batch, Any]:
        assert batch.symbols is not None
        n_symbols = batch.symbols.shape[1]
        length = n_symbols if self.block == "all" else int(self.block)
        n_blocks = -(-n_symbols // length) if n_symbols else 0
        known = np.empty((len(rngs), n_blocks), np.complex64)
        faded = np.empty((len(rngs), n_symbols), np.complex64)
        symbols = np.broadcast_to(batch.symbols, faded.shape)
        for row, target, estimate, rng in zip(symbols, faded, known, rngs, strict=True):
            gains = self._draw(rng, estimate)
            np.multiply(row, _spread(gains, length, n_symbols), out=target)
        return batch.with_(symbols=faded), (known, length)

    def _draw(self, rng: np.random.Generator, known: np.ndarray) -> np.ndarray:
        """Gains of one trial; what the receiver believes them to be is written to `known`.

        The part that the receiver knows and the one that it doesn't are drawn in turn, so that the
        gain of a symbol doesn't depend on how many follow.
        """
        parts = 1 if self.error == 0 else 2
        drawn = rng.standard_normal((known.size, 2 * parts), np.float32).view(np.complex64)
        scale = math.sqrt((self.diffuse - self.error) / 2)
        known[:] = np.float32(scale) * drawn[:, 0] + np.float32(self.constant)
        if parts == 1:
            return known
        return known + np.float32(math.sqrt(self.error / 2)) * drawn[:, 1]

    def backward(self, batch: Batch, state: Any) -> Batch:
        assert batch.symbols is not None
        known, length = state
        n_symbols = batch.symbols.shape[1]
        power = np.maximum(known.real**2 + known.imag**2, FAINTEST)
        symbols = batch.symbols * _spread(np.conj(known) / power, length, n_symbols)
        noise = (batch.noise + np.float32(self.error)) * _spread(1 / power, length, n_symbols)
        gain = np.ascontiguousarray(_spread(known, length, n_symbols))
        return batch.with_(symbols=symbols, noise=noise.astype(np.float32), gain=gain)


def _spread(values: np.ndarray, length: int, n_symbols: int) -> np.ndarray:
    """One value a block to one value a symbol, along the last axis."""
    return values if length == 1 else np.repeat(values, length, axis=-1)[..., :n_symbols]


class Rayleigh(Fading):
    """Rayleigh fading: complex Gaussian gains, no line of sight.

    Parameters
    ----------
    block : int or "all"
        Symbols that share a gain; the next block's is independent. 1: each its own (perfect
        interleaving). all: one gain a transmission (quasi-static).
    csi : {"perfect", "estimated"}
        What the receiver knows of the gains.
    error_db : float
        With csi=estimated: variance of the estimation error in dB, relative to the mean power of
        the gain; for QPSK it acts like noise of that power.
    """

    def __init__(
        self,
        block: int | Literal["all"] = 1,
        csi: Knowledge = "perfect",
        error_db: float | None = None,
    ):
        super().__init__(0.0, block, csi, error_db)


class Rician(Fading):
    """Rician fading: a constant (line-of-sight) part and a Rayleigh part.

    Parameters
    ----------
    k_db : float
        Power of the constant part over that of the other, in dB. The mean power is 1 in all.
    block, csi, error_db
        As for :class:`Rayleigh`; the receiver knows the constant part in any case.
    """

    def __init__(
        self,
        k_db: float,
        block: int | Literal["all"] = 1,
        csi: Knowledge = "perfect",
        error_db: float | None = None,
    ):
        if not -100 <= k_db <= 60:
            raise ValueError(f"k_db must lie in -100..60 dB, got {k_db}")
        self.k_db = k_db
        factor = 10 ** (k_db / 10)
        super().__init__(math.sqrt(factor / (1 + factor)), block, csi, error_db)

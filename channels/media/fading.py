"""Flat fading: each symbol is multiplied by a random complex gain of mean power 1.

Stands before the noise: ``qpsk|rayleigh|awgn(ebno_db=10)``. Es/N0 and Eb/N0 of the noise are then
averages over the fading.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import numpy as np

from channels.gaussian import NormalSource
from channels.media.awgn import CHUNK
from channels.stage import Batch, Stage
from channels.theory import ber_rayleigh, ber_rician

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
            normal = NormalSource(rng, (2 if self.error == 0 else 4) * n_blocks)
            for blocks, part in _chunks(n_blocks, length):
                gains = self._draw(normal, estimate[blocks])
                np.multiply(row[part], _spread(gains, length, row[part].size), out=target[part])
        return batch.with_(symbols=faded), (known, length)

    def _draw(self, normal: NormalSource, known: np.ndarray) -> np.ndarray:
        """Next gains of a trial; what the receiver believes them to be is written to `known`.

        The part that the receiver knows and the one that it doesn't are drawn in turn, so that the
        gain of a symbol doesn't depend on how many follow.
        """
        parts = 1 if self.error == 0 else 2
        drawn = np.empty((known.size, parts), np.complex64)
        normal.fill(drawn.view(np.float32).reshape(-1))
        np.multiply(drawn[:, 0], np.float32(math.sqrt((self.diffuse - self.error) / 2)), out=known)
        if self.constant:
            known += np.float32(self.constant)
        if parts == 1:
            return known
        return known + np.float32(math.sqrt(self.error / 2)) * drawn[:, 1]

    def backward(self, batch: Batch, state: Any) -> Batch:
        assert batch.symbols is not None
        known, length = state
        shape = batch.symbols.shape
        symbols, noise = np.empty(shape, np.complex64), np.empty(shape, np.float32)
        told = np.broadcast_to(np.asarray(batch.noise, np.float32), shape)
        gain = known if length == 1 else np.empty(shape, np.complex64)
        for trial in range(shape[0]):
            for blocks, part in _chunks(known.shape[1], length):
                g = known[trial, blocks]
                power = np.maximum(g.real**2 + g.imag**2, FAINTEST)
                size = symbols[trial, part].size
                inverse = _spread(np.conj(g) / power, length, size)
                np.multiply(batch.symbols[trial, part], inverse, out=symbols[trial, part])
                noise[trial, part] = told[trial, part] + np.float32(self.error)
                noise[trial, part] /= _spread(power, length, size)
                if length > 1:
                    gain[trial, part] = _spread(g, length, size)
        return batch.with_(symbols=symbols, noise=noise, gain=gain)

    def ber_with_noise(self, constellation: str, esno_db: float) -> float | None:
        if self.error and constellation not in ("bpsk", "qpsk"):
            return None  # what the receiver doesn't know is noise that depends on the symbol
        known = 1 - self.error
        noise = 10 ** (-esno_db / 10) + self.error
        ratio = self.constant**2 / (self.diffuse - self.error)
        effective_db = 10 * math.log10(known / noise)
        if ratio == 0:
            return float(ber_rayleigh(constellation, effective_db))
        return float(ber_rician(constellation, effective_db, ratio))


def _chunks(n_blocks: int, length: int) -> Iterator[tuple[slice, slice]]:
    """Blocks, and their symbols, in pieces that stay in the cache."""
    step = max(1, CHUNK // max(1, length))
    for first in range(0, n_blocks, step):
        last = min(first + step, n_blocks)
        yield slice(first, last), slice(first * length, last * length)


def _spread(values: np.ndarray, length: int, n_symbols: int) -> np.ndarray:
    """One value a block to one value a symbol; the last block may be cut short."""
    return values if length == 1 else np.repeat(values, length)[:n_symbols]


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

"""Additive white Gaussian noise on complex symbols."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from channels.conditional import force_errors, hit_probability
from channels.gaussian import NormalSource
from channels.stage import Batch, Context, Stage
from channels.theory import ber_awgn

#: Symbols worked on at once: 64 KiB of complex64, which stays in the second-level cache.
CHUNK = 1 << 13


class AWGN(Stage):
    """Additive white Gaussian noise.

    Complex noise of variance N0 (N0 / 2 on each axis) is added to symbols of mean energy 1.
    Exactly one of the two ratios is given.

    Parameters
    ----------
    ebno_db : float
        Energy per information bit over N0, in dB: Es/N0 over (code rate x bits per symbol).
    esno_db : float
        Energy per symbol over N0, in dB; for complex symbols this is the SNR.
    """

    takes = gives = "symbols"
    medium = True

    def __init__(self, *, ebno_db: float | None = None, esno_db: float | None = None):
        if (ebno_db is None) == (esno_db is None):
            raise ValueError("give exactly one of ebno_db and esno_db, such as awgn(ebno_db=6)")
        for name, value in (("ebno_db", ebno_db), ("esno_db", esno_db)):
            if value is not None and not -100 <= value <= 200:
                raise ValueError(f"{name} must lie in -100..200 dB, got {value!r}")
        self.ebno_db, self.esno_db = ebno_db, esno_db
        self._constellation: str | None = None
        self._bits_per_symbol, self._soft = 0, False

    def configure(self, context: Context) -> None:
        per_symbol_db = 10 * math.log10(context.rate * context.bits_per_symbol)
        if self.esno_db is None:
            assert self.ebno_db is not None
            self.esno_db = self.ebno_db + per_symbol_db
        else:
            self.ebno_db = self.esno_db - per_symbol_db
        self._constellation = context.constellation
        self._bits_per_symbol, self._soft = context.bits_per_symbol, context.soft

    @property
    def n0(self) -> float:
        """Variance of the complex noise, for symbols of mean energy 1."""
        assert self.esno_db is not None, "configure comes first"
        return 10 ** (-self.esno_db / 10)

    def forward(self, batch: Batch, rngs: Sequence[np.random.Generator]) -> tuple[Batch, Any]:
        assert batch.symbols is not None
        symbols = np.broadcast_to(batch.symbols, (len(rngs), batch.symbols.shape[1]))
        received = np.empty(symbols.shape, np.complex64)
        add_noise(symbols, math.sqrt(self.n0 / 2), rngs, received)
        return batch.with_(symbols=received, noise=batch.noise + self.n0), None

    def hit_probability(self, n_in):
        # bits of larger constellations are neither alike nor independent, and who reads LLRs
        # is touched by noise that leads to no wrong decision
        if self._soft or self._constellation not in ("bpsk", "qpsk"):
            return None
        assert self.esno_db is not None, "configure comes first"
        p = float(ber_awgn(self._constellation, self.esno_db))
        return hit_probability(p, n_in * self._bits_per_symbol)

    def forward_hit(self, batch: Batch, rngs: Sequence[np.random.Generator]) -> tuple[Batch, Any]:
        sent, state = self.forward(batch, rngs)
        assert batch.symbols is not None
        assert sent.symbols is not None
        symbols = np.broadcast_to(batch.symbols, sent.symbols.shape)
        sigma = math.sqrt(self.n0 / 2)
        force_errors(symbols, sent.symbols, self._bits_per_symbol, sigma, rngs)
        return sent, state

    def facts(self):
        assert self.esno_db is not None, "configure comes first"
        assert self.ebno_db is not None, "configure comes first"
        found = {"esno_db": self.esno_db, "ebno_db": self.ebno_db}
        if self._constellation is not None:
            found["ber"] = float(ber_awgn(self._constellation, self.esno_db))
        return found


def add_noise(
    symbols: np.ndarray, sigma: float, rngs: Sequence[np.random.Generator], out: np.ndarray
) -> None:
    """Write `symbols` plus complex Gaussian noise to `out`.

    Parameters
    ----------
    symbols, out : complex64 arrays, shape (trials, n_symbols)
    sigma : float
        Standard deviation on each axis.
    rngs : sequence of numpy.random.Generator
        One a trial. I and Q of the first symbol are drawn first, then those of the second, so the
        noise of a symbol doesn't depend on how many follow.
    """
    scale = np.float32(sigma)
    for source, target, rng in zip(symbols, out, rngs, strict=True):
        normal = NormalSource(rng, 2 * source.size)
        for start in range(0, source.size, CHUNK):
            part = target[start : start + CHUNK].view(np.float32)
            normal.fill(part)
            part *= scale
            part += source[start : start + CHUNK].view(np.float32)

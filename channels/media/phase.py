"""What an imperfect oscillator does: carrier phase and frequency offset, and phase noise."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from channels.stage import Batch, Stage


class Phase(Stage):
    """Turns each symbol by a phase that the receiver doesn't know.

    Symbol i is turned by offset + 2 pi frequency i + w_i, where w is a Wiener process: w_0 = 0 and
    steps that are Gaussian with variance 2 pi linewidth, as an oscillator with a Lorentzian
    spectrum has them (G. J. Foschini and G. Vannucci, "Characterizing filtered light waves
    corrupted by phase noise", IEEE Trans. Inf. Theory 34(6), 1988).

    Parameters
    ----------
    offset_deg : float
        Constant phase error in degrees.
    frequency : float
        Frequency error in cycles per symbol.
    linewidth : float
        Full width at half maximum of the oscillator's spectrum, times the symbol time.
    resync : int, optional
        Every so many symbols the receiver finds its phase anew, up to `offset_deg`: frequency
        error and noise start from zero again. Without it they pile up through the transmission.
    """

    takes = gives = "symbols"
    medium = True
    calibrated = False  # LLRs know nothing of the phase error

    def __init__(
        self,
        offset_deg: float = 0.0,
        frequency: float = 0.0,
        linewidth: float = 0.0,
        resync: int | None = None,
    ):
        for name, value in (("offset_deg", offset_deg), ("frequency", frequency)):
            if not math.isfinite(value):
                raise ValueError(f"{name} must be finite, got {value}")
        if not 0 <= linewidth <= 1:
            raise ValueError(f"linewidth must lie in 0..1 of the symbol rate, got {linewidth}")
        if resync is not None and resync < 1:
            raise ValueError(f"resync must be at least 1 symbol, got {resync}")
        self.offset_deg, self.frequency = offset_deg, frequency
        self.linewidth, self.resync = linewidth, resync

    def forward(self, batch: Batch, rngs: Sequence[np.random.Generator]) -> tuple[Batch, Any]:
        assert batch.symbols is not None
        n_symbols = batch.symbols.shape[1]
        length = max(1, min(self.resync or n_symbols, n_symbols))
        since = np.arange(n_symbols) % length
        steady = np.deg2rad(self.offset_deg) + 2 * np.pi * (self.frequency * since % 1.0)
        turned = np.empty((len(rngs), n_symbols), np.complex64)
        symbols = np.broadcast_to(batch.symbols, turned.shape)
        turn = np.exp(1j * steady).astype(np.complex64)
        for row, target, rng in zip(symbols, turned, rngs, strict=True):
            np.multiply(row, turn, out=target)
            if self.linewidth:
                steps = rng.standard_normal(n_symbols) * math.sqrt(2 * np.pi * self.linewidth)
                steps[::length] = 0
                walk = np.cumsum(steps)
                walk -= np.repeat(walk[::length], length)[:n_symbols]
                target *= np.exp(1j * walk.astype(np.float32))
        return batch.with_(symbols=turned), None

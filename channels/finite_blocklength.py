"""The best that any code of a given length can do: the normal approximation.

Polyanskiy, Poor, Verdu, "Channel coding rate in the finite blocklength regime", IEEE Trans.
Inform. Theory 56(5), 2010, equations (1) and (296) with the third-order term 0.5 log2(n).
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Literal

import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtr, ndtri

Inputs = Literal["gaussian", "binary"]


@lru_cache(maxsize=1)
def _hermite(order: int = 200) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights for the mean of a function of a standard normal variable."""
    x, w = np.polynomial.hermite_e.hermegauss(order)
    return x, w / w.sum()


def capacity_and_dispersion(esno_db: float, inputs: Inputs = "gaussian") -> tuple[float, float]:
    """Capacity and dispersion of the real AWGN channel, per real use.

    Parameters
    ----------
    esno_db : float
        Energy per *complex* symbol over N0. A complex symbol is two real uses, each with signal
        to noise ratio Es/N0 (variance N0/2 against Es/2).
    inputs : {"gaussian", "binary"}
        Unconstrained (Shannon), or BPSK on each axis (QPSK on the plane).

    Returns
    -------
    capacity : float
        Bits per real use.
    dispersion : float
        Bits squared per real use.
    """
    snr = 10 ** (esno_db / 10)
    if inputs == "gaussian":
        capacity = 0.5 * math.log2(1 + snr)
        dispersion = snr * (snr + 2) / (2 * (snr + 1) ** 2) * math.log2(math.e) ** 2
        return capacity, dispersion
    if inputs != "binary":
        raise ValueError(f"inputs must be 'gaussian' or 'binary', got {inputs!r}")
    x, w = _hermite()
    # +1 sent: the LLR is normal with mean 2 snr and variance 4 snr
    density = 1 - np.logaddexp(0, -(2 * snr + 2 * math.sqrt(snr) * x)) / math.log(2)
    mean = float(w @ density)
    return mean, float(w @ (density - mean) ** 2)


def block_error_rate(k: int, n: int, esno_db: float, inputs: Inputs = "binary") -> float:
    """Block error rate of the best (n, k) code by the normal approximation.

    Parameters
    ----------
    k : int
        Information bits.
    n : int
        Real channel uses: coded bits for BPSK (one axis) or QPSK; twice the complex symbols.
    esno_db : float
        Energy per complex symbol over N0, as in :func:`capacity_and_dispersion`.
    """
    capacity, dispersion = capacity_and_dispersion(esno_db, inputs)
    if dispersion <= 0:
        return float(k > n * capacity)
    margin = n * capacity - k + 0.5 * math.log2(n)
    return float(ndtr(-margin / math.sqrt(n * dispersion)))


def required_ebno_db(k: int, n: int, error_rate: float = 1e-2, inputs: Inputs = "binary") -> float:
    """Eb/N0 in dB at which the best (n, k) code reaches a block error rate.

    `n` counts real uses, so that Eb/N0 = (Es/2 per real use) n / k / N0.

    Raises
    ------
    ValueError
        No such code at any SNR: k is not below n for binary inputs.
    """
    if not 0 < error_rate < 1 or k < 1 or n < 1:
        raise ValueError(f"need k, n >= 1 and 0 < error_rate < 1, got {k}, {n}, {error_rate}")
    if inputs == "binary" and k >= n:
        raise ValueError(f"{k} bits don't fit {n} binary uses")
    target = float(ndtri(error_rate))

    def excess(esno_db: float) -> float:
        capacity, dispersion = capacity_and_dispersion(esno_db, inputs)
        margin = n * capacity - k + 0.5 * math.log2(n)
        return -margin / math.sqrt(n * max(dispersion, 1e-300)) - target

    esno_db = float(brentq(excess, -30, 60))  # type: ignore[arg-type]
    return esno_db - 10 * math.log10(2 * k / n)


def shannon_ebno_db(bits_per_complex_use: float) -> float:
    """Eb/N0 in dB below which no code of this spectral efficiency can work (AWGN)."""
    if bits_per_complex_use <= 0:
        return 10 * math.log10(math.log(2))
    rate = bits_per_complex_use
    return 10 * math.log10((2**rate - 1) / rate)

"""Closed forms: what a simulated link must agree with.

Ratios are in dB at the door of each function and linear inside. Es/N0 is energy per complex symbol
over the variance of the complex noise; constellations are those of :mod:`channels.modulation`.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import erfc, erfcinv

#: Bits per symbol of the modulations with closed forms.
BITS_PER_SYMBOL = {"bpsk": 1, "qpsk": 2, "qam16": 4, "qam64": 6, "qam256": 8, "qam1024": 10}


def q_function(x: ArrayLike) -> np.ndarray:
    """Q(x): probability that a standard normal variable exceeds x."""
    return 0.5 * erfc(np.asarray(x, float) / math.sqrt(2))


def q_inverse(probability: ArrayLike) -> np.ndarray:
    """The x at which Q(x) = probability."""
    return math.sqrt(2) * erfcinv(2 * np.asarray(probability, float))


def linear(db: ArrayLike) -> np.ndarray:
    """A power ratio from decibels."""
    return 10 ** (np.asarray(db, float) / 10)


def ebno_to_esno_db(ebno_db: ArrayLike, bits_per_symbol: int, rate: float = 1.0) -> np.ndarray:
    """Es/N0 in dB from Eb/N0 per information bit, with `rate` information bits per coded bit."""
    return np.asarray(ebno_db, float) + 10 * math.log10(rate * bits_per_symbol)


def esno_to_ebno_db(esno_db: ArrayLike, bits_per_symbol: int, rate: float = 1.0) -> np.ndarray:
    """Eb/N0 per information bit in dB from Es/N0."""
    return np.asarray(esno_db, float) - 10 * math.log10(rate * bits_per_symbol)


@lru_cache(maxsize=16)
def gray_terms(modulation: str) -> tuple[np.ndarray, np.ndarray]:
    """The bit error probability as a sum: BER = sum_i w_i erfc(sqrt(g_i Es/N0)).

    For Gray square QAM: K. Cho and D. Yoon, "On the general BER expression of one- and
    two-dimensional amplitude modulations", IEEE Trans. Commun. 50(7), 2002. It is exact, with
    every wrong decision counted, and some weights are negative.

    Returns
    -------
    weights, gains : float64 arrays
    """
    if modulation not in BITS_PER_SYMBOL:
        known = ", ".join(BITS_PER_SYMBOL)
        raise ValueError(f"no closed form for {modulation!r}; there is: {known}")
    bits = BITS_PER_SYMBOL[modulation]
    if bits == 1:
        return np.array([0.5]), np.array([1.0])
    axis_bits = bits // 2
    levels = 1 << axis_bits
    weights = np.zeros(levels)
    for k in range(1, axis_bits + 1):
        i = np.arange(levels - (levels >> k))
        sign = 1.0 - 2.0 * ((i * 2 ** (k - 1) // levels) % 2)
        steps = 2 ** (k - 1) - np.floor(i * 2 ** (k - 1) / levels + 0.5)
        weights[i] += sign * steps / (levels * axis_bits)
    kept = weights != 0
    gains = (2 * np.arange(levels) + 1) ** 2 * 1.5 / (levels**2 - 1)
    return weights[kept], gains[kept]


def ber_awgn(modulation: str, esno_db: ArrayLike) -> np.ndarray:
    """Bit error probability over AWGN, nearest point decided, mean of all bits of a symbol.

    Parameters
    ----------
    modulation : str
        A key of `BITS_PER_SYMBOL`.
    esno_db : array
        Any shape.
    """
    weights, gains = gray_terms(modulation)
    return erfc(np.sqrt(linear(esno_db)[..., None] * gains)) @ weights


def ber_rayleigh(modulation: str, esno_db: ArrayLike) -> np.ndarray:
    """Bit error probability over Rayleigh fading known to the receiver.

    Each term of the AWGN sum is averaged over the exponential distribution of the symbol energy:
    E[erfc(sqrt(g x))] = 1 - sqrt(g s / (1 + g s)) for mean s (Simon and Alouini, Digital
    Communication over Fading Channels, 2nd ed., section 5.1).

    Parameters
    ----------
    modulation : str
        A key of `BITS_PER_SYMBOL`.
    esno_db : array
        Mean Es/N0.
    """
    weights, gains = gray_terms(modulation)
    x = linear(esno_db)[..., None] * gains
    # 1 - sqrt(x / (1 + x)) without the cancellation at high x
    root = np.sqrt(x / (1 + x))
    return (1 / ((1 + x) * (1 + root))) @ weights


#: Nodes of the Gauss-Legendre rule for `ber_rician`; 1e-9 of the value up to 60 dB.
RICIAN_NODES = 200


def ber_rician(modulation: str, esno_db: ArrayLike, k: float) -> np.ndarray:
    """Bit error probability over Rician fading known to the receiver.

    Each term of the AWGN sum by Craig's form, erfc(sqrt(x)) = 2/pi int_0^(pi/2) exp(-x / sin^2 t)
    dt, in which the exponential averages to the moment generating function of the symbol energy
    (Simon and Alouini, Digital Communication over Fading Channels, 2nd ed., table 2.2).

    Parameters
    ----------
    modulation : str
        A key of `BITS_PER_SYMBOL`.
    esno_db : array
        Mean Es/N0.
    k : float
        Power of the constant part over that of the other; 0 is Rayleigh fading.
    """
    weights, gains = gray_terms(modulation)
    nodes, parts = np.polynomial.legendre.leggauss(RICIAN_NODES)
    # t = pi/2 u^3 puts nodes where the integrand is narrow at high SNR
    u = (nodes + 1) / 2
    angle, share = math.pi / 2 * u**3, parts / 2 * 3 * u**2
    x = linear(esno_db)[..., None, None] * gains[:, None] / np.sin(angle) ** 2
    mean = (1 + k) / (1 + k + x) * np.exp(-k * x / (1 + k + x))
    return (mean @ share) @ weights


def design_effect(modulation: str, esno_db: float) -> float:
    """How much the bit errors of one symbol hang together over AWGN.

    The variance of the number of bit errors in a symbol, over what it would be if the bits failed
    independently (Kish's design effect). A count of n bits is worth n / effect independent ones,
    which is what a confidence interval for a simulated BER must use. Near 1 where errors are rare.
    """
    bits = BITS_PER_SYMBOL[modulation]
    if bits <= 2:
        return 1.0  # one bit an axis, and the axes are independent
    axis_bits = bits // 2
    levels = 1 << axis_bits
    sent = np.arange(levels)
    position = 2.0 * sent - (levels - 1)
    # in units where levels are 2 apart, noise on an axis has variance N0/2 (levels^2 - 1) 2/3
    sigma = math.sqrt((levels**2 - 1) / 3 / float(linear(esno_db)))
    edges = np.concatenate(([-np.inf], position[:-1] + 1, [np.inf]))
    beyond = q_function((edges[None, :] - position[:, None]) / sigma)
    decided = beyond[:, :-1] - beyond[:, 1:]
    gray = sent ^ (sent >> 1)
    wrong = np.bitwise_count(gray[:, None] ^ gray[None, :])
    mean = float((decided * wrong).sum() / levels)
    square = float((decided * wrong.astype(float) ** 2).sum() / levels)
    p = mean / axis_bits
    if p == 0:
        return 1.0
    return (square - mean**2) / (axis_bits * p * (1 - p))


def binary_entropy(p: ArrayLike) -> np.ndarray:
    """h(p) in bits."""
    p = np.asarray(p, float)
    with np.errstate(divide="ignore", invalid="ignore"):
        h = -p * np.log2(p) - (1 - p) * np.log1p(-p) / math.log(2)
    return np.where((p == 0) | (p == 1), 0.0, h)


def capacity_bsc(p: ArrayLike) -> np.ndarray:
    """Bits per use of the binary symmetric channel: 1 - h(p)."""
    return 1 - binary_entropy(p)


def capacity_bec(p: ArrayLike) -> np.ndarray:
    """Bits per use of the binary erasure channel: 1 - p."""
    return 1 - np.asarray(p, float)


def capacity_awgn(esno_db: ArrayLike) -> np.ndarray:
    """Bits per complex use over AWGN with Gaussian inputs (Shannon 1949): log2(1 + Es/N0)."""
    return np.log1p(linear(esno_db)) / math.log(2)


def gilbert_elliott_ber(p_bad: float, ber_bad: float, ber_good: float = 0.0) -> float:
    """Mean bit error rate of a Gilbert-Elliott channel."""
    return p_bad * ber_bad + (1 - p_bad) * ber_good


#: Nodes of the Gauss-Hermite rule for constellation capacities.
HERMITE_NODES = 64


def capacity_constellation(modulation: str, esno_db: ArrayLike) -> np.ndarray:
    """Bits per symbol over AWGN with the points of a constellation equally likely.

    Also called coded-modulation capacity, or mutual information (Ungerboeck, "Channel coding with
    multilevel/phase signals", IEEE Trans. Inf. Theory 28(1), 1982, equation (5)). Square QAM is
    two amplitude modulations; the mean over the noise is a Gauss-Hermite sum.

    Parameters
    ----------
    modulation : str
        A key of `BITS_PER_SYMBOL`.
    esno_db : array
        Any shape.
    """
    bits = BITS_PER_SYMBOL[modulation]
    axes = 1 if bits == 1 else 2
    levels = 1 << (bits // axes)
    points = 2.0 * np.arange(levels) - (levels - 1)
    points /= math.sqrt(float(np.mean(points**2)))
    x, w = np.polynomial.hermite.hermgauss(HERMITE_NODES)
    esno = linear(esno_db)
    found = np.empty(esno.shape)
    for index, value in np.ndenumerate(esno):
        # on one axis: energy Es / axes, noise of variance N0 / 2
        sigma = math.sqrt(axes / (2 * float(value)))
        shift = (points[:, None] - points[None, :])[:, :, None]
        noise = math.sqrt(2) * sigma * x
        exponent = -(shift**2 + 2 * shift * noise) / (2 * sigma**2)
        peak = exponent.max(axis=1, keepdims=True)
        lost = (peak[:, 0] + np.log(np.exp(exponent - peak).sum(axis=1))) / math.log(2)
        mean = float((lost @ w).mean() / math.sqrt(math.pi))
        found[index] = axes * (bits / axes - mean)
    return np.clip(found, 0, bits)

"""Closed forms against integration, sums over decision regions, and other libraries."""

import math
from itertools import pairwise

import mpmath
import numpy as np
import pytest
from scipy import integrate, stats

from channels import theory
from channels.theory import BITS_PER_SYMBOL

MODULATIONS = list(BITS_PER_SYMBOL)


def amplitude_levels(modulation):
    """Levels of an axis in rising order with energy 1 / axes, and their Gray labels."""
    bits = max(1, BITS_PER_SYMBOL[modulation] // 2)
    axes = min(2, BITS_PER_SYMBOL[modulation])
    levels = np.arange(1 << bits) * 2.0 - ((1 << bits) - 1)
    levels /= math.sqrt(axes * np.mean(levels**2))
    order = np.arange(1 << bits)
    return levels, order ^ (order >> 1), bits, axes


def regions_ber(modulation, esno_db):
    """Every pair of levels: probability of landing there, times the bits in which they differ."""
    levels, labels, bits, _ = amplitude_levels(modulation)
    sigma = mpmath.sqrt(mpmath.mpf(10) ** (-mpmath.mpf(esno_db) / 10) / 2)
    edges = [-mpmath.inf, *((levels[1:] + levels[:-1]) / 2), mpmath.inf]
    total = mpmath.mpf(0)
    for level, label in zip(levels, labels, strict=True):
        for j, other in enumerate(labels):
            chance = mpmath.ncdf((edges[j + 1] - level) / sigma)
            chance -= mpmath.ncdf((edges[j] - level) / sigma)
            total += chance * int(label ^ other).bit_count()
    return float(total / (len(levels) * bits))


@pytest.mark.parametrize("modulation", MODULATIONS)
@pytest.mark.parametrize("esno_db", [-20, 0, 7.5, 15, 25])
def test_ber_is_the_sum_over_decision_regions(modulation, esno_db):
    with mpmath.workdps(60):
        expected = regions_ber(modulation, esno_db)
    assert theory.ber_awgn(modulation, esno_db) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
    ("modulation", "ebno_db", "ber"),
    [  # Eb/N0 for a BER of 1e-5 and 1e-6: Proakis, Digital Communications, section 5.2
        ("bpsk", 9.588, 1e-5),
        ("qpsk", 9.588, 1e-5),
        ("bpsk", 10.530, 1e-6),
        ("qam16", 13.435, 1e-5),
    ],
)
def test_ber_at_textbook_points(modulation, ebno_db, ber):
    esno_db = theory.ebno_to_esno_db(ebno_db, BITS_PER_SYMBOL[modulation])
    assert math.log10(theory.ber_awgn(modulation, esno_db) / ber) == pytest.approx(0, abs=0.01)


@pytest.mark.parametrize("modulation", MODULATIONS)
@pytest.mark.parametrize("esno_db", [-5, 10, 20, 40])
def test_rayleigh_is_the_mean_over_the_fading(modulation, esno_db):
    mean = 10 ** (esno_db / 10)

    def integrand(gain):  # power of a Rayleigh gain is exponential
        return theory.ber_awgn(modulation, 10 * math.log10(gain * mean)) * math.exp(-gain)

    edges = [1e-14, *np.logspace(-6, 1, 15), 50]
    expected = sum(
        integrate.quad(integrand, a, b, epsrel=1e-9, epsabs=1e-14)[0] for a, b in pairwise(edges)
    )
    assert theory.ber_rayleigh(modulation, esno_db) == pytest.approx(expected, rel=1e-6)


def test_rayleigh_keeps_its_slope_at_high_snr():
    """BPSK falls as 1 / (4 Es/N0): Proakis, Digital Communications, section 14.3."""
    assert theory.ber_rayleigh("bpsk", 150.0) * 4e15 == pytest.approx(1, rel=1e-9)


@pytest.mark.parametrize("modulation", MODULATIONS)
@pytest.mark.parametrize("esno_db", [-5, 10, 25, 50])
def test_rician_lies_between_rayleigh_and_awgn(modulation, esno_db):
    rayleigh = float(theory.ber_rayleigh(modulation, esno_db))
    assert theory.ber_rician(modulation, esno_db, 0.0) == pytest.approx(rayleigh, rel=1e-8)
    if esno_db <= 10:
        still = float(theory.ber_awgn(modulation, esno_db))
        assert theory.ber_rician(modulation, esno_db, 1e9) == pytest.approx(still, rel=1e-6)


@pytest.mark.parametrize("k", [0.5, 4.0, 30.0])
@pytest.mark.parametrize("esno_db", [0, 12, 30])
def test_rician_is_the_mean_over_the_fading(esno_db, k):
    """The power of a gain m + d is a noncentral chi-square variable with two degrees."""
    power = stats.ncx2(2, 2 * k, scale=1 / (2 * (1 + k)))

    def integrand(log_gain):
        gain = math.exp(log_gain)
        ber = float(theory.ber_awgn("qam16", esno_db + 10 * math.log10(gain)))
        return gain * ber * power.pdf(gain)

    edges = np.linspace(-30, 4, 35)
    expected = sum(integrate.quad(integrand, a, b, epsabs=1e-15)[0] for a, b in pairwise(edges))
    assert theory.ber_rician("qam16", esno_db, k) == pytest.approx(expected, rel=1e-6)


def test_arrays_keep_their_shape():
    esno_db = np.linspace(-5, 30, 6).reshape(2, 3)
    for function in (theory.ber_awgn, theory.ber_rayleigh, theory.capacity_constellation):
        got = function("qam16", esno_db)
        assert got.shape == (2, 3)
        assert got[1, 2] == pytest.approx(float(function("qam16", 30.0)), rel=1e-12)
    rician = theory.ber_rician("qam16", esno_db, 3.0)
    assert rician.shape == (2, 3)
    assert rician[1, 2] == pytest.approx(float(theory.ber_rician("qam16", 30.0, 3.0)), rel=1e-12)


def test_unknown_modulations_are_refused():
    with pytest.raises(ValueError, match="no closed form for 'qam32'; there is: bpsk"):
        theory.ber_awgn("qam32", 3)


@pytest.mark.parametrize("x", [-3.0, 0.0, 1.0, 6.0, 20.0])
def test_q_function(x):
    assert theory.q_function(x) == pytest.approx(stats.norm.sf(x), rel=1e-12)
    assert theory.q_inverse(theory.q_function(x)) == pytest.approx(x, abs=1e-9)


@pytest.mark.parametrize("modulation", MODULATIONS)
@pytest.mark.parametrize("esno_db", [-20, -3, 5, 12, 18, 30])
def test_constellation_capacity_is_the_mutual_information(modulation, esno_db):
    """Entropy of the output minus entropy of the noise, by integration over one axis."""
    levels, _, bits, axes = amplitude_levels(modulation)
    sigma = math.sqrt(10 ** (-esno_db / 10) / 2)
    y = np.linspace(levels[0] - 12 * sigma, levels[-1] + 12 * sigma, 200_001)
    density = stats.norm.pdf(y[:, None], levels, sigma).mean(axis=1)
    logs = np.where(density > 0, density * np.log2(np.maximum(density, 1e-300)), 0)
    output = -integrate.trapezoid(logs, y)
    noise = 0.5 * math.log2(2 * math.pi * math.e * sigma**2)
    expected = axes * (output - noise)
    got = theory.capacity_constellation(modulation, esno_db)
    assert got == pytest.approx(expected, abs=2e-5)
    assert got <= min(axes * bits, theory.capacity_awgn(esno_db)) + 1e-12


def test_capacities_against_commpy():
    formulas = pytest.importorskip("commpy._informationTheory.formulas")
    for p in (0.0, 0.01, 0.11, 0.5):
        assert theory.capacity_bsc(p) == pytest.approx(formulas.channel_capacity_bsc(p), abs=1e-12)
    for db in (-10, 0, 15):
        theirs = formulas.channel_capacity_awgn(10 ** (db / 10))
        assert theory.capacity_awgn(db) == pytest.approx(theirs)


def test_capacities_at_known_points():
    assert theory.capacity_bsc(0.11) == pytest.approx(0.5, abs=1e-3)
    assert theory.capacity_bsc([0, 0.5, 1]).tolist() == [1, 0, 1]
    assert theory.capacity_bec(0.25) == 0.75
    assert theory.capacity_awgn(0.0) == pytest.approx(1)
    # binary inputs at rate 1/2 need Eb/N0 = 0.187 dB (Richardson and Urbanke, Modern Coding
    # Theory, section 4.1.9: sigma = 0.97869)
    sigma = 0.97869
    assert theory.capacity_constellation("bpsk", -10 * math.log10(2 * sigma**2)) == pytest.approx(
        0.5, abs=1e-4
    )


@pytest.mark.parametrize("modulation", MODULATIONS)
@pytest.mark.parametrize("esno_db", [0.0, 10.0, 20.0])
def test_design_effect_is_that_of_simulated_symbols(modulation, esno_db):
    levels, labels, bits, axes = amplitude_levels(modulation)
    rng = np.random.default_rng(1)
    n = 200_000
    sent = rng.integers(0, levels.size, (n, axes))
    received = levels[sent] + rng.standard_normal((n, axes)) * math.sqrt(10 ** (-esno_db / 10) / 2)
    decided = np.abs(received[..., None] - levels).argmin(axis=-1)
    errors = np.bitwise_count(labels[sent] ^ labels[decided]).sum(axis=1).astype(float)
    p = errors.mean() / (axes * bits)
    if p == 0:
        return
    effect = errors.var() / (axes * bits * p * (1 - p))
    spread = np.std((errors - errors.mean()) ** 2) / errors.var() / math.sqrt(n)
    assert theory.design_effect(modulation, esno_db) == pytest.approx(effect, rel=6 * spread + 1e-3)


def test_design_effect_where_errors_are_rare():
    assert theory.design_effect("qam1024", 45.0) == pytest.approx(1, abs=1e-3)
    assert theory.design_effect("qam1024", 200.0) == 1.0


def test_conversions():
    assert theory.ebno_to_esno_db(0, 4, 0.5) == pytest.approx(10 * math.log10(2))
    assert theory.esno_to_ebno_db(theory.ebno_to_esno_db(3.3, 6, 0.75), 6, 0.75) == pytest.approx(
        3.3
    )
    assert theory.gilbert_elliott_ber(0.1, 0.5, 0.01) == pytest.approx(0.059)

"""Fading: statistics of the gains, and error rates beside the closed forms.

Equations from M. K. Simon and M.-S. Alouini, "Digital Communication over Fading Channels",
2nd edition 2005.
"""

import math

import numpy as np
import pytest
from scipy import stats
from scipy.integrate import quad
from scipy.special import comb

from channels import Link, NoiseStream, PackedBits, SpecError
from channels.conformance import parametrize_channel_checks
from channels.media.awgn import AWGN
from channels.media.fading import Rayleigh, Rician
from channels.stage import Batch, Context
from channels.theory import BITS_PER_SYMBOL, ber_rayleigh

#: A true statement fails with about this probability.
CHANCE = 1e-6


def gains(stage, n_symbols, trials=1):
    """True gains, and those that the receiver believes in; shape (trials, n_symbols)."""
    rngs = [NoiseStream(5, "gains").generator(trial) for trial in range(trials)]
    ones = np.ones((1, n_symbols), np.complex64)
    faded, state = stage.forward(Batch(0, symbols=ones), rngs)
    back = stage.backward(faded, state)
    assert faded.symbols is not None
    assert back.gain is not None
    return faded.symbols, back.gain


def measured(spec, trials=20, n_bits=96_000):
    """Mean and standard deviation of the bit error rate; trials are independent."""
    bits = np.random.default_rng(1).integers(0, 2, n_bits, np.uint8)
    errors = Link.parse(spec).transmit(PackedBits.from_bits(bits), range(trials)).bit_errors
    return errors.mean() / n_bits, errors.std(ddof=1) / math.sqrt(trials) / n_bits


def agree(spec, exact, **options):
    mean, deviation = measured(spec, **options)
    degrees = options.get("trials", 20) - 1
    assert abs(mean - exact) < stats.t.isf(CHANCE / 2, degrees) * deviation, (mean, exact)
    assert deviation < 0.03 * exact  # or the test would say nothing


# --- gains ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stage", "envelope"),
    [
        (Rayleigh(), stats.rayleigh(scale=math.sqrt(0.5))),
        (Rayleigh(csi="estimated", error_db=-7), stats.rayleigh(scale=math.sqrt(0.5))),
        (Rician(0), stats.rice(math.sqrt(2), scale=0.5)),
        (Rician(10), stats.rice(math.sqrt(20), scale=math.sqrt(0.5 / 11))),
        (Rician(10, csi="estimated", error_db=-20), stats.rice(20**0.5, scale=(0.5 / 11) ** 0.5)),
    ],
)
def test_envelope_and_mean_power(stage, envelope):
    """Rice with factor K: |m|^2 = K / (1 + K), and scipy's b = |m| / sigma = sqrt(2 K)."""
    h, _ = gains(stage, 100_000)
    assert stats.kstest(np.abs(h[0]), envelope.cdf).pvalue > CHANCE
    power = np.abs(h[0]).astype(float) ** 2
    deviation = power.std() / math.sqrt(power.size)
    assert abs(power.mean() - 1) < stats.norm.isf(CHANCE / 2) * deviation
    if isinstance(stage, Rayleigh):
        angle = (np.angle(h[0]) / (2 * math.pi)) % 1
        assert stats.kstest(angle, "uniform").pvalue > CHANCE


@pytest.mark.parametrize("block", [1, 7, 100])
def test_gains_are_constant_in_a_block_and_independent_beyond(block):
    h, known = gains(Rician(3, block=block), 50_003)
    blocks = h[0, : 50_003 // block * block].reshape(-1, block)
    assert (blocks == blocks[:, :1]).all()
    assert np.array_equal(h, known)
    diffuse = blocks[:, 0] - blocks[:, 0].mean()
    for lag in (1, 2, 3):
        correlation = np.vdot(diffuse[:-lag], diffuse[lag:]) / np.vdot(diffuse, diffuse)
        assert abs(correlation) < 5.5 / math.sqrt(diffuse.size)


def test_one_gain_a_transmission():
    h, _ = gains(Rayleigh(block="all"), 500, trials=3000)
    assert (h == h[:, :1]).all()
    assert stats.kstest(np.abs(h[:, 0]) ** 2, "expon").pvalue > CHANCE


@pytest.mark.parametrize("stage", [Rayleigh(4, "estimated", -10), Rician(3, 4, "estimated", -10)])
def test_estimation_error_has_the_stated_variance_and_is_orthogonal(stage):
    h, known = gains(stage, 200_000)
    error = (h - known)[0, ::4].astype(complex)
    estimate = known[0, ::4].astype(complex)
    limit = stats.norm.isf(CHANCE / 2) / math.sqrt(error.size)
    assert abs((np.abs(error) ** 2).mean() / 0.1 - 1) < limit
    diffuse = estimate - stage.constant
    correlation = np.vdot(diffuse, error) / np.linalg.norm(diffuse) / np.linalg.norm(error)
    assert abs(correlation) < limit


@pytest.mark.parametrize("k_db", [None, 4])
@pytest.mark.parametrize("error_db", [None, -12])
def test_noise_keeps_its_power_and_its_variance_is_told(k_db, error_db):
    """Before the receiver: N0, whatever the gain. After equalisation: what `noise` says."""
    csi = "perfect" if error_db is None else "estimated"
    fading = Rayleigh(3, csi, error_db) if k_db is None else Rician(k_db, 3, csi, error_db)
    noise = AWGN(esno_db=9)
    noise.configure(Context(bits_per_symbol=2))
    rng = np.random.default_rng(2)
    sent = np.exp(1j * np.pi / 2 * (rng.integers(0, 4, (1, 99_999)) + 0.5)).astype(np.complex64)
    faded, state = fading.forward(Batch(0, symbols=sent), [rng])
    noisy, _ = noise.forward(faded, [rng])
    assert faded.symbols is not None
    assert noisy.symbols is not None
    added = (noisy.symbols - faded.symbols)[0].astype(complex)
    n0 = 10**-0.9
    limit = stats.norm.isf(CHANCE / 2) / math.sqrt(added.size)
    assert abs((np.abs(added) ** 2).mean() / n0 - 1) < limit
    assert abs((added.real**2).mean() / (n0 / 2) - 1) < limit * math.sqrt(2)
    back = fading.backward(noisy, state)
    assert back.symbols is not None
    standard = ((back.symbols - sent) / np.sqrt(back.noise))[0, ::3]  # one of each block
    assert stats.kstest(standard.real * math.sqrt(2), "norm").pvalue > CHANCE
    assert stats.kstest(standard.imag * math.sqrt(2), "norm").pvalue > CHANCE


# --- error rates ---------------------------------------------------------------------------------


@pytest.mark.parametrize("ebno_db", [0, 10, 22])
@pytest.mark.parametrize("modulation", ["bpsk", "qpsk", "qam16", "qam64", "qam256"])
def test_rayleigh_error_rate_is_its_closed_form(modulation, ebno_db):
    esno_db = ebno_db + 10 * math.log10(BITS_PER_SYMBOL[modulation])
    exact = float(ber_rayleigh(modulation, esno_db))
    if modulation in ("bpsk", "qpsk"):  # equation (8.102) with its I function: Proakis 13.3-7
        gamma = 10 ** (ebno_db / 10)
        assert exact == pytest.approx(0.5 * (1 - math.sqrt(gamma / (1 + gamma))), rel=1e-9)
    agree(f"{modulation}|rayleigh|awgn(ebno_db={ebno_db})", exact)


@pytest.mark.parametrize("k_db", [0, 7])
def test_rician_error_rate_is_its_closed_form(k_db):
    """Equation (5.11) in (5.3): the integral over the moment generating function."""
    k, gamma = 10 ** (k_db / 10), 10**0.5

    def integrand(theta):
        scaled = (1 + k) * math.sin(theta) ** 2
        return scaled / (scaled + gamma) * math.exp(-k * gamma / (scaled + gamma)) / math.pi

    exact = quad(integrand, 0, math.pi / 2)[0]
    agree(f"qpsk|rician(k_db={k_db})|awgn(ebno_db=5)", exact)


@pytest.mark.parametrize("error_db", [-20, -10])
def test_estimation_error_costs_what_theory_says(error_db):
    """QPSK: the estimate's power 1 - v stands against noise of N0 + v."""
    v, n0 = 10 ** (error_db / 10), 10**-1.5 / 2
    gamma = (1 - v) / (n0 + v) / 2
    exact = 0.5 * (1 - math.sqrt(gamma / (1 + gamma)))
    agree(f"qpsk|rayleigh(csi=estimated,error_db={error_db})|awgn(ebno_db=15)", exact)


@pytest.mark.parametrize(
    "text",
    [
        "qam16|rayleigh|awgn(ebno_db=9)",
        "bpsk|rayleigh(block=7, csi=estimated, error_db=-12)|awgn(esno_db=14)",
        "qam64|rician(k_db=6)|awgn(ebno_db=12)",
        "qpsk|rician(k_db=3, csi=estimated, error_db=-15)|awgn(esno_db=10)",
    ],
)
def test_links_know_their_closed_form(text):
    agree(text, Link.parse(text).ledger(48_000).facts["ber"])


@pytest.mark.parametrize(
    "text",
    [
        "qam16|rayleigh(csi=estimated, error_db=-10)|awgn(ebno_db=9)",
        "qpsk|rayleigh|phase(offset_deg=3)|awgn(ebno_db=9)",
        "qpsk|phase(offset_deg=3)|awgn(ebno_db=9)",
    ],
)
def test_links_without_a_closed_form_claim_none(text):
    assert "ber" not in Link.parse(text).ledger(48_000).facts


def test_behind_a_code_the_closed_form_is_that_of_the_channel():
    facts = Link.parse("conv|qpsk|rayleigh|awgn(esno_db=8)").ledger(1024).facts
    assert facts["channel_ber"] == float(ber_rayleigh("qpsk", 8))
    assert "ber" not in facts


def test_combining_faded_copies_is_maximum_ratio_combining():
    """BPSK, L branches, equation (9.6) with (9.8): right only if each LLR knows its own gain."""
    branches, ebno = 3, 10**0.6
    mu = math.sqrt(ebno / branches / (1 + ebno / branches))
    exact = ((1 - mu) / 2) ** branches * sum(
        comb(branches - 1 + i, i) * ((1 + mu) / 2) ** i for i in range(branches)
    )
    agree(f"repetition({branches})|bpsk|rayleigh|awgn(ebno_db=6)", exact, n_bits=48_000)


def test_block_fading_leaves_the_mean_error_rate_alone_but_bunches_errors():
    exact = float(ber_rayleigh("qpsk", 10 + 10 * math.log10(2)))
    agree("qpsk|rayleigh(block=20)|awgn(ebno_db=10)", exact, trials=40)
    _, together = measured("qpsk|rayleigh(block=200)|awgn(ebno_db=10)")
    _, apart = measured("qpsk|rayleigh|awgn(ebno_db=10)")
    assert together > 3 * apart


@parametrize_channel_checks(
    [
        "bpsk|rayleigh(block=all,csi=estimated,error_db=-15)|awgn(ebno_db=10)",
        "qpsk|rayleigh(csi=estimated,error_db=-10)|awgn(ebno_db=10)",
        "qam64|rician(3,block=20)|awgn(ebno_db=15)",
    ]
)
def test_links_conform(check, spec):
    check(spec)


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("rayleigh(block=0)", "at least 1 symbol, or all"),
        ("rayleigh(block=frame)", "all"),
        ("rayleigh(csi=estimated)", "goes with error_db"),
        ("rayleigh(error_db=-10)", "goes with error_db"),
        ("rayleigh(csi=estimated,error_db=0)", "must lie below 0 dB"),
        ("rician(k_db=10,csi=estimated,error_db=-10)", "must lie below -10.4 dB"),
        ("rician", "needs k_db"),
        ("rician(k_db=1e9)", "k_db must lie in"),
    ],
)
def test_wrong_parameters_say_what_is_right(spec, says):
    with pytest.raises(SpecError) as caught:
        Link.parse(f"qpsk|{spec}|awgn(ebno_db=3)")
    assert says in str(caught.value)

"""Phase and frequency offset, and phase noise."""

import math

import numpy as np
import pytest
from scipy import stats

from channels import Link, NoiseStream, PackedBits, SpecError
from channels.media.phase import Phase
from channels.stage import Batch
from channels.theory import q_function

CHANCE = 1e-6


def phases(stage, n_symbols, trials=1):
    """Phase of each symbol, unwrapped along a transmission; float64 (trials, n_symbols)."""
    rngs = [NoiseStream(5, "phase").generator(trial) for trial in range(trials)]
    turned, _ = stage.forward(Batch(0, symbols=np.ones((1, n_symbols), np.complex64)), rngs)
    assert turned.symbols is not None
    assert np.abs(turned.symbols) == pytest.approx(1, abs=1e-6)
    return np.unwrap(np.angle(turned.symbols.astype(complex)), axis=1)


@pytest.mark.parametrize(("modulation", "offset"), [("bpsk", 25), ("qpsk", 15), ("qpsk", 40)])
def test_error_rate_under_a_constant_offset(modulation, offset):
    """BPSK: Q(sqrt(2 Eb/N0) cos phi). QPSK: mean of Q(sqrt(2 Eb/N0) (cos phi +- sin phi))."""
    phi, root, n_bits = math.radians(offset), math.sqrt(2 * 10**0.5), 400_000
    if modulation == "bpsk":
        exact = float(q_function(root * math.cos(phi)))
    else:
        arms = np.array([math.cos(phi) + math.sin(phi), math.cos(phi) - math.sin(phi)])
        exact = float(q_function(root * arms).mean())
    bits = np.random.default_rng(1).integers(0, 2, n_bits, np.uint8)
    link = Link.parse(f"{modulation}|phase(offset_deg={offset})|awgn(ebno_db=5)")
    wrong = link.transmit(PackedBits.from_bits(bits)).bit_errors[0]
    low, high = stats.binom.ppf([CHANCE / 2, 1 - CHANCE / 2], n_bits, exact)
    assert low <= wrong <= high


def test_frequency_offset_turns_steadily():
    found = phases(Phase(offset_deg=10, frequency=0.01), 1000)[0]
    expected = math.radians(10) + 2 * math.pi * 0.01 * np.arange(1000)
    assert found == pytest.approx(expected, abs=1e-5)


def test_phase_noise_is_a_wiener_process():
    """Independent Gaussian steps of variance 2 pi linewidth; their sum grows like i."""
    linewidth, n_symbols, trials = 1e-3, 400, 500
    walk = phases(Phase(linewidth=linewidth), n_symbols, trials)
    assert np.abs(walk[:, 0]).max() < 1e-6
    steps = np.diff(walk, axis=1).ravel() / math.sqrt(2 * math.pi * linewidth)
    assert stats.kstest(steps, "norm").pvalue > CHANCE
    for i in (50, 399):
        spread = (walk[:, i] ** 2).mean() / (2 * math.pi * linewidth * i)
        low, high = stats.chi2.ppf([CHANCE / 2, 1 - CHANCE / 2], trials) / trials
        assert low < spread < high


def test_resync_starts_afresh():
    found = phases(Phase(frequency=0.002, linewidth=1e-4, resync=50), 505, trials=3)
    wrapped = (found + math.pi) % (2 * math.pi) - math.pi
    assert np.abs(wrapped[:, ::50]).max() < 1e-6
    assert np.abs(wrapped).max() < 2 * math.pi * 0.002 * 50 + 6 * math.sqrt(2 * math.pi * 1e-4 * 50)


def test_nothing_to_turn_is_nothing_turned():
    for spec in ("phase", "phase(linewidth=0.01)", "phase(resync=7)"):
        link = Link.parse(f"qpsk|{spec}|awgn(ebno_db=30)")
        for n_bits in (0, 1, 3):
            bits = PackedBits.from_bits(np.ones(n_bits, np.uint8))
            assert not link.transmit(bits, range(2)).bit_errors.any()


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("phase(linewidth=-1)", "linewidth must lie in 0..1"),
        ("phase(linewidth=2)", "linewidth must lie in 0..1"),
        ("phase(resync=0)", "at least 1 symbol"),
        ("phase(frequency=1e999)", "frequency must be finite"),
    ],
)
def test_wrong_parameters_say_what_is_right(spec, says):
    with pytest.raises(SpecError) as caught:
        Link.parse(f"qpsk|{spec}|awgn(ebno_db=3)")
    assert says in str(caught.value)

"""Simulated error rates against closed forms, from 1e-1 to 1e-5.

Each commit runs a binomial test at 1e-6 a point, so that a false alarm is rarer than a broken
machine. The slow version asks at each point whether the closed form lies in the 99 % interval, at
four times as many errors; with N points, 0.01 N are expected outside, and their number is tested.
"""

import numpy as np
import pytest
from scipy import optimize, stats

from channels import theory
from channels.bits import PackedBits, count_ones
from channels.intervals import clopper_pearson
from channels.link import Link
from channels.noise import NoiseStream

TARGETS = [1e-1, 3e-2, 1e-2, 1e-3, 1e-4, 1e-5]
MODULATIONS = list(theory.BITS_PER_SYMBOL)
#: Bits a trial: whole symbols for all, and few enough for the cache.
TRIAL_BITS = 480_000


def esno_for(modulation, ber):
    """Es/N0 in dB at which the closed form gives `ber`."""
    return optimize.brentq(
        lambda db: np.log(float(theory.ber_awgn(modulation, db)) / ber + 1e-300),
        -30,
        60,
        xtol=1e-10,
    )


def counted(text, ber, errors, seed):
    """Errors and bits of as many trials as are expected to give `errors` errors."""
    rng = np.random.default_rng(seed)
    sent = PackedBits.from_bits(rng.integers(0, 2, TRIAL_BITS, np.uint8))
    trials = max(2, round(errors / ber / TRIAL_BITS))
    got = Link.parse(text).transmit(sent, range(trials), NoiseStream(seed, text))
    return int(got.bit_errors.sum()), trials * TRIAL_BITS, got


def symbol_point(modulation, target, errors, seed):
    """Errors and bits in units of independent bits, and the closed form."""
    esno_db = esno_for(modulation, target)
    found, bits, _ = counted(f"{modulation}|awgn(esno_db={esno_db!r})", target, errors, seed)
    effect = theory.design_effect(modulation, esno_db)
    return found / effect, bits / effect


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("modulation", MODULATIONS)
def test_modulations_over_awgn(modulation, target):
    found, bits = symbol_point(modulation, target, errors=100, seed=1)
    test = stats.binomtest(round(found), round(bits), target)
    assert test.pvalue > 1e-6, f"{found / bits:.4g} where {target:.4g} was expected"


@pytest.mark.parametrize("target", TARGETS)
def test_binary_symmetric_channel(target):
    found, bits, _ = counted(f"bsc({target})", target, 1000, seed=2)
    assert stats.binomtest(found, bits, target).pvalue > 1e-6


@pytest.mark.parametrize("target", TARGETS)
def test_binary_erasure_channel(target):
    _, bits, got = counted(f"bec({target})", target, 1000, seed=3)
    assert stats.binomtest(int(count_ones(got.erased).sum()), bits, target).pvalue > 1e-6


@pytest.mark.parametrize("target", TARGETS)
def test_packet_erasure(target):
    n_packets = round(min(60_000, 2000 / target))
    sent = PackedBits.from_bits(np.zeros(8 * n_packets, np.uint8))
    trials = max(1, round(1000 / target / n_packets))
    link = Link.parse(f"packet_erasure({target}, bytes=1)")
    lost = int(count_ones(link.transmit(sent, range(trials)).erased).sum()) // 8
    assert stats.binomtest(lost, trials * n_packets, target).pvalue > 1e-6


@pytest.mark.parametrize("target", TARGETS)
def test_gilbert_elliott(target):
    """Errors come in bursts: the number of independent bits follows from the chain's memory."""
    p_bad, burst, bad = 2 * target, 10.0, 0.45
    good = (target - p_bad * bad) / (1 - p_bad)
    text = f"gilbert_elliott({p_bad}, {burst}, ber_bad={bad}, ber_good={good!r})"
    found, bits, _ = counted(text, target, 1000, seed=4)
    memory = 1 - p_bad / (burst * (1 - p_bad)) - 1 / burst
    state = p_bad * (1 - p_bad) * (bad - good) ** 2
    effect = 1 + 2 * state * memory / (1 - memory) / (target * (1 - target))
    test = stats.binomtest(round(found / effect), round(bits / effect), target)
    assert test.pvalue > 1e-6


@pytest.mark.slow
def test_closed_forms_lie_in_the_99_percent_intervals():
    targets = [1e-1, 5e-2, 2e-2, 1e-2, 5e-3, 2e-3, 1e-3, 3e-4, 1e-4, 3e-5, 1e-5]
    outside = []
    points = [(m, t) for m in MODULATIONS for t in targets]
    for modulation, target in points:
        found, bits = symbol_point(modulation, target, errors=400, seed=5)
        low, high = clopper_pearson(found, bits, 0.99)
        if not low <= target <= high:
            outside.append((modulation, target, found / bits))
    # more than this many of N true points fall outside once in 10,000 runs
    allowed = stats.binom.ppf(1 - 1e-4, len(points), 0.01)
    assert len(outside) <= allowed, outside

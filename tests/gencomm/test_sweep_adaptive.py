import math

import numpy as np
import pytest
from scipy import stats

from gencomm.codecs.contract import Status
from gencomm.sweeps.adaptive import Stop, StopRule, Trace, half_width

OK, OUT, LATE = Status.OK, Status.REJECTED, Status.TIMEOUT


def trace(values, statuses=None, errors=None, clean=0.0):
    found = Trace({"psnr": clean})
    for i, value in enumerate(values):
        found.add(
            OK if statuses is None else statuses[i],
            100 if errors is None else errors[i],
            {"psnr": value},
        )
    return found


def test_half_width_is_that_of_the_student_interval():
    values = [27.1, 26.4, 28.0, 27.7, 25.9]
    low, high = stats.t.interval(0.95, 4, np.mean(values), stats.sem(values))
    assert half_width(values) == pytest.approx((high - low) / 2, rel=1e-12)


@pytest.mark.parametrize("values", [[], [1.0], [1.0, math.inf], [1.0, math.nan]])
def test_half_width_of_too_little_is_infinite(values):
    assert half_width(values) == math.inf


def test_without_conditions_all_trials_run():
    assert StopRule(4, 20).stop(trace(range(19))) is None
    assert StopRule(4, 20).stop(trace(range(25))) == (20, Stop.MAX_TRIALS)


def test_stops_at_the_first_prefix_that_is_narrow_enough():
    values = list(np.random.default_rng(0).normal(30, 0.5, 60))
    rule = StopRule(4, 60, {"psnr": 0.25})
    expected = next(n for n in range(4, 61) if half_width(values[:n]) <= 0.25)
    assert 4 < expected < 60
    assert rule.stop(trace(values)) == (expected, Stop.HALF_WIDTH)


@pytest.mark.parametrize("batch", [1, 2, 3, 7, 60])
def test_the_answer_does_not_depend_on_the_batch(batch):
    values = list(np.random.default_rng(1).normal(30, 0.6, 60))
    rule = StopRule(3, 60, {"psnr": 0.2})
    whole, checked, found = rule.stop(trace(values)), 0, None
    while found is None:
        found = rule.stop(trace(values[: checked + batch]), checked)
        checked += batch
    assert found == whole


def test_trials_that_are_alike_prove_nothing():
    rule = StopRule(4, 20, {"psnr": 0.1})
    assert rule.stop(trace([30.0] * 19, errors=[0] * 19)) is None
    assert rule.stop(trace([30.0] * 20, errors=[0] * 20)) == (20, Stop.MAX_TRIALS)


def test_clean_trials_not_yet_seen_count():
    """Every trial so far was hit by one bit and destroyed; one in e is expected to be clean."""
    values = [12.00, 12.01, 12.02, 12.01]
    rule = StopRule(4, 20, {"psnr": 0.1})
    assert rule.stop(trace(values, errors=[1, 2, 1, 3], clean=30.0)) is None
    assert rule.stop(trace(values, errors=[90, 80, 95, 88], clean=30.0)) == (4, Stop.HALF_WIDTH)
    # a codec that errors hardly harm may stop all the same
    assert rule.stop(trace(values, errors=[1, 2, 1, 3], clean=12.1)) == (4, Stop.HALF_WIDTH)


def test_a_destroyed_or_unharmed_codec_is_not_biased():
    """80 % of trials give 12 dB, 20 % arrive clean at 30 dB: the mean is 15.6 dB."""
    rng, rule, means = np.random.default_rng(5), StopRule(4, 20, {"psnr": 0.1}), []
    for _ in range(2000):
        errors = rng.poisson(-math.log(0.2), 20)
        values = np.where(errors == 0, 30.0, 12 + 0.02 * rng.standard_normal(20))
        n, _reason = rule.stop(trace(values.tolist(), errors=errors.tolist(), clean=30.0))
        means.append(values[:n].mean())
    assert np.mean(means) == pytest.approx(15.6, abs=4 * np.std(means) / math.sqrt(2000))


def test_outages_are_counted():
    statuses = [OK, OUT, OK, OUT, OUT, OK]
    found = trace(range(6), statuses)
    assert StopRule(2, 50, max_errors=3).stop(found) == (5, Stop.MAX_ERRORS)
    assert StopRule(2, 50, max_errors=4).stop(found) is None
    assert StopRule(6, 50, max_errors=1).stop(found) == (6, Stop.MAX_ERRORS)


def test_a_decoder_that_hangs_three_times_in_a_row_ends_the_cell():
    statuses = [LATE, LATE, OK, LATE, Status.MEMORY, LATE, OK]
    assert StopRule(20, 20).stop(trace(range(7), statuses)) == (6, Stop.LIMIT)


def test_long_cells_are_looked_at_seldom_but_in_time():
    values = list(np.random.default_rng(2).normal(30, 1.0, 5000))
    n, reason = StopRule(4, 5000, {"psnr": 0.05}).stop(trace(values))
    exact = next(n for n in range(4, 5001) if half_width(values[:n]) <= 0.05)
    assert reason == Stop.HALF_WIDTH
    assert exact <= n <= 1.04 * exact


def test_under_a_condition_the_interval_counts_by_its_weight():
    """The mean over all noise moves by w times that of the hits; the clean share is known."""
    values = list(np.random.default_rng(4).normal(20, 4.0, 30))
    hits = trace(values, errors=[1] * 30, clean=30.0)
    assert StopRule(4, 30, {"psnr": 0.1}).stop(hits) == (30, Stop.MAX_TRIALS)
    hits.weight = 0.02
    expected = next(n for n in range(4, 31) if 0.02 * half_width(values[:n]) <= 0.1)
    assert StopRule(4, 30, {"psnr": 0.1}).stop(hits) == (expected, Stop.HALF_WIDTH)

"""Intervals against scipy's, and their coverage."""

import numpy as np
import pytest
from scipy.stats import binom, binomtest

from channels.intervals import clopper_pearson, wilson


@pytest.mark.parametrize(("function", "method"), [(clopper_pearson, "exact"), (wilson, "wilson")])
@pytest.mark.parametrize("level", [0.9, 0.99])
def test_equal_scipy(function, method, level):
    # scipy finds the exact interval by root search, good to about 1e-8
    for errors, trials in [(0, 1), (1, 1), (0, 50), (3, 50), (50, 50), (7, 10**6)]:
        low, high = function(errors, trials, level)
        expected = binomtest(errors, trials).proportion_ci(level, method=method)
        assert low == pytest.approx(expected.low, rel=1e-6, abs=1e-15)
        assert high == pytest.approx(expected.high, rel=1e-6)


@pytest.mark.parametrize("function", [clopper_pearson, wilson])
def test_no_trials_say_nothing(function):
    low, high = function(0, 0)
    assert (float(low), float(high)) == (0.0, 1.0)


def test_exact_coverage():
    trials = 40
    counts = np.arange(trials + 1)
    low, high = clopper_pearson(counts, trials, 0.95)
    for rate in np.linspace(0.01, 0.99, 50):
        covered = (low <= rate) & (rate <= high)
        assert binom.pmf(counts, trials, rate)[covered].sum() >= 0.95

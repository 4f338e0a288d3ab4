"""Intervals for counted errors."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import betaincinv, ndtri


def clopper_pearson(
    errors: ArrayLike, trials: ArrayLike, level: float = 0.95
) -> tuple[np.ndarray, np.ndarray]:
    """Exact two-sided interval for a binomial rate (Clopper and Pearson 1934).

    Parameters
    ----------
    errors, trials : array of int
        Counts that broadcast; ``0 <= errors <= trials``. No trials give (0, 1).
    level : float
        Coverage, at least this much at any true rate.

    Returns
    -------
    low, high : float64 arrays
    """
    errors, trials = np.broadcast_arrays(np.asarray(errors, float), np.asarray(trials, float))
    tail = (1 - level) / 2
    with np.errstate(invalid="ignore"):
        low = np.where(errors > 0, betaincinv(errors, trials - errors + 1, tail), 0.0)
        high = np.where(errors < trials, betaincinv(errors + 1, trials - errors, 1 - tail), 1.0)
    return low, high


def wilson(
    errors: ArrayLike, trials: ArrayLike, level: float = 0.95
) -> tuple[np.ndarray, np.ndarray]:
    """Score interval for a binomial rate (Wilson 1927): near-nominal coverage on average.

    Parameters and returns as for :func:`clopper_pearson`.
    """
    errors, trials = np.broadcast_arrays(np.asarray(errors, float), np.asarray(trials, float))
    z = ndtri(1 - (1 - level) / 2)
    with np.errstate(invalid="ignore", divide="ignore"):
        rate = errors / trials
        centre = (rate + z * z / (2 * trials)) / (1 + z * z / trials)
        half = z / (1 + z * z / trials)
        half = half * np.sqrt(rate * (1 - rate) / trials + z * z / (4 * trials**2))
    low = np.where(trials > 0, np.clip(centre - half, 0, 1), 0.0)
    high = np.where(trials > 0, np.clip(centre + half, 0, 1), 1.0)
    # rounding must not leave 1e-17 where nothing (or everything) was counted
    return np.where(errors == 0, 0.0, low), np.where(errors == trials, 1.0, high)

"""The bootstrap clustered by item, vectorised over everything that is measured on the items."""

from __future__ import annotations

import math

import numpy as np
from scipy.special import ndtr, stdtrit

#: Enough for the 95 % quantiles to move by less than a tenth of the interval's width.
REPLICATES = 4000


class Bootstrap:
    """Draws of items with replacement, the same for everything that is computed from them.

    One object serves all codecs and points of a table, so differences between them are paired.

    Parameters
    ----------
    n : int
        How many items there are.
    replicates : int
        How many times they are drawn.
    seed : int
    level : float
        Coverage of the intervals.

    Notes
    -----
    Percentile intervals are too short for few items. Their tails are therefore moved outwards to
    ``Phi(-t sqrt(n / (n - 1)))``, t the quantile of Student's distribution with n - 1 degrees of
    freedom: the expanded percentile interval of Hesterberg, "What teachers should know about the
    bootstrap", The American Statistician 69(4), 2015, section 5.3. One item has no interval (NaN).
    """

    def __init__(self, n: int, replicates: int = REPLICATES, seed: int = 0, level: float = 0.95):
        if n < 1:
            raise ValueError("there are no items to draw from")
        if not 0 < level < 1:
            raise ValueError(f"level must lie between 0 and 1, got {level}")
        rng = np.random.default_rng(seed)
        self.n, self.level = n, level
        #: how often each item was drawn, float64 (replicates, n)
        self.counts = rng.multinomial(n, np.full(n, 1.0 / n), size=replicates).astype(float)

    @property
    def tail(self) -> float:
        """Probability left out on either side."""
        half = (1 - self.level) / 2
        if self.n < 2:
            return half
        quantile = stdtrit(self.n - 1, half)
        return float(ndtr(quantile * math.sqrt(self.n / (self.n - 1))))

    def means(self, values: np.ndarray) -> np.ndarray:
        """Mean over the drawn items.

        Parameters
        ----------
        values : float array, shape (n, ...)
            One value an item; NaN where an item has none, which leaves it out.

        Returns
        -------
        float64 array, shape (replicates, ...); NaN where no drawn item has a value.
        """
        values = np.asarray(values, float)
        flat = values.reshape(self.n, -1)
        there = np.isfinite(flat)
        total = self.counts @ np.where(there, flat, 0.0)
        weight = self.counts @ there
        with np.errstate(invalid="ignore"):
            return (total / np.where(weight > 0, weight, np.nan)).reshape(-1, *values.shape[1:])

    def interval(self, replicates: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Low and high end over the first axis; infinities are values like others."""
        if self.n < 2:
            nothing = np.full(replicates.shape[1:], np.nan)
            return nothing, nothing
        ends = np.full((2, *replicates.shape[1:]), np.nan)
        flat = replicates.reshape(len(replicates), -1)
        for column in range(flat.shape[1]):
            seen = flat[:, column][~np.isnan(flat[:, column])]
            if seen.size:
                tails = [self.tail, 1 - self.tail]
                # inverted_cdf doesn't interpolate, which would give NaN between infinities
                found = np.quantile(seen, tails, method="inverted_cdf")
                ends.reshape(2, -1)[:, column] = found
        return ends[0], ends[1]


def item_means(values: np.ndarray) -> np.ndarray:
    """Mean over items, shape (n, ...) -> (...), leaving out NaN; NaN where there is nothing."""
    there = np.isfinite(values)
    count = there.sum(axis=0)
    total = np.where(there, values, 0.0).sum(axis=0)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)

"""Lloyd-Max quantisers of generalised Gaussian variables, and what bit errors do to them."""

from __future__ import annotations

from functools import cached_property, lru_cache

import numpy as np
from scipy.special import gamma, gammainccinv

from gencomm.codecs.fixed_length import Labels, label_table

#: Points that stand for the density, at equal steps of probability but denser in the tails.
_POINTS = 1 << 14
_ROUNDS = 300


@lru_cache(maxsize=32)
def _density_points(shape: float) -> tuple[np.ndarray, np.ndarray]:
    """Points and weights of a generalised Gaussian of variance one, symmetric about zero.

    Density c exp(-|x / s|**shape): 2 is Gaussian, 1 Laplacian, large ones flat.
    """
    # tail probability in logarithmic steps from 1 down to 1e-9, so that outer levels see a density
    edges = np.concatenate(
        [np.linspace(1, 0.02, _POINTS // 2), np.geomspace(0.02, 1e-9, _POINTS // 2)[1:]]
    )
    middle = np.sqrt(edges[1:] * edges[:-1])
    scale = np.sqrt(gamma(1 / shape) / gamma(3 / shape))
    positive = scale * gammainccinv(1 / shape, middle) ** (1 / shape)
    weight = -np.diff(edges) / 2
    points = np.concatenate([-positive[::-1], positive])
    weights = np.concatenate([weight[::-1], weight])
    return points, weights / weights.sum()


class Quantiser:
    """The quantiser of 2**width levels with the least mean squared error, and its labels.

    Lloyd's method I (Lloyd 1982; Max 1960), started from Panter and Dite's point density.

    Parameters
    ----------
    width : int
        Bits, 0 to 12.
    shape : float
        Exponent of the generalised Gaussian; its variance is one.
    labels : {"folded", "gray", "natural"}

    Attributes
    ----------
    levels : float64 array, shape (2**width,)
        Rising; each the mean of its cell.
    probability : float64 array, shape (2**width,)
        Of each cell.
    distortion : float
        Mean squared error, as a part of the variance.
    """

    def __init__(self, width: int, shape: float, labels: Labels = "folded"):
        self.width, self.shape = width, shape
        points, weights = _density_points(shape)
        total = np.concatenate([[0.0], np.cumsum(weights)])
        first = np.concatenate([[0.0], np.cumsum(weights * points)])
        second = np.concatenate([[0.0], np.cumsum(weights * points**2)])
        spread = weights ** (1 / 3) * np.abs(np.gradient(points)) ** (2 / 3)
        spread = np.cumsum(spread) / spread.sum()
        count = 1 << width
        self.levels = np.interp((np.arange(count) + 0.5) / count, spread, points)
        for round in range(_ROUNDS + 1):
            cut = np.concatenate([[0], np.searchsorted(points, self.thresholds), [points.size]])
            mass, moment = np.diff(total[cut]), np.diff(first[cut])
            levels = np.where(mass > 0, moment / np.where(mass > 0, mass, 1), self.levels)
            if round == _ROUNDS or np.abs(levels - self.levels).max() < 1e-9:
                self.probability = mass / mass.sum()
                error = np.diff(second[cut]) - 2 * self.levels * moment + self.levels**2 * mass
                self.distortion = float(error.sum() / second[-1])
                break
            self.levels = (levels - levels[::-1]) / 2  # symmetric, as the density is
        self.label = label_table(width, labels) if width else np.zeros(1, np.int64)
        self.level_of = np.argsort(self.label)

    @property
    def thresholds(self) -> np.ndarray:
        """Bounds between cells: midway between levels."""
        return (self.levels[1:] + self.levels[:-1]) / 2

    def encode(self, values: np.ndarray) -> np.ndarray:
        """Labels of values; int64, of the same shape."""
        return self.label[np.searchsorted(self.thresholds, values)]

    def decode(self, labels: np.ndarray, ber: float = 0.0) -> np.ndarray:
        """Values for labels: the mean of what was sent, given what arrived at this error rate."""
        return (self._estimates(ber) if ber > 0 else self._clean)[labels]

    @cached_property
    def _clean(self) -> np.ndarray:
        return self.levels[self.level_of]

    def _estimates(self, ber: float) -> np.ndarray:
        """By received label: sum of levels weighted with their posterior probability."""
        seen = np.arange(self.label.size)
        distance = np.bitwise_count(seen[:, None] ^ self.label[None, :]).astype(float)
        p = min(ber, 0.5)
        joint = p**distance * (1 - p) ** (self.width - distance) * self.probability
        return (joint @ self.levels) / joint.sum(axis=1)


@lru_cache(maxsize=256)
def quantiser(width: int, shape: float, labels: Labels = "folded") -> Quantiser:
    """A quantiser, designed once."""
    return Quantiser(width, shape, labels)

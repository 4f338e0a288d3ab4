"""How far a set of received pictures lies from the set of originals, as a network sees them.

A decoder that shows a fine picture of something else has a low distance here and a low PSNR; one
that blurs has it the other way round. This is a property of sets, not of pictures: with a few
hundred of them compare codecs on the same pictures only, and mind the interval.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gencomm.metrics.efficientnet import features

#: Subsets that the interval is found from, and their share of the set.
_SUBSETS, _SHARE = 100, 0.5


@dataclass(frozen=True)
class Realism:
    """Distances between two sets; 0 for sets of one law.

    Attributes
    ----------
    kernel : float
        Squared maximum mean discrepancy with the kernel (x.y / 1280 + 1)**3, without bias
        (Binkowski et al. 2018, "Demystifying MMD GANs": KID, with other features). Can be
        negative by chance.
    low, high : float
        95 % interval of `kernel`, from subsets of half the pictures, both sets alike.
    frechet : float
        Distance of two Gaussians of the sets' means and covariances (Heusel et al. 2017: FID,
        with other features). Biased upwards for small sets: only sets of one size compare.
    count : int
        Pictures in the smaller set.
    """

    kernel: float
    low: float
    high: float
    frechet: float
    count: int


def realism(
    received: Sequence[np.ndarray], originals: Sequence[np.ndarray], seed: int = 0
) -> Realism:
    """Compare sets in the 1,280 features of EfficientNet-Lite0, which was not trained here.

    Parameters
    ----------
    received, originals : sequence of uint8 (height, width, 3)
        At least 4 pictures each. Received ones in the order of their originals make the interval
        that of a comparison on the same pictures.
    seed : int
        Of the subsets.

    Raises
    ------
    ValueError
        Too few pictures, or the extra ``judges`` is not installed.
    """
    return compare(features(received), features(originals), seed)


def compare(a: np.ndarray, b: np.ndarray, seed: int = 0) -> Realism:
    """The same from features: (n, d) and (m, d)."""
    count = min(len(a), len(b))
    if count < 4 or a.ndim != 2 or a.shape[1:] != b.shape[1:]:
        raise ValueError(
            f"sets of features are (n, d) with n of 4 at least, got {a.shape} and {b.shape}"
        )
    within_a, within_b, between = _kernel(a, a), _kernel(b, b), _kernel(a, b)
    whole = _discrepancy(within_a, within_b, between)
    rng = np.random.default_rng(seed)
    size = max(2, int(_SHARE * count))
    found = []
    for _ in range(_SUBSETS):
        pick = rng.choice(count, size, replace=False)
        grid = np.ix_(pick, pick)
        found.append(_discrepancy(within_a[grid], within_b[grid], between[grid]))
    # the variance of a subset's statistic without replacement is (1 - share) / share times that
    # of the whole set's
    error = float(np.std(found)) / np.sqrt((count - size) / size)
    return Realism(whole, whole - 1.96 * error, whole + 1.96 * error, frechet(a, b), count)


def frechet(a: np.ndarray, b: np.ndarray) -> float:
    """|mean a - mean b|**2 + tr(A + B - 2 (A B)**0.5) of covariances A and B; (n, d), (m, d).

    The last trace is the sum of singular values of X Y^T, where A = X^T X and B = Y^T Y: no root
    of a matrix of d x d is taken, and sets smaller than d do no harm.
    """
    x, y = ((s - s.mean(axis=0)) / np.sqrt(len(s) - 1) for s in (a, b))
    shift = ((a.mean(axis=0) - b.mean(axis=0)) ** 2).sum()
    cross = np.linalg.svd(x @ y.T, compute_uv=False).sum()
    return float(max(0.0, shift + (x**2).sum() + (y**2).sum() - 2 * cross))


def _kernel(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return (a @ b.T / a.shape[1] + 1.0) ** 3


def _discrepancy(within_a: np.ndarray, within_b: np.ndarray, between: np.ndarray) -> float:
    """Unbiased: pairs of a picture with itself are left out."""
    parts = [(k.sum() - np.trace(k)) / (len(k) * (len(k) - 1)) for k in (within_a, within_b)]
    return float(sum(parts) - 2 * between.mean())

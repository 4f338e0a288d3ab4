"""Lloyd-Max quantisers of generalised Gaussian variables."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy.special import gamma, gammainccinv

from gencomm.bitstream.labelling import Labels
from gencomm.bitstream.quantiser_design import Density, lloyd_max
from gencomm.bitstream.scalar import ScalarQuantiser

#: Points that stand for the density, at equal steps of probability but denser in the tails.
_POINTS = 1 << 14


@lru_cache(maxsize=32)
def generalised_gaussian(shape: float) -> Density:
    """Points and weights that stand for a generalised Gaussian of variance one.

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
    return Density.of(points, weights)


@lru_cache(maxsize=256)
def quantiser(width: int, shape: float, labels: Labels = "folded") -> ScalarQuantiser:
    """The quantiser of 2**width levels with the least mean squared error; designed once.

    Parameters
    ----------
    width : int
        Bits, 0 to 12.
    shape : float
        Exponent of the generalised Gaussian; its variance is one.
    labels : {"folded", "gray", "natural"}
    """
    return lloyd_max(generalised_gaussian(shape), width, labels, symmetric=True)

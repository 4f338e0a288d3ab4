"""Principal components of aligned pictures, in whole numbers: the same on every machine.

The training set counts each picture twice, as it is and mirrored. Then the mean is symmetric and
every component is even or odd about the middle, so that the left half says it all. Components are
int8 times a step each, and sums of products of whole numbers below 2**53 are exact in double
precision in whatever order they are taken: neither batch size nor threads nor library decide a bit.
"""

from __future__ import annotations

import numpy as np

from gencomm.codecs.faces import SHAPE, SIDE
from gencomm.weights import Weights

#: Samples of half a picture.
HALF = SIDE * SIDE // 2 * 3
#: Fractional bits of the mean, and of what components add to it.
MEAN_BITS, SUM_BITS = 8, 20
#: Pictures at a time: their samples stay in a processor's cache.
_CHUNK = 32


def fold(pictures: np.ndarray) -> np.ndarray:
    """Even and odd part about the middle, each as a left half, times two.

    Parameters
    ----------
    pictures : (n, 64, 64, 3)

    Returns
    -------
    int32 array, shape (2, n, HALF)
    """
    whole = pictures.astype(np.int32)
    left, right = whole[:, :, : SIDE // 2], whole[:, :, : SIDE // 2 - 1 : -1]
    return np.stack([left + right, left - right]).reshape(2, len(whole), HALF)


def unfold(even: np.ndarray, odd: np.ndarray) -> np.ndarray:
    """Pictures of an even and an odd left half, each (n, HALF): (n, 64, 64, 3)."""
    half = (-1, SIDE, SIDE // 2, 3)
    left, right = (even + odd).reshape(half), (even - odd).reshape(half)
    return np.concatenate([left, right[:, :, ::-1]], axis=2)


class Basis:
    """Some of the components of a file of weights.

    Parameters
    ----------
    weights : Weights
        ``mean`` (uint16, HALF, in 1/256 of a level), ``even`` and ``odd`` (int8, (k, HALF)),
        and for each component, by falling deviation: ``parity`` (0 even, 1 odd; components of
        one parity follow each other in their array), ``step`` (what an int8 is worth) and
        ``deviation`` (of the coefficient over the training set).
    used : int array
        Which components.
    """

    def __init__(self, weights: Weights, used: np.ndarray):
        arrays = weights.arrays
        parity = arrays["parity"].astype(np.int64)
        place = np.where(parity, np.cumsum(parity), np.cumsum(1 - parity)) - 1
        self.step = arrays["step"].astype(np.float64)[used]
        self.mean = arrays["mean"].astype(np.float64)
        self.members = [np.flatnonzero(parity[used] == kind) for kind in (0, 1)]
        self.components = [
            arrays[name][place[used][members]].astype(np.float64)
            for name, members in zip(("even", "odd"), self.members, strict=True)
        ]
        # a mean of zero has no odd part
        self._mean_dot = self.components[0] @ self.mean * (2 / 2**MEAN_BITS)

    def analyse(self, pictures: np.ndarray) -> np.ndarray:
        """Coefficients: uint8 (n, 64, 64, 3) -> float64 (n, used)."""
        found = np.empty((len(pictures), self.step.size))
        for part, members, components in zip(
            fold(pictures).astype(np.float64), self.members, self.components, strict=True
        ):
            found[:, members] = part @ components.T
        found[:, self.members[0]] -= self._mean_dot
        return found * self.step

    def synthesise(self, coefficients: np.ndarray) -> np.ndarray:
        """Pictures: float64 (n, used) -> uint8 (n, 64, 64, 3)."""
        out = np.empty((len(coefficients), *SHAPE), np.uint8)
        for at in range(0, len(out), _CHUNK):
            out[at : at + _CHUNK] = self._synthesise(coefficients[at : at + _CHUNK])
        return out

    def _synthesise(self, coefficients: np.ndarray) -> np.ndarray:
        whole = np.rint(coefficients * (self.step * 2**SUM_BITS))
        even, odd = (
            whole[:, members] @ components
            for members, components in zip(self.members, self.components, strict=True)
        )
        even += self.mean * 2 ** (SUM_BITS - MEAN_BITS)
        samples = unfold(even, odd)
        samples *= 2.0**-SUM_BITS
        np.clip(np.rint(samples, out=samples), 0, 255, out=samples)
        return samples.astype(np.uint8)

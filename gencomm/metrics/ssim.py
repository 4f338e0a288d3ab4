"""Structural similarity, at one scale and at several.

Both look through the same Gaussian window (11 x 11, standard deviation 1.5, population
moments, K1 = 0.01, K2 = 0.03), channel by channel, where the window lies inside the picture;
the finest scale of MS-SSIM is SSIM, so measured together they share its cost (see `panel`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gencomm.metrics import _kernels
from gencomm.metrics.base import check_reference, check_values

#: Constants of Wang et al. (IEEE TIP 13(4), 2004), for samples of 0 .. 255.
C1 = (0.01 * 255.0) ** 2
C2 = (0.03 * 255.0) ** 2
#: Weights of the scales, finest first: Wang, Simoncelli, Bovik, "Multiscale structural
#: similarity for image quality assessment", Asilomar 2003.
WEIGHTS = np.array([0.0448, 0.2856, 0.3001, 0.2363, 0.1333])


@dataclass(frozen=True)
class Scale:
    """The original at one scale: planes float32 (channels, height, width), and their moments."""

    planes: np.ndarray
    mean: np.ndarray
    variance: np.ndarray


@dataclass(frozen=True)
class Pyramid:
    """The original, ready to be compared with.

    `reference` is uint8 (height, width, channels); `padding` (rows, columns) says by how much
    the planes are continued on each side, by reflection, where a side is shorter than the window.
    """

    reference: np.ndarray
    padding: tuple[int, int]
    scales: list[Scale]


def scales_for(height: int, width: int) -> int:
    """How many scales of MS-SSIM a picture has room for: all 5 from 161 samples a side on.

    pytorch-msssim asks of M scales that the shorter side be over 10 * 2^(M-1); what it refuses
    is measured here at as many scales as satisfy that.
    """
    side, scales = min(height, width), 1
    while scales < len(WEIGHTS) and side > (_kernels.WINDOW - 1) * 2**scales:
        scales += 1
    return scales


class _Structural:
    """What SSIM and MS-SSIM have in common: the terms of each scale and channel."""

    unit = ""
    higher_is_better = True
    modality = "image"
    #: metrics of one family can be scored from the terms of the one with most scales
    family = "gaussian-ssim"
    #: at most so many scales
    scales: int

    def prepare(self, reference: np.ndarray) -> Pyramid:
        reference = check_reference(reference)
        short = [side < _kernels.WINDOW for side in reference.shape[:2]]
        padding = (_kernels.WINDOW // 2 * short[0], _kernels.WINDOW // 2 * short[1])
        planes = _planes(reference, padding)
        scales = []
        for level in range(min(self.scales, scales_for(*reference.shape[:2]))):
            if level:
                planes = np.stack([_kernels.halve(plane) for plane in planes])
            inside = (
                planes.shape[0],
                planes.shape[1] - _kernels.WINDOW + 1,
                planes.shape[2] - _kernels.WINDOW + 1,
            )
            mean, variance = np.empty(inside), np.empty(inside)
            for c in range(planes.shape[0]):
                _kernels.moments(planes[c], _kernels.TAPS, mean[c], variance[c])
            scales.append(Scale(planes, mean, variance))
        return Pyramid(np.ascontiguousarray(reference), padding, scales)

    def terms(self, state: Pyramid, values: np.ndarray) -> np.ndarray:
        """Mean SSIM and mean contrast-structure term, float64 (trials, scales, channels, 2)."""
        values = check_values(values, state.reference)
        channels = state.reference.shape[2]
        found = np.empty((len(values), len(state.scales), channels, 2))
        for trial, value in enumerate(values):
            planes = _planes(value, state.padding)
            for c in range(channels):
                plane = planes[c]
                for level, scale in enumerate(state.scales):
                    if level:
                        plane = _kernels.halve(plane)
                    found[trial, level, c] = _kernels.similarity(
                        scale.planes[c], plane, scale.mean[c], scale.variance[c],
                        _kernels.TAPS, C1, C2,
                    )  # fmt: skip
        return found

    def score(self, terms: np.ndarray) -> np.ndarray:
        """One number a trial from the terms, which may have more scales than are needed."""
        raise NotImplementedError

    def measure(self, state: Pyramid, values: np.ndarray) -> np.ndarray:
        return self.score(self.terms(state, values))


class SSIM(_Structural):
    """Structural similarity (Wang et al. 2004), mean over the channels.

    That of scikit-image's ``structural_similarity`` with ``gaussian_weights=True, sigma=1.5,
    use_sample_covariance=False, data_range=255``, which averages over the places where the
    window lies inside the picture (5 samples are left out at each border).

    A side shorter than the window, 11 samples, is continued by reflection (..cba|abc|cba..) and
    all its places count; a single pixel has an SSIM too.
    """

    name = "ssim"
    label = "SSIM"
    range = (-1.0, 1.0)
    averages = "mean over places and channels of a picture; tables average it"
    scales = 1

    def score(self, terms: np.ndarray) -> np.ndarray:
        return terms[:, 0, :, 0].mean(axis=-1)


class MSSSIM(_Structural):
    """Multi-scale structural similarity (Wang et al. 2003), mean over the channels.

    That of pytorch-msssim 1.0 with ``data_range=255``: per channel the product over the scales
    of the mean contrast-structure term, at the coarsest scale the mean SSIM, each raised to the
    scale's weight; negative means count as 0; scales are halved by 2 x 2 means.

    Below 161 samples of the shorter side there are fewer scales (over 80: 4, over 40: 3, over
    20: 2, else 1), whose weights are divided by their sum. Values are comparable only between
    pictures with as many scales. Short sides: as for `SSIM`.
    """

    name = "ms_ssim"
    label = "MS-SSIM"
    range = (0.0, 1.0)
    averages = "product over scales, mean over channels of a picture; tables average it"
    scales = len(WEIGHTS)

    def score(self, terms: np.ndarray) -> np.ndarray:
        scales = terms.shape[1]
        weights = WEIGHTS[:scales] / WEIGHTS[:scales].sum()
        factors = terms[..., 1].copy()
        factors[:, -1] = terms[:, -1, :, 0]
        powers = np.maximum(factors, 0.0) ** weights[None, :, None]
        return powers.prod(axis=1).mean(axis=-1)


def _planes(picture: np.ndarray, padding: tuple[int, int]) -> np.ndarray:
    if padding != (0, 0):
        rows, columns = padding
        picture = np.pad(picture, ((rows, rows), (columns, columns), (0, 0)), mode="symmetric")
    return _kernels.split_channels(picture)

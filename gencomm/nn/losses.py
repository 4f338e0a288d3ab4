"""Distortions to train on."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

#: Weights of the five scales (Wang, Simoncelli, Bovik 2003, "Multiscale structural similarity for
#: image quality assessment", section 3.2).
SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)

#: Gaussian window: width in pixels and deviation (Wang et al. 2004, section III-C).
WINDOW, WINDOW_DEVIATION = 11, 1.5

#: Stabilising constants, relative to the range of samples (Wang et al. 2004).
K1, K2 = 0.01, 0.03

#: Smallest side that five scales of the window fit into.
LEAST_SIDE = (WINDOW - 1) * 2 ** (len(SCALE_WEIGHTS) - 1) + 1


def squared_error(x: Tensor, y: Tensor) -> Tensor:
    """Mean squared error of each picture, (batch,), from (batch, channels, h, w)."""
    return (x - y).square().mean((1, 2, 3))


def ms_ssim(x: Tensor, y: Tensor, data_range: float = 255.0) -> Tensor:
    """Multi-scale structural similarity of each picture.

    Wang, Simoncelli and Bovik 2003, with a Gaussian window and no padding; the mean over channels.
    Factors below zero count as zero.

    Parameters
    ----------
    x, y : float32 (batch, channels, h, w)
        Both sides at least LEAST_SIDE.
    data_range : float
        Largest sample minus smallest.

    Returns
    -------
    float32 (batch,)
        1 for equal pictures.

    Raises
    ------
    ValueError
        A side is too short.
    """
    if min(x.shape[2:]) < LEAST_SIDE:
        raise ValueError(f"five scales need sides of {LEAST_SIDE} pixels, got {tuple(x.shape[2:])}")
    at = torch.arange(WINDOW, device=x.device, dtype=x.dtype) - WINDOW // 2
    window = (-(at**2) / (2 * WINDOW_DEVIATION**2)).exp()
    window = window / window.sum()
    product = torch.ones(x.shape[:2], device=x.device, dtype=x.dtype)
    last = len(SCALE_WEIGHTS) - 1
    for scale, weight in enumerate(SCALE_WEIGHTS):
        luminance, contrast = _similarity(x, y, window, data_range)
        factor = luminance * contrast if scale == last else contrast
        # The mean over places first, then the power, as the authors' own program has it.
        product = product * factor.mean((2, 3)).clamp_min(1e-6) ** weight
        if scale < last:
            x, y = (F.avg_pool2d(z, 2, padding=[side % 2 for side in z.shape[2:]]) for z in (x, y))
    return product.mean(1)


def _similarity(x: Tensor, y: Tensor, window: Tensor, data_range: float) -> tuple[Tensor, Tensor]:
    """Luminance, and contrast with structure, at each place."""

    def blur(z: Tensor) -> Tensor:
        channels = z.shape[1]
        across = window.expand(channels, 1, 1, -1)
        z = F.conv2d(z, across, groups=channels)
        return F.conv2d(z, across.mT, groups=channels)

    c1, c2 = (K1 * data_range) ** 2, (K2 * data_range) ** 2
    mean_x, mean_y = blur(x), blur(y)
    square_x, square_y, both = mean_x**2, mean_y**2, mean_x * mean_y
    variance_x, variance_y = blur(x * x) - square_x, blur(y * y) - square_y
    covariance = blur(x * y) - both
    luminance = (2 * both + c1) / (square_x + square_y + c1)
    return luminance, (2 * covariance + c2) / (variance_x + variance_y + c2)

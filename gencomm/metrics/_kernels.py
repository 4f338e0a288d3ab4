"""The inner loops of the metrics, compiled by numba.

Plain IEEE arithmetic in a fixed order (no fast-math, sums kept per column), so that a value is
the same in any batch, worker and thread, and on any processor.
"""

from __future__ import annotations

import numpy as np

from channels.jit import Kernel

#: Taps of the Gaussian window, and its standard deviation: Wang et al., "Image quality
#: assessment: from error visibility to structural similarity", IEEE TIP 13(4), 2004.
WINDOW = 11
SIGMA = 1.5

_offsets = np.arange(WINDOW) - WINDOW // 2
_taps = np.exp(-0.5 * (_offsets / SIGMA) ** 2)
TAPS = _taps / _taps.sum()


@Kernel
def squared_error(reference: np.ndarray, value: np.ndarray) -> np.int64:
    """Sum of squared differences of two flat uint8 arrays; exact."""
    total = np.int64(0)
    step = 4096  # 4096 * 255**2 fits in 32 bits, which the vector units like
    for start in range(0, reference.size, step):
        part = np.int32(0)
        for i in range(start, min(start + step, reference.size)):
            difference = np.int32(reference[i]) - np.int32(value[i])
            part += np.int32(difference * difference)
        total += np.int64(part)
    return total


@Kernel
def moments(x, taps, mean, variance):
    """Gaussian mean and variance of a plane where the window lies inside it.

    x : float32 (height, width); mean, variance : float64 (height - 10, width - 10), filled.
    """
    width = x.shape[1]
    sums, squares = np.empty(width), np.empty(width)
    for i in range(mean.shape[0]):
        sums[:] = 0.0
        squares[:] = 0.0
        for k in range(taps.size):
            tap = taps[k]
            for j in range(width):
                v = np.float64(x[i + k, j])
                weighted = tap * v
                sums[j] += weighted
                squares[j] += weighted * v
        mean[i] = 0.0
        variance[i] = 0.0
        for k in range(taps.size):
            tap = taps[k]
            for j in range(mean.shape[1]):
                mean[i, j] += tap * sums[j + k]
                variance[i, j] += tap * squares[j + k]
        for j in range(mean.shape[1]):
            variance[i, j] -= mean[i, j] * mean[i, j]


@Kernel
def similarity(x, y, mean_x, variance_x, taps, c1, c2):
    """Mean SSIM and mean contrast-structure term of plane `y` against plane `x`.

    x, y : float32 (height, width); mean_x, variance_x : of `x`, as `moments` gives them.
    """
    width = x.shape[1]
    rows, columns = mean_x.shape
    sums, squares, products = np.empty(width), np.empty(width), np.empty(width)
    mean, square, product = np.empty(columns), np.empty(columns), np.empty(columns)
    whole, structure = np.zeros(columns), np.zeros(columns)
    for i in range(rows):
        sums[:] = 0.0
        squares[:] = 0.0
        products[:] = 0.0
        for k in range(taps.size):
            tap = taps[k]
            for j in range(width):
                v = np.float64(y[i + k, j])
                weighted = tap * v
                sums[j] += weighted
                squares[j] += weighted * v
                products[j] += weighted * np.float64(x[i + k, j])
        mean[:] = 0.0
        square[:] = 0.0
        product[:] = 0.0
        for k in range(taps.size):
            tap = taps[k]
            for j in range(columns):
                mean[j] += tap * sums[j + k]
                square[j] += tap * squares[j + k]
                product[j] += tap * products[j + k]
        for j in range(columns):
            mx, my = mean_x[i, j], mean[j]
            cross = mx * my
            powers = mx * mx + my * my
            cs = (2.0 * (product[j] - cross) + c2) / (variance_x[i, j] + (square[j] - my * my) + c2)
            structure[j] += cs
            whole[j] += cs * ((2.0 * cross + c1) / (powers + c1))
    n = rows * columns
    return whole.sum() / n, structure.sum() / n


@Kernel
def halve(x):
    """Means of 2 x 2 samples; an odd side gets a zero before and behind it, which counts.

    That is the rule of pytorch-msssim (average pooling with padding side % 2).
    """
    height, width = x.shape
    top, left = height % 2, width % 2
    out = np.empty(((height + 2 * top) // 2, (width + 2 * left) // 2), np.float32)
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            total = np.float32(0.0)
            for a in range(2 * i - top, 2 * i - top + 2):
                for b in range(2 * j - left, 2 * j - left + 2):
                    if 0 <= a < height and 0 <= b < width:
                        total += x[a, b]
            out[i, j] = total * np.float32(0.25)
    return out


@Kernel
def split_channels(picture):
    """uint8 (height, width, channels) to float32 (channels, height, width)."""
    height, width, channels = picture.shape
    out = np.empty((channels, height, width), np.float32)
    for i in range(height):
        for j in range(width):
            for c in range(channels):
                out[c, i, j] = picture[i, j, c]
    return out

"""Orthonormal transforms in closed form, from which learned ones start."""

from __future__ import annotations

import numpy as np

#: Rows: sum, difference and second difference of red, green and blue, orthonormal. Close to the
#: principal axes of colour in photographs.
COLOUR = np.array([[1, 1, 1], [1, 0, -1], [1, -2, 1]]) / np.sqrt([[3], [2], [6]])

#: The four Haar functions on a 2x2 square, in the order of space-to-depth.
HAAR = np.array([[1, 1, 1, 1], [1, 1, -1, -1], [1, -1, 1, -1], [1, -1, -1, 1]]) / 2


def dct_matrix(n: int) -> np.ndarray:
    """The orthonormal DCT-II, float64 (n, n), one basis function a row."""
    k, x = np.arange(n)[:, None], np.arange(n)[None]
    matrix = np.cos(np.pi * (2 * x + 1) * k / (2 * n)) * np.sqrt(2 / n)
    matrix[0] /= np.sqrt(2)
    return matrix


def colour_dct(luma: int, chroma: int, size: int = 8) -> np.ndarray:
    """Basis functions of a colour block DCT, those of greatest variance in photographs first.

    Parameters
    ----------
    luma : int
        How many functions of the colour sum are kept, lowest frequencies first.
    chroma : int
        How many of each of the two colour differences.
    size : int
        Side of the block in pixels.

    Returns
    -------
    float64 (luma + 2 chroma, 3, size, size)
        Orthonormal: with all 3 size^2 functions, a complete basis.
    """
    dct = dct_matrix(size)
    order = sorted((u + v + 0.01 * max(u, v), u, v) for u in range(size) for v in range(size))
    ranked = []
    for axis, kept in ((0, luma), (1, chroma), (2, chroma)):
        for rank, u, v in order[:kept]:
            # The differences' variance falls about twice as fast with frequency as the sum's.
            key = rank if axis == 0 else 1 + 2.2 * rank
            ranked.append((key, np.einsum("c,y,x->cyx", COLOUR[axis], dct[u], dct[v])))
    ranked.sort(key=lambda pair: pair[0])
    return np.stack([function for _, function in ranked])

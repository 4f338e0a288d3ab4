"""How the principal components are found: in one pass, without iteration."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from scipy.linalg import eigh

from gencomm.codecs.klt.basis import HALF, MEAN_BITS, SHAPE, fold

#: Pictures at a time.
_CHUNK = 1024

CARD = """
Principal components of aligned faces of 64 x 64 pixels, the mean, and each coefficient's standard
deviation. Each picture counts twice, as it is and mirrored, so that components are even or odd
about the middle; the file holds left halves as 8-bit integers with a step each. Not a network:
eigenvectors of a covariance matrix.

## Data and terms
23,802 faces of 5,720 persons from CelebA (Liu, Luo, Wang and Tang, "Deep Learning Face Attributes
in the Wild", ICCV 2015), aligned by eyes and nose, none of them in the validation and test sets.
The components are statistics of those faces; no single face can be had from them. CelebA is for
non-commercial research only: use these weights so, too.
"""


class KLTRecipe:
    """Mean, covariance, eigenvectors.

    Parameters
    ----------
    components : int or str
        How many to keep.
    """

    name, train_set, train_split, card = "klt", "faces64.npz", "train", CARD

    def __init__(self, components: int | str = 640):
        self.components = int(components)
        if not 1 <= self.components <= 2 * HALF:
            raise ValueError(f"components goes from 1 to {2 * HALF}, got {components}")

    def fit(self, pictures: Iterable[np.ndarray], out: Path) -> Path:
        """Find the components and write them to ``out/klt.safetensors``.

        Parameters
        ----------
        pictures : iterable of uint8 (64, 64, 3)
        out : Path
            A folder.
        """
        from safetensors.numpy import save_file

        arrays, count = components(pictures, self.components)
        out.mkdir(parents=True, exist_ok=True)
        path = out / f"{self.name}.safetensors"
        save_file(arrays, path, {"state": json.dumps({"pictures": count})})
        return path


def components(pictures: Iterable[np.ndarray], count: int) -> tuple[dict[str, np.ndarray], int]:
    """The arrays that `gencomm.codecs.klt.basis.Basis` reads, and how many pictures they are of.

    Raises
    ------
    ValueError
        A picture of another size, or none.
    """
    total, number = np.zeros(HALF), 0
    square = np.zeros((2, HALF, HALF))
    for chunk in _chunks(pictures):
        even, odd = fold(chunk).astype(np.float32)
        even -= 256  # near the mean, for precision
        total += even.sum(axis=0, dtype=np.float64)
        number += len(chunk)
        for matrix, part in zip(square, (even, odd), strict=True):
            matrix += part.T @ part
    if not number:
        raise ValueError("there are no pictures to find components of")
    total /= number
    square /= number
    square[0] -= np.outer(total, total)
    # of half pictures times two: a whole component [h, h] or [h, -h] of norm one has |h|**2 = 1/2
    found = [_eigenvectors(matrix, min(count, HALF)) for matrix in square]
    variance = np.concatenate([values / 2 for values, _ in found])
    parity = np.repeat([0, 1], [len(values) for values, _ in found])
    order = np.argsort(-variance, kind="stable")[:count]
    arrays = {
        "mean": np.rint((total + 256) / 2 * 2**MEAN_BITS).astype(np.uint16),
        "parity": parity[order].astype(np.uint8),
        "deviation": np.sqrt(np.maximum(variance[order], 0)).astype(np.float32),
    }
    steps = np.empty(order.size, np.float32)
    for kind, name in enumerate(("even", "odd")):
        kept = int((parity[order] == kind).sum())
        half = found[kind][1][:kept] / np.sqrt(2)
        step = (np.abs(half).max(axis=1) / 127).astype(np.float32)
        arrays[name] = np.rint(half / step[:, None].astype(np.float64)).astype(np.int8)
        steps[parity[order] == kind] = step
    return arrays | {"step": steps}, number


def _eigenvectors(matrix: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The largest eigenvalues, falling, and their vectors in rows, of a sign that is settled."""
    values, vectors = eigh(matrix, subset_by_index=(HALF - count, HALF - 1), check_finite=False)
    rows = vectors.T[::-1]
    largest = np.take_along_axis(rows, np.abs(rows).argmax(axis=1)[:, None], axis=1)
    return values[::-1], rows * np.sign(largest)


def _chunks(pictures: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    held: list[np.ndarray] = []
    for picture in pictures:
        if picture.shape != SHAPE:
            raise ValueError(f"klt takes pictures of shape {SHAPE}, got {picture.shape}")
        held.append(picture)
        if len(held) == _CHUNK:
            yield np.stack(held)
            held.clear()
    if held:
        yield np.stack(held)


recipe = KLTRecipe

"""How the principal components are found: in one pass, without iteration."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from scipy.linalg import eigh

from channels.bits import PackedBits
from gencomm.codecs.contract import Received
from gencomm.codecs.klt.basis import HALF, MEAN_BITS, SHAPE, fold
from gencomm.codecs.klt.codec import KLT
from gencomm.items import image_item

#: Pictures at a time.
_CHUNK = 1024
#: What the card shows.
POINTS: tuple[dict[str, Any], ...] = (
    {"bits": 128},
    {"bits": 256},
    {"bits": 512},
    {"bits": 1024},
    {"bits": 512, "decode": "soft"},
    {"bits": 512, "design_ber": 0.01},
    {"bits": 512, "design_ber": 0.05},
)

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
    components : int
        How many to keep.
    """

    name, train_set, train_split, card = "klt", "faces64.npz", "train", CARD
    measured_split, measured_count = "test", 400

    def __init__(self, components: int = 800):
        self.components = components
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

    def measure(self, weights: Path, pictures: list[np.ndarray]) -> list[dict[str, float | str]]:
        """PSNR of each operating point over bit error rates, with one draw of noise a picture."""
        items = [image_item(str(k), picture) for k, picture in enumerate(pictures)]
        values = np.stack(pictures).astype(np.float64)
        rows: list[dict[str, float | str]] = []
        for options in POINTS:
            codec = KLT(**options, weights=str(weights))
            sent = np.stack([one.bits.unpack() for one in codec.encode_batch(items)])
            row: dict[str, float | str] = {
                "codec": "klt(" + ", ".join(f"{k}={v}" for k, v in options.items()) + ")"
            }
            noise = np.random.default_rng(0).random(sent.shape)
            for ber in (0.0, 1e-2, 5e-2, 1e-1):
                hit = [PackedBits.from_bits(bits) for bits in sent ^ (noise < ber)]
                decoded = codec.decode_batch([Received(bits, ber=ber) for bits in hit])
                found = np.stack([np.asarray(one.value) for one in decoded])
                error = ((found - values) ** 2).reshape(len(values), -1).mean(axis=1)
                db = 10 * np.log10(255**2 / np.maximum(error, 1e-5))
                row[f"BER {ber:g}"] = float(db.mean())
            rows.append(row)
        return rows


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

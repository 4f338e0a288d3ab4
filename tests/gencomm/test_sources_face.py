"""The face that may be published: in the frame that it claims."""

from __future__ import annotations

import numpy as np
import pytest

from gencomm.sources.face import FRAME, LANDMARKS, aligned, similarity
from gencomm.sources.registry import make_source


def blob(centre: np.ndarray, shape: tuple[int, int], width: float) -> np.ndarray:
    y, x = np.mgrid[: shape[0], : shape[1]]
    light = np.exp(-((x - centre[0]) ** 2 + (y - centre[1]) ** 2) / (2 * width**2))
    return np.repeat((255 * light)[..., None], 3, 2).astype(np.uint8)


def test_similarity_is_found_and_has_no_reflection():
    a, b = 0.4 * np.exp(0.3j), 3 - 7j
    z = np.array([1 + 2j, 4 - 1j, -3j, 5])
    w = a * z + b
    points = [np.stack([p.real, p.imag], 1) for p in (z, w)]
    assert similarity(*points) == pytest.approx((a, b))


def test_a_cut_without_turning_is_the_picture_averaged():
    rng = np.random.default_rng(0)
    picture = np.kron(rng.integers(0, 256, (8, 8, 3)), np.ones((4, 4, 1))).astype(np.uint8)
    corners = np.array([(0, 0), (7, 0), (0, 7)], float)
    found = aligned(picture, 4 * corners + 1.5, corners, 8)  # middles of squares of four pixels
    assert np.abs(found.astype(int) - picture[::4, ::4]).max() <= 64  # bilinear at the seams
    flat = np.full((9, 5, 3), 77, np.uint8)
    assert np.array_equal(aligned(flat, 3 * corners - 50, corners, 8), np.full((8, 8, 3), 77))


@pytest.mark.parametrize("which", range(3))
def test_landmarks_come_to_lie_in_the_frame(which):
    """A spot of light on each landmark; its centre of mass afterwards."""
    found = aligned(blob(LANDMARKS[which], (512, 512), 5), LANDMARKS, FRAME, 64)[..., 0]
    light = found.astype(float)
    y, x = np.mgrid[:64, :64]
    centre = np.array([(x * light).sum(), (y * light).sum()]) / light.sum()
    # three points of this face don't form quite the triangle of the median face
    assert np.abs(centre - FRAME[which]).max() < 1.0


def test_the_source():
    source = make_source("face")
    [item] = list(source)
    assert item.id == "astronaut_face"
    assert item.value.shape == (64, 64, 3)
    assert "astronaut" in item.meta["origin"]
    # skin where cheeks are, on both sides of the nose: red above green above blue
    cheeks = item.value[36:42, [24, 25, 39, 40]].reshape(-1, 3).mean(0)
    assert cheeks[0] > cheeks[1] + 20 > cheeks[2] + 25
    assert cheeks[0] > 150

"""One face that may be published, framed as aligned face sets are: for demonstrations offline."""

from __future__ import annotations

import numpy as np

from gencomm.items import Item, image_item
from gencomm.sources.base import Source
from gencomm.sources.photos import Photos

#: Places in scikit-image's photograph of Eileen Collins (NASA, public domain), x and y in pixels:
#: middles of the eyes and base of the nose, found once by dlib's landmark predictor.
LANDMARKS = np.array([(203.5, 102.0), (246.5, 104.5), (224.0, 135.0)])
#: Where those lie in the faces of `faces64` (median).
FRAME = np.array([(23.2, 25.1), (40.5, 25.1), (31.9, 38.7)])
SIDE = 64
#: Samples of the photograph that make one of the picture's, along each axis: area averaging.
_WITHIN = 8


class Face(Source):
    """A portrait of 64 x 64 pixels, framed as the aligned faces that learned codecs train on.

    The face of Eileen Collins from the photograph ``astronaut``, which is in the public domain,
    turned, reduced and cut so that eyes and nose lie where they do in the set ``faces64``.
    """

    def __init__(self):
        super().__init__()

    @property
    def ids(self) -> list[str]:
        return ["astronaut_face"]

    def read(self, index: int) -> Item:
        photograph = Photos(names=("astronaut",)).read(index)
        value = aligned(photograph.value, LANDMARKS, FRAME, SIDE)
        meta = {"origin": photograph.meta["origin"], "notes": ["turned and reduced to 64 x 64"]}
        return image_item(self.ids[index], value, meta)


def similarity(source: np.ndarray, target: np.ndarray) -> tuple[complex, complex]:
    """Turn, scale and shift that bring points nearest to others, in least squares.

    Parameters
    ----------
    source, target : array, shape (n, 2)
        x and y of each.

    Returns
    -------
    a, b : complex
        x + iy of a target is about a (x + iy) + b. Without reflection the least-squares
        solution is linear in complex numbers.
    """
    z, w = (points @ np.array([1, 1j]) for points in (source, target))
    centred = z - z.mean()
    a = np.vdot(centred, w) / np.vdot(centred, centred)
    return complex(a), complex(w.mean() - a * z.mean())


def aligned(picture: np.ndarray, landmarks: np.ndarray, frame: np.ndarray, side: int) -> np.ndarray:
    """A square cut from a picture by a similarity transform, with area averaging.

    Parameters
    ----------
    picture : uint8 (height, width, 3)
    landmarks, frame : array, shape (n, 2)
        Points in the picture, and where they are to lie; x and y, pixel middles at whole numbers.
    side : int
        Of the square, in pixels.

    Returns
    -------
    uint8 array, shape (side, side, 3)
        Beyond the picture its edge is repeated.
    """
    a, b = similarity(frame, landmarks)
    step = (np.arange(side * _WITHIN) + 0.5) / _WITHIN - 0.5
    where = a * (step[None, :] + 1j * step[:, None]) + b
    x = np.clip(where.real, 0, picture.shape[1] - 1)
    y = np.clip(where.imag, 0, picture.shape[0] - 1)
    left = np.minimum(x.astype(np.int64), max(0, picture.shape[1] - 2))
    top = np.minimum(y.astype(np.int64), max(0, picture.shape[0] - 2))
    right, below = (
        np.minimum(left + 1, picture.shape[1] - 1),
        np.minimum(top + 1, picture.shape[0] - 1),
    )
    dx, dy = (x - left)[..., None], (y - top)[..., None]
    samples = (1 - dy) * ((1 - dx) * picture[top, left] + dx * picture[top, right]) + dy * (
        (1 - dx) * picture[below, left] + dx * picture[below, right]
    )
    mean = samples.reshape(side, _WITHIN, side, _WITHIN, -1).mean(axis=(1, 3))
    return np.clip(np.rint(mean), 0, 255).astype(np.uint8)

"""A camera moving over a photograph: a clip that needs no data, and says what it is."""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np
from PIL import Image

from gencomm.sources.clips import ClipSource
from gencomm.sources.photos import FILES, Photos
from gencomm.video.pyav import fraction

#: Colour photographs with enough to look at.
DEFAULT = ("coffee", "chelsea", "rocket")
#: Share of the photograph's shorter side that the camera sees, nearest and farthest.
_NEAR, _FAR = 0.35, 0.6
#: Seconds of one round of the path, of one breath of the zoom, and of one shake of the hand.
_ROUND, _BREATH, _SHAKE = 8.0, 5.0, 0.9
#: How far the hand shakes, as a share of what the camera sees.
_TREMOR = 0.004


class CameraPath(ClipSource):
    """A window that wanders over one of scikit-image's photographs, with zoom and a little shake.

    Global motion only: nothing moves in the picture itself. That flatters motion compensation, and
    codecs without it look worse than on most clips; it is here so that video works without data.

    Parameters
    ----------
    limit : int, optional
        Take only the first so many.
    width, height : int
        Of a frame; 176 x 144 by default.
    frames : int
        How many; 75 by default.
    rate : float
        Frames a second.
    names : list of str, optional
        Which photographs; see `gencomm.sources.photos`.
    start, every, segment
        See :class:`gencomm.sources.clips.ClipSource`.
    """

    def __init__(
        self,
        limit: int | None = None,
        width: int = 176,
        height: int = 144,
        frames: int = 75,
        rate: float = 25,
        names: tuple | None = None,
        start: int = 0,
        every: int = 1,
        segment: int | None = None,
    ):
        super().__init__(start, frames, every, None, segment, limit)
        if not (1 <= width <= 4096 and 1 <= height <= 4096):
            raise ValueError(f"width and height go from 1 to 4096, got {width} x {height}")
        self.width, self.height, self.rate = width, height, fraction(rate)
        self.photos = Photos(names=DEFAULT if names is None else names)
        self.frames = frames

    def __getstate__(self) -> dict:
        state = super().__getstate__()
        state.pop("_loaded", None)
        return state

    def clips(self) -> list[tuple[str, int, Fraction]]:
        length = self.start + self.every * (self.frames or 1)
        return [(f"camera path over {name}", length, self.rate) for name in self.photos.ids]

    def shape(self, clip: int) -> tuple[int, int]:
        return self.height, self.width

    @cached_property
    def _loaded(self) -> dict[int, Image.Image]:
        return {}

    def stored(self, clip: int, first: int) -> Iterator[tuple[np.ndarray, list[str]]]:
        if clip not in self._loaded:
            self._loaded.clear()
            self._loaded[clip] = Image.fromarray(self.photos.read(clip).value).convert("RGB")
        photo = self._loaded[clip]
        length = self.clips()[clip][1]
        for index in range(first, length):
            box = self.window(photo.width, photo.height, index / float(self.rate))
            size = (self.width, self.height)
            # area averaging with parts of samples: no aliasing where the camera is far
            small = photo.resize(size, Image.Resampling.BICUBIC, box=box)
            yield np.asarray(small), []

    def window(self, width: int, height: int, seconds: float) -> tuple[float, float, float, float]:
        """What the camera sees of a photograph at a time: left, top, right, bottom in pixels."""
        turn = 2 * math.pi * seconds
        zoom = (_NEAR + _FAR) / 2 + (_FAR - _NEAR) / 2 * math.cos(turn / _BREATH)
        scale = zoom * min(width / self.width, height / self.height)
        across, down = scale * self.width, scale * self.height
        x = (width - across) * (0.5 + 0.45 * math.cos(turn / _ROUND))
        y = (height - down) * (0.5 + 0.45 * math.sin(2 * turn / _ROUND))
        x += _TREMOR * across * math.sin(turn / _SHAKE)
        y += _TREMOR * down * math.cos(1.3 * turn / _SHAKE)
        x, y = min(max(x, 0.0), width - across), min(max(y, 0.0), height - down)
        return x, y, x + across, y + down

    def about(self, clip: int) -> dict[str, Any]:
        name = self.photos.ids[clip]
        origin = f"a camera path over scikit-image's photograph data/{FILES[name]}"
        return {"origin": origin, "format": "rendered"}

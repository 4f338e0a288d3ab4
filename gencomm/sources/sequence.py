"""Clips as numbered pictures in a folder."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from gencomm.sources.clips import ClipSource
from gencomm.sources.paths import expand_path
from gencomm.sources.pictures import read_picture
from gencomm.video.pyav import fraction


class Sequence(ClipSource):
    """The pictures of a folder as the frames of one clip, by the numbers in their names.

    Numbers count as numbers: ``frame2.png`` comes before ``frame10.png``.

    Parameters
    ----------
    path : str
        A folder, or a pattern such as ``${SHOTS}/foreman_*.png``.
    rate : float
        Frames a second.
    start, frames, every, size, segment, limit
        See :class:`gencomm.sources.clips.ClipSource`.
    """

    def __init__(
        self,
        path: str,
        rate: float = 25,
        start: int = 0,
        frames: int | None = None,
        every: int = 1,
        size: int | None = None,
        segment: int | None = None,
        limit: int | None = None,
    ):
        super().__init__(start, frames, every, size, segment, limit)
        self.path, self.rate = expand_path(path), fraction(rate)
        if not self.files:
            raise ValueError(
                f"{self.path} names no pictures; the source 'sequence' takes a folder of them, or "
                "a pattern such as shots/*.png"
            )
        assert self._parts, "there is a frame"

    @cached_property
    def files(self) -> list[Path]:
        """The pictures, in order."""
        folder = self.path if self.path.is_dir() else self.path.parent
        pattern = "*" if self.path.is_dir() else self.path.name
        suffixes = Image.registered_extensions()
        found = [p for p in folder.glob(pattern) if p.suffix.lower() in suffixes and p.is_file()]
        return sorted(found, key=_natural)

    def clips(self) -> list[tuple[str, int, Fraction]]:
        folder = self.path if self.path.is_dir() else self.path.parent
        return [(folder.resolve().name, len(self.files), self.rate)]

    @cached_property
    def _first(self) -> tuple[np.ndarray, list[str]]:
        return _read(self.files[0])

    def shape(self, clip: int) -> tuple[int, int]:
        height, width = self._first[0].shape[:2]
        return height, width

    def stored(self, clip: int, first: int) -> Iterator[tuple[np.ndarray, list[str]]]:
        return (_read(path) for path in self.files[first:])

    def about(self, clip: int) -> dict[str, Any]:
        last = self.files[-1].name
        return {"origin": f"{self.files[0].name} to {last}", "format": "pictures"}


def _read(path: Path) -> tuple[np.ndarray, list[str]]:
    value, meta = read_picture(path, str(path))
    notes = list(meta["notes"])
    if value.ndim == 2:
        value = np.repeat(value[:, :, None], 3, axis=2)
        notes.append("grey, as three equal channels")
    return value, notes


def _natural(path: Path) -> list[tuple[int, int, str]]:
    parts = re.split(r"(\d+)", path.name)
    return [(1, int(part), "") if part.isdigit() else (0, 0, part) for part in parts]

"""Video files, whatever FFmpeg reads."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from gencomm.sources.clips import ClipSource
from gencomm.sources.paths import expand_path
from gencomm.video.pyav import fraction
from gencomm.video.reading import Facts, frames, look

#: Suffixes by which video files of a folder are known.
SUFFIXES = frozenset(
    (
        ".mp4",
        ".m4v",
        ".mov",
        ".mkv",
        ".webm",
        ".avi",
        ".y4m",
        ".mpg",
        ".mpeg",
        ".ts",
        ".m2ts",
        ".mts",
        ".264",
        ".h264",
        ".265",
        ".hevc",
        ".ivf",
        ".obu",
        ".mjpeg",
        ".mjpg",
        ".gif",
        ".flv",
        ".wmv",
        ".ogv",
        ".3gp",
    )
)


class Clip(ClipSource):
    """A video file of any kind that FFmpeg reads (Y4M too), or all those of a folder.

    Conversions are listed in :mod:`gencomm.video.reading`; each leaves a note in the item.

    Parameters
    ----------
    path : str
        May name environment variables: ``${HOME}/clip.mp4``.
    start, frames, every, size, segment, limit
        See :class:`gencomm.sources.clips.ClipSource`.
    rate : float, optional
        Lay the frames on this many a second, by their times.
    """

    def __init__(
        self,
        path: str,
        start: int = 0,
        frames: int | None = None,
        every: int = 1,
        size: int | None = None,
        segment: int | None = None,
        limit: int | None = None,
        rate: float | None = None,
    ):
        super().__init__(start, frames, every, size, segment, limit)
        self.path = expand_path(path)
        self.rate = None if rate is None else fraction(rate)
        if not self.path.exists():
            raise ValueError(f"{self.path} doesn't exist; the source 'clip' takes a video file")
        if not self.files:
            raise ValueError(f"{self.path} holds no video files (suffixes such as .mp4, .mkv)")
        assert self._parts, "every clip has a frame"

    @cached_property
    def files(self) -> list[Path]:
        """The video files, by name."""
        if self.path.is_file():
            return [self.path]
        return sorted(p for p in self.path.iterdir() if p.suffix.lower() in SUFFIXES)

    @cached_property
    def _facts(self) -> list[Facts]:
        return [look(path, self.rate) for path in self.files]

    @cached_property
    def _names(self) -> list[str]:
        stems = [path.stem for path in self.files]
        return [path.name if stems.count(path.stem) > 1 else path.stem for path in self.files]

    def clips(self) -> list[tuple[str, int, Fraction]]:
        return [
            (name, facts.frames, facts.rate)
            for name, facts in zip(self._names, self._facts, strict=True)
        ]

    @cached_property
    def _shapes(self) -> list[tuple[int, int]]:
        found = []
        for path, facts in zip(self.files, self._facts, strict=True):
            value, _ = next(frames(path, facts))
            found.append(value.shape[:2])
        return found

    def shape(self, clip: int) -> tuple[int, int]:
        return self._shapes[clip]

    def stored(self, clip: int, first: int) -> Iterator[tuple[np.ndarray, list[str]]]:
        return frames(self.files[clip], self._facts[clip], first)

    def about(self, clip: int) -> dict[str, Any]:
        facts = self._facts[clip]
        origin = self.files[clip].name
        return {"origin": origin, "format": facts.format, "notes": list(facts.notes)}

"""What all sources of clips share: which frames, and long clips cut into segments."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from fractions import Fraction
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from gencomm.items import Item, video_item
from gencomm.sources.base import Source
from gencomm.sources.pictures import check_size

#: Frames of a segment, where not said; fewer where they would take more than `MOST_BYTES`.
SEGMENT = 300
#: What a clip's samples take at most; the codecs' processes have limits of their own.
MOST_BYTES = 96 * 2**20


class Part(NamedTuple):
    """A segment: its id, its clip, its first frame and how many, counted after `every`."""

    id: str
    clip: int
    first: int
    frames: int


class ClipSource(Source):
    """Clips of any length, as items that fit into memory.

    A clip of more than `segment` frames is cut: its items are called ``name#0000``,
    ``name#0001`` ... Each is coded on its own, as a stream that can be joined every so many seconds
    is, and only one is in memory at a time.

    Parameters
    ----------
    start, frames, every : int
        Pass over so many frames; take at most so many; and of those only each `every`-th.
    size : int, optional
        Reduce frames by area averaging until no side is longer than this many pixels.
    segment : int, optional
        Frames of an item at most; by default 300, or as many as take 96 MiB.
    limit : int, optional
        Take only the first so many items.
    """

    def __init__(
        self,
        start: int = 0,
        frames: int | None = None,
        every: int = 1,
        size: int | None = None,
        segment: int | None = None,
        limit: int | None = None,
    ):
        super().__init__(limit)
        check_size(size)
        if start < 0:
            raise ValueError(f"start must not be negative, got {start}")
        for name, value in (("frames", frames), ("every", every), ("segment", segment)):
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        self.start, self.frames, self.every = start, frames, every
        self.size, self.segment = size, segment
        self._open: tuple[int, int, Iterator[Any]] | None = None

    @abstractmethod
    def clips(self) -> list[tuple[str, int, Fraction]]:
        """Name, stored frames and rate of each clip."""

    @abstractmethod
    def shape(self, clip: int) -> tuple[int, int]:
        """Height and width of a clip's frames, as stored."""

    @abstractmethod
    def stored(self, clip: int, first: int) -> Iterator[tuple[np.ndarray, list[str]]]:
        """A clip's frames from one on, uint8 (height, width, 3), with notes of conversions."""

    def about(self, clip: int) -> dict[str, Any]:
        """Origin, format and notes of a clip, for the item's `meta`."""
        return {}

    def __getstate__(self) -> dict:
        return {**self.__dict__, "_open": None}

    @cached_property
    def _parts(self) -> list[Part]:
        found = []
        for index, (name, stored, _) in enumerate(self.clips()):
            count = len(range(self.start, stored, self.every))
            count = min(count, self.frames or count)
            if not count:
                raise ValueError(
                    f"{name} has {stored} frames, none of them from start={self.start} on"
                )
            size = self.segment or self._fitting(index)
            if count <= size:
                found.append(Part(name, index, 0, count))
                continue
            starts = range(0, count, size)
            found += [
                Part(f"{name}#{k:04d}", index, first, min(size, count - first))
                for k, first in enumerate(starts)
            ]
        return found[: self.limit]

    def _fitting(self, clip: int) -> int:
        height, width = self.shape(clip)
        if self.size is not None:
            height, width = _reduced(height, width, self.size)
        return max(1, min(SEGMENT, MOST_BYTES // (3 * height * width)))

    @property
    def ids(self) -> list[str]:
        return [part.id for part in self._parts]

    def read(self, index: int) -> Item:
        part = self._parts[index]
        name, _, rate = self.clips()[part.clip]
        first = self.start + self.every * part.first
        at, frames = self._position(part.clip, first)
        taken: list[np.ndarray] = []
        notes: dict[str, None] = {}
        for value, said in frames:
            if (at - first) % self.every == 0:
                taken.append(self._smaller(value))
                notes.update(dict.fromkeys(said))
            at += 1
            if len(taken) == part.frames:
                break
        if not taken:
            raise ValueError(f"{part.id}: no frame could be read from frame {first} of {name} on")
        self._open = (part.clip, at, frames)
        about = self.about(part.clip)
        notes = {**dict.fromkeys(about.get("notes", [])), **notes}
        if self.size is not None and max(self.shape(part.clip)) > self.size:
            notes["reduced by area averaging"] = None
        if len(taken) < part.frames:
            notes[f"ends after {len(taken)} of {part.frames} frames"] = None
        meta = {**about, "notes": list(notes), "first_frame": first, "every": self.every}
        return video_item(part.id, _stacked(taken, part.id), rate / self.every, meta)

    def _position(self, clip: int, first: int) -> tuple[int, Iterator[Any]]:
        """Where the frames go on: from where the last item ended, if that is before."""
        kept, self._open = self._open, None
        if kept is not None and kept[0] == clip and kept[1] <= first:
            at, frames = kept[1], kept[2]
            for _ in range(first - at):
                next(frames, None)
            return first, frames
        return first, self.stored(clip, first)

    def _smaller(self, value: np.ndarray) -> np.ndarray:
        if self.size is None or max(value.shape[:2]) <= self.size:
            return value
        height, width = _reduced(value.shape[0], value.shape[1], self.size)
        small = Image.fromarray(value).resize((width, height), Image.Resampling.BOX)
        return np.asarray(small)


def _reduced(height: int, width: int, size: int) -> tuple[int, int]:
    if max(height, width) <= size:
        return height, width
    scale = size / max(height, width)
    return max(1, round(height * scale)), max(1, round(width * scale))


def _stacked(frames: list[np.ndarray], name: str) -> np.ndarray:
    shapes = {frame.shape for frame in frames}
    if len(shapes) > 1:
        sizes = ", ".join(sorted(f"{w} x {h}" for h, w, _ in shapes))
        raise ValueError(f"{name}: its frames differ in size: {sizes}")
    value = np.stack(frames)
    value.flags.writeable = False
    return value

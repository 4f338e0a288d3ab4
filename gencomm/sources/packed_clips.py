"""Clips of a packed set: pictures end to end, with the clip that each belongs to."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from gencomm.sources.clips import ClipSource
from gencomm.sources.packed import Packed
from gencomm.video.pyav import fraction


class PackedClips(ClipSource):
    """Clips of a packed set: as :class:`gencomm.sources.packed.Packed`, with two arrays more.

    ``clip`` (one whole number a picture; a clip's frames follow one another) and ``rate``
    (frames a second, one number or one a picture). A clip is called what the names of its frames
    begin with.

    Parameters
    ----------
    path : str
        May name environment variables: ``${GENCOMM_DATA}/heads64.npz``.
    split : str or int, optional
        Take only this part: ``train``, ``validation``, ``test``, or the number that stands there.
    start, frames, every, size, segment, limit
        See :class:`gencomm.sources.clips.ClipSource`.
    """

    def __init__(
        self,
        path: str,
        split: int | str | None = None,
        start: int = 0,
        frames: int | None = None,
        every: int = 1,
        size: int | None = None,
        segment: int | None = None,
        limit: int | None = None,
    ):
        super().__init__(start, frames, every, size, segment, limit)
        self._pictures = Packed(path, split=split)
        self.path = self._pictures.path
        assert self._clips, "a set has a picture, and so a clip"

    def __getstate__(self) -> dict:
        state = super().__getstate__()
        state.pop("_clips", None)
        return state

    @cached_property
    def _clips(self) -> list[tuple[str, range, Fraction]]:
        """Name, pictures and rate of each clip."""
        names = self._pictures.ids
        with np.load(self.path, allow_pickle=False) as arrays:
            missing = {"clip", "rate"} - set(arrays.files)
            if missing:
                raise ValueError(
                    f"{self.path} is a packed set without clips: it lacks the arrays "
                    f"{', '.join(sorted(missing))}; the source 'packed' takes its pictures"
                )
            clip, rate, every = arrays["clip"], arrays["rate"], arrays["names"]
        where = {str(name): k for k, name in enumerate(every)}
        if clip.shape != every.shape or rate.ndim > 1 or rate.size not in (1, every.size):
            raise ValueError(f"{self.path}: clip and rate don't fit its {every.size} pictures")
        chosen = np.array([where[name] for name in names])
        edges = np.flatnonzero(np.diff(clip[chosen])) + 1
        found = []
        for first, last in zip([0, *edges], [*edges, len(chosen)], strict=True):
            here = float(rate.reshape(-1)[0 if rate.size == 1 else chosen[first]])
            found.append((_common(names[first:last]), range(first, last), fraction(here)))
        if len({name for name, _, _ in found}) < len(found):  # names that don't tell
            found = [(f"{name}-{k}", *rest) for k, (name, *rest) in enumerate(found)]
        return found

    def clips(self) -> list[tuple[str, int, Fraction]]:
        return [(name, len(pictures), rate) for name, pictures, rate in self._clips]

    def shape(self, clip: int) -> tuple[int, int]:
        height, width = self._pictures.read(self._clips[clip][1][0]).value.shape[:2]
        return height, width

    def stored(self, clip: int, first: int) -> Iterator[tuple[np.ndarray, list[str]]]:
        for index in self._clips[clip][1][first:]:
            value = self._pictures.read(index).value
            if value.ndim == 2:
                value = np.repeat(value[:, :, None], 3, axis=2)
            yield value, []

    def about(self, clip: int) -> dict[str, Any]:
        return {"origin": Path(self.path).name, "format": "packed set"}


def _common(names: list[str]) -> str:
    """What the first and last name begin with, without the number."""
    first, last = names[0], names[-1]
    if len(names) > 1 and len(first) == len(last):
        same = next((k for k, (a, b) in enumerate(zip(first, last, strict=True)) if a != b), 0)
        stem = first[:same].rstrip("0123456789").rstrip("_-.")
        if len(stem) > 1:
            return stem
    return first

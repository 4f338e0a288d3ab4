"""Frames that a decoder gave, put in their places: what makes of any stream a clip of N frames."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gencomm.video.session import Session

#: Shown where nothing has been decoded yet.
GREY = 128


@dataclass(frozen=True)
class Shown:
    """A frame that a decoder gave.

    Attributes
    ----------
    value : uint8 array, shape (height, width, 3), or None
        None where it is of another size or format than the clip.
    time : int or None
        When it is to be shown, in frames, as the stream says; None where it doesn't say.
    key : bool
        Whether it was coded without reference to others.
    """

    value: np.ndarray | None
    time: int | None = None
    key: bool = False


@dataclass
class Counts:
    """What became of a clip's frames.

    Attributes
    ----------
    missing : int
        Places for which no frame came; the one before is shown again.
    superfluous : int
        Frames for which there was no place.
    wrong_size : int
        Frames of another size or format, not shown.
    held : int
        Frames not shown by policy, because a picture before them was damaged.
    errors : int
        Units of the stream that the decoder refused.
    """

    missing: int = 0
    superfluous: int = 0
    wrong_size: int = 0
    held: int = 0
    errors: int = 0

    def __str__(self) -> str:
        words = {
            "missing": "missing",
            "superfluous": "too many",
            "wrong_size": "of a wrong size",
            "held": "held by policy",
            "errors": "units refused",
        }
        return ", ".join(f"{getattr(self, k)} {w}" for k, w in words.items() if getattr(self, k))


def places(times: Sequence[int | None], frames: int) -> list[int | None]:
    """A place in the clip for each frame a decoder gave, in the order given.

    Where as many frames came as were sent, they are in order. Otherwise the times that the stream
    gives are believed where they rise: the longest rising sequence of them stands, since damage
    makes times fall out of line rather than agree. A frame without a credible time goes to the
    place after its predecessor, if that is free.

    Returns
    -------
    list of int or None
        Rising; None for frames without a place.
    """
    if len(times) == frames and all(t is None or t == i for i, t in enumerate(times)):
        return list(range(frames))
    chain = _rising([t if t is not None and 0 <= t < frames else None for t in times])
    if not chain and len(times) == frames:
        return list(range(frames))
    found: list[int | None] = [None] * len(times)
    for index in chain:
        found[index] = times[index]
    ahead, limit = frames, [frames] * len(times)
    for index in reversed(range(len(times))):  # the next place that is taken
        limit[index] = ahead
        if found[index] is not None:
            ahead = found[index] or 0
    last = -1
    for index, place in enumerate(found):
        if place is None and last + 1 < limit[index]:
            found[index] = last + 1
        if found[index] is not None:
            last = found[index] or 0
    return found


def _rising(values: list[int | None]) -> list[int]:
    """Indices of a longest strictly rising subsequence, None left out (patience sorting)."""
    tops: list[int] = []
    tails: list[int] = []
    before: list[int] = [-1] * len(values)
    for index, value in enumerate(values):
        if value is None:
            continue
        at = bisect_left(tops, value)
        before[index] = tails[at - 1] if at else -1
        if at == len(tops):
            tops.append(value)
            tails.append(index)
        else:
            tops[at], tails[at] = value, index
    chain, index = [], tails[-1] if tails else -1
    while index >= 0:
        chain.append(index)
        index = before[index]
    return chain[::-1]


def assemble(
    shown: Sequence[Shown], session: Session, counts: Counts, until_key: bool
) -> np.ndarray | None:
    """A clip of the session's frames and size from what a decoder gave.

    Parameters
    ----------
    shown : sequence of Shown
        In the order given.
    session : Session
    counts : Counts
        Added to.
    until_key : bool
        Policy: after a missing frame show the last good one until the next key frame.

    Returns
    -------
    uint8 array, shape (frames, height, width, 3), or None
        None where no frame of the right size came.
    """
    counts.wrong_size += sum(one.value is None for one in shown)
    good = [one for one in shown if one.value is not None]
    if not good:
        return None
    where = places([one.time for one in good], session.frames)
    counts.superfluous += sum(place is None for place in where)
    by_place = {place: one for place, one in zip(where, good, strict=True) if place is not None}
    value = np.empty((session.frames, session.height, session.width, 3), np.uint8)
    broken = False
    for index in range(session.frames):
        one = by_place.get(index)
        if one is None:
            counts.missing += 1
            broken = True
        elif until_key and broken and not one.key:
            counts.held += 1
            one = None
        else:
            broken = False
        if one is not None and one.value is not None:
            value[index] = one.value
        else:
            value[index] = value[index - 1] if index else GREY
    return value

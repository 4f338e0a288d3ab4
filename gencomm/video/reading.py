"""One way to read a video file: every conversion noted, every misfit named.

What comes out is 8-bit RGB at a constant rate. On the way:

======================  =======================================================================
found in the file       treatment
======================  =======================================================================
sound, subtitles        left out, with a note
several video tracks    the first that isn't a cover picture
rotation metadata       turned upright, in quarter turns; other angles are refused
10 bits and more        rounded to 8 by swscale
grey                    three equal channels
4:2:2, 4:4:4, palettes  RGB by swscale, cubic, with accurate rounding
BT.709, BT.2020 tags    that matrix; without a tag BT.601 below 720 lines and BT.709 above
transparency            dropped
variable frame rate     laid on a constant rate: the frame that is on the screen at each tick
interlacing             left as it is, both fields in a frame
pixels not square       left as stored
a size that changes     refused at the frame where it does
======================  =======================================================================
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from gencomm.video.colour import BT601, ToRGB
from gencomm.video.pyav import fraction, pyav

#: More pixels than this in a frame are not decoded: 8192 x 8192.
MAX_PIXELS = 2**26
#: Intervals between frames may differ by this factor before a rate counts as variable: containers
#: round times to milliseconds, which makes 33 and 34 of 29.97 frames a second.
JITTER = 1.6
#: Rates that a variable one is laid on, unless a rate is asked for.
_HD_LINES = 720
_BT709, _BT2020 = 1, 9  # swscale's numbers of the matrices
_MATRICES = {1: _BT709, 5: BT601, 6: BT601, 9: _BT2020, 10: _BT2020}


class ClipError(ValueError):
    """A clip that can't be used; the message begins with its name."""


@dataclass(frozen=True)
class Facts:
    """What a file says of itself, found without decoding it.

    Attributes
    ----------
    rate : Fraction
        Frames a second that it is read at.
    frames : int
        How many there are at that rate.
    order : tuple of int, or None
        For a variable rate: which of the stored frames is shown at each tick.
    notes : tuple of str
        Conversions that are known so far.
    format : str
        Container and codec.
    """

    rate: Fraction
    frames: int
    order: tuple[int, ...] | None
    notes: tuple[str, ...]
    format: str


def _open(path: Path) -> Any:
    av = pyav()
    try:
        return av.open(str(path))
    except (av.FFmpegError, OSError, ValueError) as error:
        what = "is empty" if path.stat().st_size == 0 else "is no video file that FFmpeg reads"
        raise ClipError(f"{path} {what}: {error}") from error


def _stream(container: Any, path: Path) -> Any:
    av = pyav()
    covers = av.stream.Disposition.attached_pic
    streams = [s for s in container.streams.video if not s.disposition & covers]
    if not streams:
        kinds = ", ".join(sorted({str(s.type) for s in container.streams})) or "nothing"
        raise ClipError(f"{path} has no video track; it holds {kinds}")
    return streams[0]


def look(path: Path, rate: Fraction | None = None) -> Facts:
    """Read a file's headers and time stamps.

    Parameters
    ----------
    path : Path
    rate : Fraction, optional
        Take this rate instead of the file's own: frames are laid on it by their times.

    Raises
    ------
    ClipError
        No video file, no video track, or no frame in it.
    """
    av = pyav()
    with _open(path) as container:
        stream = _stream(container, path)
        others = [s.type for s in container.streams if s is not stream]
        notes = [f"{kind} left out" for kind in dict.fromkeys(map(str, others))]
        context = stream.codec_context
        if context.width * context.height > MAX_PIXELS:
            raise ClipError(
                f"{path} has frames of {context.width} x {context.height} pixels, more than the "
                f"limit of {MAX_PIXELS}"
            )
        shape = stream.sample_aspect_ratio
        if shape and shape != 1:
            notes.append(f"pixels are not square ({shape}); left as stored")
        base = stream.time_base
        times: list[Fraction | None] = []
        try:
            for packet in container.demux(stream):
                if packet.size:
                    pts = packet.pts
                    times.append(None if pts is None or base is None else pts * base)
        except av.FFmpegError as error:
            notes.append(f"breaks off: {error}")
        own = stream.average_rate or stream.guessed_rate or stream.base_rate
        form = f"{container.format.name.split(',')[0]}, {context.codec.name}"
    if not times:
        raise ClipError(f"{path} holds no frames")
    stamps = sorted(t for t in times if t is not None)
    if len(stamps) < len(times):  # a bare stream: frames follow one another
        chosen = rate or fraction(own or 25)
        return Facts(chosen, len(times), None, tuple(notes), form)
    gaps = [b - a for a, b in pairwise(stamps)]
    steady = not gaps or (min(gaps) > 0 and max(gaps) <= JITTER * min(gaps))
    mean = len(gaps) / (stamps[-1] - stamps[0]) if gaps and stamps[-1] > stamps[0] else None
    found = fraction(own or mean or 25)
    if steady and mean is not None and abs(float(mean / found) - 1) > 0.01:
        found = fraction(mean)
    chosen = rate or found
    if steady and chosen == found:
        return Facts(chosen, len(times), None, tuple(notes), form)
    if not steady and rate is None:
        # the finest interval that is common enough to be meant, as a rate
        chosen = fraction(1 / sorted(gaps)[len(gaps) // 10] if min(gaps) > 0 else found)
    last = stamps[-1] + (gaps[-1] if gaps else 1 / chosen) - stamps[0]
    ticks = max(1, round(last * chosen))
    exact = [float(t - stamps[0]) + 1e-6 for t in stamps]
    shown = np.searchsorted(exact, [k / float(chosen) + 2e-6 for k in range(ticks)], side="right")
    order = tuple(int(i) for i in np.clip(shown - 1, 0, len(stamps) - 1))
    what = "variable frame rate" if not steady else f"{found} frames a second"
    notes.append(f"{what} laid on {chosen} a second: {len(stamps)} frames stored, {ticks} shown")
    return Facts(chosen, ticks, order, tuple(notes), form)


def frames(path: Path, facts: Facts, start: int = 0) -> Iterator[tuple[np.ndarray, list[str]]]:
    """Decode a file from one of its frames on, one frame at a time.

    Parameters
    ----------
    path : Path
    facts : Facts
        As :func:`look` gave them.
    start : int
        The first frame, counted at the constant rate. Those before it are decoded and passed over.

    Yields
    ------
    value : uint8 array, shape (height, width, 3)
    notes : list of str
        Conversions of this frame.

    Raises
    ------
    ClipError
        Damaged, of changing size, or turned by an odd angle.
    """
    wanted = None if facts.order is None else facts.order
    scaler = ToRGB()
    with _open(path) as container:
        stored = _stored(container, path)
        if wanted is None:
            for index, frame in enumerate(stored):
                if index >= start:
                    yield _rgb(scaler, frame, path, index)
            return
        index, current = -1, None
        for tick in range(start, len(wanted)):
            while index < wanted[tick]:
                frame = next(stored, None)
                if frame is None:
                    break
                index, current = index + 1, frame
            if current is None:
                return
            yield _rgb(scaler, current, path, index)


def _stored(container: Any, path: Path) -> Iterator[Any]:
    """The stored frames; all of one size."""
    av = pyav()
    stream = _stream(container, path)
    stream.thread_type = "NONE"
    stream.codec_context.thread_count = 1
    size, index = None, 0
    try:
        for frame in container.decode(stream):
            size = size or (frame.width, frame.height)
            if (frame.width, frame.height) != size:
                raise ClipError(
                    f"{path} changes its size at frame {index}, from {size[0]} x {size[1]} to "
                    f"{frame.width} x {frame.height}; take fewer frames"
                )
            yield frame
            index += 1
    except av.FFmpegError as error:
        raise ClipError(
            f"{path} is damaged or truncated after {index} frames: {error}"
            + (f"; take frames={index} at most" if index else "")
        ) from error


def _rgb(scaler: ToRGB, frame: Any, path: Path, index: int) -> tuple[np.ndarray, list[str]]:
    notes = []
    bits = max((part.bits for part in frame.format.components), default=8)
    if bits > 8:
        notes.append(f"{bits}-bit samples rounded to 8 bits")
    if frame.format.name.startswith(("gray", "ya", "mono")):
        notes.append("grey, as three equal channels")
    elif any(part.is_alpha for part in frame.format.components):
        notes.append("transparency dropped")
    if frame.interlaced_frame:
        notes.append("interlaced; both fields in a frame")
    hd = frame.height >= _HD_LINES
    matrix = _MATRICES.get(int(frame.colorspace), _BT709 if hd else BT601)
    value = scaler(frame, frame.height, frame.width, matrix)
    turn = frame.rotation
    if turn:
        if turn % 90:
            raise ClipError(
                f"{path} is turned by {turn} degrees at frame {index}; only quarter turns are known"
            )
        value = np.rot90(value, turn // 90)
        notes.append(f"turned upright by its rotation of {turn % 360} degrees")
    return np.ascontiguousarray(value), notes

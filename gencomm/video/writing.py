"""Writing clips that people look at: H.264 in MP4, as browsers and phones play it."""

from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from gencomm.video.colour import frames
from gencomm.video.pyav import pyav

#: Constant rate factor of what is written: transparent to the eye.
CRF = 16
#: Frames smaller than this many lines are enlarged by a whole factor, so that they can be seen.
LINES = 240
_GAP = 4


class Writer:
    """Writes pictures of one size to an MP4, one by one; nothing is kept in memory.

    The file is written under another name and takes its own when it is whole.

    Parameters
    ----------
    path : path
        ``.mp4`` (or another suffix of a container that takes H.264).
    rate : Fraction
    """

    def __init__(self, path: str | Path, rate: Fraction):
        self.path, self.rate = Path(path), Fraction(rate)
        self._part = self.path.with_name(f".{self.path.stem}.part{self.path.suffix}")
        self._container: Any = None
        self._stream: Any = None
        self._count = 0

    def __enter__(self) -> Writer:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        av = pyav()
        try:
            self._container = av.open(str(self._part), "w")
        except (av.FFmpegError, ValueError) as error:
            raise ValueError(f"{self.path} can't be written as a video: {error}") from error
        return self

    def add(self, picture: np.ndarray) -> None:
        """One frame, uint8 (height, width, 3)."""
        [frame] = frames(picture[None])
        if self._stream is None:
            self._stream = self._container.add_stream("libx264", rate=self.rate)
            self._stream.width, self._stream.height = frame.width, frame.height
            self._stream.pix_fmt = "yuv420p"
            self._stream.options = {"crf": str(CRF), "preset": "veryfast", "threads": "1"}
        frame.pts, frame.time_base = self._count, 1 / self.rate
        self._count += 1
        self._container.mux(self._stream.encode(frame))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._stream is not None and error is None:
            self._container.mux(self._stream.encode(None))
        self._container.close()
        if error is None and self._count:
            os.replace(self._part, self.path)
        else:
            self._part.unlink(missing_ok=True)


def side_by_side(original: np.ndarray, received: np.ndarray) -> np.ndarray:
    """Two pictures of one size beside each other, small ones enlarged."""
    factor = max(1, -(-LINES // original.shape[0]))
    gap = np.full((original.shape[0] * factor, _GAP, 3), 255, np.uint8)
    first, second = (one.repeat(factor, 0).repeat(factor, 1) for one in (original, received))
    return np.concatenate([first, gap, second], axis=1)

"""RGB to Y'CbCr 4:2:0 and back by swscale, at its most exact: the same samples on every machine.

ITU-R BT.601, in video range (luma 16..235) or full range. swscale's defaults round carelessly and
cost up to 6 dB of what a codec could reach: cubic filters for chroma, accurate rounding and full
chroma in both directions, bit-exact (no processor's shortcuts), take a millisecond a CIF frame.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from gencomm.video.pyav import pyav

#: swscale's number of the matrix of BT.601.
BT601 = 5


def exact() -> Any:
    """swscale's flags."""
    flag = pyav().video.reformatter.Interpolation
    chroma = flag.FULL_CHR_H_INT | flag.FULL_CHR_H_INP
    return flag.BICUBIC | flag.ACCURATE_RND | flag.BITEXACT | chroma


def padded(side: int, least: int = 2) -> int:
    """The even number of samples that a side is continued to."""
    return max(least, side + side % 2)


def frames(value: np.ndarray, full: bool = False, least: int = 2) -> Iterator[Any]:
    """A clip as frames for an encoder.

    Sides are continued by repetition to even numbers, and to `least` samples.

    Parameters
    ----------
    value : uint8 array, shape (frames, height, width, 3)
    full : bool
        Full range (0..255) instead of video range.
    least : int
        Least side that an encoder takes, even.

    Yields
    ------
    av.VideoFrame
        Of format ``yuv420p``, or ``yuvj420p`` in full range.
    """
    av = pyav()
    scaler, flags = av.video.reformatter.VideoReformatter(), exact()
    rows, columns = padded(value.shape[1], least), padded(value.shape[2], least)
    pad = ((0, rows - value.shape[1]), (0, columns - value.shape[2]), (0, 0))
    for picture in value:
        whole = (
            np.pad(picture, pad, mode="edge") if (rows, columns) != picture.shape[:2] else picture
        )
        yield scaler.reformat(
            av.VideoFrame.from_ndarray(np.ascontiguousarray(whole), format="rgb24"),
            format="yuvj420p" if full else "yuv420p",
            dst_colorspace=BT601,
            interpolation=flags,
            threads=1,
        )


class ToRGB:
    """Turns decoded frames into samples, with one scaler for all."""

    def __init__(self) -> None:
        self._scaler, self._flags = pyav().video.reformatter.VideoReformatter(), exact()

    def __call__(self, frame: Any, height: int, width: int, matrix: int = BT601) -> np.ndarray:
        """Samples of a frame, cut to a size: uint8 (height, width, 3)."""
        made = self._scaler.reformat(
            frame, format="rgb24", src_colorspace=matrix, interpolation=self._flags, threads=1
        )
        return np.ascontiguousarray(made.to_ndarray()[:height, :width])

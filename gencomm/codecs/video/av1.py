"""AV1 by SVT-AV1, decoded by dav1d.

Settings, measured at 64x64 (experiments/video): tuned for PSNR; preset 2 for small frames (4 to
7 % fewer bits than preset 4), 4 for others, where 2 would take too long. One thread, so that the
stream is the same on every machine.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from gencomm.codecs.video.base import SMALL, FFmpegCodec
from gencomm.codecs.video.streams import open_units, temporal_units

_DELIMITER = b"\x12\x00"
_SEQUENCE = 1


class AV1(FFmpegCodec):
    """AV1 by SVT-AV1.

    Parameters
    ----------
    crf : float, optional
        Constant rate factor, 1 (best) to 63; 35 by default.
    bpp, bps : float, optional
        Instead: bits per pixel, or bits per second, of the counted stream; never overdrawn.
    gop : int
        Frames from key frame to key frame.
    preset : int, optional
        SVT-AV1's, 0 (slowest) to 13; by default 2 up to 128x128 pixels, and 4 beyond.

    Notes
    -----
    AV1 has no slices and dav1d no concealment: a frame whose data are found damaged is not shown,
    and what its entropy decoder doesn't notice is.
    """

    name = "av1"
    encoder, decoder = "libsvtav1", "libdav1d"
    ladder: ClassVar = [float(q) for q in range(63, 0, -1)]
    default, step = 35, 1.06
    least = 64
    prefixes = (_DELIMITER,)

    def __init__(
        self,
        crf: float | None = None,
        bpp: float | None = None,
        bps: float | None = None,
        gop: int = 250,
        preset: int | None = None,
    ):
        if preset is not None and not 0 <= preset <= 13:
            raise ValueError(f"preset goes from 0 to 13, got {preset}")
        super().__init__(crf, bpp, bps, gop, None)
        self.preset = preset

    def options(self, quality: float, pixels: int) -> dict[str, Any]:
        preset = self.preset
        if preset is None:
            preset = 2 if pixels <= SMALL else 4
        return {"preset": preset, "crf": round(quality), "svtav1-params": "lp=1:tune=1"}

    def header_bytes(self, first: bytes) -> int:
        """The temporal delimiter and the sequence header."""
        at = 0
        for unit in open_units(first):
            if unit[0] >> 3 & 15 not in (2, _SEQUENCE):
                break
            at += len(unit)
        return at

    def split(self, context: Any, data: bytes) -> Iterable[bytes]:
        """At temporal delimiters."""
        return temporal_units(data)

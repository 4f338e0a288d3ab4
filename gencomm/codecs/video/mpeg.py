"""MPEG-2 (ITU-T H.262), MPEG-4 Part 2 and motion JPEG, by FFmpeg's own encoders.

Settings, measured at 64x64: one Lagrange multiplier for all decisions, blocks decided by rate and
distortion (``mbd=rd``), trellis quantisation, SATD in the motion search: 1.3 times fewer bits at
equal PSNR than FFmpeg's defaults. PyAV can't set a frame's quality as ``ffmpeg -q:v`` does, and a
bound on the quantiser alone leaves the multiplier to a rate control that aims elsewhere: both
bounds of the multiplier are set instead (``lmin``, ``lmax``).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from itertools import pairwise
from typing import Any, ClassVar

from gencomm.codecs.video.base import FFmpegCodec, quarter_steps
from gencomm.codecs.video.order import TICKS, mpeg2_times, mpeg4_times

#: FF_QP2LAMBDA: the Lagrange multiplier of quantiser 1.
LAMBDA = 118
_BEST = {"mbd": "rd", "trellis": 2, "cmp": "satd", "subcmp": "satd", "sc_threshold": 0}


class _MPEG(FFmpegCodec):
    """What MPEG-2 and MPEG-4 have in common."""

    scale = "q"
    ladder: ClassVar = quarter_steps(1, 31)
    default, step = 8, 1.03
    #: where a picture's own data begin
    picture_code: ClassVar[bytes]

    def rate(self, exact: Fraction) -> Fraction:
        """A rate that both formats can say; the quantiser is fixed, so it changes nothing."""
        return Fraction(TICKS)

    def bounds(self, quality: float) -> dict[str, Any]:
        """Options that fix the multiplier, and with it the quantiser."""
        multiplier = round(LAMBDA * quality)
        return {"lmin": multiplier, "lmax": multiplier, "qmin": 1, "qmax": 31, **_BEST}

    def header_bytes(self, first: bytes) -> int:
        """Up to the first picture's start code."""
        return max(0, first.find(self.picture_code))


class MPEG2(_MPEG):
    """MPEG-2 video, a slice a row of blocks.

    Parameters
    ----------
    q : float, optional
        Quantiser, 31 (coarsest) to 1; 8 by default. Fractions steer the decisions between.
    bpp, bps : float, optional
        Instead: bits per pixel, or bits per second, of the counted stream; never overdrawn.
    gop : int
        Frames from key frame to key frame.
    bframes : int
        Pictures in a row that are predicted from both sides.
    """

    name = "mpeg2"
    encoder = decoder = "mpeg2video"
    least = 16
    picture_code = b"\x00\x00\x01\x00"

    def __init__(
        self,
        q: float | None = None,
        bpp: float | None = None,
        bps: float | None = None,
        gop: int = 250,
        bframes: int = 2,
    ):
        super().__init__(q, bpp, bps, gop, bframes)

    def options(self, quality: float, pixels: int) -> dict[str, Any]:
        return {"flags": "+bitexact", **self.bounds(quality)}

    def times(self, pictures: Sequence[bytes]) -> list[int | None]:
        """By temporal references."""
        return mpeg2_times(pictures)


class MPEG4(_MPEG):
    """MPEG-4 Part 2, advanced simple profile: four vectors a block, bidirectional pictures.

    Parameters
    ----------
    q : float, optional
        Quantiser, 31 (coarsest) to 1; 8 by default.
    bpp, bps : float, optional
        Instead: bits per pixel, or bits per second, of the counted stream; never overdrawn.
    gop : int
        Frames from key frame to key frame.
    bframes : int
        Pictures in a row that are predicted from both sides.
    resync : int, optional
        A resynchronisation marker about every so many bytes (video packets).
    partition : bool
        Data partitioning: motion before texture in each packet. Needs `resync`.
    """

    name = "mpeg4"
    encoder = decoder = "mpeg4"
    least = 16
    picture_code = b"\x00\x00\x01\xb6"

    def __init__(
        self,
        q: float | None = None,
        bpp: float | None = None,
        bps: float | None = None,
        gop: int = 250,
        bframes: int = 2,
        resync: int | None = None,
        partition: bool = False,
    ):
        if resync is not None and not 16 <= resync <= 65535:
            raise ValueError(f"resync is a number of bytes from 16 to 65535, got {resync}")
        if partition and resync is None:
            raise ValueError("partition needs resync: data are partitioned within packets")
        super().__init__(q, bpp, bps, gop, bframes)
        self.resync, self.partition = resync, partition

    def options(self, quality: float, pixels: int) -> dict[str, Any]:
        found = {"flags": "+bitexact+mv4", **self.bounds(quality)}
        if self.resync is not None:
            found["ps"] = self.resync
        if self.partition:
            found["data_partitioning"] = 1
        return found

    def times(self, pictures: Sequence[bytes]) -> list[int | None]:
        """By time increments."""
        return mpeg4_times(pictures)


class MJPEG(_MPEG):
    """Motion JPEG: every frame a JPEG picture of its own, with optimised tables.

    Parameters
    ----------
    q : float, optional
        Quantiser, 31 (coarsest) to 1; 8 by default.
    bpp, bps : float, optional
        Instead: bits per pixel, or bits per second, of the counted stream; never overdrawn.
    """

    name = "mjpeg"
    encoder = decoder = "mjpeg"
    full_range = True
    picture_code = b"\xff\xda"
    prefixes = (b"\xff\xd8\xff",)

    def __init__(self, q: float | None = None, bpp: float | None = None, bps: float | None = None):
        super().__init__(q, bpp, bps, 1, None)

    def options(self, quality: float, pixels: int) -> dict[str, Any]:
        multiplier = round(LAMBDA * quality)
        bounds = {"lmin": multiplier, "lmax": multiplier, "qmin": 1, "qmax": 31}
        return {"flags": "+bitexact", "huffman": "optimal", "trellis": 0, **bounds}

    def header_bytes(self, first: bytes) -> int:
        """The first frame's tables, up to its data."""
        at = first.find(self.picture_code)
        return at + 2 + int.from_bytes(first[at + 2 : at + 4]) if at >= 0 else 0

    def split(self, context: Any, data: bytes) -> Iterable[bytes]:
        """At the marks where pictures begin (FF D8 FF)."""
        mark = self.prefixes[0]
        cuts, at = [], data.find(mark)
        while at >= 0:
            cuts.append(at)
            at = data.find(mark, at + 3)
        return [data[a:b] for a, b in pairwise([*cuts, len(data)])]

"""H.264/AVC (ITU-T H.264) by x264, and HEVC (ITU-T H.265) by x265.

Settings, measured at 64x64 and CIF (experiments/video): preset ``slow`` and ``tune=psnr``, which
for x264 is worth up to 2 dB of what is measured here. In small frames, where a slice header takes
as many bits as the slice, there is no weighted prediction (x264 writes weights, and a second copy
of the reference for them, into each header) and, for H.264, one reference and no pyramid of B
pictures: 10 to 20 % fewer bits at equal PSNR at 64x64; nothing to be won from 176x144 on.

What no decoder needs is cut out of the streams. x264 leaves its name and options in a message of
some 700 bytes, and x265 the like; they go, with other supplemental messages (SEI). So does the zero
byte that Annex B puts before the first start code of a picture and before parameter sets: decoders
look for 00 00 01, as in MPEG-2 and MPEG-4. It is 8 bits a frame, 6 % of H.264's lowest rate at
64x64.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from gencomm.codecs.video.base import SMALL, FFmpegCodec, quarter_steps
from gencomm.codecs.video.order import h264_times, hevc_times
from gencomm.codecs.video.streams import START, nal_type, nal_units


class _NAL(FFmpegCodec):
    """What the two have in common: Annex B streams of NAL units."""

    hevc: ClassVar[bool]
    #: types of supplemental messages, and the first and last type of coded slices
    messages: ClassVar[frozenset[int]]
    slices_of: ClassVar[range]

    def clean(self, packets: list[bytes]) -> list[bytes]:
        """Without supplemental messages and zero bytes before start codes."""
        return [
            b"".join(
                unit[unit.find(START) :]
                for unit in nal_units(one)
                if nal_type(unit, self.hevc) not in self.messages
            )
            for one in packets
        ]

    def header_bytes(self, first: bytes) -> int:
        """Parameter sets before the first slice, and the slice's start code."""
        at = 0
        for unit in nal_units(first):
            if nal_type(unit, self.hevc) in self.slices_of:
                break
            at += len(unit)
        return at

    def units(self, packets: list[bytes]) -> list[int]:
        """NAL units."""
        return [len(unit) for one in packets for unit in nal_units(one)]


class H264(_NAL):
    """H.264/AVC by x264: preset slow, tuned for PSNR.

    Parameters
    ----------
    crf : float, optional
        Constant rate factor, 0 (best) to 51; 28 by default.
    bpp, bps : float, optional
        Instead: bits per pixel, or bits per second, of the counted stream; never overdrawn.
    gop : int
        Frames from key frame (IDR) to key frame, at most.
    slices : int
        Slices of a picture, each decodable without the others.
    slice_bytes : int, optional
        Instead: slices of at most so many bytes.
    bframes : int
        Most pictures in a row that are predicted from both sides.
    refresh : bool
        Intra refresh: a column of intra blocks wanders over the picture once a gop, instead of key
        frames.
    preset : str
        x264's.
    """

    name = "h264"
    encoder, decoder = "libx264", "h264"
    ladder: ClassVar = quarter_steps(0, 51)
    default, step = 28, 1.035
    hevc = False
    messages: ClassVar = frozenset({6})
    slices_of: ClassVar = range(1, 6)

    def __init__(
        self,
        crf: float | None = None,
        bpp: float | None = None,
        bps: float | None = None,
        gop: int = 250,
        slices: int = 1,
        slice_bytes: int | None = None,
        bframes: int = 3,
        refresh: bool = False,
        preset: str = "slow",
    ):
        if not 1 <= slices <= 64:
            raise ValueError(f"slices goes from 1 to 64, got {slices}")
        if slice_bytes is not None and (slices > 1 or slice_bytes < 64):
            raise ValueError("slice_bytes must be at least 64, and stands alone, without slices")
        if preset not in PRESETS:
            raise ValueError(f"preset must be one of {', '.join(PRESETS)}; got {preset!r}")
        super().__init__(crf, bpp, bps, gop, bframes)
        self.slices, self.slice_bytes = slices, slice_bytes
        self.refresh, self.preset = refresh, preset

    def options(self, quality: float, pixels: int) -> dict[str, Any]:
        found = {"preset": self.preset, "tune": "psnr", "crf": quality, "threads": 1}
        if self.slices > 1:
            found["slices"] = self.slices
        if self.slice_bytes is not None:
            found["slice-max-size"] = self.slice_bytes
        if self.refresh:
            found["intra-refresh"] = 1
        if pixels <= SMALL:
            found |= {"weightp": 0, "b-pyramid": "none", "refs": 1}
        return found

    def times(self, pictures: Sequence[bytes]) -> list[int | None]:
        """By the order counts in the slice headers."""
        return h264_times(pictures)


class HEVC(_NAL):
    """HEVC by x265, preset slow.

    Parameters
    ----------
    crf : float, optional
        Constant rate factor, 0 (best) to 51; 30 by default.
    bpp, bps : float, optional
        Instead: bits per pixel, or bits per second, of the counted stream; never overdrawn.
    gop : int
        Frames from key frame (IDR) to key frame, at most.
    slices : int
        Slices of a picture.
    bframes : int
        Most pictures in a row that are predicted from both sides.
    preset : str
        x265's.
    """

    name = "hevc"
    encoder, decoder = "libx265", "hevc"
    ladder: ClassVar = quarter_steps(0, 51)
    default, step = 30, 1.035
    least = 64  # x265 writes past its buffers for 40 x 24 and the like
    hevc = True
    messages: ClassVar = frozenset({39, 40})
    slices_of: ClassVar = range(0, 32)

    def __init__(
        self,
        crf: float | None = None,
        bpp: float | None = None,
        bps: float | None = None,
        gop: int = 250,
        slices: int = 1,
        bframes: int = 4,
        preset: str = "slow",
    ):
        if not 1 <= slices <= 64:
            raise ValueError(f"slices goes from 1 to 64, got {slices}")
        if preset not in PRESETS:
            raise ValueError(f"preset must be one of {', '.join(PRESETS)}; got {preset!r}")
        super().__init__(crf, bpp, bps, gop, bframes)
        self.slices, self.preset = slices, preset

    def options(self, quality: float, pixels: int) -> dict[str, Any]:
        own = {
            "log-level": "none",
            "info": 0,
            "pools": "none",
            "frame-threads": 1,
            "keyint": self.gop,
            "min-keyint": min(self.gop, 25),
            "open-gop": 0,
            "bframes": self.bframes,
            "slices": self.slices,
        }
        if pixels <= SMALL:
            own["weightp"] = 0
        params = ":".join(f"{name}={value}" for name, value in own.items())
        return {"preset": self.preset, "tune": "psnr", "crf": quality, "x265-params": params}

    def times(self, pictures: Sequence[bytes]) -> list[int | None]:
        """By the order counts in the slice headers."""
        return hevc_times(pictures)


PRESETS = (
    "ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow",
)  # fmt: skip

"""H.264/AVC (ITU-T H.264) by x264, and HEVC (ITU-T H.265) by x265.

Settings, measured at 64x64 and CIF (experiments/video): preset ``slow`` and, for x264,
``tune=psnr``, which is worth up to 2 dB of what is measured here. x264 leaves its name and options
in a message of some 700 bytes, and x265 the like: both are cut out of the stream, as are other
supplemental messages (SEI), which no decoder needs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from gencomm.codecs.video.base import FFmpegCodec, quarter_steps
from gencomm.codecs.video.order import h264_times, hevc_times
from gencomm.codecs.video.streams import nal_type, nal_units


class _NAL(FFmpegCodec):
    """What the two have in common: Annex B streams of NAL units."""

    hevc: ClassVar[bool]
    #: types of supplemental messages, and the first and last type of coded slices
    messages: ClassVar[frozenset[int]]
    slices_of: ClassVar[range]

    def clean(self, packets: list[bytes]) -> list[bytes]:
        """Without supplemental messages."""
        return [
            b"".join(u for u in nal_units(one) if nal_type(u, self.hevc) not in self.messages)
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

    def options(self, quality: float) -> dict[str, Any]:
        found = {"preset": self.preset, "tune": "psnr", "crf": quality, "threads": 1}
        if self.slices > 1:
            found["slices"] = self.slices
        if self.slice_bytes is not None:
            found["slice-max-size"] = self.slice_bytes
        if self.refresh:
            found["intra-refresh"] = 1
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

    def options(self, quality: float) -> dict[str, Any]:
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
        params = ":".join(f"{name}={value}" for name, value in own.items())
        return {"preset": self.preset, "crf": quality, "x265-params": params}

    def times(self, pictures: Sequence[bytes]) -> list[int | None]:
        """By the order counts in the slice headers."""
        return hevc_times(pictures)


PRESETS = (
    "ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow",
)  # fmt: skip

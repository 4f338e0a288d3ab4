"""AVIF (AV1 still pictures) by libavif: libaom encodes, dav1d decodes.

Settings, measured on Kodak at equal rate: speed 4 (speed 2 gains another 0.15 dB for three times
the time, 6 loses 0.2 dB) and 4:2:0 (4:4:4 gains nothing in PSNR with ``tune=iq``). libaom's
``tune=iq`` gives the highest MS-SSIM: 0.9745 at 0.5 bpp, against 0.9669 with ``tune=psnr``, which
gains 0.2 dB in PSNR. One thread and one tile, so that the stream is the same everywhere.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Literal

import numpy as np
from PIL import AvifImagePlugin

from gencomm.codecs.contract import Encoded, Item
from gencomm.codecs.pillow import BadStream, Layout, PillowCodec, save
from gencomm.codecs.rate import encode_at_rate

#: Speed of the encodes that only find out where to search, and how much more bits they need.
_SCOUT_SPEED, _SCOUT_RATE = 9, 1.24


def _quantiser(quality: int) -> int:
    """libavif's base quantiser, 63 to 0, for a quality."""
    return ((100 - quality) * 63 + 50) // 100


class AVIF(PillowCodec):
    """AVIF, 8 bits, 4:2:0 (4:0:0 in grey).

    Parameters
    ----------
    quality : int, optional
        0 to 100; 60 by default.
    bpp : float, optional
        Instead: bits per pixel, boxes included. AV1 has 64 steps of about 5 %, so up to as much
        may stay unused.
    speed : int
        0 (best, very slow) to 10; 4 by default.
    tune : {"iq", "psnr"}
        What libaom aims for.
    """

    name = "avif"
    format = "AVIF"
    library = ("libavif", "avif")
    #: one quality for each of AV1's 64 base quantisers, as libavif maps them
    ladder: ClassVar = sorted({_quantiser(q): q for q in range(101)}.values())
    default_quality = 60
    max_side = 16384

    def __init__(
        self,
        quality: int | None = None,
        bpp: float | None = None,
        speed: int = 4,
        tune: Literal["iq", "psnr"] = "iq",
    ):
        super().__init__(quality, bpp)
        if not 0 <= speed <= 10:
            raise ValueError(f"speed goes from 0 to 10, got {speed}")
        self.speed, self.tune = speed, tune

    def versions(self) -> dict[str, str]:
        """Pillow, libavif and the AV1 codecs behind it."""
        codecs = {
            name: str(AvifImagePlugin.get_codec_version(name) or "none")
            for name in ("aom", "dav1d")
        }
        return {**super().versions(), **codecs}

    def write(self, picture: np.ndarray, quality: float) -> bytes:
        return self._write(picture, quality, self.speed)

    def encode_at_rate(self, picture: np.ndarray, item: Item, bpp: float) -> Encoded:
        """Search at a high speed first, which takes a fortieth of the time."""

        def at(speed: int) -> Callable[[float], Encoded]:
            return lambda q: self.encoded(self._write(picture, q, speed), q)

        guess = None
        if self.speed < _SCOUT_SPEED:
            scout = encode_at_rate(at(_SCOUT_SPEED), self.ladder, item, _SCOUT_RATE * bpp)
            guess = self.ladder.index(scout.meta["quality"])
        return encode_at_rate(at(self.speed), self.ladder, item, bpp, guess, step=1.06)

    def _write(self, picture: np.ndarray, quality: float, speed: int) -> bytes:
        return save(
            picture,
            "AVIF",
            quality=int(quality),
            speed=speed,
            codec="aom",
            max_threads=1,
            autotiling=False,
            advanced={"tune": self.tune},
            subsampling="4:0:0" if picture.ndim == 2 else "4:2:0",
        )

    def layout(self, data: bytes) -> Layout:
        """Walk the top-level boxes up to the media data; the size stands in `ispe`."""
        if data[4:8] != b"ftyp":
            raise BadStream("no file type box")
        at, header, end = 0, 0, 0
        while at + 8 <= len(data) and not header:
            size, kind = int.from_bytes(data[at : at + 4]), data[at + 4 : at + 8]
            if size < 8:
                raise BadStream(f"a box of {size} bytes at byte {at}")
            header, end = (at + 8 if kind == b"mdat" else 0), at + size
            at += size
        if not header:
            raise BadStream("no media data box")
        found = data.find(b"ispe", 0, header)
        if found < 0:
            raise BadStream("no size property")
        width, height = (int.from_bytes(data[found + k : found + k + 4]) for k in (8, 12))
        damage = "" if end == len(data) else f"{len(data)} bytes of a file of {end}"
        return Layout(header, width, height, end, damage)

    def read(self, data: bytes) -> np.ndarray:
        before = AvifImagePlugin.DEFAULT_MAX_THREADS
        AvifImagePlugin.DEFAULT_MAX_THREADS = 1
        try:
            return super().read(data)
        finally:
            AvifImagePlugin.DEFAULT_MAX_THREADS = before

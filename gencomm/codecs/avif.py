"""AVIF (AV1 still pictures) by libavif: libaom encodes, dav1d decodes.

Settings, measured on Kodak: speed 4 and 4:2:0. At equal rate speed 2 gains another 0.15 dB for
three times the time and 6 loses 0.2; ``speed=2`` asks for it. 4:4:4 costs more than it gives
below 1 bpp. One thread and one tile, so that the stream is the same everywhere.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from PIL import AvifImagePlugin

from gencomm.codecs.pillow import BadStream, Layout, PillowCodec, save


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
    """

    name = "avif"
    format = "AVIF"
    library = ("libavif", "avif")
    ladder: ClassVar = list(range(101))
    default_quality = 60
    max_side = 16384

    def __init__(self, quality: int | None = None, bpp: float | None = None, speed: int = 4):
        super().__init__(quality, bpp)
        if not 0 <= speed <= 10:
            raise ValueError(f"speed goes from 0 to 10, got {speed}")
        self.speed = speed

    def versions(self) -> dict[str, str]:
        """Pillow, libavif and the AV1 codecs behind it."""
        codecs = {
            name: str(AvifImagePlugin.get_codec_version(name) or "none")
            for name in ("aom", "dav1d")
        }
        return {**super().versions(), **codecs}

    def write(self, picture: np.ndarray, quality: float) -> bytes:
        return save(
            picture,
            "AVIF",
            quality=int(quality),
            speed=self.speed,
            codec="aom",
            max_threads=1,
            autotiling=False,
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

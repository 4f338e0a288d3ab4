"""JPEG 2000 (ITU-T T.800) by OpenJPEG.

Settings, measured on Kodak: the irreversible 9/7 wavelet and colour transform (Pillow's defaults
leave out both: 3 dB), 64x64 code blocks (+0.1 dB against 32x32), one quality layer, six
resolutions where the picture is large enough. What is sent is the raw codestream: the JP2 box
around it and the encoder's comment carry nothing.
"""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np

from gencomm.codecs.contract import Encoded, Item
from gencomm.codecs.pillow import BadStream, Layout, PillowCodec, save
from gencomm.codecs.rate import encode_at_rate

SOC, SIZ, COM, SOT, SOD = 0xFF4F, 0xFF51, 0xFF64, 0xFF90, 0xFF93
#: The lowest resolution keeps this many samples on its shorter side.
MIN_LOWEST = 8
MAX_RESOLUTIONS = 6


def resolutions(height: int, width: int) -> int:
    """How many resolutions suit a picture: 6 from 256 pixels on, 4 at 64, 1 below 16."""
    levels = math.floor(math.log2(max(1, min(height, width) / MIN_LOWEST)))
    return min(MAX_RESOLUTIONS, 1 + levels)


class JPEG2000(PillowCodec):
    """JPEG 2000, one tile, one layer, 9/7 wavelet.

    Parameters
    ----------
    quality : float, optional
        PSNR in dB that the encoder aims for, 10 to 60; 38 by default.
    bpp : float, optional
        Instead: bits per pixel, headers included, met by OpenJPEG's own rate control.
    """

    name = "jpeg2000"
    format = "JPEG2000"
    library = ("openjpeg", "jpg_2000")
    ladder: ClassVar = (10, 60)
    default_quality = 38
    max_side = 2**20

    def __init__(self, quality: float | None = None, bpp: float | None = None):
        super().__init__(quality, bpp)

    def write(self, picture: np.ndarray, quality: float) -> bytes:
        return self._write(picture, "dB", quality)

    def encode_at_rate(self, picture: np.ndarray, item: Item, bpp: float) -> Encoded:
        """OpenJPEG aims at a number of bytes; search the aim, which it misses by a few."""
        target = bpp * item.pixels / 8
        samples = picture.size
        spread = max(64.0, target / 64)  # it takes no account of some headers, and we cut others
        aims = [float(a) for a in target + np.linspace(-spread, spread, 65) if a >= 1]
        aims = [1.0, *aims] if aims[0] > 1 else aims
        found = encode_at_rate(
            lambda aim: self.encoded(self._write(picture, "rates", samples / aim), aim),
            aims,
            item,
            bpp,
            guess=int(np.searchsorted(aims, target + 30)),
        )
        found.meta["quality"] = samples / found.meta["quality"]  # as the compression ratio asked
        return found

    def _write(self, picture: np.ndarray, mode: str, value: float) -> bytes:
        data = save(
            picture,
            "JPEG2000",
            quality_mode=mode,
            quality_layers=[max(float(value), 1.0)],
            irreversible=True,
            mct=int(picture.ndim == 3),
            no_jp2=True,
            num_resolutions=resolutions(*picture.shape[:2]),
            codeblock_size=(64, 64),
        )
        for marker, start, end in _segments(data):
            if marker == COM:
                return data[:start] + data[end:]
        return data

    def layout(self, data: bytes) -> Layout:
        """Follow the marker segments up to the first tile's data."""
        width = height = header = length = 0
        for marker, start, end in _segments(data):
            if marker == SIZ:
                if end - start < 38:
                    raise BadStream("the size segment is too short")
                x1, y1, x0, y0 = (
                    int.from_bytes(data[start + k : start + k + 4]) for k in (6, 10, 14, 18)
                )
                width, height = x1 - x0, y1 - y0
            elif marker == SOT:
                # the tile-part's length counts from its marker; the end of codestream follows
                length = start + int.from_bytes(data[start + 6 : start + 10]) + 2
            elif marker == SOD:
                header = end
        if width <= 0 or height <= 0:
            raise BadStream("no size segment, or an empty size")
        damage = ""
        if length != len(data):
            damage = f"{len(data)} bytes of a codestream of {length}"
        elif data[-2:] != b"\xff\xd9":
            damage = "no end of codestream where the stream ends"
        return Layout(header, width, height, length, damage)

    def mend(self, data: bytes, layout: Layout) -> bytes:
        """Fill up to the length claimed, and end there."""
        filled = super().mend(data, layout)
        return filled[:-2] + b"\xff\xd9"


def _segments(data: bytes) -> list[tuple[int, int, int]]:
    """Markers of the main and first tile-part header with where their segments start and end."""
    if data[:2] != b"\xff\x4f":
        raise BadStream("no start of codestream")
    found, at = [], 2
    while True:
        marker = int.from_bytes(data[at : at + 2])
        if marker == SOD:
            return [*found, (SOD, at, at + 2)]
        if at + 4 > len(data) or marker < 0xFF00:
            raise BadStream(f"no marker where one should be, at byte {at}")
        size = int.from_bytes(data[at + 2 : at + 4])
        if size < 2:
            raise BadStream(f"a segment of {size} bytes at byte {at}")
        found.append((marker, at, at + 2 + size))
        at += 2 + size

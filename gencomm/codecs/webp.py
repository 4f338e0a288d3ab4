"""WebP, lossy (VP8 key frames, RFC 6386), by libwebp.

Settings, measured on Kodak: method 6, the slowest (+0.13 dB against the default at equal rate).
libwebp is called through Pillow, which leaves its perceptual segmentation and filter strength at
their defaults.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from gencomm.codecs.pillow import BadStream, Layout, PillowCodec, save

#: RIFF header 12, chunk header 8, frame tag 3, start code 3, size 4 (RFC 6386, 9.1; RFC 9649)
HEADER = 30
#: VP8 codes no grey. The two upper bits of the width field ask the player to enlarge the picture
#: (RFC 6386, 9.1) and change nothing in decoding; their value 3 stands for a grey picture here.
GREY = 0xC0


class WebP(PillowCodec):
    """Lossy WebP, method 6.

    Parameters
    ----------
    quality : float, optional
        0 to 100; 75 by default.
    bpp : float, optional
        Instead: bits per pixel, headers included.
    """

    name = "webp"
    format = "WEBP"
    library = ("libwebp", "webp")
    ladder: ClassVar = [q / 4 for q in range(401)]
    default_quality = 75
    max_side = 16383

    def __init__(self, quality: float | None = None, bpp: float | None = None):
        super().__init__(quality, bpp)

    def write(self, picture: np.ndarray, quality: float) -> bytes:
        data = save(picture, "WEBP", quality=quality, method=6)
        if picture.ndim == 2:
            data = data[:27] + bytes([data[27] | GREY]) + data[28:]
        return data

    def layout(self, data: bytes) -> Layout:
        """Read the fixed fields of a simple lossy file; no other kind was sent."""
        if data[:4] != b"RIFF" or data[8:16] != b"WEBPVP8 ":
            raise BadStream("not a simple lossy WebP file")
        if len(data) < HEADER or data[23:26] != b"\x9d\x01\x2a":
            raise BadStream("no start code of a key frame")
        width, height = (int.from_bytes(data[k : k + 2], "little") & 0x3FFF for k in (26, 28))
        length = 8 + int.from_bytes(data[4:8], "little")
        damage = "" if length == len(data) else f"{len(data)} bytes of a file of {length}"
        return Layout(HEADER, width, height, length, damage)

    def read(self, data: bytes) -> np.ndarray:
        colour = super().read(data)
        grey = len(data) > 27 and data[27] & GREY == GREY
        return np.ascontiguousarray(colour[..., 1]) if grey else colour

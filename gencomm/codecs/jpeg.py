"""JPEG (ITU-T T.81) by libjpeg-turbo, and JPEG with restart markers.

Settings, measured on Kodak: 4:2:0 chroma (+0.2 dB against 4:4:4 at equal rate up to 1.2 bpp),
Huffman tables optimised for the picture, sequential scan (progressive is 1 to 4 % larger below
0.7 bpp and 1 % smaller above 1 bpp; its loss under bit errors is far greater). The JFIF segment
is left out: 18 bytes that no decoder needs. Quantisation tables are those of Annex K, scaled as
libjpeg scales them, but in steps finer than its whole qualities, so that a rate can be met.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from PIL import features

from gencomm.codecs.pillow import BadStream, Layout, PillowCodec, save

# ITU-T T.81 (1992), Annex K, tables K.1 and K.2, row by row
LUMINANCE = np.array(
    [
        [16, 11, 10, 16, 24, 40, 51, 61],
        [12, 12, 14, 19, 26, 58, 60, 55],
        [14, 13, 16, 24, 40, 57, 69, 56],
        [14, 17, 22, 29, 51, 87, 80, 62],
        [18, 22, 37, 56, 68, 109, 103, 77],
        [24, 35, 55, 64, 81, 104, 113, 92],
        [49, 64, 78, 87, 103, 121, 120, 101],
        [72, 92, 95, 98, 112, 100, 103, 99],
    ]
)
CHROMINANCE = np.full((8, 8), 99)
CHROMINANCE[:4, :4] = [[17, 18, 24, 47], [18, 21, 26, 66], [24, 26, 56, 99], [47, 66, 99, 99]]

SOF, SOI, EOI, SOS, RST0, DNL = 0xC0, 0xD8, 0xD9, 0xDA, 0xD0, 0xDC


def quality_tables(quality: float) -> list[list[int]]:
    """Annex K's tables at a quality from 1 to 100, which need not be whole.

    Equal to libjpeg's (`jpeg_set_quality`) at whole qualities.
    """
    scale = 5000 / quality if quality < 50 else 200 - 2 * quality
    if quality == int(quality):
        scale = int(scale)  # as libjpeg truncates
    return [
        np.clip((table * scale + 50) // 100, 1, 255).astype(int).ravel().tolist()
        for table in (LUMINANCE, CHROMINANCE)
    ]


def _quality_ladder() -> list[float]:
    # about 1 % of rate a step; below 5 the tables saturate
    low = np.arange(1, 5, 0.25)
    mid = 5 * 1.02 ** np.arange(0, 117)
    high = np.arange(51, 100.1, 0.5)
    return sorted({round(float(q), 2) for q in (*low, *mid[mid < 51], *high)})


class JPEG(PillowCodec):
    """Sequential JPEG with optimised Huffman tables.

    Parameters
    ----------
    quality : float, optional
        1 to 100 on libjpeg's scale; 75 by default.
    bpp : float, optional
        Instead: bits per pixel, headers included.
    """

    name = "jpeg"
    format = "JPEG"
    library = ("libjpeg-turbo", "libjpeg_turbo")
    ladder: ClassVar = _quality_ladder()
    default_quality = 75
    max_side = 65500

    def __init__(self, quality: float | None = None, bpp: float | None = None):
        super().__init__(quality, bpp)
        self._restart: dict[str, int] = {}

    def versions(self) -> dict[str, str]:
        """Pillow and libjpeg; which of its two makers decides the last bit of a sample."""
        found = super().versions()
        if features.check_feature("libjpeg_turbo"):
            return found
        return {"pillow": found["pillow"], "libjpeg": str(features.version_codec("jpg"))}

    def write(self, picture: np.ndarray, quality: float) -> bytes:
        data = save(
            picture,
            "JPEG",
            qtables=quality_tables(quality)[: 1 if picture.ndim == 2 else 2],
            subsampling=2,
            optimize=True,
            **self._restart,
        )
        if data[2:4] == b"\xff\xe0":  # JFIF's application segment
            data = data[:2] + data[4 + int.from_bytes(data[4:6]) :]
        return data

    def layout(self, data: bytes) -> Layout:
        """Follow the marker segments up to the scan, then look at the markers within it."""
        if data[:2] != b"\xff\xd8":
            raise BadStream("no start of image")
        at, width, height, interval = 2, 0, 0, 0
        while True:
            if at + 4 > len(data) or data[at] != 0xFF:
                raise BadStream(f"no marker where one should be, at byte {at}")
            marker, size = data[at + 1], int.from_bytes(data[at + 2 : at + 4])
            end = at + 2 + size
            if marker & 0xF0 == SOF and marker not in (0xC4, 0xC8, 0xCC):
                height = int.from_bytes(data[at + 5 : at + 7])
                width = int.from_bytes(data[at + 7 : at + 9])
            elif marker == 0xDD:
                interval = int.from_bytes(data[at + 4 : at + 6])
            if size < 2 or end > len(data):
                raise BadStream(f"a segment of {size} bytes at byte {at} runs over the end")
            at = end
            if marker == SOS:
                break
        if not width or not height:
            raise BadStream("no frame header before the scan")
        return Layout(at, width, height, 0, _scan_damage(data, at, interval))

    def mend(self, data: bytes, layout: Layout) -> bytes:
        """End the stream properly: libjpeg then fills what is missing from the last DC values."""
        return data + b"\xff\xd9"


def _scan_damage(data: bytes, start: int, interval: int) -> str:
    """What is wrong with the markers of an entropy-coded segment that starts at `start`.

    Within it a byte FF is followed by 00, or is a restart marker in turn, or the end of image.
    """
    scan = np.frombuffer(data, np.uint8)[start:]
    at = np.flatnonzero(scan[:-1] == 0xFF)
    markers = scan[at + 1]
    at, markers = at[markers != 0], markers[markers != 0]
    if markers.size == 0 or markers[-1] != EOI or at[-1] != scan.size - 2:
        return "no end of image where the stream ends"
    inner = markers[:-1]
    if not interval:
        return f"marker FF{inner[0]:02X} within the scan" if inner.size else ""
    if not np.array_equal(inner, RST0 + np.arange(inner.size) % 8):
        return "restart markers out of turn"
    return ""


class JPEGRestart(JPEG):
    """JPEG with restart markers: the decoder finds its feet again after each.

    Between two markers errors spread as in plain JPEG; the next interval starts with fresh
    predictions and Huffman codes aligned to a byte.

    Parameters
    ----------
    quality, bpp
        As for `jpeg`. The markers count.
    rows : int, optional
        One interval every so many rows of blocks (16 luminance rows in colour, 8 in grey); 1 by
        default.
    blocks : int, optional
        Instead: one interval every so many blocks (of 16x16 pixels in colour, 8x8 in grey).
    """

    name = "jpeg_restart"

    def __init__(
        self,
        quality: float | None = None,
        bpp: float | None = None,
        rows: int | None = None,
        blocks: int | None = None,
    ):
        super().__init__(quality, bpp)
        if rows is not None and blocks is not None:
            raise ValueError("jpeg_restart takes rows or blocks, not both")
        for word, value in (("rows", rows), ("blocks", blocks)):
            if value is not None and not 1 <= value <= 65535:
                raise ValueError(f"{word} goes from 1 to 65535, got {value}")
        if blocks is not None:
            self._restart = {"restart_marker_blocks": blocks}
        else:
            self._restart = {"restart_marker_rows": rows or 1}

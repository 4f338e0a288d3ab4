"""JPEG XL (ISO/IEC 18181) by libjxl, where the package imagecodecs is installed.

Settings: effort 7 (9 takes five times as long and gains nothing in PSNR at equal rate), VarDCT,
the bare codestream without a container, one thread.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from gencomm.codecs.pillow import BadStream, Layout, PillowCodec

#: Ratios of width to height that a size header may name (ISO/IEC 18181-1, SizeHeader)
_RATIOS = {1: (1, 1), 2: (12, 10), 3: (4, 3), 4: (3, 2), 5: (16, 9), 6: (5, 4), 7: (2, 1)}


def _imagecodecs() -> Any:
    try:
        import imagecodecs
    except ImportError as error:
        raise ValueError(
            "jpegxl needs the package imagecodecs: pip install 'gencomm[jpegxl]'"
        ) from error
    if not imagecodecs.JPEGXL.available:
        raise ValueError("jpegxl: this imagecodecs was built without libjxl")
    return imagecodecs


def distance(quality: float) -> float:
    """libjxl's Butteraugli distance for a quality of 0 to 100 (JxlEncoderDistanceFromQuality)."""
    if quality >= 100:
        return 0.01
    if quality >= 30:
        return 0.1 + (100 - quality) * 0.09
    return 53 / 3000 * quality**2 - 23 / 20 * quality + 25


class JPEGXL(PillowCodec):
    """Lossy JPEG XL, effort 7.

    Parameters
    ----------
    quality : float, optional
        0 to 100, as libjxl's tools understand it; 75 by default.
    bpp : float, optional
        Instead: bits per pixel, headers included.
    """

    name = "jpegxl"
    format = "JPEG XL"
    ladder: ClassVar = [q / 4 for q in range(401)]
    default_quality = 75
    max_side = 2**18

    def __init__(self, quality: float | None = None, bpp: float | None = None):
        _imagecodecs()
        super().__init__(quality, bpp)

    def versions(self) -> dict[str, str]:
        """imagecodecs and the libjxl in it."""
        codecs = _imagecodecs()
        name, _, version = str(codecs.jpegxl_version()).partition(" ")
        return {"imagecodecs": codecs.__version__, name: version}

    def write(self, picture: np.ndarray, quality: float) -> bytes:
        return _imagecodecs().jpegxl_encode(
            picture,
            distance=distance(quality),
            effort=7,
            lossless=False,
            usecontainer=False,
            numthreads=1,
        )

    def layout(self, data: bytes) -> Layout:
        """Read the signature and the size header."""
        if data[:2] != b"\xff\x0a":
            raise BadStream("no JPEG XL codestream")
        bits = _Bits(data[2:16])
        small = bits.take(1)
        height = _side(bits, small)
        ratio = bits.take(3)
        if ratio:
            over, under = _RATIOS[ratio]
            width = height * over // under
        else:
            width = _side(bits, small)
        return Layout(2 + -(-bits.at // 8), width, height)

    def read(self, data: bytes) -> np.ndarray:
        codecs = _imagecodecs()
        try:
            value = codecs.jpegxl_decode(data, numthreads=1)
        except codecs.JpegxlError as error:
            raise BadStream(str(error)) from error
        fits = value.ndim == 2 or (value.ndim == 3 and value.shape[2] == 3)
        if value.dtype != np.uint8 or not fits:
            raise BadStream(f"{value.dtype} of shape {value.shape}, no picture of 8 bits")
        return np.ascontiguousarray(value)


class _Bits:
    """A codestream's bits, least significant first; zeros follow its end."""

    def __init__(self, data: bytes):
        self.value, self.at = int.from_bytes(data, "little"), 0

    def take(self, count: int) -> int:
        found = (self.value >> self.at) & ((1 << count) - 1)
        self.at += count
        return found


def _side(bits: _Bits, small: int) -> int:
    if small:
        return 8 * (1 + bits.take(5))
    return 1 + bits.take((9, 13, 18, 30)[bits.take(2)])

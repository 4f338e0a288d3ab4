"""The codecs by name. To add a built-in one: its file, and one line here."""

from __future__ import annotations

from channels.registry import Registry
from gencomm.codecs.contract import Codec

CODECS = Registry(
    "gencomm.codecs",
    {
        "jpeg": "gencomm.codecs.jpeg:JPEG",
        "jpeg_restart": "gencomm.codecs.jpeg:JPEGRestart",
        "jpeg2000": "gencomm.codecs.jpeg2000:JPEG2000",
        "webp": "gencomm.codecs.webp:WebP",
        "avif": "gencomm.codecs.avif:AVIF",
        "jpegxl": "gencomm.codecs.jpegxl:JPEGXL",
        "raw": "gencomm.codecs.raw:Raw",
        "block_dct": "gencomm.codecs.block_dct:BlockDCT",
    },
    "codec",
)


def make_codec(spec: str) -> Codec:
    """Build the codec that a spec such as ``jpeg2000(bpp=0.5)`` describes."""
    return CODECS.create(spec)

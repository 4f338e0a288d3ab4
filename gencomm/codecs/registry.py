"""The codecs by name. To add a built-in one: its file, and one line here."""

from __future__ import annotations

import importlib
import re
from typing import Any

from channels.registry import Registry
from channels.spec import SpecError
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
        "cae": "gencomm.codecs.cae.codec:CAE",
        "hyperprior": "gencomm.codecs.hyperprior.codec:HyperpriorCodec",
        "raw": "gencomm.codecs.raw:Raw",
        "block_dct": "gencomm.codecs.block_dct:BlockDCT",
        "generative": "gencomm.codecs.generative.codec:Generative",
        "klt": "gencomm.codecs.klt.codec:KLT",
        "ncode": "gencomm.codecs.ncode.codec:NCode",
        "ncode_joint": "gencomm.codecs.ncode_joint.codec:NCodeJoint",
        "mjpeg": "gencomm.codecs.video.mpeg:MJPEG",
        "mpeg2": "gencomm.codecs.video.mpeg:MPEG2",
        "mpeg4": "gencomm.codecs.video.mpeg:MPEG4",
        "h264": "gencomm.codecs.video.h264:H264",
        "hevc": "gencomm.codecs.video.h264:HEVC",
        "av1": "gencomm.codecs.video.av1:AV1",
        "per_frame": "gencomm.codecs.video.per_frame:PerFrame",
        "ncode_video": "gencomm.codecs.ncode_video.codec:NCodeVideo",
    },
    "codec",
)


_TARGET = re.compile(r"(?P<module>[A-Za-z_][\w.]*):(?P<object>[A-Za-z_][\w.]*)\Z")


def make_codec(spec: str) -> Codec:
    """Build the codec that a spec such as ``jpeg2000(bpp=0.5)`` describes.

    ``module:object`` names a class (called without arguments) or a ready codec that is not
    registered, for authors who are still at work.
    """
    target = _TARGET.match(spec.strip()) if isinstance(spec, str) else None
    if target is None or target["module"] in CODECS:
        return CODECS.create(spec)
    try:
        found: Any = importlib.import_module(target["module"])
        for part in target["object"].split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        raise SpecError(
            f"no codec is called {target['module']!r}, and {spec} names no object: {error}"
        ) from error
    return found() if isinstance(found, type) else found

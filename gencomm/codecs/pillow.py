"""What the codecs that Pillow brings share: arrays in and out, limits, strict and lenient."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import ClassVar

import numpy as np
from PIL import Image, ImageFile, features
from PIL import __version__ as pillow_version

from channels.bits import PackedBits
from gencomm.codecs.contract import Decoded, Encoded, Item, Received, Status
from gencomm.codecs.rate import check_rate, encode_at_rate

#: A damaged header may claim 65535 x 65535; nothing above this is decoded.
MAX_PIXELS = 2**26
#: Truncated streams are filled up with zeros, to this size at most.
MAX_BYTES = 2**26

#: What Pillow and its plug-ins raise on streams that they refuse. Anything else is a crash.
REFUSALS = (OSError, SyntaxError, ValueError, RuntimeError, EOFError, IndexError, OverflowError)


class BadStream(ValueError):
    """A stream that can't be what it claims."""


@contextmanager
def _truncated(allowed: bool) -> Iterator[None]:
    """Let Pillow keep what it has when a stream breaks off; the switch is global there."""
    before = ImageFile.LOAD_TRUNCATED_IMAGES
    ImageFile.LOAD_TRUNCATED_IMAGES = allowed
    try:
        yield
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = before


def picture_of(item: Item, name: str, max_side: int) -> np.ndarray:
    """The item's samples, checked: uint8, (height, width) or (height, width, 3), not empty."""
    value = item.value
    grey_or_rgb = value.ndim == 2 or (value.ndim == 3 and value.shape[2] == 3)
    if value.dtype != np.uint8 or not grey_or_rgb:
        raise ValueError(
            f"{name} takes uint8 pictures of shape (height, width) or (height, width, 3); "
            f"{item.id} is {value.dtype} of shape {value.shape}"
        )
    if min(value.shape[:2]) < 1 or max(value.shape[:2]) > max_side:
        raise ValueError(
            f"{name} takes pictures of 1 to {max_side} pixels a side; {item.id} has "
            f"{value.shape[1]} x {value.shape[0]}"
        )
    return np.ascontiguousarray(value)


class PillowCodec:
    """Base class: a format that Pillow writes and reads.

    A subclass gives the format's name, its qualities, `write` and `layout`.

    Status of what comes out: ``rejected`` when the decoder refuses, ``partial`` when it, or a
    look at the stream's structure, found damage and a picture came out none the less, ``ok``
    otherwise. ``ok`` does not mean undamaged: most bit errors inside entropy-coded data decode
    to a wrong picture without any complaint, and the warnings of libjpeg, OpenJPEG, libwebp and
    libavif do not get through Pillow.
    """

    modality: ClassVar[str] = "image"
    wants: ClassVar[frozenset[str]] = frozenset()
    name: str
    #: Pillow's name of the format
    format: ClassVar[str]
    #: the library that does the work: a name for reports, and Pillow's feature
    library: ClassVar[tuple[str, str]]
    #: qualities in order of rising rate, for the search
    ladder: ClassVar[Sequence[float]]
    default_quality: ClassVar[float]
    max_side: ClassVar[int]

    def __init__(self, quality: float | None, bpp: float | None):
        check_rate(self.name, quality, bpp, min(self.ladder), max(self.ladder))
        self.quality = self.default_quality if quality is None and bpp is None else quality
        self.bpp = bpp

    def write(self, picture: np.ndarray, quality: float) -> bytes:
        """Encode samples at a quality."""
        raise NotImplementedError

    def layout(self, data: bytes) -> Layout:
        """Read what the stream says of itself; raises `BadStream` where it says nothing."""
        raise NotImplementedError

    def versions(self) -> dict[str, str]:
        """Pillow and the library behind it: what decides the answer."""
        name, feature = self.library
        return {"pillow": pillow_version, name: str(features.version(feature))}

    def encode(self, item: Item) -> Encoded:
        """Encode at the quality asked for, or at the best one within the rate asked for."""
        picture = picture_of(item, self.name, self.max_side)
        if self.bpp is not None:
            return self.encode_at_rate(picture, item, self.bpp)
        assert self.quality is not None
        return self.encoded(self.write(picture, self.quality), self.quality)

    def encode_at_rate(self, picture: np.ndarray, item: Item, bpp: float) -> Encoded:
        """The highest quality within `bpp`; formats with a rate control of their own override."""
        return encode_at_rate(
            lambda quality: self.encoded(self.write(picture, quality), quality),
            self.ladder,
            item,
            bpp,
        )

    def encoded(self, data: bytes, quality: float) -> Encoded:
        """Wrap a stream, with its header measured."""
        header = 8 * self.layout(data).header
        return Encoded(PackedBits.from_bytes(data), header, meta={"quality": quality})

    def decode(self, received: Received) -> Decoded:
        """Decode whatever arrived. Never raises on account of its content."""
        data = received.bits.to_bytes()
        if not data:
            return Decoded.rejected("empty stream")
        try:
            layout = self.layout(data)
        except BadStream as error:
            return Decoded.rejected(str(error))
        limit = min(MAX_PIXELS, received.max_pixels or MAX_PIXELS)
        if not 0 < layout.width * layout.height <= limit:
            return Decoded.rejected(
                f"claims {layout.width} x {layout.height} pixels, the limit is {limit}"
            )
        damage = layout.damage
        if damage and not received.lenient:
            return Decoded.rejected(damage)
        try:
            return self._decode(data, damage)
        except (*REFUSALS, Image.DecompressionBombError) as error:
            if not received.lenient:
                return Decoded.rejected(_why(error))
            damage = damage or _why(error)
        try:
            return self._decode(self.mend(data, layout), damage, truncated=True)
        except (*REFUSALS, Image.DecompressionBombError) as error:
            return Decoded.rejected(_why(error))

    def mend(self, data: bytes, layout: Layout) -> bytes:
        """Make a damaged stream such that the decoder gives what it can: fill it up."""
        missing = min(layout.length, MAX_BYTES) - len(data)
        return data + bytes(missing) if missing > 0 else data

    def read(self, data: bytes) -> np.ndarray:
        """Samples of a stream; raises what Pillow raises."""
        with Image.open(io.BytesIO(data), formats=[self.format]) as image:
            image.load()
            if image.mode not in ("L", "RGB"):
                raise BadStream(f"a picture of Pillow's mode {image.mode}, not grey or RGB")
            return np.asarray(image)

    def _decode(self, data: bytes, damage: str, truncated: bool = False) -> Decoded:
        with _truncated(truncated), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            value = self.read(data)
        # Pillow hands on black where the decoder gave up before the first sample
        if truncated and not value.any():
            return Decoded.rejected(damage)
        return Decoded(value, Status.PARTIAL if damage else Status.OK, damage)


class Layout:
    """What a stream says of itself.

    Attributes
    ----------
    header : int
        Bytes of header, without which nothing decodes.
    width, height : int
        Claimed size in pixels.
    length : int
        Claimed length in bytes; 0 where the format doesn't say.
    damage : str
        What is visibly wrong; empty where nothing is.
    """

    __slots__ = ("damage", "header", "height", "length", "width")

    def __init__(self, header: int, width: int, height: int, length: int = 0, damage: str = ""):
        self.header, self.width, self.height = header, width, height
        self.length, self.damage = length, damage


def save(picture: np.ndarray, format: str, **options) -> bytes:
    """Write samples with Pillow."""
    out = io.BytesIO()
    Image.fromarray(picture).save(out, format, **options)
    return out.getvalue()


def _why(error: BaseException) -> str:
    return f"{error}"[:200] or type(error).__name__

"""Items: what is sent. Below sources, codecs and metrics, which all speak of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Item:
    """One thing to send.

    Attributes
    ----------
    id : str
        Stable name within its source.
    modality : str
        "image", "video", "weights" or "embeddings".
    value : array
        For an image: uint8, shape (height, width, 3), or (height, width) for grey. For a clip:
        uint8, shape (frames, height, width, 3).
    hash : str
        SHA-256 of shape, type and samples.
    meta : dict
        Whatever a source knows besides (frame rate, origin, notes on conversions).
    """

    id: str
    modality: str
    value: np.ndarray
    hash: str
    meta: dict[str, Any] = field(default_factory=dict)

    @property
    def pixels(self) -> int:
        """Width x height (x frames): what bits per pixel are counted over."""
        return int(np.prod(self.value.shape[:-1] if self.value.ndim > 2 else self.value.shape))


def hash_value(value: np.ndarray) -> str:
    """SHA-256 of an array's type, shape and samples, as hexadecimal text.

    The digest is over the JSON text ``["|u1", [height, width, 3]]`` (NumPy's type string and the
    shape) followed by the samples, C order, little-endian.
    """
    value = np.ascontiguousarray(value)
    if value.dtype.byteorder == ">":
        value = value.astype(value.dtype.newbyteorder("<"))
    digest = hashlib.sha256(json.dumps([value.dtype.str, list(value.shape)]).encode())
    digest.update(value.data if value.size else b"")
    return digest.hexdigest()


def image_item(id: str, value: np.ndarray, meta: Mapping[str, Any] | None = None) -> Item:
    """An item from samples, uint8 (height, width, 3) or (height, width) for grey.

    Raises
    ------
    ValueError
        Samples of another type or shape.
    """
    value = np.asarray(value)
    colour = value.ndim == 3 and value.shape[2] == 3
    if value.dtype != np.uint8 or not (colour or value.ndim == 2) or value.size == 0:
        raise ValueError(
            f"{id}: a picture is uint8 of shape (height, width, 3), or (height, width) for grey; "
            f"got {value.dtype} of shape {value.shape}"
        )
    value = np.array(value, order="C")
    value.flags.writeable = False
    return Item(id, "image", value, hash_value(value), dict(meta or {}))


def video_item(
    id: str, value: np.ndarray, rate: Fraction | float, meta: Mapping[str, Any] | None = None
) -> Item:
    """A clip: uint8 (frames, height, width, 3) at `rate` frames a second, at least one frame.

    Its hash covers the rate too, which decides what a codec that is given bits per second does.
    ``meta["rate"]`` holds the rate as text, such as ``30000/1001``; see :func:`frame_rate`.

    Raises
    ------
    ValueError
        Samples of another type or shape, or a rate that is none.
    """
    value = np.asarray(value)
    if value.dtype != np.uint8 or value.ndim != 4 or value.shape[3] != 3 or value.size == 0:
        raise ValueError(
            f"{id}: a clip is uint8 of shape (frames, height, width, 3); "
            f"got {value.dtype} of shape {value.shape}"
        )
    exact = Fraction(rate).limit_denominator(100_000)
    if not 0 < exact < 10_000:
        raise ValueError(f"{id}: a clip has a positive number of frames a second, got {rate}")
    if value.flags.writeable or not value.flags.c_contiguous:
        value = np.array(value, order="C")
        value.flags.writeable = False
    digest = hashlib.sha256(f"{hash_value(value)},{exact}".encode()).hexdigest()
    return Item(id, "video", value, digest, {**(meta or {}), "rate": str(exact)})


def frame_rate(item: Item) -> Fraction:
    """Frames a second of a clip."""
    return Fraction(item.meta["rate"])


#: Frames of a clip that stand for it on a sheet, and white samples between them.
STRIP_FRAMES, _STRIP_GAP = 4, 2


def as_picture(item: Item, value: np.ndarray) -> np.ndarray | None:
    """What shows a value of an item's kind: a picture itself, some frames of a clip side by side.

    None where there is nothing to see.
    """
    if item.modality == "image":
        return value
    if item.modality == "video":
        return strip(value)
    return None


def strip(value: np.ndarray, frames: int = STRIP_FRAMES) -> np.ndarray:
    """Frames of a clip side by side, from its first to its last at equal distances.

    Parameters
    ----------
    value : uint8 array, shape (frames, height, width, 3)
    frames : int
        How many, at most.

    Returns
    -------
    uint8 array, shape (height, columns, 3)
    """
    chosen = sorted({round(k) for k in np.linspace(0, len(value) - 1, frames)})
    gap = np.full((value.shape[1], _STRIP_GAP, 3), 255, np.uint8)
    parts = [part for k in chosen for part in (value[k], gap)]
    return np.concatenate(parts[:-1], axis=1)

"""What a source is: a sequence of items, each read when asked for."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from gencomm.codecs.contract import Item


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


class Source(Sequence[Item], ABC):
    """A sequence of items. An item is read when it is asked for, and not kept.

    Sources are cheap to build, to pickle and to ask for their length and ids; a source that is
    empty, or can't find what it names, says so when it is built.

    Parameters
    ----------
    limit : int, optional
        Take only the first so many.
    """

    def __init__(self, limit: int | None = None):
        if limit is not None and limit < 1:
            raise ValueError(f"limit must be at least 1, got {limit}")
        self.limit = limit

    @property
    @abstractmethod
    def ids(self) -> list[str]:
        """Names of the items, in order, each once."""

    @abstractmethod
    def read(self, index: int) -> Item:
        """The item at `index` (0 <= index < len)."""

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index):  # type: ignore[override]
        if isinstance(index, slice):
            return [self.read(i) for i in range(*index.indices(len(self)))]
        at = index + len(self) if index < 0 else index
        if not 0 <= at < len(self):
            raise IndexError(f"item {index} of a source with {len(self)}")
        return self.read(at)

    def __iter__(self) -> Iterator[Item]:
        return (self.read(i) for i in range(len(self)))

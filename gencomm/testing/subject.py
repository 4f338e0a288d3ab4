"""A codec under test, and what it is tested with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from channels.checking import NotApplicable
from gencomm.codecs.contract import Encoded, Item, Received
from gencomm.isolation import CodecProcess, Limits, LocalCodec
from gencomm.isolation.limits import Outcome as Trial
from gencomm.items import hash_value
from gencomm.testing.samples import sample_clip, sample_item

#: What a codec may use while it is checked, unless the caller says otherwise.
LIMITS = Limits(seconds=10, memory=2**30, encode_seconds=120)


class Subject:
    """A codec under test, and items to test it with: pictures, or clips.

    Parameters
    ----------
    codec : str or Codec
        A spec, ``module:object``, or a ready codec.
    items : sequence of Item, optional
        The first is the main one. Made up for pictures; needed for other modalities.
    limits : Limits
    """

    def __init__(
        self, codec: Any, items: Sequence[Item] | None = None, limits: Limits = LIMITS
    ) -> None:
        self.codec, self.limits = codec, limits
        self.isolated = isinstance(codec, str)
        self._items = list(items or [])
        self._runner: CodecProcess | LocalCodec | None = None
        self._encoded: Encoded | None = None
        #: Of the main item's samples, before any check has given it to the codec.
        self.untouched = ""

    def __str__(self) -> str:
        return self.codec if self.isolated else str(getattr(self.codec, "name", self.codec))

    def open(self, **changes: Any) -> CodecProcess | LocalCodec:
        """The codec started anew, with other limits where asked."""
        limits = replace(self.limits, **changes)
        return CodecProcess(self.codec, limits) if self.isolated else LocalCodec(self.codec)

    @property
    def runner(self) -> CodecProcess | LocalCodec:
        """The codec, started at first use."""
        if self._runner is None:
            self._runner = self.open()
        return self._runner

    def close(self) -> None:
        """End the codec's process."""
        if self._runner is not None:
            self._runner.close()
            self._runner = None

    @property
    def item(self) -> Item:
        """The main item."""
        if not self._items and self.runner.modality == "video":
            height, width = (self.runner.traits.get("fixed_shape") or (64, 96))[:2]
            self._items = [sample_clip(10, height, width)]
        if not self._items:
            if self.runner.modality != "image":
                raise NotApplicable(f"items of modality {self.runner.modality} must be given")
            shape = self.runner.traits.get("fixed_shape") or (96, 128, 3)
            self._items = [sample_item(*shape)]
        item = self._items[0]
        self.untouched = self.untouched or hash_value(item.value)
        return item

    def picture(self, height: int, width: int, colour: bool = True) -> Item:
        """A picture of a size; refuses where the codec takes one size only or no pictures."""
        if self.runner.modality not in ("image", "video"):
            raise NotApplicable("sizes are a matter of pictures")
        if self.runner.traits.get("fixed_shape"):
            raise NotApplicable("takes pictures of one size only")
        if self.runner.modality == "video":
            if not colour:
                raise NotApplicable("clips are in colour; grey ones have three equal channels")
            return sample_clip(2, height, width)
        return sample_item(height, width, *([3] if colour else []))

    @property
    def encoded(self) -> Encoded:
        """The main item, encoded once."""
        if self._encoded is None:
            self._encoded = self.runner.encode(self.item).encoded
        return self._encoded

    def decode(self, received: Received, item: Item | None = None) -> Trial:
        """Decode one stream."""
        value = (item or self.item).value
        return self.runner.decode([received], value.shape, value.dtype)[0]

"""A picture codec on clips, frame by frame."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import ClassVar

import numpy as np

from channels.bits import PackedBits
from channels.spec import Spec
from gencomm.codecs.contract import Decoded, Encoded, Item, Received, Status, decode_all
from gencomm.codecs.video.clip import GREY
from gencomm.items import frame_rate, image_item
from gencomm.video.session import SIZE, Session

#: Bits of a frame's length in the table of lengths.
_LENGTH = 3 * 8


class PerFrame:
    """Every frame coded as a picture of its own by any picture codec.

    Nothing is predicted, so no error lasts longer than its frame. What a receiver must know to
    find the frames is side information, which counts as sent: the session (48 bits), and how many
    bits each frame has: one number of 32 bits where all have as many, as codes of fixed length do,
    otherwise 24 bits a frame. A frame that doesn't decode shows the one before it.

    Parameters
    ----------
    codec : codec
        Such as ``jpeg2000(bpp=0.5)``; jpeg by default.
    """

    name = "per_frame"
    modality: ClassVar[str] = "video"

    def __init__(self, codec: Spec = Spec("jpeg")):  # noqa: B008  frozen
        from gencomm.codecs.registry import CODECS

        self.inner = CODECS.create(codec)
        if self.inner.modality != "image":
            raise ValueError(f"codec {codec} takes {self.inner.modality}, not pictures")
        self.wants = frozenset(self.inner.wants)
        shape = getattr(self.inner, "fixed_shape", None)
        self.fixed_shape = None if shape is None else tuple(shape)

    def versions(self) -> dict[str, str]:
        """Those of the picture codec."""
        versions = getattr(self.inner, "versions", None)
        return dict(versions()) if versions else {}

    def load(self) -> None:
        """What the picture codec loads."""
        load = getattr(self.inner, "load", None)
        if load is not None:
            load()

    def encode(self, item: Item) -> Encoded:
        """Encode every frame."""
        if item.modality != "video":
            raise ValueError(f"{self.name} takes clips; {item.id} is {item.modality}")
        frames, height, width, _ = item.value.shape
        session = Session(frames, height, width)
        made = [
            self.inner.encode(image_item(f"{item.id} {k}", v)) for k, v in enumerate(item.value)
        ]
        lengths = [one.bits.n_bits for one in made]
        if max(lengths) >= 1 << _LENGTH:
            raise ValueError(f"a frame of {max(lengths)} bits; its length must fit {_LENGTH} bits")
        sides = [one.side for one in made]
        side = session.to_bytes() + _table(lengths) + _sides(sides)
        bits = np.concatenate([one.bits.unpack() for one in made])
        classes = None
        if all(one.classes is not None for one in made):
            classes = np.concatenate([one.classes for one in made])  # type: ignore[misc]
        seconds = frames / float(frame_rate(item))
        total = bits.size + 8 * len(side)
        meta = {"bits_per_second": total / seconds, "frame_bits": lengths}
        units = None if any(n % 8 for n in lengths[:-1]) else np.array(lengths, np.int64)
        return Encoded(PackedBits.from_bits(bits), 0, side, classes, meta, units)

    def decode(self, received: Received) -> Decoded:
        """Decode every frame; those that don't decode repeat the one before."""
        try:
            session = Session.from_bytes(received.side)
            lengths, at = _read_table(received.side, session.frames)
            sides = _read_sides(received.side, at, session.frames)
        except ValueError as error:
            return Decoded.rejected(str(error))
        ends = np.cumsum([0, *lengths])
        bits = received.bits.unpack()
        pieces = []
        for k, (a, b) in enumerate(pairwise(ends)):
            pieces.append(
                replace(
                    received,
                    bits=PackedBits.from_bits(bits[a:b]),
                    side=sides[k],
                    llr=None if received.llr is None else received.llr[a:b],
                    erasures=None if received.erasures is None else received.erasures[a:b],
                    max_pixels=16 * max(session.height * session.width, 2**12),
                )
            )
        value = np.empty((session.frames, session.height, session.width, 3), np.uint8)
        missing = partial = 0
        for k, one in enumerate(decode_all(self.inner, pieces)):
            picture = one.value
            held = one.status is Status.PARTIAL and received.frames != "pass"
            if picture is not None and picture.shape == value.shape[1:] and not held:
                value[k] = picture
                partial += one.status is Status.PARTIAL
            else:
                value[k] = value[k - 1] if k else GREY
                missing += 1
        if missing == session.frames:
            return Decoded.rejected(f"none of {missing} frames came out")
        if not missing and not partial:
            return Decoded(value)
        return Decoded(value, Status.PARTIAL, f"{missing} missing, {partial} damaged")


def _table(lengths: list[int]) -> bytes:
    if len(set(lengths)) == 1:
        return b"\x00" + lengths[0].to_bytes(4)
    return b"\x01" + b"".join(n.to_bytes(_LENGTH // 8) for n in lengths)


def _read_table(side: bytes, frames: int) -> tuple[list[int], int]:
    if side[SIZE : SIZE + 1] == b"\x00":
        return [int.from_bytes(side[SIZE + 1 : SIZE + 5])] * frames, SIZE + 5
    step, first = _LENGTH // 8, SIZE + 1
    end = first + step * frames
    if len(side) < end:
        raise ValueError("the table of lengths is too short")
    return [int.from_bytes(side[k : k + step]) for k in range(first, end, step)], end


def _sides(sides: list[bytes]) -> bytes:
    """The frames' own side information, where there is any: lengths of 16 bits, then bytes."""
    if not any(sides):
        return b""
    return b"".join(len(one).to_bytes(2) + one for one in sides)


def _read_sides(side: bytes, at: int, frames: int) -> list[bytes]:
    if at == len(side):
        return [b""] * frames
    found = []
    for _ in range(frames):
        size = int.from_bytes(side[at : at + 2])
        found.append(side[at + 2 : at + 2 + size])
        at += 2 + size
    return found

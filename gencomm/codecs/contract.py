"""What a codec is. A new one needs this page, one class, and one line of the registry."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np

from channels.bits import PackedBits
from gencomm.items import Item


class Status(enum.StrEnum):
    """What became of a trial."""

    OK = "ok"
    #: decoded up to the damage, or with parts concealed
    PARTIAL = "partial"
    #: the decoder said no
    REJECTED = "rejected"
    #: the decoder's process died or it raised what it should not
    CRASHED = "crashed"
    #: stopped at the time limit
    TIMEOUT = "timeout"
    #: stopped at the memory limit
    MEMORY = "memory"
    #: a picture of another size or type came out
    WRONG_SIZE = "wrong_size"

    @property
    def outage(self) -> bool:
        """Whether no picture came out; quality is then that of the concealment."""
        return self not in (Status.OK, Status.PARTIAL)


@dataclass(frozen=True)
class Encoded:
    """What a codec made of an item.

    Attributes
    ----------
    bits : PackedBits
        What goes over the link.
    header_bits : int
        How many of the first bits are header, without which nothing decodes. The policy
        ``header: protected`` takes them out of the noise and books them as side information.
    side : bytes
        Granted error-free whatever the policy; booked as side information. Empty for most.
    classes : uint8 array, shape (n_bits,), or None
        Importance of each bit, 0 the most important, for links that protect unequally.
    units : int64 array, shape (units,), or None
        Lengths in bits of what belongs together (a NAL unit, a picture), in order: whole bytes but
        for the last. Links that send packets may begin one where a unit begins.
    meta : dict
        Notes for the report (the quality that a rate search settled on, estimated rate ...);
        plain values only.
    """

    bits: PackedBits
    header_bits: int = 0
    side: bytes = b""
    classes: np.ndarray | None = None
    meta: dict[str, Any] = field(default_factory=dict)
    units: np.ndarray | None = None

    @property
    def total_bits(self) -> int:
        """Payload and side information: what `bpp` counts."""
        return self.bits.n_bits + 8 * len(self.side)


@dataclass(frozen=True)
class Received:
    """What reaches the decoder after one trial.

    Attributes
    ----------
    bits : PackedBits
        Hard decisions, as many as were sent unless the link lost some.
    side : bytes
        As sent.
    llr : float32 array, shape (n_bits,), or None
        ln(P(0) / P(1)), where the codec wants "llr" and the link gives them.
    erasures : bool array, shape (n_bits,), or None
        Bits known to be lost, where the codec wants "erasures" and the link has them.
    ber : float or None
        The link's mean bit error rate where it is known in closed form: a receiver knows its SNR.
    lenient : bool
        Policy: keep what decodes (True), or reject what the decoder finds damaged (False).
    max_pixels : int or None
        A decoder need not look at a stream that claims a larger picture: it may say no at once.
        The harness sets it well above the item's size, to save the time of a hopeless decode.
    frames : {"pass", "last_frame", "drop"}
        Policy of clips: what is shown of damaged frames; see `gencomm.policy.Policy`.
    """

    bits: PackedBits
    side: bytes = b""
    llr: np.ndarray | None = None
    erasures: np.ndarray | None = None
    ber: float | None = None
    lenient: bool = True
    max_pixels: int | None = None
    frames: str = "pass"


@dataclass(frozen=True)
class Decoded:
    """What came out: a value of the item's kind with status ok or partial, or none at all."""

    value: np.ndarray | None
    status: Status = Status.OK
    detail: str = ""

    @classmethod
    def rejected(cls, why: str) -> Decoded:
        """The decoder says no, and why."""
        return cls(None, Status.REJECTED, why)


@runtime_checkable
class Codec(Protocol):
    """item -> bits -> item.

    Encoding is deterministic. Decoding is total: any bits of any length give a `Decoded` in
    bounded time and memory. A codec keeps nothing between calls besides its weights.

    Class attributes
    ----------------
    modality : str
        What kind of item it takes.
    wants : frozenset of {"llr", "erasures"}
        What it can use besides hard bits; empty for most.
    versions : method, optional
        ``versions() -> dict[str, str]``: the foreign libraries (and weights' checksums) that
        decide its answer; part of a cell's identity.
    encode_batch, decode_batch : methods, optional
        The same on a list; used where present.
    load : method, optional
        ``load()``: import heavy libraries and read weights now, not at first use. Called once in
        the process from which those that decode are forked, so that a restart costs nothing.
    min_psnr, fixed_shape : optional
        What the codec states of itself; see `gencomm.testing.codecs`.
    """

    name: str
    modality: ClassVar[str]
    wants: ClassVar[frozenset[str]]

    def encode(self, item: Item) -> Encoded: ...

    def decode(self, received: Received) -> Decoded: ...


def decode_all(codec: Codec, received: Sequence[Received]) -> list[Decoded]:
    """Decode a list with the codec's `decode_batch` where it has one."""
    batch = getattr(codec, "decode_batch", None)
    return list(batch(received)) if batch else [codec.decode(one) for one in received]

"""Policies: the named choices that change results, in one place for `send` and the sweep.

A codec's bits become a wire (what goes through the noise, what is granted error-free), a received
trial becomes what the decoder sees, and what the decoder gives back is settled into a status and
a value that can always be measured:

>>> wire = to_wire(codec.encode(item), policy)
>>> batch = link.transmit(wire.payload, trials, stream, wire.classes, units=wire.units)
>>> received = from_wire(wire, batch, 0, policy, codec.wants, link_ber(link))
>>> status, value = settle(codec.decode(received), item, policy)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args, get_type_hints

import numpy as np

from channels.bits import PackedBits
from channels.link import Ledger, Link, ReceivedBatch
from channels.spec import suggest
from gencomm.codecs.contract import Decoded, Encoded, Item, Received, Status

#: LLR magnitude of bits that the receiver is certain of; finite, so that sums stay finite.
CERTAIN_LLR = 100.0

#: Sample value that `conceal: grey` fills a picture with: the middle of 0 .. 255.
GREY = 128


@dataclass(frozen=True)
class Policy:
    """What is granted and what is asked of a decoder; stored with every row.

    Attributes
    ----------
    header : {"in_band", "protected"}
        Whether the codec's header goes through the noise with the rest, or arrives unharmed and
        is booked as side information.
    decode : {"lenient", "strict"}
        Keep what decodes of a damaged stream, or reject a stream that is found to be damaged.
    conceal : {"grey", "mean"}
        What is shown when no picture came out: mid-grey, or the mean colour of the original
        (which costs a real system 24 bits more and is therefore not the default).
    frames : {"pass", "last_frame", "drop"}
        Of clips: what becomes of frames in which a video decoder finds damage, or whose data were
        lost. ``pass``: damaged data are passed on, and the decoder's own concealment is shown.
        ``last_frame``: the last good frame is shown in their place. ``drop``: it is shown until the
        next key frame. A frame that never came is always replaced by the one before it.
    """

    header: Literal["in_band", "protected"] = "in_band"
    decode: Literal["lenient", "strict"] = "lenient"
    conceal: Literal["grey", "mean"] = "grey"
    frames: Literal["pass", "last_frame", "drop"] = "pass"

    def __post_init__(self) -> None:
        choices = get_type_hints(type(self))
        for field in fields(self):
            value, allowed = getattr(self, field.name), get_args(choices[field.name])
            if value not in allowed:
                hint = suggest(str(value), allowed)
                raise ValueError(f"policy {field.name}: {value!r} is not a choice{hint}")

    @classmethod
    def from_mapping(cls, choices: Mapping[str, Any] | None) -> Policy:
        """Build a policy from a configuration's mapping; what is left out has its default.

        Raises
        ------
        ValueError
            An unknown name or choice, with the nearest known one.
        """
        choices = dict(choices or {})
        known = [field.name for field in fields(cls)]
        for name in choices:
            if name not in known:
                raise ValueError(f"no policy is called {name!r}{suggest(str(name), known)}")
        return cls(**choices)

    @property
    def lenient(self) -> bool:
        """Whether to keep what decodes of a damaged stream."""
        return self.decode == "lenient"

    def as_dict(self) -> dict[str, str]:
        """Plain values, for columns and hashes; `frames` only where it is not its default, so
        that what says nothing of clips is called what it was before there were any."""
        plain = asdict(self)
        if self.frames == "pass":
            del plain["frames"]
        return plain


@dataclass(frozen=True, eq=False)
class Wire:
    """An encoded item split by a policy into what meets the noise and what does not.

    Attributes
    ----------
    payload : PackedBits
        What goes over the link.
    header : PackedBits
        Bits that arrive unharmed by policy; empty where the header is in band.
    side : bytes
        The codec's own error-free side information.
    classes : uint8 array, shape (payload bits,), or None
        Importance of each payload bit.
    units : int64 array, or None
        Lengths in bits of the payload's units, in order.
    """

    payload: PackedBits
    header: PackedBits
    side: bytes
    classes: np.ndarray | None
    units: np.ndarray | None = None

    @property
    def side_bits(self) -> int:
        """All bits that are granted error-free."""
        return self.header.n_bits + 8 * len(self.side)


def to_wire(encoded: Encoded, policy: Policy) -> Wire:
    """Split what a codec made: with ``header: protected`` its first bits leave the noise."""
    n = encoded.header_bits if policy.header == "protected" else 0
    if not 0 <= n <= encoded.bits.n_bits:
        raise ValueError(f"a header of {n} bits in a stream of {encoded.bits.n_bits}")
    classes = encoded.classes
    if classes is not None and classes.shape != (encoded.bits.n_bits,):
        raise ValueError(
            f"classes of shape {classes.shape} for a stream of {encoded.bits.n_bits} bits"
        )
    return Wire(
        _part(encoded.bits, n, encoded.bits.n_bits),
        _part(encoded.bits, 0, n),
        encoded.side,
        None if classes is None else classes[n:],
        None if encoded.units is None else _units_from(encoded.units, n),
    )


def clean_received(wire: Wire, policy: Policy) -> Received:
    """What reaches the decoder over a link without errors: the reference of every curve."""
    return Received(
        _join(wire.header, wire.payload),
        wire.side,
        lenient=policy.lenient,
        frames=policy.frames,
    )


def from_wire(
    wire: Wire,
    batch: ReceivedBatch,
    index: int,
    policy: Policy,
    wants: frozenset[str] = frozenset(),
    ber: float | None = None,
) -> Received:
    """What reaches the decoder in one trial.

    Parameters
    ----------
    wire : Wire
        What was sent.
    batch : ReceivedBatch
        What the link gave back for some trials.
    index : int
        Which line of the batch.
    policy : Policy
    wants : frozenset of {"llr", "erasures"}
        What the codec can use; the rest is left out.
    ber : float, optional
        The link's mean bit error rate where known: see :func:`link_ber`.

    Notes
    -----
    Protected header bits come with LLRs of magnitude `CERTAIN_LLR` and are never erased.
    """
    payload = PackedBits(np.ascontiguousarray(batch.bits[index]), batch.n_bits)
    n = wire.header.n_bits
    llr = erasures = None
    if "llr" in wants and batch.llr is not None:
        llr = np.ascontiguousarray(batch.llr[index], np.float32)
        if n:
            certain = CERTAIN_LLR * (1.0 - 2.0 * wire.header.unpack().astype(np.float32))
            llr = np.concatenate([certain.astype(np.float32), llr])
    if "erasures" in wants and batch.erased is not None:
        erasures = np.unpackbits(batch.erased[index], count=batch.n_bits).astype(bool)
        erasures = np.concatenate([np.zeros(n, bool), erasures])
    return Received(
        _join(wire.header, payload),
        wire.side,
        llr,
        erasures,
        ber,
        policy.lenient,
        frames=policy.frames,
    )


def is_clean(batch: ReceivedBatch) -> np.ndarray:
    """Trials that reached the decoder as they were sent, bool (trials,).

    Their decoding can be taken from the clean reference, unless the codec reads LLRs.
    """
    clean = batch.bit_errors == 0
    if batch.erased is not None:
        clean &= ~batch.erased.any(axis=-1)
    return clean


def conceal(policy: Policy, item: Item) -> np.ndarray:
    """What is shown of `item` when nothing was decoded; of its shape and type."""
    value = np.empty_like(item.value)
    if policy.conceal == "mean":
        axes = tuple(range(item.value.ndim - 1)) if item.value.ndim > 2 else None
        value[...] = np.rint(item.value.mean(axis=axes)).astype(item.value.dtype)
    else:
        value[...] = GREY
    return value


def settle(decoded: Decoded, item: Item, policy: Policy) -> tuple[Status, np.ndarray]:
    """Final status of a trial and the value to measure, whatever the decoder gave back.

    A value of another shape or type than the item's is `wrong_size`; under ``decode: strict`` a
    `partial` one is `rejected`; every outage is measured on its concealment.
    """
    status = decoded.status
    value = decoded.value
    if not status.outage:
        if value is None:
            status = Status.REJECTED
        elif value.shape != item.value.shape or value.dtype != item.value.dtype:
            status = Status.WRONG_SIZE
        elif status is Status.PARTIAL and not policy.lenient:
            status = Status.REJECTED
    if status.outage or value is None:
        return status, conceal(policy, item)
    return status, value


def link_ber(link: Link) -> float | None:
    """The link's mean bit error rate where it knows it in closed form."""
    return link.ledger(1).facts.get("ber")


@dataclass(frozen=True)
class CellLedger:
    """Where the bits of one cell go, from the codec to the channel. Counts are per trial.

    Attributes
    ----------
    width_height : tuple of int
        Size of the picture in pixels.
    samples : int
        Source samples: width x height x 3 for colour, width x height for grey.
    codec_bits : int
        What the codec made, header and side information included.
    header_bits : int
        How many of them the codec calls header, protected or not.
    payload_bits : int
        What is handed to the link.
    side_bits : int
        What is granted error-free: the codec's side information and a protected header.
    bpp : float
        Bits per pixel counted on what is sent: payload and the codec's own side information, but
        not a header that the policy protects.
    bpp_total : float
        The same with a protected header too: (payload_bits + side_bits) / pixels.
    cbr : float
        Channel bandwidth ratio: channel uses per source sample.
    uses_per_pixel : float
        Channel uses per pixel.
    link : channels.Ledger
        What the link added: parity, framing, padding, symbols. Side information never meets it.
    """

    width_height: tuple[int, int]
    samples: int
    codec_bits: int
    header_bits: int
    payload_bits: int
    side_bits: int
    bpp: float
    bpp_total: float
    cbr: float
    uses_per_pixel: float
    link: Ledger

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON; the link's lines under ``link``."""
        plain = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "link"}
        plain["width_height"] = list(self.width_height)
        plain["link"] = self.link.as_dict()
        return plain

    def columns(self) -> dict[str, float]:
        """The numbers of the cells' table: one flat line, without the link's stages."""
        plain = {f.name: getattr(self, f.name) for f in fields(self)}
        del plain["link"], plain["width_height"]
        for name in ("parity", "framing", "padding", "sent_bits", "channel_uses", "code_rate"):
            plain[name] = getattr(self.link, name)
        return plain


def ledger(item: Item, encoded: Encoded, wire: Wire, link: Link) -> CellLedger:
    """Account for an item sent over a link."""
    on_link = link.ledger(wire.payload.n_bits, wire.classes, wire.units)
    pixels = max(1, item.pixels)
    samples = int(item.value.size)
    if item.modality == "video":
        height, width = item.value.shape[1:3]
    else:
        height, width = item.value.shape[:2] if item.value.ndim > 1 else (1, item.value.size)
    return CellLedger(
        (width, height),
        samples,
        encoded.total_bits,
        encoded.header_bits,
        wire.payload.n_bits,
        wire.side_bits,
        (wire.payload.n_bits + 8 * len(wire.side)) / pixels,
        (wire.payload.n_bits + wire.side_bits) / pixels,
        on_link.channel_uses / max(1, samples),
        on_link.channel_uses / pixels,
        on_link,
    )


def _units_from(units: np.ndarray, start: int) -> np.ndarray | None:
    """What is left of units when the first bits have gone another way."""
    ends = np.cumsum(units) - start
    left = np.diff(np.maximum(ends, 0), prepend=0)[ends > 0]
    return None if (left[:-1] % 8).any() else left


def _part(bits: PackedBits, start: int, stop: int) -> PackedBits:
    if start == 0 and stop == bits.n_bits:
        return bits
    if start % 8 == 0 and (stop % 8 == 0 or stop == bits.n_bits):
        return PackedBits(bits.data[start // 8 : (stop + 7) // 8], stop - start)
    return PackedBits.from_bits(bits.unpack()[start:stop])


def _join(head: PackedBits, tail: PackedBits) -> PackedBits:
    if head.n_bits == 0:
        return tail
    if head.n_bits % 8 == 0:
        return PackedBits(np.concatenate([head.data, tail.data]), head.n_bits + tail.n_bits)
    return PackedBits.from_bits(np.concatenate([head.unpack(), tail.unpack()]))

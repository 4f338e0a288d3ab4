"""One item through one codec and one link, once: what `gencomm send` shows."""

from __future__ import annotations

import base64
import html
import io
import os
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from channels.link import Link, ReceivedBatch
from channels.noise import NoiseStream
from channels.spec import SpecError, parse_spec
from gencomm.codecs.contract import Codec, Item, Status
from gencomm.codecs.registry import CODECS
from gencomm.isolation import CodecProcess, Limits, LocalCodec, open_codec
from gencomm.isolation.limits import cores
from gencomm.items import frame_rate
from gencomm.metrics import Panel
from gencomm.policy import (
    CellLedger,
    Policy,
    clean_received,
    from_wire,
    is_clean,
    ledger,
    link_ber,
    settle,
    to_wire,
)
from gencomm.sent_clips import score_text, value_text
from gencomm.sources import SOURCES, image_item, make_source
from gencomm.sources.clip import SUFFIXES, Clip
from gencomm.sources.file import File

if TYPE_CHECKING:
    from matplotlib.figure import Figure

METRICS_SHOWN = ("psnr", "ssim", "ms_ssim")


@dataclass(frozen=True, eq=False)
class Sent:
    """What became of an item. Shows itself in a notebook; ``print`` gives the ledger.

    Attributes
    ----------
    item : Item
        What was sent; `original` is its value.
    received : array
        What came out, of the original's shape and type; the concealment where nothing did.
    status : Status
        "ok", "partial", or an outage.
    detail : str
        What the decoder said.
    scores, clean_scores : dict of str to float
        Metrics of what came out, and of what the same bits give without errors.
    ledger : CellLedger
        Where the bits went.
    codec, channel : str
        Their specs in one canonical text.
    policy : Policy
    seed, trial : int
        Which noise: that of a sweep's row with the same numbers.
    bit_errors, n_bits : int
        Payload bits that came back wrong, and how many were sent.
    notes : dict
        What the encoder noted.
    wrong : int64 array
        Places of payload bits that came back wrong or were lost.
    by_frame, clean_by_frame : dict of str to float64 array, shape (frames,)
        Of a clip: scores of each frame.
    codec_seconds : float
        Processor time of the encoder and of the decoder, which decodes what was sent and, where it
        differs, what came.
    """

    item: Item
    received: np.ndarray
    status: Status
    detail: str
    scores: dict[str, float]
    clean_scores: dict[str, float]
    ledger: CellLedger
    codec: str
    channel: str
    policy: Policy
    seed: int
    trial: int
    bit_errors: int
    n_bits: int
    notes: dict[str, Any] = field(default_factory=dict)
    wrong: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    by_frame: dict[str, np.ndarray] = field(default_factory=dict)
    clean_by_frame: dict[str, np.ndarray] = field(default_factory=dict)
    codec_seconds: float = 0.0

    @property
    def original(self) -> np.ndarray:
        """What was sent."""
        return self.item.value

    def figure(self) -> Figure:
        """Original, received and difference; of a clip, frames and quality over time."""
        if self.item.modality == "video":
            from gencomm.sent_clips import figure_of

            return figure_of([self])
        from gencomm.figures.sent import sent_figure

        scores = [score_text(name, value) for name, value in self.scores.items()]
        errors = f"{self.bit_errors:,} of {self.n_bits:,} bits wrong"
        return sent_figure(
            self.original,
            self.received,
            f"{self.codec} over {self.channel}",
            f"{'   '.join(scores)}\n{self.ledger.bpp:.3f} bpp   {errors}",
            self._label,
            self.status.outage,
        )

    def save(self, path: str | Path) -> Path:
        """Write the figure: ``.png``, ``.pdf`` or ``.svg``."""
        from gencomm.figures.saving import save

        return save(self.figure(), path)

    @property
    def _label(self) -> str:
        if self.status is Status.OK:
            return "received"
        if self.status.outage:
            return (
                f"{self.status.replace('_', ' ')}: nothing came out ({self.policy.conceal} shown)"
            )
        return f"received ({self.status})"

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON; without the pictures."""
        return {
            "item": self.item.id,
            "codec": self.codec,
            "channel": self.channel,
            **self.policy.as_dict(),
            "seed": self.seed,
            "trial": self.trial,
            "status": str(self.status),
            "detail": self.detail,
            "scores": self.scores,
            "clean_scores": self.clean_scores,
            "bit_errors": self.bit_errors,
            "n_bits": self.n_bits,
            "ledger": self.ledger.as_dict(),
        }

    def __str__(self) -> str:
        return "\n".join(f"{name:<12}{text}" for name, text in self._lines())

    def _lines(self) -> list[tuple[str, str]]:
        book, link = self.ledger, self.ledger.link
        width, height = book.width_height
        status = f"{self.status}{f': {self.detail}' if self.detail else ''}"
        size = f"{width} x {height} pixels"
        if self.item.modality == "video":
            frames, rate = len(self.original), float(frame_rate(self.item))
            size += f", {frames} frames at {rate:.4g} a second"
        lines = [("item", f"{self.item.id}, {size}, {book.samples:,} samples")]
        lines += [("", note) for note in self.item.meta.get("notes", [])]
        lines += [("codec", self.codec), ("channel", self.channel), ("status", status)]
        for name, value in self.scores.items():
            lines.append((name, f"{value_text(name, value)}  (without errors "
                                f"{value_text(name, self.clean_scores[name])})"))  # fmt: skip
        rate = self.bit_errors / self.n_bits if self.n_bits else 0.0
        header = f", {book.header_bits:,} of them header" if book.header_bits else ""
        side = "nothing is granted error-free"
        if book.side_bits:
            side = f"{book.side_bits:,} bits granted error-free, not sent; "
            side += f"{book.bpp_total:.4f} bits per pixel with them"
        lines += [
            ("bit errors", f"{self.bit_errors:,} of {self.n_bits:,} payload bits ({rate:.2e})"),
            ("encoded", f"{book.codec_bits:,} bits{header}"),
            ("payload", f"{book.payload_bits:,} bits, {book.bpp:.4f} bits per pixel"),
            *self._per_second(),
            ("side", side),
        ]
        added = [
            f"{name} {count:,}"
            for name in ("parity", "framing", "padding")
            if (count := getattr(link, name))
        ]
        lines.append(("sent", f"{link.sent_bits:,} bits ({', '.join(added) or 'nothing added'})"))
        lines.append(
            ("uses", f"{link.channel_uses:,} channel uses, {book.cbr:.4f} a sample (CBR), "
                     f"{book.uses_per_pixel:.4f} a pixel")
        )  # fmt: skip
        if link.facts:
            facts = ", ".join(f"{name} {value:.4g}" for name, value in link.facts.items())
            lines.append(("link", facts))
        return lines

    def _per_second(self) -> list[tuple[str, str]]:
        if self.item.modality != "video":
            return []
        seconds = len(self.original) / float(frame_rate(self.item))
        bits = self.ledger.payload_bits + self.ledger.side_bits
        return [("rate", f"{bits / seconds:,.0f} bits per second, side information included")]

    def _repr_png_(self) -> bytes:
        from gencomm.figures.style import styled

        buffer = io.BytesIO()
        with styled():
            self.figure().savefig(buffer, format="png", dpi=120, facecolor="white")
        return buffer.getvalue()

    def _repr_html_(self) -> str:
        picture = base64.b64encode(self._repr_png_()).decode()
        return (
            f'<img src="data:image/png;base64,{picture}" style="max-width:100%">'
            f"<pre>{html.escape(str(self))}</pre>"
        )


def send(
    item: Item | np.ndarray | str | os.PathLike[str],
    codec: str | Codec | CodecProcess | LocalCodec = "jpeg2000(bpp=0.5)",
    channel: str = "bsc(1e-4)",
    *,
    seed: int = 0,
    trial: int = 0,
    policy: Policy | None = None,
    metrics: Sequence[str] = METRICS_SHOWN,
    limits: Limits | None = None,
    isolate: bool = True,
) -> Sent:
    """Send one item over one link, once.

    Parameters
    ----------
    item : Item, array, path or source
        A picture or video file; uint8 samples (height, width, 3) or (height, width); or a source
        such as ``photos(names=[coffee])``, of which the first item is sent. All of a long clip,
        segment by segment, is sent by :func:`gencomm.send_clip`.
    codec : str or Codec
        Such as ``jpeg2000(bpp=0.5)``, or ``h264(crf=30)`` for a clip. A codec object runs in this
        process; one that `gencomm.isolation.open_codec` has started is used and left open.
    channel : str
        Such as ``bsc(1e-4)`` or ``qam16|awgn(ebno_db=6)``.
    seed, trial : int
        Which noise. The same numbers in a sweep give the same noise for the same item.
    policy : Policy, optional
    metrics : sequence of str
    limits : Limits, optional
        Of the codec's process: seconds and memory.
    isolate : bool
        False runs the codec in this process, without limits.

    Returns
    -------
    Sent

    Raises
    ------
    SpecError
        The codec or the link can't be built; points at the token.
    PictureError
        The picture can't be read.
    IsolationError
        The item can't be encoded.
    """
    what = _item(item)
    policy = policy or Policy()
    panel = Panel(list(metrics))
    name, opened = _open(codec, limits, isolate)
    with opened as process:
        if process.modality != what.modality:
            raise ValueError(f"{name} takes {process.modality}, and {what.id} is {what.modality}")
        link = Link.parse(channel, process.wants)
        encoding = process.encode(what)
        encoded = encoding.encoded
        wire = to_wire(encoded, policy)
        stream = NoiseStream(seed, link.text, what.hash)
        batch = link.transmit(wire.payload, [trial], stream, wire.classes, units=wire.units)
        noisy = from_wire(wire, batch, 0, policy, process.wants, link_ber(link))
        reads_llr = noisy.llr is not None
        both = [clean_received(wire, policy)]
        if reads_llr or not is_clean(batch)[0]:
            both.append(noisy)
        outcomes = process.decode(both, what.value.shape, what.value.dtype)
    state = panel.prepare(what.value)
    settled = [settle(outcome.decoded, what, policy) for outcome in outcomes]
    values = [value for _, value in settled]
    found, frames = panel.measure_frames(state, values, cores())
    scores = [_of(found, k) for k in range(len(values))]
    status, value = settled[-1]
    return Sent(
        item=what,
        received=value,
        status=status,
        detail=outcomes[-1].decoded.detail,
        scores=scores[-1],
        clean_scores=scores[0],
        ledger=ledger(what, encoded, wire, link),
        codec=name,
        channel=link.text,
        policy=policy,
        seed=seed,
        trial=trial,
        bit_errors=int(batch.bit_errors[0]),
        n_bits=wire.payload.n_bits,
        notes=encoded.meta,
        wrong=_wrong(wire.payload.data, batch),
        by_frame={name: some[-1] for name, some in frames.items()},
        clean_by_frame={name: some[0] for name, some in frames.items()},
        codec_seconds=encoding.cpu + sum(outcome.cpu for outcome in outcomes),
    )


def _wrong(sent: np.ndarray, batch: ReceivedBatch) -> np.ndarray:
    """Places of bits of trial 0 that came back wrong or were lost."""
    marks = sent ^ batch.bits[0]
    if batch.erased is not None:
        marks = marks | batch.erased[0]
    return np.flatnonzero(np.unpackbits(marks, count=batch.n_bits))


def _item(item: Any) -> Item:
    """An item from whatever a user holds."""
    if isinstance(item, Item):
        return item
    if isinstance(item, np.ndarray):
        return image_item("array", item)
    text = os.fspath(item)
    if not Path(text).exists():
        try:
            is_source = parse_spec(text).name in SOURCES
        except SpecError:
            is_source = False
        if is_source:
            return make_source(text).read(0)
    if Path(text).suffix.lower() in SUFFIXES:
        return Clip(text).read(0)
    return File(text).read(0)


def _open(
    codec: str | Codec | CodecProcess | LocalCodec, limits: Limits | None, isolate: bool
) -> tuple[str, AbstractContextManager[CodecProcess | LocalCodec]]:
    if isinstance(codec, (CodecProcess, LocalCodec)):
        name = CODECS.canonical(codec.spec) if isinstance(codec.spec, str) else codec.name
        return name, nullcontext(codec)
    if not isinstance(codec, str):
        return codec.name, LocalCodec(codec, limits)
    name = CODECS.canonical(codec)
    return name, open_codec(name, limits, isolate)


def _of(scores: dict[str, np.ndarray], trial: int) -> dict[str, float]:
    return {name: float(some[trial]) for name, some in scores.items()}

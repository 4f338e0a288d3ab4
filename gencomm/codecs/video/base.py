"""What all codecs of FFmpeg share: a clip to an elementary stream and, from anything, back."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import Any, ClassVar

import numpy as np

from channels.bits import PackedBits
from gencomm.codecs.contract import Decoded, Encoded, Item, Received, Status
from gencomm.codecs.rate import encode_at_rate
from gencomm.codecs.video.clip import Counts, Shown, assemble
from gencomm.codecs.video.streams import START, lost_bytes, without
from gencomm.items import frame_rate
from gencomm.video.colour import ToRGB, frames, padded
from gencomm.video.pyav import packet, pyav, version
from gencomm.video.session import Session

#: A damaged stream may hold more frames than were sent; no more than this many times are read.
MOST_FRAMES = 2
#: What a stream of this project holds; a damaged one may claim to hold anything.
FORMATS = ("yuv420p", "yuvj420p")
#: Options of every decoder: give out damaged pictures too, and those before the first key frame.
LENIENT = {"flags": "+output_corrupt", "flags2": "+showall"}
#: Frames of no more pixels than these are small: a coded picture's header takes as many bits as its
#: content there, and tools that lengthen headers cost more than they save.
SMALL = 128 * 128
#: Take no damaged picture: what the bit reader or the syntax finds is an error.
STRICT = {"err_detect": "crccheck+bitstream+buffer+explode"}


class FFmpegCodec:
    """Base class: an encoder and a decoder of FFmpeg, and the rate between them.

    A clip goes over the link as the raw elementary stream, frames in coding order. The session
    (frames, height, width; 48 bits) is side information. A received stream is cut into pictures
    again by FFmpeg's parser, as a receiver of a bare stream has to.

    Colour is 4:2:0 of 8 bits, BT.601; sides are continued to even numbers and cut back.

    Status of what comes out: ``ok`` when all frames came and the decoder refused nothing;
    ``partial`` with counts when frames are missing, too many, or of a wrong size, or units were
    refused; ``rejected`` when no frame came. Most bit errors decode to wrong pictures without a
    word: those are ``ok``.
    """

    modality: ClassVar[str] = "video"
    wants: ClassVar[frozenset[str]] = frozenset({"erasures"})
    name: ClassVar[str]
    #: FFmpeg's names
    encoder: ClassVar[str]
    decoder: ClassVar[str]
    #: name of the quality parameter, and its values in order of rising rate
    scale: ClassVar[str] = "crf"
    ladder: ClassVar[Sequence[float]]
    default: ClassVar[float]
    #: by how much a step of the ladder raises the rate, roughly
    step: ClassVar[float]
    #: least side that the encoder takes
    least: ClassVar[int] = 2
    full_range: ClassVar[bool] = False
    #: where decoding can begin after a gap
    prefixes: ClassVar[tuple[bytes, ...]] = (START,)

    def __init__(
        self,
        quality: float | None,
        bpp: float | None,
        bps: float | None,
        gop: int,
        bframes: int | None,
    ):
        given = [n for n, v in ((self.scale, quality), ("bpp", bpp), ("bps", bps)) if v is not None]
        if len(given) > 1:
            raise ValueError(f"{given[0]} and {given[1]} can't both be given: one settles the rate")
        low, high = min(self.ladder), max(self.ladder)
        if quality is not None and not low <= quality <= high:
            raise ValueError(f"{self.scale} goes from {low:g} to {high:g}, got {quality:g}")
        for name, value, most in (("bpp", bpp, 1000), ("bps", bps, 1e12)):
            if value is not None and not 0 < value <= most:
                unit = "pixel" if name == "bpp" else "second"
                raise ValueError(f"{name} must be a positive number of bits per {unit}")
        if not 1 <= gop <= 100_000:
            raise ValueError(f"gop is the number of frames from key frame to key frame, got {gop}")
        if bframes is not None and not 0 <= bframes <= 16:
            raise ValueError(f"bframes goes from 0 to 16, got {bframes}")
        self.quality = self.default if not given else quality
        self.bpp, self.bps, self.gop, self.bframes = bpp, bps, gop, bframes
        pyav()

    def options(self, quality: float, pixels: int) -> dict[str, Any]:
        """The encoder's private options at a quality, for frames of so many pixels."""
        raise NotImplementedError

    def rate(self, exact: Fraction) -> Fraction:
        """The frame rate that is written into the stream."""
        return exact

    def clean(self, packets: list[bytes]) -> list[bytes]:
        """Packets without what no decoder needs (the encoder's comments)."""
        return packets

    def header_bytes(self, first: bytes) -> int:
        """How many bytes of the first packet stand before the first picture's data."""
        raise NotImplementedError

    def units(self, packets: list[bytes]) -> list[int]:
        """Lengths in bytes of the units that a packet network should carry whole."""
        return [len(one) for one in packets]

    def split(self, context: Any, data: bytes) -> Iterable[bytes]:
        """A received stream cut into pictures."""
        return [bytes(one) for one in [*context.parse(data), *context.parse(None)]]

    def times(self, pictures: Sequence[bytes]) -> list[int | None]:
        """When each picture is to be shown, where the stream says so."""
        return [None] * len(pictures)

    def versions(self) -> dict[str, str]:
        """PyAV, FFmpeg and its libraries that decide an answer."""
        return version("libavcodec", "libswscale")

    def encode(self, item: Item) -> Encoded:
        """Encode at the quality asked for, or at the best one within the rate asked for."""
        if item.modality != "video":
            raise ValueError(f"{self.name} takes clips; {item.id} is {item.modality}")
        session = Session(*item.value.shape[:3])
        pictures = list(frames(item.value, self.full_range, self.least))
        rate = frame_rate(item)
        seconds = len(pictures) / float(rate)
        bpp = self.bpp if self.bps is None else self.bps * seconds / item.pixels

        def at(quality: float) -> Encoded:
            return self._encoded(self._packets(pictures, rate, quality), session, quality)

        if bpp is None:
            assert self.quality is not None
            found = at(self.quality)
        else:
            found = encode_at_rate(at, self.ladder, item, bpp, step=self.step)
        found.meta["bits_per_second"] = found.total_bits / seconds
        return found

    def _packets(self, pictures: list[Any], rate: Fraction, quality: float) -> list[bytes]:
        av = pyav()
        context = av.CodecContext.create(self.encoder, "w")
        first = pictures[0]
        context.width, context.height = first.width, first.height
        context.pix_fmt = first.format.name
        written = self.rate(rate)
        context.time_base, context.framerate = 1 / written, written
        context.thread_count, context.gop_size = 1, self.gop
        if self.bframes is not None:
            context.max_b_frames = self.bframes
        context.options = {
            k: str(v) for k, v in self.options(quality, first.width * first.height).items()
        }
        found: list[bytes] = []
        for index, frame in enumerate(pictures):
            frame.pts, frame.time_base = index, context.time_base
            found += [bytes(made) for made in context.encode(frame)]
        return found + [bytes(made) for made in context.encode(None)]

    def _encoded(self, packets: list[bytes], session: Session, quality: float) -> Encoded:
        packets = self.clean(packets)
        header = 8 * self.header_bytes(packets[0])
        return Encoded(
            PackedBits.from_bytes(b"".join(packets)),
            header,
            session.to_bytes(),
            meta={"quality": quality, "frame_bits": [8 * len(one) for one in packets]},
            units=8 * np.array(self.units(packets), np.int64),
        )

    def decode(self, received: Received) -> Decoded:
        """Decode whatever arrived. Never raises on account of its content."""
        try:
            session = Session.from_bytes(received.side)
        except ValueError as error:
            return Decoded.rejected(str(error))
        data = received.bits.to_bytes()
        runs = lost_bytes(received.erasures, received.bits.n_bits)
        data = without(data, runs, self.prefixes)
        counts = Counts()
        patient = received.lenient and received.frames == "pass"
        shown = self._decode(data, session, counts, patient)
        if not received.lenient and (counts.errors or runs is not None):
            return Decoded.rejected(f"{counts.errors} units of the stream are damaged")
        value = assemble(shown, session, counts, received.frames == "drop")
        if value is None:
            return Decoded.rejected(f"no frame came out: {counts}" if data else "empty stream")
        detail = str(counts)
        return Decoded(value, Status.PARTIAL if detail else Status.OK, detail)

    def _decode(self, data: bytes, session: Session, counts: Counts, patient: bool) -> list[Shown]:
        """All frames that the library gives for a stream, in the order in which it gives them."""
        av = pyav()
        context = av.CodecContext.create(self.decoder, "r")
        size = padded(session.height, self.least), padded(session.width, self.least)
        pixels = 4 * (size[0] + 256) * (size[1] + 256)  # buffers have edges
        context.options = {
            **(LENIENT if patient else STRICT),
            "max_pixels": str(pixels),
        }
        context.thread_count = 1
        pictures = list(self.split(av.CodecContext.create(self.parser, "r"), data)) if data else []
        times = self.times(pictures)
        shown: list[Shown] = []
        to_rgb = ToRGB()
        refused: set[int] = set()
        most = MOST_FRAMES * session.frames + 8
        for index, picture in enumerate([*pictures, None]):
            if len(shown) >= most:
                break
            try:
                given = context.decode(packet(picture, index) if picture else None)
            except (av.FFmpegError, ValueError):
                counts.errors += 1
                refused.add(index)
                continue
            for frame in given:
                if frame.pts in refused and not patient:
                    continue  # some decoders give out what they refused, half undecoded
                key = bool(frame.key_frame)
                time = None
                if frame.pts is not None and 0 <= frame.pts < len(times):
                    time = times[frame.pts]
                value = None
                if frame.format.name in FORMATS and (frame.height, frame.width) == size:
                    value = to_rgb(frame, session.height, session.width)
                shown.append(Shown(value, time, key))
        return shown

    @property
    def parser(self) -> str:
        """FFmpeg's decoder whose parser cuts the stream."""
        return self.decoder


def quarter_steps(low: float, high: float) -> list[float]:
    """Qualities from `high` down to `low` in steps of a quarter, the lowest rate first."""
    return [q / 4 for q in range(math.floor(4 * high), math.ceil(4 * low) - 1, -1)]

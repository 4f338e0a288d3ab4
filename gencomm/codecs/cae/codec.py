"""The compressive autoencoder as a codec: latents, range coding, a header, slices."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property, lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol

import numpy as np

from channels.bits import PackedBits
from gencomm.bitstream.header import HeaderReader, pack_numbers, seal
from gencomm.codecs.contract import Decoded, Encoded, Item, Received, Status
from gencomm.codecs.rate import check_rate, encode_at_rate
from gencomm.weights import Weights, load_weights

if TYPE_CHECKING:
    from gencomm.bitstream.context import ContextTables, LatentCoder
    from gencomm.bitstream.range_coding import Models
    from gencomm.codecs.cae.inference import Networks

#: Sides are padded to a multiple of this; one row of the coarse latents.
STRIDE = 16

#: Highest quality; the lowest is 0.
TOP = 100.0

#: Qualities are rounded to steps of one over this, about 0.7 % of rate each.
STEPS = 4

#: Bits in the first byte of a stream: grey, and of the one size that its weights are for, which the
#: header then doesn't repeat. The others say which codec's it is.
GREY, SIZED = 0x01, 0x02

MAX_SIDE = 1 << 16
MAX_PIXELS = 1 << 26
MAX_SLICES = 255

#: Symbols are clipped to this magnitude; the entropy coder takes no larger ones.
LARGEST_SYMBOL = 16383


class Coder(Protocol):
    """Codes two planes of latents of slices of one size, each to a stream of its own;
    `gencomm.bitstream.context.LatentCoder` is one.
    """

    def encode(self, coarse: np.ndarray, fine: np.ndarray) -> tuple[list[bytes], float]: ...

    def decode(
        self, streams: Sequence[bytes], rows: int, columns: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]: ...


class Frame(NamedTuple):
    """What a header says: size, quality step, length of each slice but the last, where it ends."""

    height: int
    width: int
    grey: bool
    step: int
    lengths: list[int]
    end: int

    @property
    def coarse(self) -> tuple[int, int]:
        """Rows and columns of the latents at 1/16."""
        return -(-self.height // STRIDE), -(-self.width // STRIDE)

    @property
    def slices(self) -> int:
        return len(self.lengths) + 1


class CAE:
    """Compressive autoencoder (Theis et al. 2017) with real bits.

    Parameters
    ----------
    quality : float, optional
        0 to 100, in steps of a quarter: the logarithm of the weight of distortion against rate,
        in equal steps. 50 by default.
    bpp : float, optional
        Instead: bits per pixel, header included.
    slices : int
        Into how many bands of rows the latents are cut, each decodable without the others; fewer
        where the picture has fewer than 16 rows of pixels for each. 1 by default: one stream, of
        which everything behind the first error is lost.
    weights : str, optional
        A file of weights to use in place of those for photographs, or a name of others that come
        with the package: ``cae_faces64`` for aligned faces of 64x64 pixels, in one slice.

    Notes
    -----
    Symbols decode with integer tables that come with the weights, and with no network at all:
    they are the same on every machine. The networks run in 32-bit floating point, so that samples
    may differ by one between machines.
    """

    name = "cae"
    modality: ClassVar[str] = "image"
    wants: ClassVar[frozenset[str]] = frozenset()
    #: The first byte of a stream, without the bit for grey.
    version: ClassVar[int] = 0x10
    #: What one is worth in the coder's planes, in steps of rounding.
    unit: ClassVar[float] = 1.0
    ladder: ClassVar[Sequence[float]] = tuple(k / STEPS for k in range(round(TOP * STEPS) + 1))

    def __init__(
        self,
        quality: float | None = None,
        bpp: float | None = None,
        slices: int = 1,
        weights: str | None = None,
    ):
        check_rate(self.name, quality, bpp, 0, TOP)
        if not 1 <= slices <= MAX_SLICES:
            raise ValueError(f"slices goes from 1 to {MAX_SLICES}, got {slices}")
        self.quality = 50.0 if quality is None and bpp is None else quality
        self.bpp, self.slices = bpp, slices
        self.weights_name = weights or self.name

    def __getstate__(self) -> dict[str, Any]:
        state = self.__dict__.copy()
        state.pop("weights", None)  # a worker loads its own
        return state

    @cached_property
    def weights(self) -> Weights:
        """The file of weights, loaded when first needed.

        Raises
        ------
        ValueError
            There is no such file, or it doesn't go with the other parameters.
        """
        weights = load_weights(self.weights_name)
        if weights.state.get("side") and self.slices > 1:
            raise ValueError(f"weights {weights.name} are for one slice, not {self.slices}")
        return weights

    @property
    def fixed_shape(self) -> tuple[int, int, int] | None:
        """The one shape that the weights are for, where they are for one."""
        if self.weights_name == self.name:
            return None  # without reading them
        side = self._side
        return (side, side, 3) if side else None

    @property
    def _side(self) -> int:
        return int(self.weights.state.get("side", 0))

    def versions(self) -> dict[str, str]:
        """Range coder, torch, and the weights' checksum."""
        from importlib.metadata import version

        return {
            "constriction": version("constriction"),
            "torch": version("torch"),
            "weights": self.weights.checksum,
        }

    def encode(self, item: Item) -> Encoded:
        """Encode at the quality asked for, or at the best one within the rate asked for.

        Raises
        ------
        ValueError
            The item is no picture of uint8, grey or RGB, or has a side beyond MAX_SIDE.
        """
        picture = _picture(item, self.name)
        if self._side and picture.shape[:2] != (self._side, self._side):
            raise ValueError(
                f"weights {self.weights.name} take pictures of {self._side} x {self._side} pixels; "
                f"{item.id} has {picture.shape[1]} x {picture.shape[0]}"
            )
        latents = self._networks().analyse(picture)
        grey = picture.ndim == 2
        if self.bpp is None:
            assert self.quality is not None
            return self._encode(latents, picture.shape[:2], grey, self.quality)
        return encode_at_rate(
            lambda quality: self._encode(latents, picture.shape[:2], grey, quality),
            self.ladder,
            item,
            self.bpp,
        )

    def _encode(
        self,
        latents: tuple[np.ndarray, np.ndarray],
        size: tuple[int, ...],
        grey: bool,
        quality: float,
    ) -> Encoded:
        step = round(quality * STEPS)
        coarse, fine = self._scaled(latents, _gain(self.weights, step, "gain"))
        coder = self._coder(step)
        rows = coarse.shape[1]
        bands = _bands(rows, min(self.slices, rows))
        streams, estimate = [b""] * len(bands), 0.0
        for chosen in _alike(bands):
            parts = [bands[k] for k in chosen]
            found, cost = coder.encode(
                np.stack([coarse[:, first:last] for first, last in parts], 1),
                np.stack([fine[:, 2 * first : 2 * last] for first, last in parts], 1),
            )
            for k, stream in zip(chosen, found, strict=True):
                streams[k] = stream
            estimate += cost
        kind = self.version | (GREY if grey else 0)
        if self._side:
            numbers = [kind | SIZED, step]
        else:
            lengths = [len(stream) for stream in streams[:-1]]
            numbers = [kind, *size, step, len(streams), *lengths]
        header = seal(pack_numbers(numbers))
        return Encoded(
            PackedBits.from_bytes(header + b"".join(streams)),
            8 * len(header),
            meta={
                "quality": step / STEPS,
                "estimated_bpp": estimate / (size[0] * size[1]),
                "slices": len(streams),
            },
        )

    def decode(self, received: Received) -> Decoded:
        """Decode whatever arrived. Never raises on account of its content.

        Status ``rejected`` when the header is damaged or no part of any slice is sound;
        ``partial`` when something is missing, with latents of zero in its place.
        """
        data = received.bits.to_bytes()
        try:
            frame = read_frame(data, self.version, self._side)
        except ValueError as error:
            return Decoded.rejected(str(error))
        limit = min(MAX_PIXELS, received.max_pixels or MAX_PIXELS)
        if frame.height * frame.width > limit:
            return Decoded.rejected(
                f"claims {frame.width} x {frame.height} pixels, the limit is {limit}"
            )
        symbols, sound, total = self._symbols(data[frame.end :], frame)
        if not sound:
            return Decoded.rejected("no part of the stream is sound")
        damage = "" if sound == total else f"{sound} of {total} channels in slices are sound"
        if damage and not received.lenient:
            return Decoded.rejected(damage)
        value = self._networks().synthesise(
            symbols,
            _gain(self.weights, frame.step, "inverse") * self.unit,
            _position(self.weights, frame.step),
            (frame.height, frame.width),
        )
        if frame.grey:
            value = np.rint(value.astype(np.float32).mean(2)).astype(np.uint8)
        return Decoded(value, Status.PARTIAL if damage else Status.OK, damage)

    def symbols(self, data: bytes) -> tuple[np.ndarray, np.ndarray]:
        """The symbols of a stream, without any network; zeros where it is damaged.

        Returns
        -------
        coarse : int32 (channels, rows, columns)
        fine : int32 (channels, 2 rows, 2 columns)

        Raises
        ------
        ValueError
            The header is damaged.
        """
        frame = read_frame(data, self.version, self._side)
        return self._symbols(data[frame.end :], frame)[0]

    def _symbols(self, data: bytes, frame: Frame) -> tuple[tuple[np.ndarray, np.ndarray], int, int]:
        """Symbols of all slices, how many of their channels are sound, and how many there are."""
        rows, columns = frame.coarse
        coder = self._coder(frame.step)
        edges = np.cumsum([0, *frame.lengths]).tolist()
        streams = [data[k:stop] for k, stop in zip(edges, [*edges[1:], None], strict=True)]
        bands = _bands(rows, frame.slices)
        planes: tuple[np.ndarray, ...] = ()
        sound = 0
        for chosen in _alike(bands):
            first, last = bands[chosen[0]]
            *parts, good = coder.decode([streams[k] for k in chosen], last - first, columns)
            sound += int(good.sum())
            if not planes:
                planes = tuple(
                    np.empty((len(part), scale * rows, scale * columns), np.int32)
                    for part, scale in zip(parts, (1, 2), strict=True)
                )
            for one, k in enumerate(chosen):
                first, last = bands[k]
                for plane, part, scale in zip(planes, parts, (1, 2), strict=True):
                    plane[:, scale * first : scale * last] = part[:, one]
        coarse, fine = planes
        return (coarse, fine), sound, len(bands) * (len(coarse) + len(fine))

    def _networks(self) -> Networks:
        return _networks(self.weights)

    def _coder(self, step: int) -> Coder:
        return _coder(self.weights, step)

    def _scaled(
        self, latents: tuple[np.ndarray, np.ndarray], gain: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """What the coder takes: latents times their gain, rounded."""
        coarse, fine = (
            np.clip(np.rint(plane), -LARGEST_SYMBOL, LARGEST_SYMBOL).astype(np.int32)
            for plane in scaled(latents, gain)
        )
        return coarse, fine


def read_frame(data: bytes, version: int = CAE.version, side: int = 0) -> Frame:
    """Read a stream's header.

    Parameters
    ----------
    data : bytes
    version : int
        Of the codec that it should be of.
    side : int
        When positive, of the pictures that the weights are for.

    Raises
    ------
    ValueError
        It is damaged, or says what no encoder writes.
    """
    reader = HeaderReader(data)
    if side:
        kind, step = reader.number(), reader.number()
        reader.check()
        if kind & ~GREY != version | SIZED or step > TOP * STEPS:
            raise ValueError("the header is of another format")
        return Frame(side, side, bool(kind & GREY), step, [], reader.at)
    kind, height, width, step, slices = (reader.number() for _ in range(5))
    if not 1 <= slices <= MAX_SLICES:
        raise ValueError(f"the header claims {slices} slices")
    lengths = [reader.number() for _ in range(slices - 1)]
    reader.check()
    sides = 1 <= height <= MAX_SIDE and 1 <= width <= MAX_SIDE
    frame = Frame(height, width, bool(kind & GREY), step, lengths, reader.at)
    if kind & ~GREY != version or not sides or step > TOP * STEPS or slices > frame.coarse[0]:
        raise ValueError("the header is of another format")
    return frame


def _picture(item: Item, name: str) -> np.ndarray:
    picture = np.asarray(item.value)
    colour = picture.ndim == 3 and picture.shape[2] == 3
    if picture.dtype != np.uint8 or not (colour or picture.ndim == 2) or picture.size == 0:
        raise ValueError(
            f"{name} takes uint8 of shape (height, width, 3) or (height, width); {item.id} is "
            f"{picture.dtype} of shape {picture.shape}"
        )
    if max(picture.shape[:2]) > MAX_SIDE or picture.shape[0] * picture.shape[1] > MAX_PIXELS:
        raise ValueError(
            f"{name} takes sides of up to {MAX_SIDE} and {MAX_PIXELS} pixels; {item.id} has "
            f"{picture.shape[1]} x {picture.shape[0]}"
        )
    return picture


def _bands(rows: int, slices: int) -> list[tuple[int, int]]:
    """Cut rows into bands of nearly equal height."""
    edges = [rows * k // slices for k in range(slices + 1)]
    return list(pairwise(edges))


def _alike(bands: list[tuple[int, int]]) -> list[list[int]]:
    """Numbers of the bands of each height: at most two, for heights differ by no more than one."""
    heights = [last - first for first, last in bands]
    return [[k for k, h in enumerate(heights) if h == height] for height in sorted({*heights})]


def scaled(
    latents: tuple[np.ndarray, np.ndarray], gain: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Coarse and fine latents times their channels' gain."""
    coarse, fine = latents
    k = len(coarse)
    return coarse * gain[:k, None, None], fine * gain[k:, None, None]


def level(step: int, levels: int) -> int:
    """Which of the levels that tables are stored for serves a quality step."""
    return round(step / (TOP * STEPS) * (levels - 1))


def _position(weights: Weights, step: int) -> float:
    """Of a quality step on the axis of the rates that were trained."""
    return step / (TOP * STEPS) * (len(weights.state["lambdas"]) - 1)


def _gain(weights: Weights, step: int, which: str) -> np.ndarray:
    """Gains, or inverse gains, of all channels at a quality step, float32 (channels,)."""
    logs = weights.arrays[f"network.gains.log_{which}"].astype(np.float64)
    position = _position(weights, step)
    low = min(int(position), len(logs) - 2)
    share = position - low
    return np.exp((1 - share) * logs[low] + share * logs[low + 1]).astype(np.float32)


@lru_cache(maxsize=2)
def _context(weights: Weights) -> tuple[ContextTables, Models]:
    from gencomm.bitstream.context import ContextTables
    from gencomm.bitstream.range_coding import Models

    context = ContextTables.from_arrays(weights.part("context"))
    return context, Models(context.tables)


def _coder(weights: Weights, step: int) -> LatentCoder:
    """The coder of a quality step."""
    from gencomm.bitstream.context import LatentCoder

    context, models = _context(weights)
    return LatentCoder(context, models, level(step, len(context.gain)))


@lru_cache(maxsize=2)
def _networks(weights: Weights) -> Networks:
    from gencomm.codecs.cae.inference import Networks

    return Networks(weights)

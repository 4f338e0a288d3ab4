"""Which table codes a latent: the context of `gencomm.nn.context`, in integers.

Every number here is an integer held in 64-bit floating point, and no sum exceeds 2^53: sums are
exact whatever their order, so that a fast matrix product gives the same on every machine, and
decoders agree with encoders to the last bit.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gencomm.bitstream.range_coding import Models, SymbolDecoder, SymbolEncoder
from gencomm.bitstream.tables import Tables

#: Fractional bits of weights, of magnitudes in units of the typical one, and of gains; of means.
WEIGHT_BITS, UNIT_BITS, GAIN_BITS, MEAN_BITS = 16, 12, 10, 14

#: Largest weight, magnitude in units, scale before the gain, and gain, with their fractional bits.
#: Eight neighbours in 192 channels, 2^20 x 2^24 x 192, stay below 2^52; so does 2^36 x 2^16.
MAX_WEIGHT, MAX_UNITS, MAX_SCALE, MAX_GAIN = 2**20, 2**21, 2**36, 2**16

#: Bits dropped from a sum of weights times units before the gain multiplies it.
DROPPED = 12

#: Fractional bits of a scale with its gain, which thresholds are compared with.
SCALE_BITS = WEIGHT_BITS + UNIT_BITS - DROPPED + GAIN_BITS

#: Tables for each factor of two in scale.
PER_OCTAVE = 4

#: Symbols have no larger magnitude; differences from a mean then fit the coder's.
LARGEST_SYMBOL = 16383

#: Parity of row and column of the four passes over a coarse channel.
PASSES = ((0, 0), (1, 1), (0, 1), (1, 0))

#: Channels after which a stream has a check, besides the end: half of what went before is kept
#: when damage is found, and all of them together cost 72 bits.
CHECKS = (1, 2, 4, 8, 16, 32, 64, 128)


def scale_index(scale: float) -> int:
    """On the axis of table scales, the step that a scale lies in; 0 begins at 1."""
    return int(np.floor(PER_OCTAVE * np.log2(scale)))


def index_scale(index: int) -> float:
    """The middle of a step, on a logarithmic scale."""
    return float(2 ** ((index + 0.5) / PER_OCTAVE))


@dataclass(frozen=True, eq=False)
class ContextTables:
    """Everything that symbols depend on, as it stands in a file of weights.

    Attributes
    ----------
    same, near : uint32 (C, C)
        Weights of magnitudes at the same place and summed around it; zero unless the second
        channel comes before the first. Coarse channels come first.
    own : uint32 (passes, coarse, 3, 3)
        Weights of a coarse channel's own neighbours.
    mean : int32 (passes, coarse, 3, 3)
    base, unit, gain : uint32 (levels, C)
        Smallest scale, what one step of a symbol is worth in typical magnitudes, and gain, at each
        level of the rate.
    first, count : int16 (C,)
        Which steps of scale a channel has tables for.
    thresholds : int64 (n,)
        Where steps of scale begin, `lowest` being the first.
    tables : Tables
        Channel after channel.
    places : tuple of uint32 (coarse, h, w) and (fine, 2h, 2w), or None
        Added to scales at each place, of planes of this size alone.
    checks : tuple of int
        Channels after which a stream has a check, besides the end.
    """

    same: np.ndarray
    near: np.ndarray
    own: np.ndarray
    mean: np.ndarray
    base: np.ndarray
    unit: np.ndarray
    gain: np.ndarray
    first: np.ndarray
    count: np.ndarray
    thresholds: np.ndarray
    lowest: int
    tables: Tables
    places: tuple[np.ndarray, np.ndarray] | None = None
    checks: tuple[int, ...] = CHECKS

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray]) -> ContextTables:
        """Put together from a file's arrays.

        Raises
        ------
        KeyError, ValueError
            One is missing, or they don't fit each other.
        """
        tables = Tables(arrays["frequencies"], arrays["reach"])
        exact = ("same", "near", "own", "mean", "base", "unit", "gain", "thresholds")
        whole = {name: arrays[name].astype(np.float64) for name in exact}
        steps = {name: arrays[name].astype(np.int64) for name in ("first", "count")}
        if int(steps["count"].sum()) != len(tables):
            raise ValueError("the tables are not as many as the channels say")
        found: dict[str, Any] = {}
        if "places.coarse" in arrays:
            found["places"] = tuple(
                arrays[f"places.{plane}"].astype(np.float64) for plane in ("coarse", "fine")
            )
        if "checks" in arrays:
            found["checks"] = tuple(arrays["checks"].tolist())
        return cls(**whole, **steps, lowest=int(arrays["lowest"][0]), tables=tables, **found)

    @property
    def coarse(self) -> int:
        """Channels of the coarse plane."""
        return self.own.shape[1]


class LatentCoder:
    """Codes two planes of symbols at one level of the rate.

    Parameters
    ----------
    context : ContextTables
    models : Models
        Of the context's tables; shared by all levels.
    level : int
    """

    def __init__(self, context: ContextTables, models: Models, level: int):
        self.context, self.models = context, models
        self.base, self.unit, self.gain = (
            array[level] for array in (context.base, context.unit, context.gain)
        )
        self.start = np.concatenate([[0], np.cumsum(context.count)])

    def encode(self, coarse: np.ndarray, fine: np.ndarray) -> tuple[list[bytes], float]:
        """Code the planes of slices of one size, each to a stream of its own.

        Parameters
        ----------
        coarse : int (coarse, slices, h, w)
        fine : int (fine, slices, 2h, 2w)
            Magnitudes up to LARGEST_SYMBOL.

        Returns
        -------
        streams : list of bytes
        estimate : float
            Bits that the tables say they take together.
        """
        encoder, estimate = SymbolEncoder(self.models, coarse.shape[1]), 0.0

        def code(channel: int, indices: np.ndarray, symbols: np.ndarray) -> np.ndarray:
            nonlocal estimate
            encoder.put(symbols, indices)
            estimate += self.context.tables.bits(symbols.ravel(), indices.ravel())
            return symbols

        walk = _Walk(self, *coarse.shape[1:])
        for channel, last in self._order():
            walk.channel(channel, code, coarse, fine)
            if last:
                encoder.check()
                estimate += 8 * coarse.shape[1]
        return encoder.to_bytes(), estimate

    def decode(
        self, streams: Sequence[bytes], rows: int, columns: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Decode slices of one size as far as their streams are sound.

        Parameters
        ----------
        streams : sequence of bytes
            Any.
        rows, columns : int
            Of the coarse plane of each.

        Returns
        -------
        coarse : int32 (coarse, slices, rows, columns)
        fine : int32 (fine, slices, 2 rows, 2 columns)
            Zero where nothing sound was decoded.
        sound : int64 (slices,)
            How many channels, in order, are.
        """
        decoder = SymbolDecoder(streams, self.models)

        def code(channel: int, indices: np.ndarray, symbols: None) -> np.ndarray:
            return decoder.get(indices)

        k, count = self.context.coarse, len(streams)
        coarse = np.zeros((k, count, rows, columns), np.int32)
        fine = np.zeros((len(self.gain) - k, count, 2 * rows, 2 * columns), np.int32)
        sound = np.zeros(count, int)
        walk = _Walk(self, count, rows, columns)
        for channel, last in self._order():
            symbols = walk.channel(channel, code)
            (coarse if channel < k else fine)[channel - (0 if channel < k else k)] = symbols
            if last:
                decoder.check()
                sound[decoder.alive] = channel + 1
            if not decoder.alive.any():
                break
        for one, channels in enumerate(sound):
            coarse[channels:, one] = 0
            fine[max(channels - k, 0) :, one] = 0
        return coarse, fine, sound

    def _order(self) -> Iterator[tuple[int, bool]]:
        """Channels as they are coded, and whether a check follows."""
        channels = len(self.gain)
        for channel in range(channels):
            yield channel, channel + 1 in self.context.checks or channel + 1 == channels

    def indices(self, channel: int, scale: np.ndarray) -> np.ndarray:
        """Tables of a channel at places where its scale, before the gain, is as given."""
        context = self.context
        whole = np.minimum(np.floor(scale / 2**DROPPED), MAX_SCALE) * self.gain[channel]
        step = np.searchsorted(context.thresholds, whole, side="right") - 1 + context.lowest
        step = np.clip(step - context.first[channel], 0, context.count[channel] - 1)
        return self.start[channel] + step

    def units(self, channel: int, symbols: np.ndarray) -> np.ndarray:
        """Magnitudes as multiples of the channel's typical one."""
        return np.minimum(np.abs(symbols) * self.unit[channel], MAX_UNITS)


class _Walk:
    """Both planes of slices of one size, channel by channel."""

    def __init__(self, coder: LatentCoder, slices: int, rows: int, columns: int):
        self.coder = coder
        self.coarse = _Coarse(coder, slices, rows, columns)

    def channel(
        self,
        channel: int,
        code: Any,
        coarse: np.ndarray | None = None,
        fine: np.ndarray | None = None,
    ) -> np.ndarray:
        """Code the next channel, from planes where they are to be written; its symbols."""
        k = self.coder.context.coarse
        if channel < k:
            return self.coarse.channel(channel, code, None if coarse is None else coarse[channel])
        if channel == k:
            self.fine = _Fine(self.coder, self.coarse)
        return self.fine.channel(channel, code, None if fine is None else fine[channel - k])


class _Coarse:
    """Magnitudes of the coarse plane, filled in channel by channel."""

    def __init__(self, coder: LatentCoder, slices: int, rows: int, columns: int):
        self.coder = coder
        shape = (coder.context.coarse, slices, rows, columns)
        self.known, self.around = np.zeros(shape), np.zeros(shape)

    def channel(self, c: int, code: Any, sent: np.ndarray | None) -> np.ndarray:
        """Code one channel (slices, h, w) in four passes; its symbols."""
        context, shape = self.coder.context, self.known.shape[1:]
        scale = self.coder.base[c] + _product(context.same[c, :c], self.known[:c])
        scale += _product(context.near[c, :c], self.around[:c])
        if context.places is not None:
            scale += context.places[0][c]
        symbols, units = np.zeros(shape), np.zeros(shape)
        for k, (y, x) in enumerate(PASSES):
            here = (..., slice(y, None, 2), slice(x, None, 2))
            mean = np.zeros(symbols[here].shape)
            local = scale[here].copy()
            if k and mean.size:
                mean = np.floor(_window(symbols, context.mean[k, c], here) / 2**MEAN_BITS + 0.5)
                mean = np.clip(mean, -LARGEST_SYMBOL, LARGEST_SYMBOL)
                local += _window(units, context.own[k, c], here)
            indices = self.coder.indices(c, local).reshape(len(local), -1)
            difference = None
            if sent is not None:
                difference = (sent[here] - mean).reshape(indices.shape).astype(np.int64)
            got = code(c, indices, difference).reshape(mean.shape) + mean
            symbols[here] = np.clip(got, -LARGEST_SYMBOL, LARGEST_SYMBOL)
            units[here] = self.coder.units(c, symbols[here])
        self.known[c], self.around[c] = units, neighbours(units)
        return symbols


class _Fine:
    """Magnitudes of the fine plane, filled in channel by channel."""

    #: Channels whose share in later scales is worked out by one matrix product.
    BLOCK = 16

    def __init__(self, coder: LatentCoder, coarse: _Coarse):
        self.coder, k = coder, coder.context.coarse
        context = coder.context
        scale = _product(context.same[k:, :k], coarse.known)
        scale += _product(context.near[k:, :k], coarse.around)
        self.scale = scale.repeat(2, 2).repeat(2, 3) + coder.base[k:, None, None, None]
        if context.places is not None:
            self.scale += context.places[1][:, None]
        self.known, self.around = np.zeros_like(self.scale), np.zeros_like(self.scale)

    def channel(self, c: int, code: Any, sent: np.ndarray | None) -> np.ndarray:
        """Code one channel (slices, h, w); its symbols."""
        context, k = self.coder.context, self.coder.context.coarse
        own = c - k
        first = own // self.BLOCK * self.BLOCK
        if own == first and own:
            done = slice(first - self.BLOCK, first)
            columns = slice(k + done.start, k + done.stop)
            self.scale[first:] += _product(context.same[c:, columns], self.known[done])
            self.scale[first:] += _product(context.near[c:, columns], self.around[done])
        scale = self.scale[own] + _product(context.same[c, k + first : c], self.known[first:own])
        scale += _product(context.near[c, k + first : c], self.around[first:own])
        indices = self.coder.indices(c, scale).reshape(len(scale), -1)
        sent = None if sent is None else sent.reshape(indices.shape)
        symbols = code(c, indices, sent).reshape(scale.shape)
        symbols = np.clip(symbols, -LARGEST_SYMBOL, LARGEST_SYMBOL)
        self.known[own] = self.coder.units(c, symbols)
        self.around[own] = neighbours(self.known[own])
        return symbols


def _product(weight: np.ndarray, planes: np.ndarray) -> np.ndarray:
    """weight (..., j) times planes (j, ...) -> the shapes' rests, one after the other."""
    flat = planes.reshape(len(planes), math.prod(planes.shape[1:]))
    return (weight @ flat).reshape(*weight.shape[:-1], *planes.shape[1:])


def _bordered(planes: np.ndarray) -> np.ndarray:
    """Planes (..., h, w) with a border of zeros."""
    padded = np.zeros((*planes.shape[:-2], planes.shape[-2] + 2, planes.shape[-1] + 2))
    padded[..., 1:-1, 1:-1] = planes
    return padded


def neighbours(planes: np.ndarray) -> np.ndarray:
    """Sum over the eight neighbours of each place, zeros beyond the edge; planes (..., h, w)."""
    padded = _bordered(planes)
    rows = padded[..., :-2, :] + padded[..., 1:-1, :] + padded[..., 2:, :]
    return rows[..., :-2] + rows[..., 1:-1] + rows[..., 2:] - planes


def _window(planes: np.ndarray, weight: np.ndarray, here: tuple[Any, ...]) -> np.ndarray:
    """Correlation of planes (..., h, w) with a window (3, 3), at some places."""
    height, width = planes.shape[-2:]
    padded = _bordered(planes)
    total = np.zeros(planes[here].shape)
    for y in range(3):
        for x in range(3):
            if weight[y, x]:
                total += weight[y, x] * padded[..., y : y + height, x : x + width][here]
    return total

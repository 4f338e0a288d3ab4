"""The conditional model of `gencomm.nn.conditional`, in integers: what symbols of a stream mean.

A latent's value is its mean plus a whole number of steps; the mean has VALUE_BITS fractional bits.
Means, tables and values follow from the stream and from the integers in the file of weights alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gencomm.bitstream import exact
from gencomm.bitstream.context import LARGEST_SYMBOL, PASSES
from gencomm.bitstream.exact import Convolution, activate, check_bounds, output, strips
from gencomm.bitstream.range_coding import Models, SymbolDecoder, SymbolEncoder
from gencomm.bitstream.tables import Tables

#: Fractional bits of values and means; of what one step is worth in typical magnitudes, and of
#: their ratio the other way; of positions on the axis of scales; of weights in linear predictions.
VALUE_BITS, UNIT_BITS, SPAN_BITS, STEP_BITS, LINEAR_BITS = 6, 20, 10, 28, 14

#: Fractional bits of magnitudes before they are companded, and their largest.
MAGNITUDE_BITS, MAX_MAGNITUDE = 12, 2.0**24

#: Largest units, spans, and weights of a linear prediction, with their fractional bits.
MAX_UNIT, MAX_SPAN, MAX_LINEAR = 2**26, 2**22, 2**20

#: Tables for each factor of two in scale.
PER_OCTAVE = 8

#: Largest value and mean, with their fractional bits.
LARGEST_VALUE = LARGEST_SYMBOL << VALUE_BITS

#: What a log scale of one is on the axis of scales, with 12 fractional bits.
STEPS_A_NEPER = round(PER_OCTAVE / np.log(2) * 2**12)

#: Symbols coded in one call, at most, where a channel has fewer.
BLOCK = 1 << 20

#: Codes the symbols of some channels: first channel, tables and means (n, slices, h, w), and where
#: they lie in the group's planes; gives whole numbers of steps.
Code = Callable[[int, np.ndarray, np.ndarray, tuple[slice, ...]], np.ndarray]


@dataclass(frozen=True, eq=False)
class Head:
    """Last layers of a group, and what the rate adds to its hidden features, (levels, width)."""

    mid: Convolution
    out: Convolution
    rate: np.ndarray


@dataclass(frozen=True, eq=False)
class CoarseGroup:
    """As `gencomm.nn.conditional.CoarseGroup`."""

    before: Convolution | None
    own: tuple[Convolution, ...]
    linear: np.ndarray
    head: Head


@dataclass(frozen=True, eq=False)
class FineGroup:
    """As `gencomm.nn.conditional.FineGroup`."""

    here: Convolution
    around: Convolution | None
    head: Head


@dataclass(frozen=True, eq=False)
class ConditionalTables:
    """Everything that symbols depend on.

    Attributes
    ----------
    coarse, fine : lists of groups
    bridge, spread : Convolution
    unit, span, base : float64 (levels, C), integers
        What a step is worth in typical magnitudes; a typical magnitude in steps; position on the
        axis of scales, at each level of the rate.
    worth : float32 (levels, C)
        For encoders: how many bits they give for a squared error of one step less.
    first, count : int64 (C,)
        Which steps of scale a channel has tables for.
    tables : Tables
        Channel after channel.
    """

    coarse: list[CoarseGroup]
    fine: list[FineGroup]
    bridge: Convolution
    spread: Convolution
    unit: np.ndarray
    span: np.ndarray
    base: np.ndarray
    worth: np.ndarray
    first: np.ndarray
    count: np.ndarray
    tables: Tables

    @classmethod
    def from_arrays(
        cls, networks: dict[str, np.ndarray], arrays: dict[str, np.ndarray]
    ) -> ConditionalTables:
        """Put together from a file's arrays: trained networks, and integers beside them.

        Raises
        ------
        KeyError, ValueError
            One is missing, they don't fit each other, or sums of theirs might not be exact.
        """

        def convolution(name: str) -> Convolution | None:
            weights = networks.get(f"{name}.weight")
            return None if weights is None else Convolution(weights, networks.get(f"{name}.bias"))

        def needed(name: str) -> Convolution:
            found = convolution(name)
            if found is None:
                raise KeyError(f"{name}.weight")
            check_bounds(found)
            return found

        def head(name: str, *hidden: Convolution | None) -> Head:
            rate = arrays[f"rate.{name}"].astype(np.float64)
            check_bounds(*(one for one in hidden if one), rest=float(np.abs(rate).max()))
            return Head(needed(f"{name}.head.mid"), needed(f"{name}.head.out"), rate)

        coarse, fine = [], []
        while f"rate.coarse.{len(coarse)}" in arrays:
            name = f"coarse.{len(coarse)}"
            before = convolution(f"{name}.before")
            own = tuple(needed(f"{name}.own.{k}") for k in range(len(PASSES) - 1))
            heads = [head(name, before, one) for one in own]
            linear = arrays[f"linear.{name}"].astype(np.float64)
            coarse.append(CoarseGroup(before, own, linear, heads[0]))
        while f"rate.fine.{len(fine)}" in arrays:
            name = f"fine.{len(fine)}"
            here, around = needed(f"{name}.here"), convolution(f"{name}.around")
            fine.append(FineGroup(here, around, head(name, here, around)))
        tables = Tables(arrays["frequencies"], arrays["reach"])
        first, count = (arrays[name].astype(np.int64) for name in ("first", "count"))
        if int(count.sum()) != len(tables):
            raise ValueError("the tables are not as many as the channels say")
        levels = {name: arrays[name].astype(np.float64) for name in ("unit", "span", "base")}
        bridges = {name: needed(name) for name in ("bridge", "spread")}
        steps = {"first": first, "count": count, "tables": tables}
        return cls(coarse, fine, **bridges, **levels, worth=arrays["worth"], **steps)


class ConditionalCoder:
    """Codes two planes of latents at one level of the rate.

    Parameters
    ----------
    model : ConditionalTables
    models : Models
        Of its tables; shared by all levels.
    level : int
    """

    def __init__(self, model: ConditionalTables, models: Models, level: int):
        self.model, self.models, self.level = model, models, level
        self.start = np.concatenate([[0], np.cumsum(model.count)])
        self.coarse = sum(len(one.head.out.matrix) // 2 for one in model.coarse)
        self.channels = self.coarse + sum(len(one.head.out.matrix) // 2 for one in model.fine)

    def encode(self, coarse: np.ndarray, fine: np.ndarray) -> tuple[list[bytes], float]:
        """Quantise and code the planes of slices of one size, each to a stream of its own.

        Parameters
        ----------
        coarse : float32 (coarse, slices, h, w)
        fine : float32 (fine, slices, 2h, 2w)
            In steps.

        Returns
        -------
        streams : list of bytes
        estimate : float
            Bits that the tables say they take together.
        """
        count = coarse.shape[1]
        encoder, estimate = SymbolEncoder(self.models, count), 0.0

        def code(
            channel: int, tables: np.ndarray, mean: np.ndarray, where: tuple[slice, ...]
        ) -> np.ndarray:
            nonlocal estimate
            plane, first = (coarse, 0) if channel < self.coarse else (fine, self.coarse)
            part = slice(channel - first, channel - first + len(tables))
            distance = plane[(part, *where)] - mean / 2**VALUE_BITS
            symbols = self._rounded(distance, tables, channel)
            flat = _by_slice(symbols), _by_slice(tables)
            encoder.put(*flat)
            estimate += self.model.tables.bits(*(one.ravel() for one in flat))
            return symbols

        def check() -> np.ndarray:
            nonlocal estimate
            encoder.check()
            estimate += 8 * count
            return np.ones(count, bool)

        self._walk(code, check, *coarse.shape[1:])
        return encoder.to_bytes(), estimate

    def _rounded(self, distance: np.ndarray, tables: np.ndarray, channel: int) -> np.ndarray:
        """Whole steps for distances from the mean (n, ...): the nearest number, or the next
        towards zero where that is cheaper by more than its error is worth.
        """
        steps = np.clip(np.rint(distance), -LARGEST_SYMBOL, LARGEST_SYMBOL).astype(np.int32)
        worth = self.model.worth[self.level]
        where = np.nonzero(steps)
        near, index, x = steps[where], tables[where], distance[where]
        less = near - np.sign(near)
        saved = self.model.tables.costs(near, index) - self.model.tables.costs(less, index)
        lost = (x - less) ** 2 - (x - near) ** 2
        steps[where] = np.where(saved > lost * worth[channel + where[0]], less, near)
        return steps

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
            With VALUE_BITS fractional bits. Behind the damage latents have their means, as far as
            these follow from what is sound; all are zero where nothing is.
        sound : int64 (slices,)
            How many channels, in order, are.
        """
        decoder = SymbolDecoder(streams, self.models)

        def code(
            channel: int, tables: np.ndarray, mean: np.ndarray, where: tuple[slice, ...]
        ) -> np.ndarray:
            got = decoder.get(_by_slice(tables))
            symbols = got.reshape(tables.shape[1], len(tables), *tables.shape[2:]).swapaxes(0, 1)
            return np.clip(symbols, -LARGEST_SYMBOL, LARGEST_SYMBOL)

        def check() -> np.ndarray:
            decoder.check()
            return decoder.alive.copy()

        return self._walk(code, check, len(streams), rows, columns)

    def _walk(
        self, code: Code, check: Callable[[], np.ndarray], slices: int, rows: int, columns: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Go through all groups in order; `code` writes or reads the symbols of each, `check` says
        which slices are sound so far.
        """
        state: Any = _Coarse(self, slices, rows, columns)
        planes, first = [], 0
        alive, sound = np.ones(slices, bool), np.zeros(slices, int)
        for number in range(len(self.model.coarse) + len(self.model.fine)):
            if number == len(self.model.coarse):
                state = _Fine(self, state)
            values = state.group(first, code)
            if alive.any():
                before, alive = alive, check()
                lost = np.flatnonzero(before & ~alive)
                if lost.size:  # what was read of this group is worth nothing
                    values[:, lost] = state.group(first, _nothing, lost)
            state.add(first, values)
            planes.append(values)
            first += len(values)
            sound[alive] = first
            if not sound.any():
                break
        cut = len(self.model.coarse)
        if len(planes) <= cut:
            coarse = np.zeros((self.coarse, slices, rows, columns), np.int32)
            fine = np.zeros((self.channels - self.coarse, slices, 2 * rows, 2 * columns), np.int32)
            return coarse, fine, sound
        coarse, fine = np.concatenate(planes[:cut]), np.concatenate(planes[cut:])
        for plane in (coarse, fine):
            plane[:, sound == 0] = 0
        return coarse, fine, sound

    def head(
        self, head: Head, hidden: np.ndarray, channels: slice
    ) -> tuple[np.ndarray, np.ndarray]:
        """Means, without the linear prediction, and tables from sums of hidden features (width,
        slices, h, w).
        """
        hidden += head.rate[self.level][:, None, None, None]
        whole = slice(0, hidden.shape[2])
        given = output(head.out(activate(head.mid(activate(hidden), whole)), whole))
        mean, scale = np.split(given, 2)
        model = self.model
        mean *= model.span[self.level, channels, None, None, None]
        mean = np.floor(mean / 2 ** (exact.OUTPUT_BITS + SPAN_BITS - VALUE_BITS))
        scale = scale * STEPS_A_NEPER + model.base[self.level, channels, None, None, None]
        step = np.floor(scale / 2**STEP_BITS).astype(np.int64)
        step -= model.first[channels, None, None, None]
        step = np.clip(step, 0, model.count[channels, None, None, None] - 1)
        return mean, (self.start[:-1][channels, None, None, None] + step).astype(np.int32)

    def companded(self, values: np.ndarray, channels: slice) -> np.ndarray:
        """`gencomm.nn.conditional.compand` of values, as activations, float32."""
        sizes = np.abs(values) * self.model.unit[self.level, channels, None, None, None]
        sizes = np.floor(sizes / 2 ** (VALUE_BITS + UNIT_BITS - MAGNITUDE_BITS))
        np.minimum(sizes, MAX_MAGNITUDE, out=sizes)
        # A square root is rounded to the nearest by every machine that follows IEEE 754, and that
        # of an integer below 2^53 never rounds up to the next integer.
        half, bits = exact.ACTIVATION_BITS - 1, MAGNITUDE_BITS
        roots = np.sqrt(sizes * 2.0 ** (2 * half + 2 - bits) + 2.0 ** (2 * half))
        return (np.floor(roots) - 2**half).astype(np.float32)


def _nothing(
    channel: int, tables: np.ndarray, mean: np.ndarray, where: tuple[slice, ...]
) -> np.ndarray:
    """Symbols in place of lost ones."""
    return np.zeros(tables.shape, np.int32)


def _by_slice(planes: np.ndarray) -> np.ndarray:
    """(n, slices, h, w) -> (slices, n h w), as the streams have them."""
    return planes.swapaxes(0, 1).reshape(planes.shape[1], -1)


def _coded(
    code: Code, first: int, tables: np.ndarray, mean: np.ndarray, where: tuple[slice, ...]
) -> np.ndarray:
    """Values of some channels: symbols in blocks of channels, and the means added."""
    step = max(1, BLOCK // max(tables[0, 0].size, 1))
    values = np.empty(tables.shape, np.int32)
    for at in range(0, len(tables), step):
        part = slice(at, at + step)
        symbols = code(first + at, tables[part], mean[part], where)
        values[part] = (symbols << VALUE_BITS) + mean[part].astype(np.int32)
    return values


def _padded(planes: np.ndarray) -> np.ndarray:
    return np.pad(planes, ((0, 0), (0, 0), (1, 1), (1, 1)))


def _of(known: list[np.ndarray], chosen: np.ndarray | None) -> np.ndarray | None:
    """Planes put together, of all slices or of some; None where there are none."""
    if not known:
        return None
    return np.concatenate(known if chosen is None else [planes[:, chosen] for planes in known])


class _Coarse:
    """Features of the coarse plane, filled in group by group, with a border of zeros."""

    def __init__(self, coder: ConditionalCoder, slices: int, rows: int, columns: int):
        self.coder, self.shape = coder, (slices, rows, columns)
        self.known: list[np.ndarray] = []

    def group(self, first: int, code: Code, chosen: np.ndarray | None = None) -> np.ndarray:
        """Code one group in passes, of all slices or of some; its values."""
        coder, number = self.coder, len(self.known)
        network = coder.model.coarse[number]
        count = len(network.head.out.matrix) // 2
        channels = slice(first, first + count)
        slices, *size = self.shape if chosen is None else (chosen.size, *self.shape[1:])
        values = np.zeros((count, slices, *size), np.int32)
        known = _of(self.known, chosen)
        own = _padded(np.zeros((2 * count, slices, *size), np.float32))
        window = _padded(np.zeros(values.shape))
        for k, (row, column) in enumerate(PASSES):
            where = (slice(None), slice(row, None, 2), slice(column, None, 2))
            shape = values[0][where].shape
            if 0 in shape:
                continue
            mean, tables = np.empty((count, *shape)), np.empty((count, *shape), np.int32)
            for rows in strips(shape[1], slices * shape[2]):
                hidden = np.zeros(
                    (len(network.head.mid.matrix), slices, rows.stop - rows.start, shape[2])
                )
                if network.before is not None and known is not None:
                    hidden += network.before(known, rows, (row, column), 2)
                if k:
                    hidden += network.own[k - 1](own, rows, (row, column), 2)
                mean[:, :, rows], tables[:, :, rows] = coder.head(network.head, hidden, channels)
            if k:
                mean += _linear(window, network.linear[k - 1], where, shape)
            np.clip(mean, -LARGEST_VALUE, LARGEST_VALUE, out=mean)
            values[(slice(None), *where)] = _coded(code, first, tables, mean, where)
            if k < len(PASSES) - 1:
                window[..., 1:-1, 1:-1] = values
                own[..., 1:-1, 1:-1] = _both(coder, values, channels)
        return values

    def add(self, first: int, values: np.ndarray) -> None:
        """Make a group known to those after it."""
        self.known.append(_padded(_both(self.coder, values, slice(first, first + len(values)))))


def _both(coder: ConditionalCoder, values: np.ndarray, channels: slice) -> np.ndarray:
    sizes = coder.companded(values, channels)
    return np.concatenate([np.sign(values) * sizes, sizes]).astype(np.float32)


def _linear(
    window: np.ndarray, weight: np.ndarray, where: tuple[slice, ...], shape: tuple[int, ...]
) -> np.ndarray:
    """Each channel's prediction from its neighbours, (channels, slices, h, w), as values."""
    total = np.zeros((len(window), *shape))
    height, width = window.shape[2] - 2, window.shape[3] - 2
    for y in range(3):
        for x in range(3):
            near = window[..., y : y + height, x : x + width][(slice(None), *where)]
            total += weight[:, y, x, None, None, None] * near
    return np.floor(total / 2**LINEAR_BITS)


class _Fine:
    """Features of the fine plane, filled in group by group."""

    def __init__(self, coder: ConditionalCoder, coarse: _Coarse):
        self.coder = coder
        model, known = coder.model, np.concatenate(coarse.known)
        slices, rows, columns = coarse.shape
        self.shape = slices, 2 * rows, 2 * columns
        width = len(model.spread.matrix) // 4
        bridge = np.empty((width, slices, rows, 2, columns, 2), np.float32)
        for part in strips(rows, slices * columns):
            hidden = activate(model.bridge(known, part))
            spread = activate(model.spread(hidden, slice(0, hidden.shape[2])))
            four = spread.reshape(width, 2, 2, *spread.shape[1:])
            bridge[:, :, part] = four.transpose(0, 3, 4, 1, 5, 2)
        self.here = [bridge.reshape(width, *self.shape)]
        self.around: list[np.ndarray] = []

    def group(self, first: int, code: Code, chosen: np.ndarray | None = None) -> np.ndarray:
        """Code one group, of all slices or of some; its values."""
        coder = self.coder
        network = coder.model.fine[len(self.around)]
        count = len(network.head.out.matrix) // 2
        channels = slice(first, first + count)
        here, around = _of(self.here, chosen), _of(self.around, chosen)
        assert here is not None
        _, slices, height, width = here.shape
        shape = (count, slices, height, width)
        mean, tables = np.empty(shape, np.float32), np.empty(shape, np.int32)
        for rows in strips(height, slices * width):
            hidden = network.here(here, rows)
            if network.around is not None and around is not None:
                hidden += network.around(around, rows)
            found, tables[:, :, rows] = coder.head(network.head, hidden, channels)
            mean[:, :, rows] = np.clip(found, -LARGEST_VALUE, LARGEST_VALUE)
        return _coded(code, first, tables, mean, (slice(None),) * 3)

    def add(self, first: int, values: np.ndarray) -> None:
        """Make a group known to those after it."""
        sizes = self.coder.companded(values, slice(first, first + len(values)))
        self.here.append((np.sign(values) * sizes).astype(np.float32))
        self.around.append(_padded(sizes))

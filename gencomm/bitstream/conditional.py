"""The conditional model of `gencomm.nn.conditional`, in integers: what symbols of a stream mean.

A latent's value is its mean plus a whole number of steps; the mean has VALUE_BITS fractional bits.
Means, tables and values follow from the stream and from the integers in the file of weights alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from gencomm.bitstream import exact
from gencomm.bitstream.context import LARGEST_SYMBOL, PASSES
from gencomm.bitstream.exact import Convolution, activate, check_bounds, output, strips
from gencomm.bitstream.range_coding import Models, StreamDamaged, SymbolDecoder, SymbolEncoder
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

#: Codes the symbols of some channels: first channel, tables (n, h, w), means (n, h, w), and where
#: they lie in the group; gives whole numbers of steps.
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

    def encode(self, coarse: np.ndarray, fine: np.ndarray) -> tuple[bytes, float]:
        """Quantise and code planes, float32 (coarse, h, w) and (fine, 2h, 2w), in steps.

        Returns
        -------
        stream : bytes
        estimate : float
            Bits that the tables say it takes.
        """
        encoder, estimate = SymbolEncoder(self.models), 0.0

        def code(
            channel: int, tables: np.ndarray, mean: np.ndarray, where: tuple[slice, ...]
        ) -> np.ndarray:
            nonlocal estimate
            plane, first = (coarse, 0) if channel < self.coarse else (fine, self.coarse)
            part = slice(channel - first, channel - first + len(tables))
            distance = plane[(part, *where)] - mean / 2**VALUE_BITS
            symbols = self._rounded(distance, tables, channel)
            flat = symbols.ravel(), tables.ravel()
            encoder.put(*flat)
            estimate += self.model.tables.bits(*flat)
            return symbols

        def check() -> None:
            nonlocal estimate
            encoder.check()
            estimate += 8

        self._walk(code, check, *coarse.shape[1:])
        return encoder.to_bytes(), estimate

    def _rounded(self, distance: np.ndarray, tables: np.ndarray, channel: int) -> np.ndarray:
        """Whole steps for distances from the mean (n, h, w): the nearest number, or the next
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

    def decode(self, data: bytes, rows: int, columns: int) -> tuple[np.ndarray, np.ndarray, int]:
        """Decode as far as the stream is sound.

        Parameters
        ----------
        data : bytes
            Any.
        rows, columns : int
            Of the coarse plane.

        Returns
        -------
        coarse : int32 (coarse, rows, columns)
        fine : int32 (fine, 2 rows, 2 columns)
            With VALUE_BITS fractional bits. Behind the damage latents have their means, as far as
            these follow from what is sound; all are zero where nothing is.
        sound : int
            How many channels, in order, are.
        """
        decoder = SymbolDecoder(data, self.models)

        def code(
            channel: int, tables: np.ndarray, mean: np.ndarray, where: tuple[slice, ...]
        ) -> np.ndarray:
            symbols = decoder.get(tables.ravel()).reshape(tables.shape)
            return np.clip(symbols, -LARGEST_SYMBOL, LARGEST_SYMBOL)

        return self._walk(code, decoder.check, rows, columns)

    def _walk(
        self, code: Code, check: Callable[[], None], rows: int, columns: int
    ) -> tuple[np.ndarray, np.ndarray, int]:
        """Go through all groups in order; `code` writes or reads the symbols of each."""
        state: Any = _Coarse(self, rows, columns)
        planes, first, sound = [], 0, 0
        for number in range(len(self.model.coarse) + len(self.model.fine)):
            if number == len(self.model.coarse):
                state = _Fine(self, state)
            values = None
            if sound == first:
                try:
                    values = state.group(first, code)
                    check()
                    sound += len(values)
                except StreamDamaged:
                    if not first:
                        break
                    values = None
            if values is None:
                values = state.group(first, _nothing)
            state.add(first, values)
            planes.append(values)
            first += len(values)
        if not planes:
            fine = np.zeros((self.channels - self.coarse, 2 * rows, 2 * columns), np.int32)
            return np.zeros((self.coarse, rows, columns), np.int32), fine, 0
        cut = len(self.model.coarse)
        return np.concatenate(planes[:cut]), np.concatenate(planes[cut:]), sound

    def head(
        self, head: Head, hidden: np.ndarray, channels: slice
    ) -> tuple[np.ndarray, np.ndarray]:
        """Means, without the linear prediction, and tables from sums of hidden features."""
        hidden += head.rate[self.level][:, None, None]
        whole = slice(0, hidden.shape[1])
        given = output(head.out(activate(head.mid(activate(hidden), whole)), whole))
        mean, scale = np.split(given, 2)
        model = self.model
        mean *= model.span[self.level, channels, None, None]
        mean = np.floor(mean / 2 ** (exact.OUTPUT_BITS + SPAN_BITS - VALUE_BITS))
        scale = scale * STEPS_A_NEPER + model.base[self.level, channels, None, None]
        step = np.floor(scale / 2**STEP_BITS).astype(np.int64)
        step -= model.first[channels, None, None]
        step = np.clip(step, 0, model.count[channels, None, None] - 1)
        return mean, (self.start[:-1][channels, None, None] + step).astype(np.int32)

    def companded(self, values: np.ndarray, channels: slice) -> np.ndarray:
        """`gencomm.nn.conditional.compand` of values, as activations, float32."""
        sizes = np.abs(values) * self.model.unit[self.level, channels, None, None]
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


def _coded(
    code: Code, first: int, tables: np.ndarray, mean: np.ndarray, where: tuple[slice, ...]
) -> np.ndarray:
    """Values of some channels: symbols in blocks of channels, and the means added."""
    step = max(1, BLOCK // max(tables[0].size, 1))
    values = np.empty(tables.shape, np.int32)
    for at in range(0, len(tables), step):
        part = slice(at, at + step)
        symbols = code(first + at, tables[part], mean[part], where)
        values[part] = (symbols << VALUE_BITS) + mean[part].astype(np.int32)
    return values


def _padded(planes: np.ndarray) -> np.ndarray:
    return np.pad(planes, ((0, 0), (1, 1), (1, 1)))


class _Coarse:
    """Features of the coarse plane, filled in group by group, with a border of zeros."""

    def __init__(self, coder: ConditionalCoder, rows: int, columns: int):
        self.coder, self.rows, self.columns = coder, rows, columns
        self.known: list[np.ndarray] = []

    def group(self, first: int, code: Code) -> np.ndarray:
        """Code one group in passes; its values."""
        coder, number = self.coder, len(self.known)
        network = coder.model.coarse[number]
        count = len(network.head.out.matrix) // 2
        channels = slice(first, first + count)
        values = np.zeros((count, self.rows, self.columns), np.int32)
        known = np.concatenate(self.known) if self.known else None
        own = np.zeros((2 * count, self.rows + 2, self.columns + 2), np.float32)
        window = np.zeros((count, self.rows + 2, self.columns + 2))
        for k, (row, column) in enumerate(PASSES):
            where = (slice(row, None, 2), slice(column, None, 2))
            shape = values[0][where].shape
            if 0 in shape:
                continue
            mean, tables = np.empty((count, *shape)), np.empty((count, *shape), np.int32)
            for rows in strips(*shape):
                hidden = np.zeros((len(network.head.mid.matrix), rows.stop - rows.start, shape[1]))
                if network.before is not None and known is not None:
                    hidden += network.before(known, rows, (row, column), 2)
                if k:
                    hidden += network.own[k - 1](own, rows, (row, column), 2)
                mean[:, rows], tables[:, rows] = coder.head(network.head, hidden, channels)
            if k:
                mean += _linear(window, network.linear[k - 1], where, shape)
            np.clip(mean, -LARGEST_VALUE, LARGEST_VALUE, out=mean)
            values[:, where[0], where[1]] = _coded(code, first, tables, mean, where)
            if k < len(PASSES) - 1:
                window[:, 1:-1, 1:-1] = values
                own[:, 1:-1, 1:-1] = _both(coder, values, channels)
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
    """Each channel's prediction from its neighbours, (channels, h, w), as values."""
    total = np.zeros((len(window), *shape))
    height, width = window.shape[1] - 2, window.shape[2] - 2
    for y in range(3):
        for x in range(3):
            near = window[:, y : y + height, x : x + width][:, where[0], where[1]]
            total += weight[:, y, x, None, None] * near
    return np.floor(total / 2**LINEAR_BITS)


class _Fine:
    """Features of the fine plane, filled in group by group."""

    def __init__(self, coder: ConditionalCoder, coarse: _Coarse):
        self.coder = coder
        model, known = coder.model, np.concatenate(coarse.known)
        rows, columns = coarse.rows, coarse.columns
        self.rows, self.columns = 2 * rows, 2 * columns
        bridge = np.empty((len(model.spread.matrix) // 4, rows, 2, columns, 2), np.float32)
        for part in strips(rows, columns):
            hidden = activate(model.bridge(known, part))
            spread = activate(model.spread(hidden, slice(0, hidden.shape[1])))
            four = spread.reshape(-1, 2, 2, *spread.shape[1:])
            bridge[:, part] = four.transpose(0, 3, 1, 4, 2)
        self.here = [bridge.reshape(-1, self.rows, self.columns)]
        self.around: list[np.ndarray] = []

    def group(self, first: int, code: Code) -> np.ndarray:
        """Code one group; its values."""
        coder = self.coder
        network = coder.model.fine[len(self.around)]
        count = len(network.head.out.matrix) // 2
        channels = slice(first, first + count)
        here = np.concatenate(self.here)
        around = np.concatenate(self.around) if self.around else None
        shape = (count, self.rows, self.columns)
        mean, tables = np.empty(shape, np.float32), np.empty(shape, np.int32)
        for rows in strips(self.rows, self.columns):
            hidden = network.here(here, rows)
            if network.around is not None and around is not None:
                hidden += network.around(around, rows)
            found, tables[:, rows] = coder.head(network.head, hidden, channels)
            mean[:, rows] = np.clip(found, -LARGEST_VALUE, LARGEST_VALUE)
        whole = (slice(None), slice(None))
        return _coded(code, first, tables, mean, whole)

    def add(self, first: int, values: np.ndarray) -> None:
        """Make a group known to those after it."""
        sizes = self.coder.companded(values, slice(first, first + len(values)))
        self.here.append((np.sign(values) * sizes).astype(np.float32))
        self.around.append(_padded(sizes))

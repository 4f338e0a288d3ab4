"""Symbols to bytes and back, by range coding over integer tables.

A range decoder does not know that it has gone astray: in most cases damage gives wrong symbols
without an error. A stream therefore has checks of eight bits over the symbols so far, coded among
them; whoever decodes stops at the first that fails and keeps what came before the one that held.

Streams of one size, such as slices of a picture, are written and read side by side: what prepares
their symbols is done for all of them at once.
"""

# pyright: reportAttributeAccessIssue=false
# (constriction is compiled and comes without stubs)
from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import NamedTuple

import constriction
import numpy as np

from gencomm.bitstream.tables import LARGEST, TOTAL, Tables

#: Runs shorter than this are looked through as lists.
SHORT = 48

_ESCAPED = constriction.stream.model.Uniform(2 * LARGEST + 2)
_CHECK = constriction.stream.model.Uniform(256)


class Models:
    """Tables as the range coder takes them, made when first used.

    Parameters
    ----------
    tables : Tables
    """

    def __init__(self, tables: Tables):
        self.tables = tables
        #: of each table, as plain numbers
        self.reaches: list[int] = tables.reach.tolist()
        self._made: dict[int, constriction.stream.model.Categorical] = {}

    def __getitem__(self, index: int) -> constriction.stream.model.Categorical:
        if index not in self._made:
            # Frequencies over a power of two are exact in binary floating point, and the library
            # goes on from them to its own integers by single multiplications and additions: the
            # same everywhere.
            row = self.tables.row(index) / TOTAL
            self._made[index] = constriction.stream.model.Categorical(row, perfect=False)
        return self._made[index]


class _Runs(NamedTuple):
    """Symbols of streams side by side (streams, n), those of one table together.

    `order` (streams, n) sorts each stream's symbols by their tables, to `sorted`; in that order lie
    runs of one table, `tables` and `lengths`, those of stream k from `bounds[k]` to
    `bounds[k + 1]`.
    """

    order: np.ndarray
    sorted: np.ndarray
    tables: list[int]
    lengths: list[int]
    bounds: list[int]

    @classmethod
    def of(cls, indices: np.ndarray, tables: int) -> _Runs:
        """Of the tables (streams, n) that symbols have, out of so many."""
        # Numbers of 16 bits are sorted in a fifth of the time.
        narrow = indices.astype(np.min_scalar_type(tables))
        order = np.argsort(narrow, axis=1, kind="stable")
        there = np.take_along_axis(narrow, order, 1)
        new = np.ones(there.shape, bool)
        new[:, 1:] = there[:, 1:] != there[:, :-1]
        first = np.flatnonzero(new)
        lengths = np.diff(first, append=there.size).tolist()
        bounds = np.concatenate([[0], np.cumsum(new.sum(1))]).tolist()
        return cls(order, there, there.ravel()[first].tolist(), lengths, bounds)


class SymbolEncoder:
    """Writes symbols, each with a table of its own, to streams side by side.

    Parameters
    ----------
    models : Models
    streams : int
    """

    def __init__(self, models: Models, streams: int = 1):
        self.models = models
        self.encoders = [constriction.stream.queue.RangeEncoder() for _ in range(streams)]
        self.crc = [0] * streams

    def put(self, symbols: np.ndarray, indices: np.ndarray) -> None:
        """Write integer symbols (streams, n) of magnitudes up to LARGEST, with tables (streams, n).

        Symbols of one table are written together. One beyond its table's reach is written as the
        escape, and its value after those.
        """
        symbols = symbols.astype("<i4")
        runs = _Runs.of(indices, len(self.models.tables))
        part = np.take_along_axis(symbols, runs.order, 1)
        reach = self.models.tables.reach[runs.sorted].astype(np.int32)
        outside = np.abs(part) > reach
        coded = np.where(outside, 2 * reach + 1, part + reach).astype(np.int32)
        models, escapes = self.models, [bool(row.any()) for row in outside]
        for k, encoder in enumerate(self.encoders):
            at, encode = 0, encoder.encode
            for run in range(runs.bounds[k], runs.bounds[k + 1]):
                places = slice(at, at + runs.lengths[run])
                at = places.stop
                encode(coded[k, places], models[runs.tables[run]])
                beyond = outside[k][places]
                if escapes[k] and beyond.any():
                    values = part[k, places][beyond] + LARGEST
                    encode(values.astype(np.int32), _ESCAPED)
            self.crc[k] = zlib.crc32(symbols[k].tobytes(), self.crc[k])

    def check(self) -> None:
        """Write a check over all symbols so far to each stream."""
        for encoder, crc in zip(self.encoders, self.crc, strict=True):
            encoder.encode(np.array([crc & 0xFF], np.int32), _CHECK)

    def to_bytes(self) -> list[bytes]:
        """The streams, without the zeros at their ends, which a decoder assumes anyway."""
        return [
            encoder.get_compressed().astype(">u4").tobytes().rstrip(b"\0")
            for encoder in self.encoders
        ]


class SymbolDecoder:
    """Reads what `SymbolEncoder` wrote.

    Parameters
    ----------
    streams : sequence of bytes
        Any.
    models : Models

    Attributes
    ----------
    alive : bool array (streams,)
        False for streams found damaged: the coder came to what no encoder writes, or a check
        failed. Their symbols are zeros from then on; what came since the last check that held
        may be wrong.
    """

    def __init__(self, streams: Sequence[bytes], models: Models):
        self.models = models
        self.decoders = [
            constriction.stream.queue.RangeDecoder(
                np.frombuffer(data + bytes(-len(data) % 4), ">u4").astype(np.uint32)
            )
            for data in streams
        ]
        self.alive = np.ones(len(streams), bool)
        self.crc = [0] * len(streams)

    def get(self, indices: np.ndarray) -> np.ndarray:
        """Read symbols, int32 (streams, n), with tables (streams, n)."""
        symbols, raw = np.zeros(indices.shape, "<i4"), np.zeros(indices.shape, np.int32)
        runs = _Runs.of(indices, len(self.models.tables))
        reach = self.models.tables.reach[runs.sorted].astype(np.int32)
        for k in np.flatnonzero(self.alive).tolist():
            part = slice(runs.bounds[k], runs.bounds[k + 1])
            try:
                escaped = self._read(k, runs.tables[part], runs.lengths[part], raw[k])
            except AssertionError:  # what the library raises on such data
                self.alive[k] = False
                continue
            raw[k] -= reach[k]
            for where, values in escaped:
                raw[k, where] = values
            symbols[k, runs.order[k]] = raw[k]
            self.crc[k] = zlib.crc32(symbols[k].tobytes(), self.crc[k])
        return symbols

    def _read(
        self, k: int, tables: list[int], lengths: list[int], out: np.ndarray
    ) -> list[tuple[np.ndarray, np.ndarray]]:
        """Read one stream's runs into `out`; where symbols were escaped, and their values."""
        decode, models, reaches = self.decoders[k].decode, self.models, self.models.reaches
        escapes, first = [], 0
        for index, length in zip(tables, lengths, strict=True):
            escape, last = 2 * reaches[index] + 1, first + length
            part = out[first:last] = decode(models[index], length)
            # Most tables of small planes have a few symbols, which a list is quicker for.
            if escape in part.tolist() if length < SHORT else part.max() == escape:
                where = first + np.flatnonzero(out[first:last] == escape)
                escapes.append((where, np.asarray(decode(_ESCAPED, where.size)) - LARGEST))
            first = last
        return escapes

    def check(self) -> None:
        """Read a check of each stream that is alive."""
        for k in np.flatnonzero(self.alive).tolist():
            try:
                told = int(self.decoders[k].decode(_CHECK))
            except AssertionError:
                self.alive[k] = False
                continue
            self.alive[k] = told == self.crc[k] & 0xFF

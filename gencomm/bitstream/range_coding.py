"""Symbols to bytes and back, by range coding over integer tables.

A range decoder does not know that it has gone astray: in most cases damage gives wrong symbols
without an error. A stream therefore has checks of eight bits over the symbols so far, coded among
them; whoever decodes stops at the first that fails and keeps what came before the one that held.
"""

# pyright: reportAttributeAccessIssue=false
# (constriction is compiled and comes without stubs)
from __future__ import annotations

import zlib

import constriction
import numpy as np

from gencomm.bitstream.tables import LARGEST, TOTAL, Tables

_ESCAPED = constriction.stream.model.Uniform(2 * LARGEST + 2)
_CHECK = constriction.stream.model.Uniform(256)


class StreamDamaged(Exception):
    """The stream holds what no encoder writes, or a check failed."""


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


def _alike(indices: np.ndarray) -> tuple[np.ndarray, list[int], list[int]]:
    """The order that sorts indices; which tables there are, ascending, and where each begins in
    that order, with the end of the last.
    """
    order = np.argsort(indices, kind="stable")
    there = indices[order]
    edges = np.flatnonzero(there[1:] != there[:-1]) + 1
    starts = [0, *edges.tolist()] if there.size else []
    return order, there[starts].tolist() if starts else [], [*starts, there.size]


class SymbolEncoder:
    """Writes symbols, each with a table of its own.

    Parameters
    ----------
    models : Models
    """

    def __init__(self, models: Models):
        self.models = models
        self.encoder = constriction.stream.queue.RangeEncoder()
        self.crc = 0

    def put(self, symbols: np.ndarray, indices: np.ndarray) -> None:
        """Write integer symbols (n,) of magnitudes up to LARGEST, with tables (n,).

        Symbols of one table are written together. One beyond its table's reach is written as the
        escape, and its value after those.
        """
        symbols = symbols.astype("<i4")
        order, tables, edges = _alike(indices)
        part = symbols[order]
        reach = self.models.tables.reach[indices[order]].astype(np.int32)
        outside = np.abs(part) > reach
        coded = np.where(outside, 2 * reach + 1, part + reach).astype(np.int32)
        escapes = bool(outside.any())
        # Most calls are of a few symbols: what can be done for all of them at once is.
        encode, models = self.encoder.encode, self.models
        for k, index in enumerate(tables):
            places = slice(edges[k], edges[k + 1])
            encode(coded[places], models[index])
            if escapes and outside[places].any():
                values = part[places][outside[places]] + LARGEST
                encode(values.astype(np.int32), _ESCAPED)
        self.crc = zlib.crc32(symbols.tobytes(), self.crc)

    def check(self) -> None:
        """Write a check over all symbols so far."""
        self.encoder.encode(np.array([self.crc & 0xFF], np.int32), _CHECK)

    def to_bytes(self) -> bytes:
        """The stream, without the zeros at its end, which a decoder assumes anyway."""
        return self.encoder.get_compressed().astype(">u4").tobytes().rstrip(b"\0")


class SymbolDecoder:
    """Reads what `SymbolEncoder` wrote.

    Parameters
    ----------
    data : bytes
        Any.
    models : Models
    """

    def __init__(self, data: bytes, models: Models):
        self.models = models
        words = np.frombuffer(data + bytes(-len(data) % 4), ">u4").astype(np.uint32)
        self.decoder = constriction.stream.queue.RangeDecoder(words)
        self.crc = 0

    def get(self, indices: np.ndarray) -> np.ndarray:
        """Read symbols, int32 (n,), with tables (n,).

        Raises
        ------
        StreamDamaged
            The coder has come to what no encoder writes. Without this, symbols may be wrong.
        """
        symbols, raw = np.empty(indices.size, "<i4"), np.empty(indices.size, np.int32)
        order, tables, edges = _alike(indices)
        reach = self.models.tables.reach[indices[order]].astype(np.int32)
        escapes: list[tuple[np.ndarray, np.ndarray]] = []
        decode, models, reaches = self.decoder.decode, self.models, self.models.reaches
        try:
            for k, index in enumerate(tables):
                first, last = edges[k], edges[k + 1]
                escape = 2 * reaches[index] + 1
                if last - first == 1:  # without an array, as with most tables of small planes
                    got = raw[first] = decode(models[index])
                    escaped = got == escape
                else:
                    part = raw[first:last] = decode(models[index], last - first)
                    escaped = part.max() == escape
                if escaped:
                    where = first + np.flatnonzero(raw[first:last] == escape)
                    values = np.asarray(decode(_ESCAPED, where.size)) - LARGEST
                    escapes.append((where, values))
        except AssertionError as error:  # what the library raises on such data
            raise StreamDamaged(str(error)) from error
        raw -= reach
        for where, values in escapes:
            raw[where] = values
        symbols[order] = raw
        self.crc = zlib.crc32(symbols.tobytes(), self.crc)
        return symbols

    def check(self) -> None:
        """Read a check.

        Raises
        ------
        StreamDamaged
            It fails.
        """
        try:
            told = int(self.decoder.decode(_CHECK))
        except AssertionError as error:
            raise StreamDamaged(str(error)) from error
        if told != self.crc & 0xFF:
            raise StreamDamaged("a check failed")

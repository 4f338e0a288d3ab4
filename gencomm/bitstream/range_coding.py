"""Runs of symbols to bytes and back, by range coding over integer tables.

A range decoder does not know that it has gone astray: in most cases damage gives wrong symbols
without an error. Every few runs therefore end in a check of eight bits over their symbols, coded
in the stream itself; decoding stops at the first that fails and keeps what came before.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from itertools import pairwise

import constriction
import numpy as np

from gencomm.bitstream.tables import LARGEST, TOTAL, Tables

_CATEGORICAL = constriction.stream.model.Categorical
_ESCAPED = constriction.stream.model.Uniform(2 * LARGEST + 2)
_CHECK = constriction.stream.model.Uniform(256)


class RunCoder:
    """Codes runs of symbols, each with one table.

    Parameters
    ----------
    tables : Tables
    rows : sequence of int
        The table of each run.
    checks : sequence of int
        After how many runs there is a check, ascending; there is always one at the end.
    """

    def __init__(self, tables: Tables, rows: Sequence[int], checks: Sequence[int]):
        edges = [0, *(check for check in checks if check < len(rows)), len(rows)]
        self.groups = [range(first, last) for first, last in pairwise(edges)]
        self.reach = [int(tables.reach[row]) for row in rows]
        self.frequencies = [tables.row(row) for row in rows]
        # Frequencies over a power of two are exact in binary floating point, and the library goes
        # on from them to its own integers by single multiplications and additions: the same
        # everywhere.
        self.models = [_CATEGORICAL(row / TOTAL, perfect=False) for row in self.frequencies]

    def encode(self, runs: Sequence[np.ndarray]) -> bytes:
        """Code int runs, one for each table; magnitudes are clipped to LARGEST.

        A symbol beyond its table's reach is coded as the escape, and its value after the run.
        """
        encoder = constriction.stream.queue.RangeEncoder()
        for group in self.groups:
            check = 0
            for k in group:
                run = np.clip(runs[k], -LARGEST, LARGEST).astype("<i4")
                reach = self.reach[k]
                outside = np.abs(run) > reach
                symbols = np.where(outside, 2 * reach + 1, run + reach)
                encoder.encode(symbols.astype(np.int32), self.models[k])
                if outside.any():
                    encoder.encode((run[outside] + LARGEST).astype(np.int32), _ESCAPED)
                check = zlib.crc32(run.tobytes(), check)
            encoder.encode(np.array([check & 0xFF], np.int32), _CHECK)
        return _trim(encoder.get_compressed())

    def decode(self, data: bytes, lengths: Sequence[int]) -> tuple[list[np.ndarray], bool]:
        """Decode runs of given lengths, as far as the stream is sound.

        Parameters
        ----------
        data : bytes
            Any.
        lengths : sequence of int
            Symbols of each run.

        Returns
        -------
        runs : list of int32 arrays
            Those of the groups whose checks hold; the first group that fails and what follows is
            left out.
        whole : bool
            Whether all came out.
        """
        decoder = constriction.stream.queue.RangeDecoder(_words(data))
        done: list[np.ndarray] = []
        for group in self.groups:
            check, runs = 0, []
            try:
                for k in group:
                    run = self._run(decoder, k, lengths[k])
                    runs.append(run)
                    check = zlib.crc32(run.tobytes(), check)
                told = int(decoder.decode(_CHECK, 1)[0])
            except (AssertionError, ValueError, RuntimeError):
                # what the library raises on data that no encoder makes
                return done, False
            if told != check & 0xFF:
                return done, False
            done += runs
        return done, True

    def _run(self, decoder: constriction.stream.queue.RangeDecoder, k: int, n: int) -> np.ndarray:
        reach = self.reach[k]
        run = np.asarray(decoder.decode(self.models[k], n)).astype("<i4") - reach
        outside = np.flatnonzero(run > reach)
        if outside.size:
            run[outside] = np.asarray(decoder.decode(_ESCAPED, outside.size)) - LARGEST
        return run

    def bits(self, runs: Sequence[np.ndarray]) -> float:
        """What the tables say the runs cost, with escapes and checks: the estimate of the rate."""
        cost = 8.0 * len(self.groups)
        for run, frequencies, reach in zip(runs, self.frequencies, self.reach, strict=True):
            bits = -np.log2(frequencies / TOTAL)
            outside = np.abs(run) > reach
            counts = np.bincount(np.where(outside, 2 * reach + 1, run + reach), minlength=bits.size)
            cost += float(counts @ bits) + outside.sum() * np.log2(2 * LARGEST + 2)
        return float(cost)


def _trim(words: np.ndarray) -> bytes:
    """Words to bytes without the zeros at the end, which a decoder assumes anyway."""
    return words.astype(">u4").tobytes().rstrip(b"\0")


def _words(data: bytes) -> np.ndarray:
    """The inverse of `_trim`."""
    return np.frombuffer(data + bytes(-len(data) % 4), ">u4").astype(np.uint32)

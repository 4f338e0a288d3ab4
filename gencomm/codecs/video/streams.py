"""Elementary streams as bytes: where units begin, and what to cut when bytes were lost."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

START = b"\x00\x00\x01"


def start_codes(data: bytes) -> list[int]:
    """Places of the prefixes 00 00 01, zero bytes in front of them included.

    Annex B of H.264 and HEVC lets any number of zeros stand before the prefix, and needs one
    before the first unit of a picture; MPEG-2 and MPEG-4 begin their units with the prefix.
    """
    found, at = [], data.find(START)
    while at >= 0:
        begin = at
        while begin > 0 and data[begin - 1] == 0 and (not found or begin > found[-1] + 3):
            begin -= 1
        found.append(begin)
        at = data.find(START, at + 3)
    return found


def nal_units(data: bytes) -> list[bytes]:
    """The units of an Annex B stream, each with its start code; what precedes the first is lost."""
    places = [*start_codes(data), len(data)]
    return [data[a:b] for a, b in pairwise(places)]


def nal_type(unit: bytes, hevc: bool = False) -> int:
    """The type of a unit that begins with its start code; -1 where it ends before that."""
    at = unit.find(START) + 3
    if at < 3 or at >= len(unit):
        return -1
    return (unit[at] >> 1) & 0x3F if hevc else unit[at] & 0x1F


def open_units(data: bytes) -> list[bytes]:
    """The OBUs of an AV1 stream in low-overhead format (AV1 specification, section 5.3).

    Stops where an OBU has no size field, or one that can't be read: all that is left is the last
    unit, whatever it holds.
    """
    units, at = [], 0
    while at < len(data):
        first = data[at]
        begin = at + 1 + (first >> 2 & 1)
        size, length = _leb128(data, begin)
        if first & 0x80 or not first & 2 or length == 0:
            units.append(data[at:])
            break
        end = begin + length + size
        units.append(data[at:end])
        at = end
    return units


def temporal_units(data: bytes) -> list[bytes]:
    """An AV1 stream cut before each temporal delimiter (OBU type 2): one unit, one frame shown.

    A delimiter is the two bytes 12 00. They are looked for as they are, not by following sizes,
    since one wrong size would hide the rest of a stream. They may stand inside coded data too:
    only those at the end of whole OBUs count, or, where sizes don't lead to one any more, the
    next.
    """
    mark = b"\x12\x00"
    cuts, at = [0], 0
    while at < len(data):
        end = _unit_end(data, at)
        if end is None or end > len(data):  # sizes lead nowhere: go on at the next delimiter
            end = data.find(mark, at + 1)
            if end < 0:
                break
        if data[end : end + 2] == mark and end > cuts[-1]:
            cuts.append(end)
        at = end
    return [data[a:b] for a, b in zip(cuts, [*cuts[1:], len(data)], strict=True) if a < b]


def _unit_end(data: bytes, at: int) -> int | None:
    first = data[at]
    begin = at + 1 + (first >> 2 & 1)
    size, length = _leb128(data, begin)
    if first & 0x80 or not first & 2 or length == 0:
        return None
    return begin + length + size


def _leb128(data: bytes, at: int) -> tuple[int, int]:
    """Value and length of a little-endian base 128 number; length 0 where there is none."""
    value = 0
    for k in range(8):
        if at + k >= len(data):
            return 0, 0
        value |= (data[at + k] & 0x7F) << 7 * k
        if not data[at + k] & 0x80:
            return value, k + 1
    return 0, 0


def lost_bytes(erasures: np.ndarray | None, n_bits: int) -> np.ndarray | None:
    """Runs of bytes of which a bit is lost: int64 (runs, 2), begin and end; None for none."""
    if erasures is None or not erasures.any():
        return None
    padded = np.zeros(-(-n_bits // 8) * 8, bool)
    padded[: erasures.size] = erasures[: padded.size]
    lost = padded.reshape(-1, 8).any(axis=1)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], lost, [False]])))
    return edges.reshape(-1, 2)


def without(data: bytes, runs: np.ndarray | None, prefixes: Sequence[bytes]) -> bytes:
    """A stream without its lost bytes.

    What follows a gap up to the next place where decoding can begin belongs to a unit whose
    beginning is lost, and is cut out too: joined to what stands before the gap it would be decoded
    as if it followed.

    Parameters
    ----------
    data : bytes
    runs : int array, shape (runs, 2)
        As :func:`lost_bytes` gives them.
    prefixes : sequence of bytes
        Where decoding can begin, such as ``00 00 01``.
    """
    if runs is None:
        return data
    parts, at = [], 0
    for begin, end in runs.tolist():
        if begin > at:
            parts.append(data[at:begin])
        places = [p for p in (data.find(prefix, max(end, at)) for prefix in prefixes) if p >= 0]
        at = max(at, min(places) if places else len(data))
    return b"".join([*parts, data[at:]])

"""Construction and rate matching of 5G NR polar codes (3GPP TS 38.212 sections 5.3.1 and 5.4.1)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

import numpy as np

#: Sub-block interleaver P(i) (TS 38.212 Table 5.4.1.1-1)
SUB_BLOCKS = (0, 1, 2, 4, 3, 5, 6, 7, 8, 16, 9, 17, 10, 18, 11, 19)
SUB_BLOCKS += (12, 20, 13, 21, 14, 22, 15, 23, 24, 25, 26, 28, 27, 29, 30, 31)
#: log2 of the longest mother code of uplink control information
MAX_LOG = 10
#: Kinds of bits and of nodes of the decoding tree
FROZEN, INFO, PARITY = 0, 1, 2


@dataclass(frozen=True, eq=False)
class Construction:
    """A polar code of `length` bits with the positions that are sent.

    Attributes
    ----------
    length : int
        N, a power of two.
    info : int64 array, shape (K,)
        Indices that carry information and CRC, in order.
    kind : uint8 array, shape (N,)
        FROZEN, INFO or PARITY (of the three parity-check bits of very short messages).
    place : int64 array, shape (E,)
        Which bit of the mother code each sent bit is.
    shortened : int64 array
        Bits of the mother code that are not sent because they are known to be zero.
    """

    length: int
    info: np.ndarray
    kind: np.ndarray
    place: np.ndarray
    shortened: np.ndarray


@lru_cache(maxsize=1)
def sequence() -> np.ndarray:
    """Indices 0 to 1023 from the least to the most reliable."""
    text = files("channels.fec").joinpath("polar_sequence.txt").read_text("ascii")
    return np.array([int(w) for line in text.splitlines() if line[0] != "#" for w in line.split()])


def mother_length(k: int, n: int) -> int:
    """Length N of the mother code for K = `k` bits in E = `n` (section 5.3.1)."""
    exponent = (n - 1).bit_length()
    if 8 * n <= 9 << (exponent - 1) and 16 * k < 9 * n:
        exponent -= 1
    return 1 << max(min(exponent, (8 * k - 1).bit_length(), MAX_LOG), 5)


@lru_cache(maxsize=64)
def construct(
    k: int, n: int, parity: int = 0, light: int = 0, interleave: bool = True
) -> Construction:
    """Choose the information set and what is sent.

    Parameters
    ----------
    k, n : int
        Bits to encode with their CRC (K) and sent bits (E).
    parity, light : int
        Parity-check bits (n_PC), and how many of them go to rows of least weight (n_PC^wm).
    interleave : bool
        Whether to put sent bits through the triangular interleaver (section 5.4.1.3).

    Raises
    ------
    ValueError
        The bits don't fit.
    """
    length = mother_length(k, n)
    if k + parity > min(n, length):
        raise ValueError(f"{k + parity} bits with CRC and parity don't fit into {min(n, length)}")
    step = length // 32
    order = (np.array(SUB_BLOCKS)[:, None] * step + np.arange(step)).ravel()
    barred = np.zeros(length, bool)
    shortened = order[:0]
    if n >= length:
        sent = np.resize(order, n)
    elif 16 * k <= 7 * n:  # puncture
        sent = order[length - n :]
        barred[order[: length - n]] = True
        # ceil(3 N / 4 - E / 2) or ceil(9 N / 16 - E / 4) indices at the front
        front = (
            (3 * length - 2 * n + 3) // 4
            if 4 * n >= 3 * length
            else (9 * length - 4 * n + 15) // 16
        )
        barred[: max(front, 0)] = True
    else:
        sent, shortened = order[:n], order[n:]
        barred[shortened] = True
    ranked = sequence()
    ranked = ranked[ranked < length]
    chosen = ranked[~barred[ranked]][-(k + parity) :]
    if chosen.size < k + parity:
        raise ValueError(
            f"{k + parity} bits with CRC and parity don't fit into the {chosen.size} that rate "
            f"matching to {n} bits leaves"
        )
    kind = np.full(length, FROZEN, np.uint8)
    kind[chosen] = INFO
    kind[chosen[: parity - light]] = PARITY
    if light:
        best = chosen[parity:][::-1]
        weight = np.bitwise_count(best)
        kind[best[np.argsort(weight, kind="stable")[:light]]] = PARITY
    place = sent[_triangle(n)] if interleave else sent
    return Construction(length, np.flatnonzero(kind == INFO), kind, place, shortened)


def _triangle(n: int) -> np.ndarray:
    """Write by rows into a triangle, read by columns."""
    side = 0
    while side * (side + 1) // 2 < n:
        side += 1
    row = np.repeat(np.arange(side), np.arange(side, 0, -1))[:n]
    first = np.concatenate(([0], np.cumsum(np.arange(side, 0, -1))))
    column = np.arange(n) - first[row]
    return np.lexsort((row, column))


def tree_nodes(kind: np.ndarray) -> np.ndarray:
    """Nodes at which a decoder stops descending: int64 (nodes, 3) of start, log2 of size, kind.

    Subtrees of frozen bits, and of frozen bits but the last (a repetition code), are decoded whole:
    their path metrics follow from the node's LLRs exactly.
    """
    nodes: list[tuple[int, int, int]] = []

    def descend(start: int, log: int) -> None:
        part = kind[start : start + (1 << log)]
        if not part[:-1].any() and (part[-1] != PARITY or log == 0):
            nodes.append((start, log, int(part[-1])))
            return
        descend(start, log - 1)
        descend(start + (1 << (log - 1)), log - 1)

    descend(0, kind.size.bit_length() - 1)
    return np.array(nodes, np.int64)

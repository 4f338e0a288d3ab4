"""Labels of numbers: which bits stand for which level, and what a binary channel makes of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

Labels = Literal["natural", "gray", "folded"]


def number_bits(numbers: np.ndarray, width: int) -> np.ndarray:
    """Numbers as bits, most significant first; uint8, shape (numbers.size * width,)."""
    shifts = np.arange(width - 1, -1, -1)
    return ((numbers.reshape(-1, 1).astype(np.int64) >> shifts) & 1).astype(np.uint8).ravel()


def bits_number(bits: np.ndarray, width: int) -> np.ndarray:
    """Inverse of `number_bits`; int64, shape (bits.size // width,)."""
    weights = 1 << np.arange(width - 1, -1, -1, dtype=np.int64)
    return bits.reshape(-1, width).astype(np.int64) @ weights


def label_table(width: int, labels: Labels | Sequence[int] | np.ndarray) -> np.ndarray:
    """Label of each of the 2**width levels in rising order; int64, a permutation.

    Parameters
    ----------
    width : int
    labels : {"natural", "gray", "folded"} or sequence of int
        ``natural`` is the level's number, ``gray`` changes one bit between neighbours, ``folded``
        is a sign and a magnitude counted from the middle. A sequence is taken as it is: a learnt
        or searched labelling.

    Raises
    ------
    ValueError
        A sequence that is no permutation of 0 .. 2**width - 1, or an unknown name.
    """
    level = np.arange(1 << width)
    if not isinstance(labels, str):
        table = np.asarray(labels)
        if table.shape != level.shape or not np.array_equal(np.sort(table), level):
            raise ValueError(
                f"labels of {width} bits are a permutation of 0 .. {level.size - 1}; "
                f"got {table.size} entries that are not"
            )
        return table.astype(np.int64)
    if labels == "natural":
        return level
    if labels == "gray":
        return level ^ (level >> 1)
    if labels == "folded":
        half = (1 << width) >> 1
        return np.where(level >= half, level, half - 1 - level)
    raise ValueError(f"labels are natural, gray or folded, not {labels!r}")


def transitions(sent: np.ndarray, width: int, ber: float) -> np.ndarray:
    """Probability that a label arrives, given the one sent, over a binary symmetric channel.

    p**d (1 - p)**(width - d), where d counts the bits in which the two differ.

    Parameters
    ----------
    sent : int array, shape (n,)
        Labels.
    width : int
        Bits of a label.
    ber : float
        p, 0 to 0.5; larger ones, which no receiver would keep, count as 0.5.

    Returns
    -------
    float64 array, shape (n, 2**width)
        Rows sum to one; columns are received labels 0 .. 2**width - 1.
    """
    if not ber >= 0:
        raise ValueError(f"a bit error rate goes from 0 to 0.5, got {ber}")
    p = min(float(ber), 0.5)
    distance = np.bitwise_count(np.asarray(sent)[:, None] ^ np.arange(1 << width)[None, :])
    d = distance.astype(np.float64)
    return p**d * (1 - p) ** (width - d)

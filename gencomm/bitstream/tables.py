"""Entropy tables in integers: what a stream decodes to depends on no floating-point unit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

#: Frequencies of a table sum to this.
TOTAL = 1 << 16

#: A table goes out to where no more than this mass lies beyond; the rest is escaped.
TAIL = 2.0**-15

#: Symbols beyond what any table reaches are clipped to this magnitude.
LARGEST = 32767

#: About what an escaped symbol takes: the escape at its rarest, and 16 bits.
ESCAPE_COST = 32.0


def integer_frequencies(probabilities: np.ndarray, total: int = TOTAL) -> np.ndarray:
    """Round probabilities to positive integers with a given sum (method of largest remainders).

    Parameters
    ----------
    probabilities : float (n,)
        Non-negative; their sum need not be 1.
    total : int
        At least n.

    Returns
    -------
    int64 (n,)
        Each at least 1, so that every symbol can be coded.

    Raises
    ------
    ValueError
        Negative or no finite probabilities, or more symbols than `total`.
    """
    p = np.asarray(probabilities, np.float64)
    if p.ndim != 1 or not np.isfinite(p).all() or (p < 0).any() or not 0 < p.size <= total:
        raise ValueError(f"no probabilities of at most {total} symbols: {p!r}")
    mass = p.sum()
    share = (p / mass if mass > 0 else np.full(p.size, 1 / p.size)) * (total - p.size)
    counts = np.floor(share).astype(np.int64)
    rest = total - p.size - int(counts.sum())
    counts[np.argsort(counts - share, kind="stable")[:rest]] += 1
    return counts + 1


@dataclass(frozen=True)
class Tables:
    """Symmetric tables for symbols around zero, many in one array.

    A table of reach L knows the symbols -L .. L and an escape, in that order. Its row of
    `frequencies` holds those of the magnitudes 0 .. L, where a magnitude above 0 counts for both
    signs, and what is left to `TOTAL` is the escape's.

    Attributes
    ----------
    frequencies : uint16 (n_entries,)
        The rows end to end.
    reach : uint16 (n_tables,)
        L of each.
    """

    frequencies: np.ndarray
    reach: np.ndarray

    def __post_init__(self) -> None:
        if int(self.reach.astype(np.int64).sum()) + self.reach.size != self.frequencies.size:
            raise ValueError("the tables' reach doesn't fit their frequencies")

    @cached_property
    def _starts(self) -> np.ndarray:
        """Where each row begins."""
        return np.concatenate([[0], np.cumsum(self.reach.astype(np.int64) + 1)])

    def __len__(self) -> int:
        return self.reach.size

    @classmethod
    def build(cls, probabilities: Sequence[np.ndarray]) -> Tables:
        """Tables from the probabilities of the magnitudes.

        Parameters
        ----------
        probabilities : sequence of float (n,), one a table, of any lengths
            Of the symbols 0 .. n - 1; a negative symbol is as probable as its positive one.
        """
        rows, reach = [], []
        for p in probabilities:
            inside = p[0] + 2 * np.concatenate([[0], np.cumsum(p[1:])])
            reached = np.flatnonzero(inside >= 1 - TAIL)
            last = int(reached[0]) if reached.size else p.size - 1
            escape = max(1 - inside[last], 0.0)
            whole = integer_frequencies(np.concatenate([p[last:0:-1], p[: last + 1], [escape]]))
            row = whole[last : 2 * last + 1].copy()
            # The two signs may have been rounded apart; what that leaves goes to zero's.
            row[1:] = np.minimum(row[1:], whole[:last][::-1])
            row[0] = TOTAL - 2 * row[1:].sum() - whole[-1]
            rows.append(row.astype(np.uint16))
            reach.append(last)
        return cls(np.concatenate(rows), np.array(reach, np.uint16))

    def row(self, index: int) -> np.ndarray:
        """All frequencies of one table, int64 (2 L + 2,), the escape last; their sum is TOTAL.

        Raises
        ------
        ValueError
            The row is no table: a frequency is zero, or the sum is beyond TOTAL.
        """
        half = self.frequencies[self._starts[index] : self._starts[index + 1]].astype(np.int64)
        escape = TOTAL - int(half[0] + 2 * half[1:].sum())
        if half.min() < 1 or escape < 1:
            raise ValueError(f"table {index} is damaged")
        return np.concatenate([half[:0:-1], half, [escape]])

    @cached_property
    def _costs(self) -> np.ndarray:
        return np.log2(TOTAL) - np.log2(self.frequencies.astype(np.float32))

    def costs(self, symbols: np.ndarray, indices: np.ndarray) -> np.ndarray:
        """About what each symbol costs, in bits; an escape counts as rare. Shapes (n,)."""
        magnitude, reach = np.abs(symbols), self.reach[indices].astype(np.int64)
        cost = self._costs[self._starts[indices] + np.minimum(magnitude, reach)]
        return np.where(magnitude > reach, ESCAPE_COST, cost)

    def bits(self, symbols: np.ndarray, indices: np.ndarray) -> float:
        """What symbols cost with the tables given, escapes included, in bits.

        Parameters
        ----------
        symbols : int (n,)
        indices : int (n,)
        """
        magnitude, reach = np.abs(symbols), self.reach[indices].astype(np.int64)
        outside = magnitude > reach
        inside = ~outside
        places = self._starts[indices[inside]] + magnitude[inside]
        cost = -np.log2(self.frequencies[places] / TOTAL).sum()
        escapes = [self.row(index)[-1] for index in indices[outside]]
        return float(cost + (np.log2(2 * LARGEST + 2) - np.log2(np.divide(escapes, TOTAL))).sum())

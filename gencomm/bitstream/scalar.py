"""One scalar quantiser with labelled cells, and the mean of what was sent given what arrived."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from gencomm.bitstream.labelling import Labels, label_table, transitions

#: Cells that no value falls into are told apart from others at a bit error rate this small: what
#: their labels stand for where the decoder believes in no errors at all.
_LEAST_BER = 1e-9


@dataclass(frozen=True, eq=False)
class ScalarQuantiser:
    """2**width intervals of the real line, each with a mean, a probability and a label.

    Attributes
    ----------
    levels : float64 array, shape (2**width,)
        What a cell's values are on average, cells in rising order. Any number for empty cells.
    probability : float64 array, shape (2**width,)
        Of each cell; sums to one. Equal ones where nothing is known.
    thresholds : float64 array, shape (2**width - 1,)
        Bounds between cells, not falling. A value on a bound belongs to the cell below it.
    label : int64 array, shape (2**width,)
        A permutation: the bits that stand for each cell, as a number.
    distortion : float
        Mean squared error of `levels` without a channel; an empty number (NaN) where unknown.
    """

    levels: np.ndarray
    probability: np.ndarray
    thresholds: np.ndarray
    label: np.ndarray
    distortion: float = float("nan")

    def __post_init__(self) -> None:
        count = self.levels.size
        if count & (count - 1) or count == 0:
            raise ValueError(f"a quantiser has 2**width levels, got {count}")
        if self.probability.shape != (count,) or self.thresholds.shape != (count - 1,):
            raise ValueError(
                f"{count} levels go with {count} probabilities and {count - 1} thresholds; got "
                f"{self.probability.size} and {self.thresholds.size}"
            )
        if (self.thresholds[1:] < self.thresholds[:-1]).any():
            raise ValueError("thresholds must not fall")
        label_table(self.width, self.label)  # a permutation, or it says so

    @classmethod
    def uniform(
        cls,
        width: int,
        low: float = -1.0,
        high: float = 1.0,
        labels: Labels | Sequence[int] = "gray",
        probability: np.ndarray | None = None,
    ) -> ScalarQuantiser:
        """Equal cells from `low` to `high`, levels in their middles.

        Parameters
        ----------
        width : int
            Bits.
        low, high : float
            Values beyond fall into the outer cells.
        labels : name or permutation
        probability : array, shape (2**width,), optional
            Of each cell, as measured; equal ones by default.
        """
        count = 1 << width
        edges = np.linspace(low, high, count + 1)
        share = np.full(count, 1 / count) if probability is None else np.asarray(probability, float)
        error = (edges[1] - edges[0]) ** 2 / 12  # of a uniform variable, whatever the shares
        levels = (edges[1:] + edges[:-1]) / 2
        return cls(levels, share / share.sum(), edges[1:-1], label_table(width, labels), error)

    def relabelled(self, labels: Labels | Sequence[int] | np.ndarray) -> ScalarQuantiser:
        """The same cells with other labels."""
        return replace(self, label=label_table(self.width, labels))

    @property
    def width(self) -> int:
        """Bits of a label."""
        return self.levels.size.bit_length() - 1

    @cached_property
    def cell_of(self) -> np.ndarray:
        """Cell of each label; inverse of `label`."""
        return np.argsort(self.label)

    def cells(self, values: np.ndarray) -> np.ndarray:
        """Number of the cell that each value falls into."""
        return np.searchsorted(self.thresholds, values)

    def encode(self, values: np.ndarray) -> np.ndarray:
        """Labels of values; int64, of the same shape."""
        return self.label[self.cells(values)]

    def decode(self, labels: np.ndarray, ber: float = 0.0) -> np.ndarray:
        """Values for labels: the mean of what was sent, given what arrived at this error rate."""
        return self.estimates(ber)[labels]

    def estimates(self, ber: float = 0.0) -> np.ndarray:
        """By received label, the mean of what was sent; float64, shape (2**width,).

        sum_i P(j|i) P_i y_i / sum_i P(j|i) P_i with transition probabilities P(j|i) of a binary
        symmetric channel: the centroid condition of Farvardin and Vaishampayan (1987), eq. 13,
        and the decoder with the least mean squared error for these cells.
        """
        if ber == 0 and self.probability.all():
            return self.levels[self.cell_of]
        joint = self.probability[:, None] * transitions(
            self.label, self.width, max(ber, _LEAST_BER)
        )
        return (self.levels @ joint) / joint.sum(axis=0)

    def mean_squared_error(self, ber: float, assumed: float | None = None) -> float:
        """Of the whole: quantisation and a binary symmetric channel.

        Parameters
        ----------
        ber : float
            Of the channel.
        assumed : float, optional
            What the decoder believes it to be; the truth by default.
        """
        guess = self.estimates(ber if assumed is None else assumed)
        arrive = transitions(self.label, self.width, ber)
        square = (arrive * (self.levels[:, None] - guess) ** 2).sum(axis=1)
        return self.distortion + float(self.probability @ square)

    def sensitivity(self, ber: float = 0.0) -> np.ndarray:
        """Mean squared change of the value when one bit is flipped; float64, shape (width,).

        Of what a decoder takes that reckons with a bit error rate of `ber`.
        """
        value, sent = self.estimates(ber), self.label
        flips = 1 << np.arange(self.width - 1, -1, -1)
        change = [(value[sent ^ flip] - value[sent]) ** 2 for flip in flips]
        return np.array([self.probability @ c for c in change])

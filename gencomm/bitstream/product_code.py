"""Product codes: many values, each with its own scalar quantiser and its own bits, no entropy code.

Every bit pattern of the right length is a code, and bit k means the same thing in each. So the
decoder with the least mean squared error is known in closed form, value by value. Let y_i be the
mean of cell i, P_i its probability, b_i its label of w bits, and L_k the LLR ln(P(0) / P(1)) of the
bit received in place k. Bits are hit independently, so

    E[x | L] = sum_i P_i y_i q_i / sum_i P_i q_i,        q_i = exp(-sum_k b_ik L_k),

which is a softmax over the 2**w cells followed by a weighted mean:
``softmax(log P - bits @ L) @ y``. It is differentiable in L, y and P and takes three lines in
any tensor library. Hard decisions over a channel that flips bits with known probability p are the
case L = +-ln((1 - p) / p), for which `ScalarQuantiser.estimates` is a table of 2**w values.
For uniform levels with natural labels and equal P_i the mean is y_0 + step * sum_k 2**(w-1-k)
P(bit k = 1): a bit's share is independent of the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from gencomm.bitstream.labelling import Labels
from gencomm.bitstream.scalar import ScalarQuantiser


@dataclass(frozen=True)
class _Group:
    """All values of one width: so many bits, which values, and where their bits stand."""

    width: int
    members: np.ndarray  # (m,)
    places: np.ndarray  # (m, width)
    bits: np.ndarray  # (m, 2**width, width), of each cell's label
    levels: np.ndarray  # (m, 2**width)
    log_prior: np.ndarray  # (m, 2**width)


class ProductCode:
    """K scalar quantisers side by side; a vector of K values takes sum of widths bits.

    Bits stand value after value, each value's most significant first.

    Parameters
    ----------
    quantisers : sequence of ScalarQuantiser
        One a value; may be the same object many times. Width 0 is allowed: a constant.
    scale, offset : float or array, shape (K,)
        Values are `offset` + `scale` times what the quantisers were designed for.

    Examples
    --------
    >>> code = ProductCode.uniform(count=100, width=5)
    >>> bits = code.encode(latents)                       # (n, 100) -> (n, 500)
    >>> code.decode(bits), code.decode(bits, ber=1e-2), code.decode_llr(llr)
    """

    def __init__(
        self,
        quantisers: Sequence[ScalarQuantiser],
        scale: float | np.ndarray = 1.0,
        offset: float | np.ndarray = 0.0,
    ):
        self.quantisers = list(quantisers)
        count = len(self.quantisers)
        self.scale = np.broadcast_to(np.asarray(scale, np.float64), (count,))
        self.offset = np.broadcast_to(np.asarray(offset, np.float64), (count,))
        self.widths = np.array([q.width for q in self.quantisers], np.int64)
        self.n_bits = int(self.widths.sum())
        self._first = np.cumsum(self.widths) - self.widths

    @classmethod
    def uniform(
        cls,
        count: int,
        width: int,
        low: float = -1.0,
        high: float = 1.0,
        labels: Labels | Sequence[int] = "gray",
        probability: np.ndarray | None = None,
    ) -> ProductCode:
        """The same uniform quantiser `count` times.

        Parameters
        ----------
        probability : array, shape (2**width,) or (count, 2**width), optional
            Of the cells, as measured on training data; equal ones by default.
        """
        if probability is not None and np.ndim(probability) == 2:
            shares = np.asarray(probability)
            if len(shares) != count:
                raise ValueError(f"{len(shares)} rows of probabilities for {count} values")
            return cls([ScalarQuantiser.uniform(width, low, high, labels, p) for p in shares])
        return cls([ScalarQuantiser.uniform(width, low, high, labels, probability)] * count)

    def __len__(self) -> int:
        return len(self.quantisers)

    def encode(self, values: np.ndarray) -> np.ndarray:
        """Bits of values: (n, K) or (K,) -> uint8 (n, n_bits) or (n_bits,)."""
        values = np.asarray(values, np.float64)
        self._check(values, len(self), "values")
        plain = (values - self.offset) / self.scale
        labels = np.empty(values.shape, np.int64)
        for k, quantiser in enumerate(self.quantisers):
            labels[..., k] = quantiser.encode(plain[..., k])
        bits = np.empty((*values.shape[:-1], self.n_bits), np.uint8)
        for group in self._groups:
            shifts = np.arange(group.width - 1, -1, -1)
            bits[..., group.places] = (labels[..., group.members, None] >> shifts) & 1
        return bits

    def labels(self, bits: np.ndarray) -> np.ndarray:
        """Received bits as labels: (..., n_bits) -> int64 (..., K)."""
        bits = np.asarray(bits)
        self._check(bits, self.n_bits, "bits")
        labels = np.zeros((*bits.shape[:-1], len(self)), np.int64)
        for group in self._groups:
            weights = 1 << np.arange(group.width - 1, -1, -1)
            labels[..., group.members] = bits[..., group.places].astype(np.int64) @ weights
        return labels

    def decode(self, bits: np.ndarray, ber: float | np.ndarray = 0.0) -> np.ndarray:
        """Mean of what was sent, given hard decisions that are wrong with probability `ber`.

        Parameters
        ----------
        bits : array of 0 and 1, shape (n, n_bits) or (n_bits,)
        ber : float or array, shape (n,)
            0 takes the bits at their word.

        Returns
        -------
        float64 array, shape (n, K) or (K,)
        """
        labels = self.labels(bits)
        if np.ndim(ber) == 0:
            return self._table(float(ber))[self._offsets + labels] * self.scale + self.offset
        rates = np.asarray(ber, np.float64)
        if labels.ndim != 2 or rates.shape != labels.shape[:1]:
            raise ValueError(f"{rates.shape} error rates for bits of shape {np.shape(bits)}")
        found = np.empty(labels.shape)
        for rate in np.unique(rates):
            rows = rates == rate
            found[rows] = self._table(float(rate))[self._offsets + labels[rows]]
        return found * self.scale + self.offset

    def decode_llr(self, llr: np.ndarray) -> np.ndarray:
        """Mean of what was sent, given LLRs; see the module's head for the formula.

        Parameters
        ----------
        llr : array, shape (n, n_bits) or (n_bits,)
            ln(P(0) / P(1)) of each bit; NaN is taken as 0, infinite ones as certain.

        Returns
        -------
        float64 array, shape (n, K) or (K,)
        """
        llr = np.nan_to_num(np.asarray(llr, np.float64), nan=0.0, posinf=1e4, neginf=-1e4)
        self._check(llr, self.n_bits, "LLRs")
        found = np.empty((*llr.shape[:-1], len(self)))
        for group in self._groups:
            seen = llr[..., group.places]
            weight = np.broadcast_to(
                group.log_prior, (*llr.shape[:-1], *group.log_prior.shape)
            ).copy()
            for k in range(group.width):  # one after the other, in the same order in any batch
                weight -= group.bits[:, :, k] * seen[..., k, None]
            weight = np.exp(weight - weight.max(axis=-1, keepdims=True))
            mean = (weight * group.levels).sum(axis=-1) / weight.sum(axis=-1)
            found[..., group.members] = mean
        return found * self.scale + self.offset

    def mean_squared_error(self, ber: float = 0.0, assumed: float | None = None) -> float:
        """Sum over the values, of quantisation and a channel; see `ScalarQuantiser`."""
        own: dict[int, float] = {}
        for q in self.quantisers:
            if id(q) not in own:
                own[id(q)] = q.mean_squared_error(ber, assumed)
        return float(self.scale**2 @ np.array([own[id(q)] for q in self.quantisers]))

    def sensitivity(self, ber: float = 0.0) -> np.ndarray:
        """Mean squared change of the values when one bit is flipped; float64, shape (n_bits,).

        Of what a decoder takes that reckons with a bit error rate of `ber`.
        """
        pairs = zip(self.quantisers, self.scale, strict=True)
        parts = [s**2 * q.sensitivity(ber) for q, s in pairs]
        return np.concatenate(parts) if parts else np.zeros(0)

    @cached_property
    def _groups(self) -> list[_Group]:
        groups = []
        for width in np.unique(self.widths).tolist():
            members = np.flatnonzero(self.widths == width)
            chosen = [self.quantisers[k] for k in members]
            label = np.stack([q.label for q in chosen])
            shifts = np.arange(width - 1, -1, -1)
            with np.errstate(divide="ignore"):  # an empty cell was certainly not sent
                log_prior = np.log(np.stack([q.probability for q in chosen]))
            groups.append(
                _Group(
                    width,
                    members,
                    self._first[members, None] + np.arange(width),
                    ((label[..., None] >> shifts) & 1).astype(np.float64),
                    np.stack([q.levels for q in chosen]),
                    log_prior,
                )
            )
        return groups

    @cached_property
    def _offsets(self) -> np.ndarray:
        """Where each value's table of estimates begins in `_table`."""
        sizes = 1 << self.widths
        return np.cumsum(sizes) - sizes

    def _table(self, ber: float) -> np.ndarray:
        """Estimates of all quantisers by label, end to end; kept for the rate asked for last."""
        kept = self.__dict__.get("_kept")
        if kept is None or kept[0] != ber:
            own: dict[int, np.ndarray] = {}
            for q in self.quantisers:
                if id(q) not in own:
                    own[id(q)] = q.estimates(ber)
            whole = [own[id(q)] for q in self.quantisers]
            kept = (ber, np.concatenate(whole) if whole else np.zeros(0))
            self.__dict__["_kept"] = kept
        return kept[1]

    @staticmethod
    def _check(array: np.ndarray, length: int, what: str) -> None:
        if array.ndim not in (1, 2) or array.shape[-1] != length:
            raise ValueError(
                f"{what} must have shape (n, {length}) or ({length},), got {array.shape}"
            )

"""What a stage of a link is, and what travels between stages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from channels.spec import Spec


@dataclass
class Batch:
    """What travels between the stages of a link: a batch of trials of one payload.

    Attributes
    ----------
    n_bits : int
        Bits per trial at this point of the chain.
    bits : uint8 array, shape (trials, ceil(n_bits / 8)), or None
        Packed bits, most significant first, spare bits zero. Before the first medium all trials
        are alike and the array may have a single row; stages broadcast over it.
    symbols : complex64 array, shape (trials, n_symbols), or None
        Constellation points of mean energy 1 (one row before the first medium, as for bits).
    llr : float32 array, shape (trials, n_bits), or None
        ln(P(bit = 0) / P(bit = 1)): positive means 0. Where it is there, `bits` agrees with it.
    erased : uint8 array, shape (trials, ceil(n_bits / 8)), or None
        Packed mask of bits that the receiver knows to be lost. Their `bits` read 0.
    crossover : float
        Where hard bits came from a binary medium: its probability of error, for LLRs.
    noise : float or float32 array, shape (trials, n_symbols)
        N0, the variance of the complex noise (N0 / 2 on each axis), after equalisation: a medium
        with gains divides by them in `backward` and gives the noise of each symbol that is left.
    gain : complex64 array, shape (trials, n_symbols), or None
        Channel gains as the receiver believes them to be.
    classes : uint8 array, shape (n_bits,), or None
        Importance of each payload bit, 0 the most important.
    units : int64 array, shape (units,), or None
        Lengths in bits of what belongs together, in order: the units that the payload's maker
        named, or the packets that a stage has made. None where nothing is known.
    """

    n_bits: int
    bits: np.ndarray | None = None
    symbols: np.ndarray | None = None
    llr: np.ndarray | None = None
    erased: np.ndarray | None = None
    crossover: float = 0.0
    noise: float | np.ndarray = 0.0
    gain: np.ndarray | None = None
    classes: np.ndarray | None = None
    units: np.ndarray | None = None

    def with_(self, **changes: Any) -> Batch:
        """A copy with some fields changed."""
        return replace(self, **changes)


@dataclass(frozen=True)
class Context:
    """What a stage is told about the link it sits in, once, when the link is compiled.

    Attributes
    ----------
    rate : float
        Product of the code rates of the whole chain: information bits per coded bit.
    bits_per_symbol : int
        Of the chain's modulation; 0 where there is none.
    soft : bool
        Whether somebody to the left (a decoder, or the codec) wants LLRs.
    constellation : str or None
        The modulation's name in :mod:`channels.theory`; None where no closed form is known.
    """

    rate: float = 1.0
    bits_per_symbol: int = 0
    soft: bool = False
    constellation: str | None = None


@dataclass(frozen=True)
class Sizes:
    """What a stage makes of `n_in` bits: bits or symbols out, and what was added on the way."""

    n_out: int
    parity: int = 0
    framing: int = 0
    padding: int = 0
    symbols: int = 0


@dataclass(frozen=True)
class ClassSizes:
    """What protecting one class of importance cost, in links that protect unequally.

    Attributes
    ----------
    importance : int
        The class; in the last line, all from it on.
    stage : str
        What protects it.
    n_in : int
        Bits of the class.
    sizes : Sizes
    rate : float
        Nominal code rate.
    """

    importance: int
    stage: str
    n_in: int
    sizes: Sizes
    rate: float


class Stage:
    """Base class of everything in a chain.

    A stage is built from its spec, told its context once (`configure`) and then used many times.
    It keeps nothing between calls; what `backward` must remember of `forward` goes into `state`.

    Class attributes
    ----------------
    takes, gives : "bits" or "symbols"
        What `forward` consumes and produces; `backward` goes the other way.
    medium : bool
        Whether this is the noisy part. Media come last.
    soft_input : bool
        Whether `backward` decodes better from LLRs than from hard bits.
    calibrated : bool
        Whether the LLRs that `backward` gives are true to the word: P(bit = 1) = 1 / (1 + e**LLR).
        Approximations say False; the conformance kit tests the others.
    """

    takes = "bits"
    gives = "bits"
    medium = False
    soft_input = False
    calibrated: bool = True
    #: information bits per coded bit, and coded bits per symbol for a modulation
    rate: float = 1.0
    bits_per_symbol: int = 0
    #: name of a modulation in channels.theory, where it has one
    constellation: str | None = None
    #: nominal rates by class, of a stage that treats bits by their importance; it comes first
    class_rates: tuple[float, ...] = ()
    #: whether packets leave this stage, or must reach it
    makes_packets: bool = False
    needs_packets: bool = False
    #: SHA-256 of a file that the stage works from, which belongs to the identity of its results
    checksum: str | None = None
    #: the spec this was built from, for messages; set by the link
    spec: Spec | None = None

    def configure(self, context: Context) -> None:
        """Take note of the link's properties; build tables. Called once."""

    def sizes(self, n_in: int) -> Sizes:
        """Sizes for `n_in` bits (for a medium on symbols: symbols) in; no side effects."""
        return Sizes(n_in)

    def unit_sizes(self, n_in: int, units: np.ndarray | None) -> tuple[Sizes, np.ndarray | None]:
        """Sizes where units of the payload are known, and the units that leave this stage.

        Media leave them as they are; any other stage mixes bits, so that none are left.
        """
        return self.sizes(n_in), units if self.medium else None

    def forward(self, batch: Batch, rngs: Sequence[np.random.Generator]) -> tuple[Batch, Any]:
        """Send. `rngs` holds one generator a trial, this stage's own."""
        return batch, None

    def backward(self, batch: Batch, state: Any) -> Batch:
        """Receive: undo `forward`, given what it kept in `state`."""
        return batch

    def facts(self) -> Mapping[str, float]:
        """Numbers for the ledger known after `configure`, such as ``esno_db``."""
        return {}

    def ber_with_noise(self, constellation: str, esno_db: float) -> float | None:
        """Of a medium before AWGN: closed form of the bit error rate behind both of them.

        Parameters
        ----------
        constellation : str
            Name in :mod:`channels.theory`; decisions are for the nearest point.
        esno_db : float
            Of the noise.

        Returns
        -------
        float, or None where it is not known.
        """
        return None

    def class_sizes(self, counts: Sequence[int]) -> tuple[ClassSizes, ...]:
        """Where `class_rates` are given: sizes by class, for numbers of bits of each class."""
        raise NotImplementedError

    def hit_probability(self, n_in: int) -> float | None:
        """Of a medium: probability that it hits at least one of `n_in` bits (or symbols).

        A medium that doesn't hit leaves everything as it was sent, for whoever comes after it.
        None where the probability is not known, or what is not hit is not left as it was.
        """
        return None

    def forward_hit(self, batch: Batch, rngs: Sequence[np.random.Generator]) -> tuple[Batch, Any]:
        """Like `forward`, on condition that something is hit; where `hit_probability` is known."""
        raise NotImplementedError


@dataclass(frozen=True)
class StageSizes:
    """A line of the ledger: one stage and what it added."""

    stage: str
    n_in: int
    sizes: Sizes = field(default_factory=lambda: Sizes(0))

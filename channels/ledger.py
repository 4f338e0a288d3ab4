"""The ledger of a link: where the bits of one transmission go."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields

import numpy as np

from channels.stage import ClassSizes, Sizes, StageSizes


@dataclass(frozen=True)
class Ledger:
    """Where the bits of one transmission go. All counts are per trial.

    Attributes
    ----------
    payload : int
        Bits handed to the link.
    parity, framing, padding : int
        Bits that error correction, packet headers and checks, and filling up added.
    sent_bits : int
        Bits on the medium: the sum of the four above.
    channel_uses : int
        Complex symbols where there is a modulation (BPSK too spends one on a bit), bits otherwise.
    code_rate : float
        Nominal rate of all codes together, padding not counted. Where classes are protected
        unequally: payload over coded bits for the classes' actual shares.
    bits_per_use : float
        payload / channel_uses: what is really carried.
    facts : dict
        ``ebno_db`` (per information bit, after the nominal code rate), ``esno_db``, ``snr_db``,
        ``ber`` (closed form where known, for zeros and ones equally likely; ``channel_ber``, that
        of the bits on the medium, where there is a code or framing) and the like.
    stages : tuple
        One line per stage, in sending order.
    classes : tuple
        One line per class, where a stage protects classes unequally.
    """

    payload: int
    parity: int
    framing: int
    padding: int
    sent_bits: int
    channel_uses: int
    code_rate: float
    bits_per_use: float
    facts: dict[str, float] = field(default_factory=dict)
    stages: tuple[StageSizes, ...] = ()
    classes: tuple[ClassSizes, ...] = ()

    @property
    def ebno_effective_db(self) -> float | None:
        """Energy per payload bit over N0 with everything counted, padding and framing too."""
        if "esno_db" not in self.facts or self.payload == 0:
            return None
        return self.facts["esno_db"] - 10 * math.log10(self.payload / self.channel_uses)

    def as_dict(self) -> dict:
        """Plain values, for JSON."""
        plain = asdict(self)
        plain["stages"] = [
            {"stage": line.stage, "in": line.n_in, **asdict(line.sizes)} for line in self.stages
        ]
        plain["classes"] = [
            {
                "class": line.importance,
                "stage": line.stage,
                "in": line.n_in,
                **asdict(line.sizes),
                "rate": line.rate,
            }
            for line in self.classes
        ]
        plain["ebno_effective_db"] = self.ebno_effective_db
        return plain


def count_classes(n_bits: int, classes: np.ndarray | None) -> list[int]:
    """Number of bits of each class."""
    if classes is None:
        return [n_bits]
    if classes.shape != (n_bits,) or classes.dtype != np.uint8:
        raise ValueError(
            f"classes are uint8, one for each of {n_bits} bits, got {classes.dtype} of shape "
            f"{classes.shape}"
        )
    return np.bincount(classes, minlength=1).tolist()


def together(sizes: Sequence[Sizes]) -> Sizes:
    """Sizes of parts that are sent one after the other."""
    return Sizes(*(sum(getattr(part, f.name) for part in sizes) for f in fields(Sizes)))

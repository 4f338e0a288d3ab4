"""Error rates of a link by Monte Carlo: blocks are sent until enough of them were wrong.

The rule that stops a point is looked at after fixed portions of trials, in trial order, so that a
point's counts depend on the seed alone and not on how fast the machine is.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from channels.bits import PackedBits
from channels.intervals import clopper_pearson
from channels.link import Link
from channels.noise import NoiseStream

#: A portion sends about this many payload bits before the rule is looked at again ...
PORTION_BITS = 2_000_000
#: ... but never more blocks than this, so that points with many errors stop early.
PORTION_BLOCKS = 2_000

StopReason = Literal["running", "block_errors", "max_blocks", "max_bits", "seconds"]


@dataclass(frozen=True)
class ErrorRates:
    """Counts of one operating point and what follows from them.

    Attributes
    ----------
    link : str
        Canonical text of the link.
    block_bits : int
        Payload bits per block.
    blocks, block_errors, bits, bit_errors : int
        Counts.
    block_square_errors : int
        Sum over blocks of the square of their bit errors, for the interval of the BER: errors
        within a block are not independent.
    ebno_db, esno_db : float or None
        The link's own, where it has them.
    ebno_effective_db : float or None
        Energy per payload bit over N0 with padding and framing counted too.
    theory_ber : float or None
        Closed form, where the link knows one and nothing is coded.
    seconds : float
        Wall time spent.
    stop_reason : StopReason
        ``block_errors`` (enough were wrong), ``max_blocks``, ``max_bits`` or ``seconds``;
        ``running`` in what `progress` is shown.
    """

    link: str
    block_bits: int
    blocks: int
    block_errors: int
    bits: int
    bit_errors: int
    block_square_errors: int
    ebno_db: float | None
    esno_db: float | None
    theory_ber: float | None
    seconds: float
    stop_reason: StopReason
    ebno_effective_db: float | None = None

    @property
    def ber(self) -> float:
        return self.bit_errors / self.bits if self.bits else float("nan")

    @property
    def bler(self) -> float:
        return self.block_errors / self.blocks if self.blocks else float("nan")

    def bler_interval(self, level: float = 0.95) -> tuple[float, float]:
        """Clopper-Pearson interval: blocks are independent."""
        low, high = clopper_pearson(self.block_errors, self.blocks, level)
        return float(low), float(high)

    def ber_interval(self, level: float = 0.95) -> tuple[float, float]:
        """Interval of the BER, widened for errors that come together in a block.

        The variance of a block's error count over that of independent errors (Kish's design
        effect) says how many independent bits the sample is worth; Clopper-Pearson on that many.
        """
        if not self.blocks:
            return 0.0, 1.0
        mean = self.bit_errors / self.blocks
        variance = self.block_square_errors / self.blocks - mean**2
        independent = mean * (1 - mean / self.block_bits)
        effect = max(1.0, variance / independent) if independent > 0 else 1.0
        low, high = clopper_pearson(self.bit_errors / effect, self.bits / effect, level)
        return float(low), float(high)


def simulate(
    spec: str,
    *,
    block_bits: int | None = None,
    target_block_errors: int = 100,
    max_blocks: int = 1_000_000,
    max_bits: float = 1e9,
    max_seconds: float = float("inf"),
    seed: int = 0,
    progress: Callable[[ErrorRates], None] | None = None,
) -> ErrorRates:
    """Send random blocks through a link until `target_block_errors` of them were wrong.

    Parameters
    ----------
    spec : str
        A link such as ``ldpc(rate=1/2)|qpsk|awgn(ebno_db=2)``.
    block_bits : int, optional
        Payload bits per block. Default: `default_block_bits`.
    target_block_errors, max_blocks, max_bits, max_seconds
        The point ends with whichever comes first; looked at after every portion. Only
        `max_seconds` makes the counts depend on the machine.
    progress : callable, optional
        Called with the counts so far after every portion.

    Raises
    ------
    SpecError
        The link can't be read or built.
    ValueError
        A limit is below 1.
    """
    for name, value in (
        ("target_block_errors", target_block_errors),
        ("max_blocks", max_blocks),
        ("max_bits", max_bits),
    ):
        if value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")
    link = Link.parse(spec)
    if block_bits is None:
        block_bits = default_block_bits(link)
    if block_bits < 1:
        raise ValueError(f"block_bits must be at least 1, got {block_bits}")
    portion = int(max(1, min(PORTION_BLOCKS, PORTION_BITS // block_bits)))
    ledger = link.ledger(block_bits)
    facts = ledger.facts
    blocks = block_errors = bit_errors = squares = number = 0
    began = time.perf_counter()

    def so_far(reason: StopReason) -> ErrorRates:
        return ErrorRates(
            link.text,
            block_bits,
            blocks,
            block_errors,
            blocks * block_bits,
            bit_errors,
            squares,
            facts.get("ebno_db"),
            facts.get("esno_db"),
            facts.get("ber") if link.rate == 1 else None,  # the medium's, before any decoder
            time.perf_counter() - began,
            reason,
            ledger.ebno_effective_db,
        )

    while True:
        now = min(portion, max_blocks - blocks)
        # every portion has a payload of its own: data of one pattern could favour a code
        rng = NoiseStream(seed, "payload", str(block_bits)).generator(number)
        payload = PackedBits.from_bits(rng.integers(0, 2, block_bits, np.uint8))
        stream = NoiseStream(seed, link.text)
        errors = link.transmit(payload, range(blocks, blocks + now), stream).bit_errors
        blocks += now
        block_errors += int(np.count_nonzero(errors))
        bit_errors += int(errors.sum())
        squares += int((errors**2).sum())
        number += 1
        if block_errors >= target_block_errors:
            return so_far("block_errors")
        if blocks >= max_blocks:
            return so_far("max_blocks")
        if blocks * block_bits >= max_bits:
            return so_far("max_bits")
        if time.perf_counter() - began >= max_seconds:
            return so_far("seconds")
        if progress:
            progress(so_far("running"))


def default_block_bits(link: Link) -> int:
    """One block of the outermost code, or about 10,000 bits (a multiple of the symbol) without."""
    for stage in link.stages:
        code = getattr(stage, "code", None)
        if code is not None:
            return code.k
    per_symbol = link.bits_per_symbol or 1
    return per_symbol * (10_000 // per_symbol)


def simulate_curve(template: str, name: str, values, **options) -> Iterator[ErrorRates]:
    """One :func:`simulate` for each value put in the place of ``{name}`` in `template`."""
    if "{" + name + "}" not in template:
        raise ValueError(f"the link {template!r} has no placeholder {{{name}}}")
    for value in values:
        yield simulate(template.replace("{" + name + "}", repr(value)), **options)

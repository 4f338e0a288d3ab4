"""Packets that arrive whole or not at all: what is left to an application above UDP."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from channels.bits import clear_spare_bits
from channels.conditional import hit_position_blocks, hit_probability
from channels.media.binary import BinaryMedium, check_range
from channels.media.gaps import position_blocks, sojourns
from channels.stage import Batch


class PacketErasure(BinaryMedium):
    """Loss of whole packets.

    The payload is cut into packets of `bytes` bytes, the last one as long as what is left. A lost
    packet reads 0 and is flagged in `erased`: receivers see the gap in the sequence numbers.
    Headers are not counted here; a framing stage adds them.

    Parameters
    ----------
    p : float
        Probability that a packet is lost, 0..1.
    bytes : int or "framed"
        Bytes in a packet; ``framed``: the packets that a stage such as `packets` has made.
    burst : float, optional
        Mean number of packets lost in a row, by a two-state Markov chain that loses everything in
        its bad state (after E. N. Gilbert, "Capacity of a burst-noise channel", BSTJ 39, 1960).
        Losses are independent where it is not given, which makes runs of 1 / (1 - p) packets.
    """

    erases = True

    def __init__(self, p: float, bytes: int | Literal["framed"] = 1000, burst: float | None = None):
        self.p = check_range("p", p, 0, 1)
        if bytes != "framed" and bytes < 1:
            raise ValueError(f"bytes must be 1 or more, got {bytes}")
        self.packet = None if bytes == "framed" else bytes
        self.needs_packets, self.burst = bytes == "framed", burst
        if burst is not None:
            check_burst(burst, p, "p")

    def damage(self, row, erased, n_bits, rng):
        self._lose(row, erased, n_bits, rng, position_blocks)

    def damage_hit(self, row, erased, n_bits, rng):
        self._lose(row, erased, n_bits, rng, hit_position_blocks)

    def hit_probability(self, n_in):
        if self.burst is not None or self.packet is None:
            return None
        return hit_probability(self.p, -(-n_in // (8 * self.packet)))

    def forward(self, batch: Batch, rngs: Sequence[np.random.Generator]) -> tuple[Batch, Any]:
        if self.packet is not None:
            return super().forward(batch, rngs)
        units = batch.units
        assert units is not None, "the link has seen to it that there are packets"

        def damage(row, erased, n_bits, rng):
            lost = self._lost(units.size, rng, position_blocks)
            bits = np.repeat(lost.astype(np.uint8), units)
            erased[:] = np.packbits(bits)

        return self._send(batch, rngs, damage)

    def _lose(self, row, erased, n_bits, rng, draw):
        packet = min(self.packet or 1, max(1, row.size))
        lost = self._lost(-(-row.size // packet), rng, draw)
        erased[:] = np.repeat(-lost.view(np.uint8), packet)[: row.size]
        clear_spare_bits(erased, n_bits)

    def _lost(self, packets: int, rng: np.random.Generator, draw: Any) -> np.ndarray:
        """Which packets are lost, int8 (packets,)."""
        lost = np.zeros(packets + 1, np.int8)
        if self.burst is None or self.p in (0, 1):
            for positions in draw(rng, self.p, packets):
                lost[positions] = 1
        else:
            starts, ends = sojourns(rng, self.p, self.burst, packets)
            lost[starts], lost[ends] = 1, -1  # visits never touch: a good packet lies between
            np.cumsum(lost, out=lost)
        return lost[:packets]

    def facts(self):
        return {"erasure_rate": self.p, "ber": self.p / 2}


def check_burst(burst: float, p_bad: float, name: str) -> None:
    """Refuse a mean burst length that no two-state chain with this stationary share can have."""
    low = max(1.0, p_bad / (1 - p_bad)) if p_bad < 1 else 1.0
    if not low <= burst < float("inf"):
        raise ValueError(
            f"burst must be finite and at least {low:g}, got {burst!r}: bursts last 1 or more, "
            f"and a share {name}={p_bad:g} of bad time needs {name} / (1 - {name}) at the least"
        )

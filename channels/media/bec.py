"""Binary erasure channel: each bit is lost with probability p, independently, and known to be."""

from __future__ import annotations

from channels.conditional import hit_position_blocks, hit_probability
from channels.media.binary import BinaryMedium, check_range
from channels.media.gaps import flip_bits, position_blocks


class BEC(BinaryMedium):
    """Binary erasure channel.

    Lost bits read 0 and are flagged in `erased`; the others arrive as they were sent.

    Parameters
    ----------
    p : float
        Probability that a bit is lost, 0..1. Its capacity is 1 - p bits per use
        (Cover and Thomas, Elements of Information Theory, 2nd ed., section 7.1.5).
    """

    erases = True

    def __init__(self, p: float):
        self.p = check_range("p", p, 0, 1)

    def damage(self, row, erased, n_bits, rng):
        for positions in position_blocks(rng, self.p, n_bits):
            flip_bits(erased, positions)

    def damage_hit(self, row, erased, n_bits, rng):
        for positions in hit_position_blocks(rng, self.p, n_bits):
            flip_bits(erased, positions)

    def hit_probability(self, n_in):
        return hit_probability(self.p, n_in)

    def facts(self):
        # a lost bit that was 1 is an error: half of them, where both values are equally likely
        return {"erasure_rate": self.p, "ber": self.p / 2}

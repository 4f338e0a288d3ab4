"""Binary symmetric channel: each bit is flipped with probability p, independently."""

from __future__ import annotations

from channels.conditional import hit_position_blocks, hit_probability
from channels.media.binary import BinaryMedium, check_range
from channels.media.gaps import flip_bits, position_blocks


class BSC(BinaryMedium):
    """Binary symmetric channel.

    Parameters
    ----------
    p : float
        Probability that a bit is flipped, 0..0.5. Its capacity is 1 - h(p) bits per use
        (Cover and Thomas, Elements of Information Theory, 2nd ed., section 7.1.4).
    """

    def __init__(self, p: float):
        why = "; above a half, invert the bits and use 1 - p" if 0.5 < p <= 1 else ""
        self.crossover = check_range("p", p, 0, 0.5, why)

    def damage(self, row, erased, n_bits, rng):
        for positions in position_blocks(rng, self.crossover, n_bits):
            flip_bits(row, positions)

    def damage_hit(self, row, erased, n_bits, rng):
        for positions in hit_position_blocks(rng, self.crossover, n_bits):
            flip_bits(row, positions)

    def hit_probability(self, n_in):
        return hit_probability(self.crossover, n_in)

    def facts(self):
        return {"ber": self.crossover}

"""Gilbert-Elliott channel: a good and a bad state, each a binary symmetric channel of its own."""

from __future__ import annotations

import numpy as np

from channels.media.binary import BinaryMedium, check_range
from channels.media.gaps import flip_bits, position_blocks, sojourns
from channels.media.packet_erasure import check_burst
from channels.noise import split
from channels.theory import gilbert_elliott_ber


class GilbertElliott(BinaryMedium):
    """Bit errors in bursts, by a two-state Markov chain (Gilbert 1960, Elliott 1963).

    In the classic letters, with P the probability of going from good to bad and r of coming
    back, once a bit: ``burst = 1 / r``, ``p_bad = P / (P + r)``. The chain starts in its
    stationary distribution, so the mean bit error rate is the same everywhere:
    ``p_bad * ber_bad + (1 - p_bad) * ber_good``. Gilbert's channel has ``ber_good=0``.

    Parameters
    ----------
    p_bad : float
        Share of time spent in the bad state, 0..1.
    burst : float
        Mean length of a visit to the bad state in bits; at least 1 and p_bad / (1 - p_bad).
    ber_bad, ber_good : float
        Bit error rates of the two states, 0..0.5.

    Notes
    -----
    The receiver doesn't know the state: LLRs come from the mean bit error rate.
    E. O. Elliott, "Estimates of error rates for codes on burst-noise channels", BSTJ 42, 1963.
    """

    def __init__(self, p_bad: float, burst: float, ber_bad: float = 0.5, ber_good: float = 0.0):
        self.p_bad = check_range("p_bad", p_bad, 0, 1)
        check_burst(burst, p_bad, "p_bad")
        self.burst = burst
        self.ber_bad = check_range("ber_bad", ber_bad, 0, 0.5)
        self.ber_good = check_range("ber_good", ber_good, 0, 0.5)
        self.crossover = gilbert_elliott_ber(p_bad, ber_bad, ber_good)

    def damage(self, row, erased, n_bits, rng):
        # three generators, so that what one process draws doesn't depend on how far another went
        states, bad, good = split(rng, 3)
        if 0 < self.p_bad < 1:
            starts, ends = sojourns(states, self.p_bad, self.burst, n_bits)
        else:
            starts, ends = np.array([0]), np.array([n_bits if self.p_bad else 0])
        for positions in _placed(bad, self.ber_bad, starts, ends):
            flip_bits(row, positions)
        starts, ends = np.append(0, ends), np.append(starts, n_bits)
        for positions in _placed(good, self.ber_good, starts, ends):
            flip_bits(row, positions)

    def facts(self):
        return {"ber": self.crossover}


def _placed(rng: np.random.Generator, p: float, starts: np.ndarray, ends: np.ndarray):
    """Error positions drawn on a state's own clock, then moved to where that time passes."""
    clock = np.concatenate(([0], np.cumsum(ends - starts)))
    for ticks in position_blocks(rng, p, int(clock[-1])):
        visit = np.searchsorted(clock, ticks, side="right") - 1
        yield starts[visit] + ticks - clock[visit]

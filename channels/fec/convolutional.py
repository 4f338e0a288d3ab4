"""The K = 7 convolutional code (133, 171) with its usual punctured rates."""

from __future__ import annotations

from fractions import Fraction
from typing import Literal

import numpy as np

from channels.fec.code import Code, DecodedBlocks, check_blocks, check_received
from channels.fec.stage import CodeStage

#: Delays tapped by generator A = 133 (octal) and B = 171: IEEE 802.11-2020, 17.3.5.6.
TAPS_A = (0, 2, 3, 5, 6)
TAPS_B = (0, 1, 2, 3, 6)
MEMORY = 6

#: Which code bits are sent, for A and for B, over one period. Rates 2/3 and 3/4: IEEE 802.11-2020,
#: figure 17-9; 5/6: figure 19-11; 7/8: ETSI EN 300 421 (DVB-S) table 2. DVB-S punctures the other
#: rates alike but sends B (its X) before A (its Y).
PUNCTURING = {
    Fraction(1, 2): ("1", "1"),
    Fraction(2, 3): ("11", "10"),
    Fraction(3, 4): ("110", "101"),
    Fraction(5, 6): ("11010", "10101"),
    Fraction(7, 8): ("1111010", "1000101"),
}

#: Longest block: whole-block traceback keeps 256 bytes a bit for 32 blocks at once.
MAX_K = 100_000
#: Steps that a tail-biting decoder looks past either end of a block, times 1 - rate: 16 memories at
#: rate 1/2, more where punctured code bits tell less.
WRAP = 48
#: Blocks up to this long whose best path doesn't close are tried from each of the 64 states.
SHORT = 128


class ConvolutionalCode(Code):
    """Blocks of the 64-state code, each with a beginning and an end.

    Code bits go out as A0 B0 A1 B1 ..., less the punctured ones.

    Parameters
    ----------
    k : int
        Information bits of a block.
    rate : Fraction
        1/2, 2/3, 3/4, 5/6 or 7/8: of the code without its ends. :attr:`rate` counts them.
    ending : {"terminated", "tailbiting"}
        Six zeros behind each block, which lower the rate to k / (k + 6) of it; or an encoder that
        starts in the state it will end in, which costs nothing but a decoder's second round.
    decision : {"soft", "hard"}
        What the decoder looks at. Hard costs some 2 dB.
    """

    def __init__(
        self,
        k: int = 1024,
        rate: Fraction = Fraction(1, 2),
        ending: Literal["terminated", "tailbiting"] = "terminated",
        decision: Literal["soft", "hard"] = "soft",
    ):
        if rate not in PUNCTURING:
            known = ", ".join(map(str, PUNCTURING))
            raise ValueError(f"rate must be one of {known}, got {rate}")
        if ending not in ("terminated", "tailbiting"):
            raise ValueError(f"ending must be terminated or tailbiting, got {ending!r}")
        if decision not in ("soft", "hard"):
            raise ValueError(f"decision must be soft or hard, got {decision!r}")
        shortest = MEMORY if ending == "tailbiting" else 1
        if not shortest <= k <= MAX_K:
            raise ValueError(f"k must lie in {shortest}..{MAX_K} for {ending} blocks, got {k}")
        self.k, self.ending, self.soft = k, ending, decision == "soft"
        self.mother_rate = rate
        self.wrap = round(WRAP / (1 - rate)) if ending == "tailbiting" else None
        self.steps = k if ending == "tailbiting" else k + MEMORY
        pattern = np.array([[int(c) for c in row] for row in PUNCTURING[rate]], bool).T
        sent = np.resize(pattern, (self.steps, 2))
        self.positions = np.flatnonzero(sent).astype(np.int64)
        self.n = int(self.positions.size)

    def encode(self, bits: np.ndarray) -> np.ndarray:
        bits = check_blocks(bits, self.k, "bits")
        padded = np.zeros((bits.shape[0], MEMORY + self.steps), np.uint8)
        padded[:, MEMORY : MEMORY + self.k] = bits
        if self.ending == "tailbiting":
            padded[:, :MEMORY] = bits[:, -MEMORY:]
        return np.take(self._mother(padded), self.positions, axis=1)

    def _mother(self, padded: np.ndarray) -> np.ndarray:
        """All code bits A0 B0 A1 B1 ... of blocks with the six bits before them in front."""
        coded = np.empty((padded.shape[0], self.steps, 2), np.uint8)
        for column, taps in enumerate((TAPS_A, TAPS_B)):
            shifted = (padded[:, MEMORY - d : MEMORY - d + self.steps] for d in taps)
            total = next(shifted).copy()
            for term in shifted:
                total ^= term
            coded[:, :, column] = total
        return coded.reshape(-1, 2 * self.steps)

    def decode(self, received: np.ndarray, erased: np.ndarray | None = None) -> DecodedBlocks:
        """Decode blocks; see :meth:`channels.fec.code.Code.decode`.

        LLRs may have any scale and be infinite or zero; they are quantised to 1023 levels by a
        scale of the block's own. `ok` is False where the best path found for a tail-biting block
        doesn't end in the state it begins in.
        """
        from channels.fec import viterbi_kernel as kernel

        received = check_received(received, self.n)
        if received.dtype != np.uint8 and self.soft:
            llr = np.ascontiguousarray(received, np.float32)
        else:
            hard = received if received.dtype == np.uint8 else received < 0
            llr = 1 - 2 * hard.astype(np.float32)
            if erased is not None:
                llr[erased] = 0
        bits = np.empty((llr.shape[0], self.k), np.uint8)
        closed = kernel.decode(llr, self.positions, self.steps, self.wrap, bits)
        if self.wrap and self.k <= SHORT:
            for block in np.flatnonzero(~closed):
                paths, soft = kernel.closed_paths(llr[block], self.positions, self.steps)
                padded = np.concatenate([paths[:, -MEMORY:], paths], axis=1)
                merit = (1 - 2 * self._mother(padded).astype(np.int64)) @ soft
                bits[block] = paths[np.argmax(merit)]
                closed[block] = True
        return DecodedBlocks(bits, closed if self.wrap else np.ones(len(bits), bool))


def conv(
    rate: Fraction = Fraction(1, 2),
    k: int = 1024,
    ending: Literal["terminated", "tailbiting"] = "terminated",
    decision: Literal["soft", "hard"] = "soft",
) -> CodeStage:
    """The K = 7 convolutional code as a stage: ``conv(rate=3/4)|qpsk|awgn(ebno_db=5)``."""
    return CodeStage(ConvolutionalCode(k, rate, ending, decision))

"""5G NR polar codes as uplink control information uses them, with CRC-aided list decoding."""

from __future__ import annotations

from fractions import Fraction
from typing import Literal

import numpy as np

from channels.fec.code import Code, DecodedBlocks, check_blocks, check_received
from channels.fec.crc import CRC, CRCS
from channels.fec.ldpc_block import as_llr
from channels.fec.polar_construction import construct, tree_nodes
from channels.fec.stage import CodeStage

#: Fewer bits are sent by other codes in NR (TS 38.212 section 6.3.1.2)
MIN_K = 12
#: Most bits that uplink control information takes (section 6.3.1.2)
MAX_K = 1706
#: Up to here a message gets six CRC bits and three parity-check bits
SHORT_K = 19
LISTS = (1, 2, 4, 8, 16, 32)


class PolarCode(Code):
    """A polar code of TS 38.212 sections 5.3.1, 5.4.1 and 6.3.1: CRC, segmentation, rate matching.

    Parameters
    ----------
    k, n : int
        Payload bits (A), 12 to 1706, and sent bits (E).
    list_size : int
        Paths of the decoder: 1 (successive cancellation), 2, 4, 8, 16 or 32.
    crc : "uplink" or None
        The CRC of uplink control information: 11 bits, or 6 bits and three parity-check bits for
        messages of 12 to 19 bits; messages of 1013 bits or more, and of 360 or more in at least
        1088, are sent in two parts with a CRC each. Or none, for comparisons: then the decoder
        takes the likeliest path and says that every block is right.
    interleave : bool
        Whether sent bits go through the triangular interleaver (section 5.4.1.3), which spreads a
        QAM symbol's weak bits.

    Notes
    -----
    The decoder is that of Balatsoukas-Stimming, Bastani Parizi and Burg (IEEE Transactions on
    Signal Processing 63 (19), 2015): list decoding on LLRs, min-sum, with path metrics.
    """

    soft = True

    def __init__(
        self,
        k: int,
        n: int,
        *,
        list_size: int = 8,
        crc: Literal["uplink"] | None = "uplink",
        interleave: bool = True,
    ):
        if list_size not in LISTS:
            raise ValueError(f"list must be one of {', '.join(map(str, LISTS))}, got {list_size}")
        if crc not in ("uplink", None):
            raise ValueError(f"crc must be uplink or none, got {crc!r}")
        least = MIN_K if crc else 1
        if not least <= k <= MAX_K:
            raise ValueError(f"NR polar codes take {least} to {MAX_K} bits, got k={k}")
        self.k, self.n, self.list_size = k, n, list_size
        self.crc: CRC | None = None
        split = parity = light = 0
        if crc:
            self.crc = CRCS["crc6" if k <= SHORT_K else "crc11"]
            split = (k >= 360 and n >= 1088) or k >= 1013
            if k <= SHORT_K:
                parity, light = 3, int(n - (k + self.crc.width) + 3 > 192)
        self.parts = 2 if split else 1
        self._part = -(-k // self.parts)
        width = self.crc.width if self.crc else 0
        # where the standard leaves an odd bit unused the second part has it
        self._sizes = [n // self.parts, n - n // self.parts][: self.parts]
        self._constructions = [
            construct(self._part + width, size, parity, light, interleave) for size in self._sizes
        ]
        self._nodes = [tree_nodes(c.kind) for c in self._constructions]

    def encode(self, bits: np.ndarray) -> np.ndarray:
        from channels.fec import polar_kernels

        bits = np.ascontiguousarray(check_blocks(bits, self.k, "bits"), np.uint8)
        zeros = np.zeros((bits.shape[0], self.parts * self._part - self.k), np.uint8)
        filled = np.concatenate((zeros, bits), axis=1)
        coded = []
        for part, c in zip(np.split(filled, self.parts, axis=1), self._constructions, strict=True):
            checked = self.crc.attach(part) if self.crc else np.ascontiguousarray(part)
            coded.append(np.empty((bits.shape[0], c.place.size), np.uint8))
            polar_kernels.encode(checked, c.info, c.kind, c.place, coded[-1])
        return np.concatenate(coded, axis=1)

    def decode(self, received: np.ndarray, erased: np.ndarray | None = None) -> DecodedBlocks:
        """Decode blocks; see :meth:`channels.fec.code.Code.decode`.

        A block is `ok` where a path of the list has the right CRC; the likeliest of those is taken.
        """
        from channels.fec import polar_kernels

        llr = as_llr(check_received(received, self.n), erased)
        blocks = llr.shape[0]
        crc = (self.crc.width, self.crc.polynomial) if self.crc else (0, 0)
        decoded, right = [], np.ones(blocks, bool)
        for number, (c, nodes) in enumerate(zip(self._constructions, self._nodes, strict=True)):
            start = number * self._sizes[0]
            part = np.ascontiguousarray(llr[:, start : start + c.place.size])
            bits, ok = np.empty((blocks, c.info.size), np.uint8), np.empty(blocks, np.bool_)
            polar_kernels.decode_list(
                part, c.place, c.shortened, nodes, c.info, c.kind, self.list_size, crc, bits, ok
            )
            decoded.append(bits[:, : self._part])
            right &= ok
        return DecodedBlocks(np.concatenate(decoded, axis=1)[:, -self.k :], right)


def polar(
    rate: Fraction | float = Fraction(1, 2),
    k: int = 512,
    n: int | None = None,
    list: int = 8,
    crc: Literal["uplink"] | None = "uplink",
    interleave: bool = True,
) -> CodeStage:
    """5G NR polar codes as a stage: ``polar(k=512, list=8)|qpsk|awgn(ebno_db=2)``.

    Parameters
    ----------
    rate : Fraction or float
        Payload bits per sent bit; sets n to k / rate, rounded up.
    k : int
        Payload bits per block.
    n : int, optional
        Sent bits, instead of by the rate.
    list, crc, interleave
        As for :class:`PolarCode`.
    """
    if n is None:
        if not 0 < rate < 1:
            raise ValueError(f"a rate lies between 0 and 1, got {rate}")
        exact = rate if isinstance(rate, Fraction) else Fraction(rate).limit_denominator(10_000)
        n = -(-k * exact.denominator // exact.numerator)
    return CodeStage(PolarCode(k, n, list_size=list, crc=crc, interleave=interleave))

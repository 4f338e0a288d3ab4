"""Framing: packets with a header and a checksum, dropped or passed on where they are damaged."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, Literal

import numpy as np

from channels.bits import LLR_CERTAIN
from channels.fec.crc import CRCS
from channels.spec import suggest
from channels.stage import Batch, Sizes, Stage

#: Checks by the number of their bits, where a number is given instead of a name.
BY_WIDTH = {32: "crc32", 24: "crc24a", 16: "crc16", 11: "crc11", 6: "crc6"}
#: Bits of a sequence number; a longer header has zeros in front of it.
SEQUENCE = 32
MAX_HEADER = 4096
MAX_BYTES = 1 << 20


class Packets(Stage):
    """The payload cut into packets: header, payload, check.

    The header ends in the packet's sequence number, modulo 2**header (2**32 in longer headers);
    what stands before it is zeros, as addresses are that never change. The check covers header and
    payload. The last packet is as long as what is left. Header and check are booked as framing,
    which the nominal code rate (and so `ebno_db`) leaves out and `ebno_effective_db` counts.

    A packet of ``bytes`` payload bytes takes ``bytes + (header + crc) / 8`` on the medium, which
    is what a medium that loses packets should be told: ``packets(bytes=128)`` makes packets of 134
    bytes, for ``packet_erasure(0.1, bytes=134)``; ``packet_erasure(0.1, bytes=framed)`` takes the
    packets as they are.

    Parameters
    ----------
    bytes : int
        Payload bytes of a packet.
    crc : int or str
        Bits of the check (32, 24, 16, 11 or 6, none with 0), or its name in
        :data:`channels.fec.crc.CRCS`.
    header : int
        Bits of the header, 0..4096. 16 is the sequence number of RTP (RFC 3550); 320 are the
        headers of IPv4, UDP and RTP together.
    units : bool
        Begin a new packet wherever a unit of the payload begins (a NAL unit, a picture), so that
        none is lost for another; units of more than `bytes` are cut. Payloads without units are
        cut as they come.
    policy : {"drop", "pass"}
        What becomes of a packet whose check fails. ``drop``: its payload is erased. ``pass``: its
        payload is handed on as it came, unless its header is damaged, which drops it (the idea of
        UDP-Lite, RFC 3828).

    Notes
    -----
    Beginnings of packets are known: media keep the timing, and a lost packet leaves a gap of its
    length. So a sequence number other than the expected one is damage, and such a packet is never
    delivered, whatever its check says. A packet with erased bits in it fails its check.

    Damage that the check misses is delivered without a word, with the probability that the check
    has for it: about 2**-width for a packet of random bits.

    LLRs take note of the check. With p the error probabilities of the payload's and check's bits by
    their LLRs, all of them are right with probability S = prod(1 - p). Damage passes a check of w
    bits with probability 2**-w, so a bit of a packet that passes is right at odds of
    (S (2**w - 1) + 1 - p) / p, and one of a packet that fails at (1 - p - S) / p, or even odds
    where those are worse: a check detects and doesn't correct.
    """

    makes_packets = True

    def __init__(
        self,
        bytes: int = 128,
        crc: int | str = 32,
        header: int = 16,
        policy: Literal["drop", "pass"] = "drop",
        units: bool = False,
    ):
        if not 1 <= bytes <= MAX_BYTES:
            raise ValueError(f"bytes must lie in 1..{MAX_BYTES}, got {bytes}")
        if not 0 <= header <= MAX_HEADER:
            raise ValueError(f"header must lie in 0..{MAX_HEADER} bits, got {header}")
        name = BY_WIDTH.get(crc) if isinstance(crc, int) else crc
        if crc != 0 and name not in CRCS:
            widths = ", ".join(map(str, BY_WIDTH))
            raise ValueError(f"crc {crc!r} is not known: {widths}, 0{suggest(str(crc), CRCS)}")
        self.size, self.header, self.policy = 8 * bytes, header, policy
        self.units = units
        self.crc = CRCS[name] if name else None
        self.width = self.crc.width if self.crc else 0

    def sizes(self, n_in: int) -> Sizes:
        return self.unit_sizes(n_in, None)[0]

    def unit_sizes(self, n_in: int, units: np.ndarray | None) -> tuple[Sizes, np.ndarray | None]:
        frames = self._pieces(n_in, units) + self.header + self.width
        n_out = int(frames.sum())
        return Sizes(n_out, framing=n_out - n_in), frames

    def _pieces(self, n_bits: int, units: np.ndarray | None) -> np.ndarray:
        """Payload bits of each packet."""
        if not self.units or units is None or not n_bits:
            units = np.array([n_bits], np.int64)
        counts = -(-units // self.size)
        pieces = np.full(int(counts.sum()), self.size, np.int64)
        last = np.cumsum(counts)[counts > 0] - 1
        pieces[last] = (units - (counts - 1) * self.size)[counts > 0]
        return pieces

    def _groups(self, pieces: np.ndarray) -> Iterator[tuple[int, int, int]]:
        """Runs of packets of one length: number of the first, how many, and their payload bits."""
        edges = np.flatnonzero(np.diff(pieces)) + 1
        for first, last in pairwise([0, *edges.tolist(), pieces.size]):
            if last > first:
                yield first, last - first, int(pieces[first])

    def _headers(self, first: int, count: int) -> np.ndarray:
        """Headers, uint8 zeros and ones of shape (count, header)."""
        width = min(self.header, SEQUENCE)
        numbers = np.arange(first, first + count, dtype=np.uint64)
        found = np.zeros((count, self.header), np.uint8)
        places = np.arange(width, dtype=np.uint64)[::-1]
        found[:, self.header - width :] = numbers[:, None] >> places & np.uint64(1)
        return found

    def forward(self, batch: Batch, rngs: Sequence[np.random.Generator]) -> tuple[Batch, Any]:
        assert batch.bits is not None
        n_bits, rows = batch.n_bits, batch.bits.shape[0]
        payload = np.unpackbits(batch.bits, axis=-1, count=n_bits)
        pieces = self._pieces(n_bits, batch.units)
        frame_sizes = pieces + self.header + self.width
        n_out = int(frame_sizes.sum())
        sent = np.empty((rows, n_out), np.uint8)
        at = start = 0
        for first, count, size in self._groups(pieces):
            length = self.header + size + self.width
            frames = sent[:, at : at + count * length].reshape(rows, count, length)
            frames[:, :, : self.header] = self._headers(first, count)
            here = payload[:, start : start + count * size]
            frames[:, :, self.header : self.header + size] = here.reshape(rows, count, size)
            if self.crc:
                covered = frames[:, :, : self.header + size].reshape(rows * count, -1)
                frames[:, :, self.header + size :] = self.crc.of(covered).reshape(rows, count, -1)
            sent[:, at : at + count * length] = frames.reshape(rows, -1)
            at, start = at + count * length, start + count * size
        packed = np.packbits(sent, axis=-1)
        state = n_bits, batch.bits, packed, pieces
        return batch.with_(n_bits=n_out, bits=packed, classes=None, units=frame_sizes), state

    def backward(self, batch: Batch, state: Any) -> Batch:
        assert batch.bits is not None
        n_bits, payload, sent, pieces = state
        rows = batch.bits.shape[0]
        bits = np.empty((rows, payload.shape[1]), np.uint8)
        np.copyto(bits, payload)
        erased = np.zeros_like(bits)
        touched = self._touched(batch, sent, pieces)
        llr = None if batch.llr is None else np.empty((rows, n_bits), np.float32)
        at = start = 0
        for first, count, size in self._groups(pieces):
            length = self.header + size + self.width
            span = at, count, length
            body = slice(self.header, self.header + size)
            # a packet that came as it was sent passes: only the others are looked at
            row, packet = np.nonzero(touched[:, first : first + count])
            frames = _frames(batch.bits, span, row, packet)
            missing = np.zeros_like(frames)
            if batch.erased is not None:
                missing = _frames(batch.erased, span, row, packet)
            whole = ~missing.any(axis=1)
            known = (frames[:, : self.header] == self._headers(first, count)[packet]).all(axis=1)
            known &= ~missing[:, : self.header].any(axis=1)
            passed = whole & self.crc.check(frames) if self.crc else whole
            kept = known & passed if self.policy == "drop" else known
            lost = np.packbits(missing[:, body] | ~kept[:, None], axis=1)
            places = (start + packet * size)[:, None] // 8 + np.arange(lost.shape[1])
            bits[row[:, None], places] = np.packbits(frames[:, body], axis=1) & ~lost
            erased[row[:, None], places] = lost
            if llr is not None:
                assert batch.llr is not None
                said = np.ones((2, rows, count), np.bool_)
                said[:, row, packet] = passed, whole
                soft = batch.llr[:, at : at + count * length].reshape(rows, count, length)
                llr[:, start : start + count * size] = _checked_llr(
                    soft[:, :, self.header :], size, self.width, *said
                )
            at, start = at + count * length, start + count * size
        if llr is not None:
            llr[np.unpackbits(erased, axis=-1, count=n_bits).view(np.bool_)] = 0
        return batch.with_(
            n_bits=n_bits,
            bits=bits,
            erased=erased,
            llr=llr,
            crossover=0.0 if self.policy == "drop" and self.crc else batch.crossover,
        )

    def _touched(self, batch: Batch, sent: np.ndarray, pieces: np.ndarray) -> np.ndarray:
        """Packets in which a byte differs from what was sent, or that lie beside one."""
        assert batch.bits is not None
        wrong = batch.bits ^ sent
        if batch.erased is not None:
            wrong |= batch.erased
        row, byte = np.nonzero(wrong != 0)
        ends = np.cumsum(pieces + self.header + self.width)
        found = np.zeros((batch.bits.shape[0], pieces.size), np.bool_)
        for bit in (8 * byte, 8 * byte + 7):
            found[row, np.minimum(np.searchsorted(ends, bit, "right"), pieces.size - 1)] = True
        return found


def _frames(
    packed: np.ndarray, span: tuple[int, int, int], row: np.ndarray, packet: np.ndarray
) -> np.ndarray:
    """Some packets of some rows as zeros and ones.

    Parameters
    ----------
    packed : uint8 array, shape (rows, n_bytes)
    span : tuple of int
        Bit at which the packets of one length begin, how many there are, and their length.
    row, packet : int arrays, shape (chosen,)
        Which of them.

    Returns
    -------
    uint8 array, shape (chosen, length)
    """
    at, count, length = span
    used, inverse = np.unique(row, return_inverse=True)
    first, end = at // 8, (at + count * length + 7) // 8
    bits = np.unpackbits(packed[used, first:end], axis=-1)
    bits = bits[:, at - 8 * first : at - 8 * first + count * length]
    return bits.reshape(used.size, count, length)[inverse, packet]


def _checked_llr(
    llr: np.ndarray, size: int, width: int, passed: np.ndarray, whole: np.ndarray
) -> np.ndarray:
    """LLRs of payload bits, given what the check said; see the notes of :class:`Packets`.

    Parameters
    ----------
    llr : float32 array, shape (rows, packets, size + width)
        Of payload and check.
    size, width : int
    passed, whole : bool arrays, shape (rows, packets)
        Whether the check held, and whether nothing was erased: where bits are missing the check
        says nothing about the others.

    Returns
    -------
    float32 array, shape (rows, packets * size)
    """
    strength = np.minimum(
        np.abs(llr), np.float32(LLR_CERTAIN)
    )  # an infinite one less itself is none
    wrong = -np.logaddexp(np.float32(0), strength)  # ln p
    right = strength + wrong  # ln(1 - p)
    all_right = right.sum(axis=2, keepdims=True, dtype=np.float64)
    wrong, right = wrong[:, :, :size], right[:, :, :size]
    if width:
        damaged_passes = all_right + math.log(2.0**width - 1)
        good = np.logaddexp(damaged_passes, right) - wrong
        with np.errstate(divide="ignore"):
            # ln(1 - p - S), of which nothing is left where this bit was the only doubtful one
            others = np.log(np.maximum(np.exp(right.astype(float)) - np.exp(all_right), 0))
        bad = np.maximum(others - wrong, 0)
        known = np.where(passed[:, :, None], good, bad)
        strength = np.where(whole[:, :, None], known, strength[:, :, :size])
    else:
        strength = strength[:, :, :size]
    signed = np.copysign(np.minimum(strength, LLR_CERTAIN), llr[:, :, :size])
    return signed.astype(np.float32).reshape(llr.shape[0], -1)

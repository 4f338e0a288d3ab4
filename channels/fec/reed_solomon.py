"""Reed-Solomon codes over GF(256), errors and erasures."""

from __future__ import annotations

from typing import Literal

import numpy as np

from channels.fec.code import Code, DecodedBlocks, check_blocks, check_received, hard_decisions
from channels.fec.finite_field import PRIMITIVE_POLYNOMIALS, field
from channels.fec.stage import CodeStage

#: CCSDS 131.0-B-5 section 4.3: field polynomial, and roots alpha^(11 j) around j = 128
CCSDS_POLYNOMIAL, CCSDS_STEP = 0x187, 11


class ReedSolomonCode(Code):
    """A systematic Reed-Solomon code over GF(256): k bytes, then n - k bytes of parity.

    Corrects e wrong and s erased bytes where 2 e + s <= n - k. Beyond that a block is passed on
    as it came and isn't `ok`; with a chance of about 1 / t! for t = (n - k) / 2 it is taken for
    another code word instead.

    Parameters
    ----------
    n, k : int
        Bytes of a code word and of its message; n <= 255. Shorter ones than 255 are what is left
        of a full word whose leading bytes are zero.
    first_root : int
        b in the generator polynomial, the product of (x - alpha^(b + i)) over i = 0 ... n - k - 1.
        1 is "narrow sense" (the default of most tools), 0 that of DVB (EN 300 421).
    field : {"0x11d", "ccsds"}
        Field polynomial 0x11D: x^8 + x^4 + x^3 + x^2 + 1. Or the code of CCSDS 131.0-B in its
        conventional basis: 0x187, roots alpha^(11 j), first_root (256 - (n - k)) / 2, which is
        then not to be given. The dual basis of that standard is not applied.
    """

    def __init__(
        self,
        n: int = 255,
        k: int = 223,
        first_root: int | None = None,
        field_name: Literal["0x11d", "ccsds"] = "0x11d",
    ):
        if not 1 <= k < n <= 255:
            raise ValueError(f"n and k are bytes with 1 <= k < n <= 255, got n={n}, k={k}")
        if field_name not in ("0x11d", "ccsds"):
            raise ValueError(f"field must be 0x11d or ccsds, got {field_name!r}")
        ccsds = field_name == "ccsds"
        if ccsds and (first_root is not None or (n - k) % 2):
            raise ValueError("a CCSDS code has an even n - k and takes no first_root")
        self.n_bytes, self.k_bytes = n, k
        self.n, self.k = 8 * n, 8 * k
        self.field = field(8, CCSDS_POLYNOMIAL if ccsds else PRIMITIVE_POLYNOMIALS[8])
        self.step = CCSDS_STEP if ccsds else 1
        if first_root is None:
            first_root = (256 - (n - k)) // 2 if ccsds else 1
        self.first_root = first_root % 255
        self._feedback = self._multiples()

    def _multiples(self) -> np.ndarray:
        """All multiples of the generator polynomial less its leading one; uint8 (256, n - k)."""
        powers, times = self.field.powers, self.field.times
        generator = [1]
        for j in range(self.n_bytes - self.k_bytes):
            root = int(powers[self.step * (self.first_root + j) % 255])
            shifted, scaled = [*generator, 0], [0, *(times(root, c) for c in generator)]
            generator = [a ^ b for a, b in zip(shifted, scaled, strict=True)]
        return np.array([[times(a, c) for c in generator[1:]] for a in range(256)], np.uint8)

    def encode_bytes(self, messages: np.ndarray) -> np.ndarray:
        """Code bytes: uint8 (blocks, k_bytes) -> (blocks, n_bytes)."""
        messages = check_blocks(np.ascontiguousarray(messages), self.k_bytes, "messages")
        return np.concatenate([messages, self._remainders(messages)], axis=1)

    def decode_bytes(
        self, received: np.ndarray, erased: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Decode bytes.

        Parameters
        ----------
        received : uint8 array, shape (blocks, n_bytes)
        erased : bool array, shape (blocks, n_bytes), optional
            Bytes known to be lost, whatever `received` says there.

        Returns
        -------
        messages : uint8 array, shape (blocks, k_bytes)
        ok : bool array, shape (blocks,)
        """
        from channels.fec import reed_solomon_kernel as kernel

        words = check_blocks(received, self.n_bytes, "received bytes").copy()
        if erased is None:
            erased = np.zeros((0, self.n_bytes), bool)
        else:
            erased = check_blocks(np.ascontiguousarray(erased, bool), self.n_bytes, "erased")
        rests = self._remainders(words[:, : self.k_bytes]) ^ words[:, self.k_bytes :]
        ok = np.empty(len(words), bool)
        tables = self.field.powers, self.field.logarithms
        kernel.correct(words, erased, rests, *tables, self.first_root, self.step, ok)
        return words[:, : self.k_bytes], ok

    def _remainders(self, messages: np.ndarray) -> np.ndarray:
        from channels.fec import reed_solomon_kernel as kernel

        rests = np.empty((len(messages), self.n_bytes - self.k_bytes), np.uint8)
        kernel.remainders(np.ascontiguousarray(messages), self._feedback, rests)
        return rests

    def encode(self, bits: np.ndarray) -> np.ndarray:
        bits = check_blocks(bits, self.k, "bits")
        return np.unpackbits(self.encode_bytes(np.packbits(bits, axis=1)), axis=1)

    def decode(self, received: np.ndarray, erased: np.ndarray | None = None) -> DecodedBlocks:
        """Decode blocks of bits; a byte of which one bit is erased is erased."""
        bits, erased = hard_decisions(check_received(received, self.n), erased)
        lost: np.ndarray | None = None
        if erased is not None:
            lost = np.logical_or.reduce(erased.reshape(-1, self.n_bytes, 8), axis=2)
        messages, ok = self.decode_bytes(np.packbits(bits, axis=1), lost)
        return DecodedBlocks(np.unpackbits(messages, axis=1), ok)


def rs(
    n: int = 255,
    k: int = 223,
    first_root: int | None = None,
    field: Literal["0x11d", "ccsds"] = "0x11d",
) -> CodeStage:
    """A Reed-Solomon code as a stage, in bytes: ``rs(n=204,k=188)|qpsk|awgn(ebno_db=7)``."""
    return CodeStage(ReedSolomonCode(n, k, first_root, field))

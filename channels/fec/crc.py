"""Cyclic redundancy checks: those of 5G NR (3GPP TS 38.212 section 5.1) and CRC-32."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from channels.fec.code import Code, DecodedBlocks, hard_bits
from channels.jit import Kernel


@dataclass(frozen=True)
class CRC:
    """A cyclic redundancy check over blocks of bits, most significant first, register at zero.

    Attributes
    ----------
    name : str
    width : int
        Number of check bits, at most 32.
    polynomial : int
        Generator without its leading term: bit i is the coefficient of D**i.
    """

    name: str
    width: int
    polynomial: int

    def of(self, bits: np.ndarray) -> np.ndarray:
        """Check bits of each block: uint8 zeros and ones, (blocks, k) -> (blocks, width)."""
        bits = _blocks(bits)
        registers = np.zeros(bits.shape[0], np.uint32)
        _registers(bits, _table(self.width, self.polynomial), registers)
        return np.unpackbits(registers.astype(">u4").view(np.uint8).reshape(-1, 4), axis=1)[
            :, : self.width
        ]

    def attach(self, bits: np.ndarray) -> np.ndarray:
        """Blocks with their check bits behind them: (blocks, k) -> (blocks, k + width)."""
        return np.concatenate((_blocks(bits), self.of(bits)), axis=1)

    def check(self, bits: np.ndarray) -> np.ndarray:
        """Whether blocks that end in their check bits are right; bool, (blocks,)."""
        bits = _blocks(bits)
        if bits.shape[1] < self.width:
            raise ValueError(f"a block of {bits.shape[1]} bits can't end in {self.width} of them")
        cut = bits.shape[1] - self.width
        return (self.of(bits[:, :cut]) == bits[:, cut:]).all(axis=1)


class CRC32(CRC):
    """The CRC-32 of Ethernet and zlib, over the bits packed to bytes, spare bits zero."""

    def of(self, bits: np.ndarray) -> np.ndarray:
        packed = np.packbits(_blocks(bits), axis=1)
        sums = np.array([zlib.crc32(row.tobytes()) for row in packed], ">u4")
        return np.unpackbits(sums.view(np.uint8).reshape(-1, 4), axis=1)


#: Those of TS 38.212 section 5.1, and CRC-32
CRCS = {
    crc.name: crc
    for crc in (
        CRC("crc24a", 24, 0x864CFB),
        CRC("crc24b", 24, 0x800063),
        CRC("crc24c", 24, 0xB2B117),
        CRC("crc16", 16, 0x1021),
        CRC("crc11", 11, 0x621),
        CRC("crc6", 6, 0x21),
        CRC32("crc32", 32, 0x04C11DB7),
    )
}


class CRCCode(Code):
    """A CRC as a code: corrects nothing, but its decoder knows which blocks are damaged."""

    def __init__(self, k: int, crc: CRC):
        if k < 1:
            raise ValueError(f"a block needs at least one bit, got k={k}")
        self.crc, self.k, self.n = crc, k, k + crc.width

    def encode(self, bits: np.ndarray) -> np.ndarray:
        return self.crc.attach(bits)

    def decode(self, received: np.ndarray, erased: np.ndarray | None = None) -> DecodedBlocks:
        bits = hard_bits(received)
        ok = self.crc.check(bits)
        if erased is not None:
            ok &= ~erased.any(axis=1)
        return DecodedBlocks(bits[:, : self.k], ok)


def _blocks(bits: np.ndarray) -> np.ndarray:
    if bits.dtype != np.uint8 or bits.ndim != 2:
        raise TypeError(
            f"blocks of bits are uint8 of shape (blocks, k), got {bits.dtype} of shape {bits.shape}"
        )
    return bits


@lru_cache(maxsize=16)
def _table(width: int, polynomial: int) -> np.ndarray:
    """What a byte does to the register, kept in the upper bits of 32 whatever its width."""
    table = np.arange(256, dtype=np.uint64) << np.uint64(24)
    aligned = np.uint64(polynomial << (32 - width))
    for _ in range(8):
        carry = table >> np.uint64(31) & np.uint64(1)
        table = (table << np.uint64(1) & np.uint64(0xFFFFFFFF)) ^ carry * aligned
    return table.astype(np.uint32)


@Kernel
def _registers(bits, table, registers):
    n_blocks, n_bits = bits.shape
    head = n_bits % 8  # zeros in front of the block change nothing while the register is zero
    for block in range(n_blocks):
        register = np.uint32(0)
        byte = np.uint32(0)
        for i in range(head):
            byte = np.uint32((byte << np.uint32(1)) | np.uint32(bits[block, i]))
        if head:
            register = table[byte]
        for start in range(head, n_bits, 8):
            byte = np.uint32(0)
            for i in range(start, start + 8):
                byte = np.uint32((byte << np.uint32(1)) | np.uint32(bits[block, i]))
            register = np.uint32(
                (register << np.uint32(8)) ^ table[(register >> np.uint32(24)) ^ byte]
            )
        registers[block] = register

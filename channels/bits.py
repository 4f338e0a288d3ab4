"""Bits as gencomm carries them: packed eight to a byte, most significant first."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class PackedBits:
    """A string of bits, packed as :func:`numpy.packbits` does.

    Attributes
    ----------
    data : uint8 array, shape (ceil(n_bits / 8),)
        The bits, most significant first. Spare bits of the last byte are zero.
    n_bits : int
        How many bits count.
    """

    data: np.ndarray
    n_bits: int

    def __post_init__(self) -> None:
        if self.data.dtype != np.uint8 or self.data.ndim != 1:
            raise TypeError(
                f"PackedBits holds a one-dimensional uint8 array, got {self.data.dtype} "
                f"of shape {self.data.shape}"
            )
        if self.n_bits < 0 or self.data.size != (self.n_bits + 7) // 8:
            raise ValueError(
                f"{self.n_bits} bits fill {(max(self.n_bits, 0) + 7) // 8} bytes, "
                f"got {self.data.size}"
            )

    @classmethod
    def from_bytes(cls, data: bytes | bytearray | memoryview) -> PackedBits:
        """Take whole bytes (a file, a stream) as bits."""
        array = np.frombuffer(bytes(data), np.uint8)
        return cls(array, 8 * array.size)

    @classmethod
    def from_bits(cls, bits: np.ndarray) -> PackedBits:
        """Pack an array of zeros and ones, shape (n_bits,)."""
        bits = np.asarray(bits)
        return cls(np.packbits(bits.astype(np.uint8)), int(bits.size))

    def to_bytes(self) -> bytes:
        """The packed bytes; spare bits of the last one are zero."""
        return self.data.tobytes()

    def unpack(self) -> np.ndarray:
        """Zeros and ones, uint8, shape (n_bits,)."""
        return np.unpackbits(self.data, count=self.n_bits)

    def __len__(self) -> int:
        return self.n_bits

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, PackedBits):
            return NotImplemented
        return self.n_bits == other.n_bits and bool(np.array_equal(self.data, other.data))

    __hash__ = None  # type: ignore[assignment]


def clear_spare_bits(data: np.ndarray, n_bits: int) -> None:
    """Zero the spare bits of the last byte, in place; `data` is uint8 (..., n_bytes)."""
    spare = -n_bits % 8
    if spare:
        data[..., -1] &= 0xFF & (0xFF << spare)


def count_ones(data: np.ndarray) -> np.ndarray:
    """Number of set bits along the last axis of packed uint8 `data`; int64."""
    return np.bitwise_count(data).sum(axis=-1, dtype=np.int64)


def count_errors(sent: np.ndarray, received: np.ndarray) -> np.ndarray:
    """Bit errors along the last axis between packed arrays that broadcast; int64."""
    return count_ones(np.bitwise_xor(sent, received))

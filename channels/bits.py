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


#: Bytes compared at once when errors are counted: they stay in the second-level cache.
_CHUNK = 1 << 17
#: LLR of a bit that is known for certain: e**-100 is the probability that it is wrong.
LLR_CERTAIN = 100.0


def count_ones(data: np.ndarray) -> np.ndarray:
    """Number of set bits along the last axis of packed uint8 `data`; int64."""
    return count_errors(np.zeros(1, np.uint8), data)


def count_errors(sent: np.ndarray, received: np.ndarray) -> np.ndarray:
    """Bit errors along the last axis between packed arrays that broadcast; int64."""
    sent, received = np.broadcast_arrays(sent, received)
    shape, n_bytes = received.shape[:-1], received.shape[-1]
    found = np.zeros(int(np.prod(shape)), np.int64)
    if found.size == 0 or n_bytes == 0:
        return found.reshape(shape)
    sent, received = sent.reshape(-1, n_bytes), received.reshape(-1, n_bytes)
    rows = max(1, _CHUNK // n_bytes)
    for top in range(0, found.size, rows):
        for left in range(0, n_bytes, _CHUNK):
            here = slice(top, top + rows), slice(left, left + _CHUNK)
            wrong = np.bitwise_xor(sent[here], received[here])
            if wrong.shape[1] % 8 == 0:
                wrong = wrong.view(np.uint64)  # eight bytes at a time
            found[top : top + rows] += np.bitwise_count(wrong).sum(axis=1, dtype=np.int64)
    return found.reshape(shape)


def llr_from_bits(
    bits: np.ndarray, n_bits: int, crossover: float, erased: np.ndarray | None = None
) -> np.ndarray:
    """LLRs of bits that came over a binary medium.

    Parameters
    ----------
    bits : uint8 array, shape (trials, n_bytes)
        Packed.
    n_bits : int
    crossover : float
        Probability that a bit is wrong, 0..0.5.
    erased : uint8 array, shape (trials, n_bytes), optional
        Packed mask of lost bits.

    Returns
    -------
    float32 array, shape (trials, n_bits)
        ln((1 - p) / p) for a 0 and its negative for a 1, at most `LLR_CERTAIN`; 0 for lost bits.
    """
    odds = np.log1p(-crossover) - np.log(crossover) if crossover > 0 else LLR_CERTAIN
    size = np.float32(min(odds, LLR_CERTAIN))
    ones = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1)
    table = size - 2 * size * ones.astype(np.float32)
    llr = np.take(table, bits, axis=0).reshape(*bits.shape[:-1], -1)[..., :n_bits]
    if erased is not None:
        llr[np.unpackbits(erased, axis=-1, count=n_bits).view(np.bool_)] = 0
    return llr

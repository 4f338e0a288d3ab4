"""What an error-correcting code is: k bits in, n bits out, batched over blocks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class DecodedBlocks:
    """What a decoder gives back.

    Attributes
    ----------
    bits : uint8 array, shape (blocks, k)
        Zeros and ones.
    ok : bool array, shape (blocks,)
        Whether the decoder believes the block (checks satisfied, CRC right, few enough errors).
        A code that can't tell says True.
    iterations : int32 array, shape (blocks,), or None
        For iterative decoders.
    """

    bits: np.ndarray
    ok: np.ndarray
    iterations: np.ndarray | None = None


class Code:
    """Base class of block codes; a terminated or tail-biting convolutional code is one too.

    >>> code = ldpc_code(k=1024, rate=Fraction(1, 2))  # doctest: +SKIP
    >>> coded = code.encode(bits)                    # (blocks, k) -> (blocks, n)
    >>> code.decode(llr).bits                        # (blocks, n) -> (blocks, k)

    Attributes
    ----------
    k, n : int
        Information and coded bits of a block.
    soft : bool
        Whether `decode` is better given LLRs. Every code takes both.
    """

    soft: bool = False
    k: int
    n: int

    @property
    def rate(self) -> float:
        """k / n."""
        return self.k / self.n

    def encode(self, bits: np.ndarray) -> np.ndarray:
        """Code blocks: uint8 zeros and ones, (blocks, k) -> (blocks, n)."""
        raise NotImplementedError

    def decode(self, received: np.ndarray, erased: np.ndarray | None = None) -> DecodedBlocks:
        """Decode blocks.

        Parameters
        ----------
        received : array, shape (blocks, n)
            float32: LLRs ln(P(0) / P(1)), infinities and zeros allowed. uint8: hard bits.
        erased : bool array, shape (blocks, n), optional
            With hard bits: which of them are known to be lost.
        """
        raise NotImplementedError


def hard_bits(received: np.ndarray) -> np.ndarray:
    """Hard bits of LLRs (0 at exactly zero), or of hard bits themselves; uint8."""
    return received if received.dtype == np.uint8 else (received < 0).astype(np.uint8)


def check_blocks(array: np.ndarray, length: int, what: str) -> np.ndarray:
    """`array` itself where its shape is (blocks, length).

    Raises
    ------
    ValueError
        Saying what the shape should be.
    """
    if array.ndim != 2 or array.shape[1] != length:
        raise ValueError(f"{what} must have shape (blocks, {length}), got {array.shape}")
    return array


def check_received(array: np.ndarray, length: int) -> np.ndarray:
    """`array` itself where a decoder can work on it: uint8 or floating, shape (blocks, length).

    Raises
    ------
    ValueError
        Of a wrong shape.
    TypeError
        Of another type: whether 0 and 1 are bits or LLRs would be a guess.
    """
    if array.dtype != np.uint8 and not np.issubdtype(array.dtype, np.floating):
        raise TypeError(f"received must be uint8 (hard bits) or floating (LLRs), got {array.dtype}")
    return check_blocks(array, length, "received")


def hard_decisions(
    received: np.ndarray, erased: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray | None]:
    """What a hard-decision decoder works on: bits, and which of them are lost.

    An LLR of zero, or NaN, says nothing about its bit, which is an erasure.

    Parameters
    ----------
    received : uint8 array of hard bits or float array of LLRs, any shape
    erased : bool array of that shape, optional

    Returns
    -------
    bits : uint8 array
    erased : bool array, or None where nothing is lost
    """
    if received.dtype == np.uint8:
        return received, erased
    silent: np.ndarray = np.isnan(received) | (received == 0)
    if erased is not None:
        silent |= erased
    return (received < 0).astype(np.uint8), silent if silent.any() else None

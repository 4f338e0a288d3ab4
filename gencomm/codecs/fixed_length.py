"""What codecs of fixed length share: a size that survives, and exactly as many bits as belong."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from channels.bits import LLR_CERTAIN, PackedBits
from gencomm.bitstream.labelling import bits_number, number_bits
from gencomm.codecs.contract import Item, Received

#: Times that the size is sent. At a bit error rate of 1e-2 a majority of 15 is wrong with
#: probability 6e-13, at 1e-1 with 3e-5.
COPIES = 15
_SIDE_BITS = 16
_FIELDS = (_SIDE_BITS, _SIDE_BITS, 1)  # height - 1, width - 1, colour
HEADER_BITS = COPIES * sum(_FIELDS)
MAX_SIDE = 2**_SIDE_BITS


def size_bits(shape: tuple[int, ...]) -> np.ndarray:
    """The header: height, width, and whether colour, 15 copies one after the other.

    Copies follow each other as wholes, so that a burst of errors doesn't hit all copies of a bit.
    """
    values = (shape[0] - 1, shape[1] - 1, int(len(shape) == 3))
    once = [number_bits(np.array([v]), width) for v, width in zip(values, _FIELDS, strict=True)]
    return np.tile(np.concatenate(once), COPIES)


def read_size(bits: PackedBits) -> tuple[int, ...] | None:
    """Shape by majority over the copies; None where the header is not all there."""
    if bits.n_bits < HEADER_BITS:
        return None
    header = np.unpackbits(bits.data[: -(-HEADER_BITS // 8)], count=HEADER_BITS)
    votes = header.reshape(COPIES, -1).sum(axis=0)
    height, width, colour = np.split((votes > COPIES // 2).astype(np.uint8), (16, 32))
    shape = (int(bits_number(height, 16)[0]) + 1, int(bits_number(width, 16)[0]) + 1)
    return (*shape, 3) if colour[0] else shape


def check_picture(item: Item, name: str) -> np.ndarray:
    """The item's samples; raises `ValueError` on what is no uint8 picture."""
    value = item.value
    fits = value.ndim == 2 or (value.ndim == 3 and value.shape[2] == 3)
    if value.dtype != np.uint8 or not fits or not 0 < min(value.shape) <= max(value.shape[:2]):
        raise ValueError(
            f"{name} takes uint8 pictures of shape (height, width) or (height, width, 3); "
            f"{item.id} is {value.dtype} of shape {value.shape}"
        )
    if max(value.shape[:2]) > MAX_SIDE:
        raise ValueError(f"{name} takes sides up to {MAX_SIDE} pixels; {item.id} has more")
    return value


def received_bits(bits: PackedBits, count: int) -> tuple[np.ndarray, str]:
    """Exactly `count` unpacked bits, missing ones zero, and what was wrong with the number."""
    if bits.n_bits == count:
        return bits.unpack(), ""
    out = np.zeros(count, np.uint8)
    kept = bits.unpack()[:count]
    out[: kept.size] = kept
    return out, f"{bits.n_bits} bits where {count} belong"


def reliabilities(received: Received, ber: float) -> np.ndarray:
    """What is known of each bit, ln(P(0) / P(1)); float64 (n_bits,), at most `LLR_CERTAIN`.

    Parameters
    ----------
    received : Received
        Its LLRs where the link gives them, and nothing is known of erased bits. NaN is nothing.
    ber : float
        How often bits are wrong, 0 to 0.5, where there are no LLRs.
    """
    if received.llr is None:
        odds = np.log1p(-ber) - np.log(ber) if ber > 0 else LLR_CERTAIN
        llr = min(odds, LLR_CERTAIN) * (1.0 - 2.0 * received.bits.unpack())
    else:
        llr = np.nan_to_num(received.llr.astype(np.float64))
        llr = np.clip(llr, -LLR_CERTAIN, LLR_CERTAIN)
    return llr if received.erasures is None else np.where(received.erasures, 0.0, llr)


def importance_classes(importance: np.ndarray, classes: int) -> np.ndarray:
    """Classes of equal size by falling importance; uint8 (n_bits,), 0 the most important.

    Parameters
    ----------
    importance : float (n_bits,)
        What an error of each bit costs.
    classes : int
    """
    rank = np.argsort(np.argsort(-importance, kind="stable"))
    return (classes * rank // importance.size).astype(np.uint8)


def check_choice(name: str, value: object, choices: Iterable[object]) -> None:
    """Raise `ValueError` on an option's value that is none of its choices."""
    known = list(choices)
    if value not in known:
        raise ValueError(f"{name} is one of {', '.join(map(str, known))}, not {value!r}")

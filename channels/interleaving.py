"""Interleavers: the order in which bits are sent, so that a burst hits bits that lie apart.

All of them move cells of `unit` bits. With unit=1 they spread bits (before a convolutional or LDPC
code's medium); with unit=8 whole bytes, as Reed-Solomon codes want it. What isn't a whole cell at
the end of a payload keeps its place.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from channels.stage import Batch, Sizes, Stage

#: The largest interleaver, in cells.
MAX_CELLS = 1 << 24


class Interleaver(Stage):
    """Base of the interleavers; a subclass says where each cell goes."""

    def __init__(self, unit: int):
        if not 1 <= unit <= 4096:
            raise ValueError(f"unit must lie in 1..4096 bits, got {unit}")
        self.unit = unit

    def slots(self, cells: int) -> int:
        """Cells sent for `cells` whole cells of payload."""
        return cells

    def order(self, cells: int) -> np.ndarray:
        """Slot in which each cell is sent; distinct whole numbers, shape (cells,)."""
        raise NotImplementedError

    def sizes(self, n_in: int) -> Sizes:
        cells = n_in // self.unit
        padding = (self.slots(cells) - cells) * self.unit
        return Sizes(n_in + padding, padding=padding)

    def _places(self, n_in: int) -> np.ndarray:
        """Where each bit is sent, shape (n_in,)."""
        cells, unit = n_in // self.unit, self.unit
        slots = self.order(cells)
        if unit == 1:
            return slots
        whole = (slots[:, None] * unit + np.arange(unit)).reshape(-1)
        rest = self.slots(cells) * unit + np.arange(n_in - cells * unit)
        return np.concatenate([whole, rest])

    def forward(self, batch: Batch, rngs: Sequence[np.random.Generator]) -> tuple[Batch, Any]:
        assert batch.bits is not None
        places, n_out = self._places(batch.n_bits), self.sizes(batch.n_bits).n_out
        sent = np.zeros((batch.bits.shape[0], n_out), np.uint8)
        sent[:, places] = np.unpackbits(batch.bits, axis=-1, count=batch.n_bits)
        classes = None
        if batch.classes is not None:
            classes = np.full(n_out, 255, np.uint8)  # what only fills up matters least
            classes[places] = batch.classes
        bits = np.packbits(sent, axis=-1)
        return batch.with_(n_bits=n_out, bits=bits, classes=classes), places

    def backward(self, batch: Batch, state: Any) -> Batch:
        assert batch.bits is not None
        places, n_out = state, batch.n_bits
        erased = batch.erased
        if erased is not None:
            erased = _take_packed(erased, n_out, places)
        llr = None if batch.llr is None else np.take(batch.llr, places, axis=-1)
        bits = _take_packed(batch.bits, n_out, places)
        return batch.with_(n_bits=places.size, bits=bits, llr=llr, erased=erased)


def _take_packed(packed: np.ndarray, n_bits: int, places: np.ndarray) -> np.ndarray:
    bits = np.unpackbits(packed, axis=-1, count=n_bits)
    return np.packbits(np.take(bits, places, axis=-1), axis=-1)


class BlockInterleaver(Interleaver):
    """Written into a table row by row, sent column by column.

    A burst no longer than `rows` cells hits each row once, and cells that lie next to each other
    are sent `rows` apart. A last table that isn't full is sent with its empty places left out.

    Parameters
    ----------
    rows, columns : int
    unit : int
        Bits of a cell.
    """

    def __init__(self, rows: int = 32, columns: int = 32, unit: int = 1):
        super().__init__(unit)
        if rows < 1 or columns < 1 or rows * columns > MAX_CELLS:
            raise ValueError(
                f"rows and columns must be at least 1 and make at most {MAX_CELLS} cells, "
                f"got {rows} x {columns}"
            )
        self.rows, self.columns = rows, columns

    def order(self, cells: int) -> np.ndarray:
        table = np.arange(self.rows * self.columns).reshape(self.rows, self.columns)
        sent = table.T.reshape(-1)
        return _by_blocks(cells, sent.size, lambda count: sent[sent < count])


class RandomInterleaver(Interleaver):
    """A fixed random order, the same for the same seed.

    Parameters
    ----------
    seed : int
    length : int, optional
        Cells of a block that is shuffled in itself; without it the whole payload is one block.
    unit : int
        Bits of a cell.
    """

    def __init__(self, seed: int = 1, length: int | None = None, unit: int = 1):
        super().__init__(unit)
        if seed < 0:
            raise ValueError(f"seed must not be negative, got {seed}")
        if length is not None and not 1 <= length <= MAX_CELLS:
            raise ValueError(f"length must lie in 1..{MAX_CELLS}, got {length}")
        self.seed, self.length = seed, length

    def order(self, cells: int) -> np.ndarray:
        if self.length is None:
            return _inverse(_shuffled(self.seed, cells))
        return _by_blocks(cells, self.length, lambda count: _shuffled(self.seed, count))


class ConvolutionalInterleaver(Interleaver):
    """Forney's interleaver: cell i waits (i mod branches) x delay turns of the commutator.

    G. D. Forney, "Burst-correcting codes for the classic bursty channel", IEEE Trans. Commun.
    19(5), 1971; J. L. Ramsey, "Realization of optimum interleavers", IEEE Trans. Inf. Theory
    16(3), 1970. The end-to-end delay of branches x (branches - 1) x delay cells is made up
    of fill cells, which are sent and booked as padding. DVB (EN 300 421) has 12 branches of bytes
    with a delay of 17.

    Parameters
    ----------
    branches : int
        A burst no longer than this many cells hits cells that were at least
        branches x delay - 1 apart.
    delay : int
        Turns by which each branch waits longer than the one before it.
    unit : int
        Bits of a cell.
    """

    def __init__(self, branches: int = 12, delay: int = 17, unit: int = 8):
        super().__init__(unit)
        if branches < 1 or delay < 0 or branches**2 * delay > MAX_CELLS:
            raise ValueError(
                f"branches must be at least 1, delay at least 0 and branches^2 x delay at most "
                f"{MAX_CELLS}, got {branches} and {delay}"
            )
        self.branches, self.delay = branches, delay

    def slots(self, cells: int) -> int:
        return cells + (self.branches - 1) * self.branches * self.delay if cells else 0

    def order(self, cells: int) -> np.ndarray:
        i = np.arange(cells)
        return i + (i % self.branches) * self.branches * self.delay


def _by_blocks(cells: int, length: int, sent_order: Any) -> np.ndarray:
    """Slots of all cells from the order in which the cells of one block of some size are sent."""
    full, rest = divmod(cells, length)
    block = _inverse(sent_order(length)) if full else np.empty(0, np.int64)
    starts = np.arange(full) * length
    last = full * length + _inverse(sent_order(rest))
    return np.concatenate([(starts[:, None] + block).reshape(-1), last])


def _inverse(permutation: np.ndarray) -> np.ndarray:
    inverse = np.empty_like(permutation)
    inverse[permutation] = np.arange(permutation.size)
    return inverse


@lru_cache(maxsize=8)
def _shuffled(seed: int, count: int) -> np.ndarray:
    shuffled = np.random.Generator(np.random.Philox(seed)).permutation(count)
    shuffled.setflags(write=False)
    return shuffled

"""Where the bits of a clip's frames stand."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from gencomm.codecs.ncode_video.points import RESIDUAL_BITS


class Layout:
    """Bits of a clip, frame after frame: those of a key frame, of a residual, or none.

    Parameters
    ----------
    frames : int
    starts : int array
        Numbers of the key frames, rising.
    bits : int
        Of a key frame; whole bytes.
    predicted : bool
        Whether frames between have residuals.
    """

    def __init__(self, frames: int, starts: np.ndarray, bits: int, predicted: bool):
        self.frames, self.starts, self.predicted = frames, starts, predicted
        #: Bits of each frame, int64 (frames,).
        self.lengths = np.full(frames, RESIDUAL_BITS if predicted else 0, np.int64)
        self.lengths[starts] = bits

    @property
    def n_bits(self) -> int:
        """Of the clip."""
        return int(self.lengths.sum())

    @cached_property
    def first(self) -> np.ndarray:
        """The first bit of each frame, int64 (frames,)."""
        return np.cumsum(self.lengths) - self.lengths

    def join(self, keys: np.ndarray, residuals: np.ndarray) -> np.ndarray:
        """Bytes of a clip from those of key frames, (keys, n), and of residuals, (others, m)."""
        out = np.empty(self.n_bits // 8, np.uint8)
        others = np.setdiff1d(np.flatnonzero(self.lengths), self.starts)
        for numbers, rows in ((self.starts, keys), (others, residuals)):
            if len(numbers):
                out[self._places(numbers, 8)] = rows
        return out

    def take(self, data: np.ndarray, numbers: np.ndarray) -> np.ndarray:
        """Bytes, or numbers a bit, of frames that have equally many: (frames, n)."""
        if not len(numbers):
            return np.zeros((0, 0), data.dtype)
        return data[self._places(numbers, 8 if data.dtype == np.uint8 else 1)]

    def _places(self, numbers: np.ndarray, unit: int) -> np.ndarray:
        count = self.lengths[numbers[0]] // unit
        return self.first[numbers, None] // unit + np.arange(count)

    def erased(self, erasures: np.ndarray | None, n_bits: int) -> np.ndarray:
        """Bits that are known to be lost, those that are not there included; bool (n_bits,)."""
        lost = np.ones(self.n_bits, bool)
        lost[:n_bits] = False if erasures is None else erasures
        return lost

    def arrived(self, erased: np.ndarray) -> np.ndarray:
        """Frames that have bits of which some arrived, bool (frames,)."""
        counted = np.concatenate([[0], np.cumsum(~erased)])
        return counted[self.first + self.lengths] > counted[self.first]

    def lost(self, arrived: np.ndarray) -> np.ndarray:
        """Frames to which bits belong that didn't arrive, bool (frames,).

        Without residuals a key frame's are its own and those up to the next.
        """
        if self.predicted:
            return ~arrived
        return ~arrived[np.repeat(self.starts, np.diff([*self.starts, self.frames]))]

    def missing(self, arrived: np.ndarray) -> int:
        """How many frames `lost` has."""
        return int(self.lost(arrived).sum())

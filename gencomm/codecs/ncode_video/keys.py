"""Where key frames stand, and what frames between them are made of.

Frame t between key frames a and b is shown as (1 - s) z_a + s z_b with s = (t - a) / (b - a). All
frames together are then W z, W having two entries a row, and the z that give the least squared
error over *all* frames v, not only at the keys, solve W'W z = W'v: a linear spline. W'W has three
diagonals.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import solveh_banded


@dataclass(frozen=True)
class Between:
    """What each frame lies between.

    Attributes
    ----------
    count : int
        Of key frames.
    before, after : int array, shape (frames,)
        Numbers of its key frames, in the order of keys; the same where there is one only.
    share : float32 array, shape (frames,)
        Of the later one, 0 to 1.
    """

    count: int
    before: np.ndarray
    after: np.ndarray
    share: np.ndarray

    def gather(self, frames: np.ndarray) -> np.ndarray:
        """W'v: values of all frames as each key frame has a part in them, (keys, n)."""
        share = self.share.astype(float)[:, None]
        found = np.zeros((self.count, frames.shape[1]))
        np.add.at(found, self.before, (1 - share) * frames)
        np.add.at(found, self.after, share * frames)
        return found

    def solve(self, gathered: np.ndarray) -> np.ndarray:
        """z of W'W z = `gathered`, (keys, n)."""
        share = self.share.astype(float)
        diagonals = np.zeros((2, self.count))  # W'W itself, and below it
        np.add.at(diagonals[0], self.before, (1 - share) ** 2)
        np.add.at(diagonals[0], self.after, share**2)
        np.add.at(diagonals[1], self.before, share * (1 - share))
        if self.count == 1:  # LAPACK's solver of three diagonals takes no single number
            return gathered / diagonals[0]
        return solveh_banded(diagonals, gathered, lower=True)

    def fit(self, frames: np.ndarray) -> np.ndarray:
        """Values of key frames with the least squared error over all frames."""
        return self.solve(self.gather(frames))


def key_frames(frames: int, every: int) -> np.ndarray:
    """Numbers of the key frames: the first, and each so-manieth after it."""
    return np.arange(0, frames, every)


def between(keys: np.ndarray, frames: int) -> Between:
    """What frames lie between, given rising numbers of key frames, at least one.

    Before the first key frame it is shown, and the last one after it.
    """
    time, last = np.arange(frames), len(keys) - 1
    before = np.clip(np.searchsorted(keys, time, side="right") - 1, 0, max(last - 1, 0))
    after = np.minimum(before + 1, last)
    gap = np.maximum(keys[after] - keys[before], 1)
    share = np.where(after > before, (time - keys[before]) / gap, 0).clip(0, 1)
    return Between(len(keys), before, after, share.astype(np.float32))

"""What is wrong with a clip that no single frame shows: it stands still, is lost, flickers."""

from __future__ import annotations

import numpy as np

from gencomm.metrics import _kernels
from gencomm.metrics.base import MAX_DB
from gencomm.metrics.frames import check_clip, check_clips

_PEAK = 255.0


class _OfClips:
    """What they have in common."""

    unit = ""
    modality = "video"
    name: str

    def prepare(self, reference: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(check_clip(reference, self.name))

    def measure(self, state: np.ndarray, values: np.ndarray) -> np.ndarray:
        clips = check_clips(values, state)
        return np.array([self.one(state, np.ascontiguousarray(clip)) for clip in clips])

    def one(self, reference: np.ndarray, value: np.ndarray) -> float:
        """The score of one clip."""
        raise NotImplementedError


class Frozen(_OfClips):
    """Share of frames that repeat the one before exactly, where the original's do not.

    Frames that a decoder left out and its receiver held, and those that an encoder skipped. Of
    frames - 1 frames that have one before; a single frame has 0.
    """

    name = "frozen"
    label = "Frozen frames"
    higher_is_better = False
    range = (0.0, 1.0)
    averages = "share of a clip's frames; tables average it"

    def one(self, reference: np.ndarray, value: np.ndarray) -> float:
        pairs = range(1, len(value))
        held = sum(
            np.array_equal(value[k], value[k - 1])
            and not np.array_equal(reference[k], reference[k - 1])
            for k in pairs
        )
        return held / len(pairs) if len(pairs) else 0.0


class Lost(_OfClips):
    """Share of frames that are no nearer to the original than the best single colour is.

    Of a frame whose mean squared error is at least the variance of the original's frame, nothing
    has come through.
    """

    name = "lost"
    label = "Lost frames"
    higher_is_better = False
    range = (0.0, 1.0)
    averages = "share of a clip's frames; tables average it"

    def one(self, reference: np.ndarray, value: np.ndarray) -> float:
        count = 0
        for x, y in zip(reference, value, strict=True):
            samples = x.reshape(-1, x.shape[-1]).astype(np.float64)
            spread = ((samples - samples.mean(axis=0)) ** 2).sum()
            error = _kernels.squared_error(x.ravel(), y.ravel())
            count += bool(error > 0 and error >= spread)
        return count / len(value)


class Flicker(_OfClips):
    """Error of the change from frame to frame, root mean square, in levels of 0 to 255.

    The change of the received clip less that of the original: sqrt(mean((dy - dx)^2)) over all
    samples of all pairs of neighbouring frames. An error that stays does not flicker; one that
    comes and goes does. A single frame has 0.
    """

    name = "flicker"
    label = "Flicker"
    higher_is_better = False
    range = (0.0, 510.0)
    averages = "RMS over the samples of a clip; tables average it"

    def one(self, reference: np.ndarray, value: np.ndarray) -> float:
        total, before = 0.0, None
        for x, y in zip(reference, value, strict=True):
            error = y.astype(np.int32) - x
            if before is not None:
                total += float(((error - before) ** 2).sum(dtype=np.int64))
            before = error
        pairs = reference[1:].size
        return float(np.sqrt(total / pairs)) if pairs else 0.0


class Recovery(_OfClips):
    """How long it takes until the picture is good again, in frames.

    The mean length of the runs of frames whose PSNR is below `floor`; one that lasts to the end
    counts as long as it is seen. 0 where no frame is.

    Parameters
    ----------
    floor : float
        dB.
    """

    name = "recovery"
    label = "Time to recover"
    unit = "frames"
    higher_is_better = False
    range = (0.0, 65535.0)
    averages = "mean over the bad runs of a clip; tables average it"

    def __init__(self, floor: float = 20.0):
        if not 0 < floor < MAX_DB:
            raise ValueError(f"floor is a PSNR in dB between 0 and {MAX_DB:g}, got {floor}")
        self.floor = floor

    def one(self, reference: np.ndarray, value: np.ndarray) -> float:
        most = _PEAK**2 / 10 ** (self.floor / 10)
        errors = [
            _kernels.squared_error(x.ravel(), y.ravel()) / x.size
            for x, y in zip(reference, value, strict=True)
        ]
        bad = np.array([error > most for error in errors])
        edges = np.flatnonzero(np.diff(np.concatenate([[False], bad, [False]])))
        runs = edges[1::2] - edges[::2]
        return float(runs.mean()) if runs.size else 0.0

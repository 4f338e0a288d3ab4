"""Picture metrics on clips: frame by frame, in bounded memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from gencomm.metrics.base import Metric

#: What is prepared of an original is kept for all its frames if it takes no more than this.
KEPT_BYTES = 256 * 2**20
#: Bytes that a structural metric prepares of a sample: a plane, two moments, coarser scales.
_BYTES_PER_SAMPLE = 27


class Frames:
    """The frames of an original, each prepared for a metric when it is needed.

    Parameters
    ----------
    metric : Metric
        Of pictures.
    reference : uint8 array, shape (frames, height, width, 3)
    """

    def __init__(self, metric: Metric, reference: np.ndarray):
        self.metric, self.reference = metric, reference
        self._kept: dict[int, Any] | None = None
        if _BYTES_PER_SAMPLE * reference.size <= KEPT_BYTES:
            self._kept = {}

    def __len__(self) -> int:
        return len(self.reference)

    def state(self, frame: int) -> Any:
        """What the metric wants to know of one frame."""
        if self._kept is None:
            return self.metric.prepare(self.reference[frame])
        if frame not in self._kept:
            self._kept[frame] = self.metric.prepare(self.reference[frame])
        return self._kept[frame]


def check_clips(
    values: np.ndarray | Sequence[np.ndarray], reference: np.ndarray
) -> Sequence[np.ndarray]:
    """A batch of clips, each uint8 (frames, height, width, 3) as the original, or an error."""
    clips = [np.asarray(value) for value in values]
    for one in clips:
        if one.dtype != np.uint8 or one.shape != reference.shape:
            raise ValueError(
                f"values must be uint8 of shape (trials, {', '.join(map(str, reference.shape))}) "
                f"as the original, got {one.dtype} of shape ({len(clips)}, "
                f"{', '.join(map(str, one.shape))})"
            )
    return clips


def check_clip(reference: np.ndarray, name: str) -> np.ndarray:
    """An original that is a clip, or an error."""
    reference = np.asarray(reference)
    if reference.dtype != np.uint8 or reference.ndim != 4 or reference.size == 0:
        raise ValueError(
            f"the metric {name} measures clips, uint8 of shape (frames, height, width, 3); "
            f"got {reference.dtype} of shape {reference.shape}"
        )
    return reference

"""Several metrics at once, without computing anything twice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from gencomm.metrics.base import Metric
from gencomm.metrics.frames import Frames, check_clips
from gencomm.metrics.registry import make_metric


class Panel:
    """Metrics measured together.

    Metrics that share terms (SSIM and MS-SSIM: attribute ``family``, methods ``terms`` and
    ``score``) compute them once.

    Parameters
    ----------
    metrics : sequence of str or Metric
        Specs such as ``"psnr"``, or metrics themselves.

    Examples
    --------
    >>> panel = Panel(["psnr", "ssim", "ms_ssim"])
    >>> state = panel.prepare(item.value)
    >>> panel.measure(state, received[None])["psnr"]
    array([31.07])
    """

    def __init__(self, metrics: Sequence[str | Metric]):
        self.metrics = [make_metric(m) if isinstance(m, str) else m for m in metrics]
        names = [metric.name for metric in self.metrics]
        if len(set(names)) < len(names):
            raise ValueError(f"a metric is named twice: {', '.join(names)}")
        groups: dict[str, list[Any]] = {}
        for metric in self.metrics:
            groups.setdefault(getattr(metric, "family", metric.name), []).append(metric)
        # The leader computes the terms that all of its group are scored from.
        self._groups = [
            (max(group, key=lambda m: getattr(m, "scales", 1)), group) for group in groups.values()
        ]

    @property
    def names(self) -> list[str]:
        """Column names, in the order given."""
        return [metric.name for metric in self.metrics]

    def prepare(self, reference: np.ndarray) -> list[Any]:
        """What all metrics want to know of the original, computed once an item.

        Metrics of pictures measure a clip (frames, height, width, 3) frame by frame.
        """
        clip = np.ndim(reference) == 4
        return [
            Frames(leader, reference)
            if clip and leader.modality == "image"
            else leader.prepare(reference)
            for leader, _ in self._groups
        ]

    def measure(self, state: list[Any], values: np.ndarray) -> dict[str, np.ndarray]:
        """Scores of a batch (trials, *reference.shape): float64 (trials,) for each metric.

        A picture metric's score of a clip is the mean of its frames' scores.

        Raises
        ------
        ValueError
            Values of another shape or type than the original, or a metric that gives back
            something else than a finite number a trial.
        """
        found: dict[str, np.ndarray] = {}
        for part, (leader, group) in zip(state, self._groups, strict=True):
            if isinstance(part, Frames):
                scores = _by_frame(part, group, check_clips(values, part.reference))
                found.update({name: score.mean(axis=1) for name, score in scores.items()})
            else:
                found.update(_scores(leader, group, part, values))
        for name, scores in found.items():
            if scores.shape != (len(values),) or not np.isfinite(scores).all():
                raise ValueError(
                    f"metric {name!r} gave {scores!r} for {len(values)} trials; "
                    "a metric gives one finite number a trial"
                )
        return {name: found[name] for name in self.names}

    def by_frame(self, state: list[Any], values: np.ndarray) -> dict[str, np.ndarray]:
        """Scores of a batch of clips, frame by frame, of those metrics that measure pictures.

        Returns
        -------
        dict of str to float64 array, shape (trials, frames)
        """
        found: dict[str, np.ndarray] = {}
        for part, (_, group) in zip(state, self._groups, strict=True):
            if isinstance(part, Frames):
                found |= _by_frame(part, group, check_clips(values, part.reference))
        return {name: found[name] for name in self.names if name in found}


def _scores(leader: Any, group: list[Any], part: Any, values: np.ndarray) -> dict[str, np.ndarray]:
    if len(group) == 1:
        return {leader.name: leader.measure(part, values)}
    terms = leader.terms(part, values)
    return {metric.name: metric.score(terms) for metric in group}


def _by_frame(part: Frames, group: list[Any], values: np.ndarray) -> dict[str, np.ndarray]:
    found = {metric.name: np.empty(values.shape[:2]) for metric in group}
    for frame in range(len(part)):
        scores = _scores(part.metric, group, part.state(frame), values[:, frame])
        for name, score in scores.items():
            found[name][:, frame] = score
    return found

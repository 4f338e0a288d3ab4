"""Several metrics at once, without computing anything twice."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
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
        return self.measure_frames(state, values)[0]

    def measure_frames(
        self, state: list[Any], values: np.ndarray | Sequence[np.ndarray], threads: int = 1
    ) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """As :meth:`measure`, and the scores of each frame from which a clip's are made.

        Parameters
        ----------
        state : list
            As :meth:`prepare` gave it.
        values : uint8 array, shape (trials, *reference.shape), or sequence of such clips
            A sequence spares a copy of long clips.
        threads : int
            Over how many threads frames are dealt out; changes nothing but time.

        Returns
        -------
        scores : dict of str to float64 array, shape (trials,)
        by_frame : dict of str to float64 array, shape (trials, frames)
            Of those metrics that measure pictures, where the items are clips.
        """
        found: dict[str, np.ndarray] = {}
        by_frame: dict[str, np.ndarray] = {}
        for part, (leader, group) in zip(state, self._groups, strict=True):
            if isinstance(part, Frames):
                scores = _by_frame(part, group, check_clips(values, part.reference), threads)
                by_frame |= scores
                found.update({name: score.mean(axis=1) for name, score in scores.items()})
            else:
                whole = values if isinstance(values, np.ndarray) else np.stack(values)
                found.update(_scores(leader, group, part, whole))
        for name, scores in found.items():
            if scores.shape != (len(values),) or not np.isfinite(scores).all():
                raise ValueError(
                    f"metric {name!r} gave {scores!r} for {len(values)} trials; "
                    "a metric gives one finite number a trial"
                )
        ordered = {name: by_frame[name] for name in self.names if name in by_frame}
        return {name: found[name] for name in self.names}, ordered

    def by_frame(
        self, state: list[Any], values: np.ndarray | Sequence[np.ndarray]
    ) -> dict[str, np.ndarray]:
        """The second part of what :meth:`measure_frames` gives."""
        return self.measure_frames(state, values)[1]


def _scores(leader: Any, group: list[Any], part: Any, values: np.ndarray) -> dict[str, np.ndarray]:
    if len(group) == 1:
        return {leader.name: leader.measure(part, values)}
    terms = leader.terms(part, values)
    return {metric.name: metric.score(terms) for metric in group}


def _by_frame(
    part: Frames, group: list[Any], values: Sequence[np.ndarray], threads: int
) -> dict[str, np.ndarray]:
    found = {metric.name: np.empty((len(values), len(part))) for metric in group}

    def measure(frame: int) -> None:
        pictures = np.stack([value[frame] for value in values])
        for name, score in _scores(part.metric, group, part.state(frame), pictures).items():
            found[name][:, frame] = score

    _each(measure, range(len(part)), threads)
    return found


def _each(function: Callable[[int], None], numbers: Iterable[int], threads: int) -> None:
    """Call a function for each number, the kernels' threads side by side."""
    if threads == 1:
        for number in numbers:
            function(number)
        return
    with ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(function, numbers):  # raises what was raised
            pass

"""What became of a clip that was sent, segment by segment, without its samples."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gencomm.items import frame_rate
from gencomm.metrics import METRICS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Frames shown above the curve.
SHOWN = 7


@dataclass(frozen=True, eq=False)
class Segment:
    """What is kept of a segment that was sent: everything but its samples.

    Attributes
    ----------
    sent : gencomm.sending.Sent
        With the samples cut down to one frame.
    frames : int
    errors : float64 array
        Places of wrong bits, in frames from the beginning of the segment.
    """

    sent: Any
    frames: int
    errors: np.ndarray


@dataclass
class SentClip:
    """What became of a clip. ``print`` gives an account; `figure` shows it.

    Attributes
    ----------
    segments : list of Segment
    kept : list of (number, original, received)
        Frames for the figure.
    rate : float
        Frames a second.
    video : Path or None
        The side-by-side video, if one was asked for.
    """

    segments: list[Segment] = field(default_factory=list)
    kept: list[tuple[int, np.ndarray, np.ndarray]] = field(default_factory=list)
    rate: float = 25.0
    video: Path | None = None

    @property
    def frames(self) -> int:
        """Frames in all."""
        return sum(part.frames for part in self.segments)

    @property
    def statuses(self) -> dict[str, int]:
        """How many segments have each status."""
        return dict(Counter(str(part.sent.status) for part in self.segments))

    @property
    def codec_seconds(self) -> float:
        """Processor time of the codec."""
        return sum(part.sent.codec_seconds for part in self.segments)

    @property
    def scores(self) -> dict[str, float]:
        """Metrics, as means over the frames."""
        return self._mean("scores")

    @property
    def clean_scores(self) -> dict[str, float]:
        """The same of what the bits give without errors."""
        return self._mean("clean_scores")

    def _mean(self, which: str) -> dict[str, float]:
        weights = [part.frames for part in self.segments]
        names = getattr(self.segments[0].sent, which)
        return {
            name: float(
                np.average([getattr(p.sent, which)[name] for p in self.segments], weights=weights)
            )
            for name in names
        }

    def by_frame(self, clean: bool = False) -> dict[str, np.ndarray]:
        """Scores of each frame of the clip, by metric."""
        which = "clean_by_frame" if clean else "by_frame"
        parts = [getattr(part.sent, which) for part in self.segments]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def figure(self) -> Figure:
        """Frames, and quality over time with the channel's errors marked."""
        from gencomm.figures.clip import clip_figure

        first = self.segments[0].sent
        starts = np.cumsum([0, *(part.frames for part in self.segments)])[:-1]
        errors = [part.errors + at for part, at in zip(self.segments, starts, strict=True)]
        wrong = sum(part.sent.bit_errors for part in self.segments)
        bits = sum(part.sent.n_bits for part in self.segments)
        scores = [score_text(name, value) for name, value in self.scores.items()]
        return clip_figure(
            self.kept,
            self.by_frame(),
            self.by_frame(clean=True),
            np.concatenate(errors),
            self.rate,
            f"{first.codec} over {first.channel}",
            f"{'   '.join(scores)}   {self._bits_per_second():,.0f} bits/s   "
            f"{wrong:,} of {bits:,} bits wrong   {_words(self.statuses)}",
            gaps=starts[1:],
        )

    def _bits_per_second(self) -> float:
        books = [part.sent.ledger for part in self.segments]
        bits = sum(book.payload_bits + book.side_bits for book in books)
        return bits * self.rate / self.frames

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON: the whole, and each segment."""
        return {
            "frames": self.frames,
            "rate": self.rate,
            "bits_per_second": self._bits_per_second(),
            "scores": self.scores,
            "clean_scores": self.clean_scores,
            "statuses": self.statuses,
            "by_frame": {name: values.tolist() for name, values in self.by_frame().items()},
            "segments": [part.sent.as_dict() for part in self.segments],
        }

    def __str__(self) -> str:
        if len(self.segments) == 1:
            return str(self.segments[0].sent)
        first = self.segments[0].sent
        seconds = self.frames / self.rate
        lines = [
            ("clip", f"{self.frames} frames, {seconds:.1f} s, in {len(self.segments)} segments"),
            ("codec", first.codec),
            ("channel", first.channel),
            ("status", _words(self.statuses)),
        ]
        clean = self.clean_scores
        lines += [
            (name, f"{value_text(name, value)}  (without errors {value_text(name, clean[name])})")
            for name, value in self.scores.items()
        ]
        wrong = sum(part.sent.bit_errors for part in self.segments)
        bits = sum(part.sent.n_bits for part in self.segments)
        lines += [
            ("bit errors", f"{wrong:,} of {bits:,} payload bits"),
            ("rate", f"{self._bits_per_second():,.0f} bits per second, side information included"),
        ]
        return "\n".join(f"{name:<12}{text}" for name, text in lines)


def keep(result: SentClip, sent: Any, number: int, total: int) -> None:
    """Note a segment and take frames for the figure from it, in equal distances over the clip."""
    count = len(sent.original)
    at, result.rate = result.frames, float(frame_rate(sent.item))
    share = max(1, round(SHOWN * (number + 1) / total) - round(SHOWN * number / total))
    if len(result.kept) < SHOWN:
        last = count - 1 if number == total - 1 else count - count / share
        for k in sorted({round(k) for k in np.linspace(0, max(0, last), share)}):
            result.kept.append((at + k, sent.original[k].copy(), sent.received[k].copy()))
    result.segments.append(Segment(_light(sent), count, _times(sent)))


def figure_of(sent: Iterable[Any]) -> Figure:
    """The figure of clips that are still in memory."""
    result, parts = SentClip(), list(sent)
    for number, one in enumerate(parts):
        keep(result, one, number, len(parts))
    return result.figure()


def _light(sent: Any) -> Any:
    sample = sent.original[0, 0, 0].copy()  # a view would hold on to the whole segment
    item = replace(sent.item, value=np.broadcast_to(sample, sent.original.shape))
    return replace(sent, item=item, received=item.value)


def _times(sent: Any) -> np.ndarray:
    """When the wrong bits were sent, in frames: by the bits of each frame, in coding order."""
    lengths = sent.notes.get("frame_bits")
    frames = len(sent.original)
    if not lengths:
        return sent.wrong * (frames / max(1, sent.n_bits))
    ends = np.cumsum(lengths)
    start = ends[-1] - sent.n_bits  # a header that a policy protects is not among the payload
    at = np.searchsorted(ends, sent.wrong + start, side="right")
    inside = (sent.wrong + start - np.concatenate([[0], ends])[at]) / np.asarray(lengths)[at]
    return (at + inside) * frames / len(lengths)


def _words(statuses: dict[str, int]) -> str:
    if len(statuses) == 1 and sum(statuses.values()) == 1:
        return next(iter(statuses)).replace("_", " ")
    return ", ".join(f"{n} {name.replace('_', ' ')}" for name, n in statuses.items())


def value_text(metric: str, value: float) -> str:
    """A score with its unit."""
    unit = METRICS.load(metric).unit if metric in METRICS else ""
    return f"{value:.2f} {unit}" if unit else f"{value:.4f}"


def score_text(metric: str, value: float) -> str:
    """A score with its metric's name."""
    label = METRICS.load(metric).label if metric in METRICS else metric
    return f"{label} {value_text(metric, value)}"

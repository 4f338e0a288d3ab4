"""A clip that was sent: frames above, quality over time below, with the channel's errors marked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from gencomm.figures import style

#: Inches: width of the page, height of the curve, and room for words.
_PAGE, _CURVE, _TOP, _WORDS, _LEFT, _BELOW = 8.8, 1.7, 0.5, 0.32, 0.75, 0.5
_GAP = 0.05
_RED = "#B00020"
#: More marks than this make a grey wall: a density of marks is drawn by their transparency.
_MANY = 60


def clip_figure(
    frames: Sequence[tuple[int, np.ndarray, np.ndarray]],
    by_frame: Mapping[str, np.ndarray],
    clean: Mapping[str, np.ndarray],
    errors: np.ndarray,
    rate: float,
    title: str = "",
    caption: str = "",
    metric: str | None = None,
    gaps: np.ndarray | None = None,
) -> Figure:
    """Frames of a clip as sent and as received, and its quality over time.

    Parameters
    ----------
    frames : sequence of (number, original, received)
        Some frames, uint8 (height, width, 3), in order.
    by_frame, clean : mapping of metric to float array, shape (frames,)
        Scores of what came out, and of what the same bits give without errors.
    errors : float array
        Places of wrong or lost bits, in frames from the beginning.
    rate : float
        Frames a second.
    title, caption : str
    metric : str, optional
        What is drawn; default the first of `by_frame`.
    gaps : int array, optional
        Frames before which a new segment of the clip begins.

    Raises
    ------
    ValueError
        There is no frame or no metric to draw.
    """
    if not frames or not by_frame:
        raise ValueError("a figure of a clip needs a frame and a metric of pictures")
    metric = metric or next(iter(by_frame))
    height, width = frames[0][1].shape[:2]
    across = (_PAGE - _LEFT - 0.1 - _GAP * (len(frames) - 1)) / len(frames)
    down = across * height / width
    lines = caption.count("\n") + bool(caption)
    total = _TOP + 2 * down + _GAP + _WORDS + _CURVE + _BELOW + 0.17 * lines
    with style.styled():
        figure = Figure(figsize=(_PAGE, total))
        if title:
            figure.text(0.08 / _PAGE, 1 - 0.07 / total, title, va="top", fontsize=9)
        for column, (number, original, received) in enumerate(frames):
            left = _LEFT + column * (across + _GAP)
            for row, (label, value) in enumerate((("sent", original), ("received", received))):
                bottom = total - _TOP - (row + 1) * down - row * _GAP
                axes = figure.add_axes((left / _PAGE, bottom / total, across / _PAGE, down / total))
                axes.imshow(value, vmin=0, vmax=255, interpolation="antialiased")
                axes.set_axis_off()
                if not column:
                    y = (bottom + down / 2) / total
                    figure.text((_LEFT - 0.08) / _PAGE, y, label, ha="right", va="center")
            y = 1 - (_TOP - 0.04) / total
            seconds = f"{number / rate:.2f} s"
            figure.text((left + across / 2) / _PAGE, y, seconds, ha="center", va="bottom")
        bottom = _BELOW + 0.17 * lines
        place = (_LEFT / _PAGE, bottom / total, 1 - (_LEFT + 0.1) / _PAGE, _CURVE / total)
        _curve(figure.add_axes(place), by_frame, clean, errors, rate, metric, frames, gaps)
        if caption:
            y = (0.17 * lines + 0.02) / total
            figure.text(0.08 / _PAGE, y, caption, va="top", fontsize=8, color="#333333")
    return figure


def _curve(axes, by_frame, clean, errors, rate, metric, frames, gaps) -> None:
    values = by_frame[metric]
    seconds = np.arange(len(values)) / rate
    end = len(values) / rate
    if metric in clean:
        axes.step(
            np.append(seconds, end), np.append(clean[metric], clean[metric][-1]), where="post",
            color="#999999", linewidth=0.9, label="without errors",
        )  # fmt: skip
    axes.step(
        np.append(seconds, end), np.append(values, values[-1]), where="post",
        color="#0072B2", linewidth=1.2, label="received",
    )  # fmt: skip
    if errors.size:
        alpha = float(np.clip(_MANY / errors.size, 0.03, 1.0))
        axes.plot(
            errors / rate, np.full(errors.size, 0.015), "|", color=_RED, alpha=alpha,
            transform=axes.get_xaxis_transform(), markersize=9, markeredgewidth=0.8, clip_on=False,
        )  # fmt: skip
        axes.plot([], [], "|", color=_RED, markersize=8, label="error of the channel")
    for number, _, _ in frames:
        axes.axvline(number / rate, color="#CCCCCC", linewidth=0.5, zorder=0)
    for number in () if gaps is None else gaps:
        axes.axvline(number / rate, color="#000000", linewidth=0.5, linestyle=":", zorder=0)
    axes.set_xlim(0, end)
    axes.margins(y=0.12)
    axes.set_xlabel("time (s)")
    axes.set_ylabel(style.metric_label(metric))
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1.0), ncols=3, borderaxespad=0.1)

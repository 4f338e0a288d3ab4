"""Original, received and difference side by side."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from gencomm.figures import style

#: Widths and heights of pictures on the page, in inches; a narrow one stands in a wider column.
_ACROSS, _MOST_DOWN, _COLUMN = 2.9, 4.2, 2.2


def amplification(original: np.ndarray, received: np.ndarray) -> int:
    """By how much differences are amplified: the greatest of 1, 2, 4, 8, 16 that keeps 99 % of
    the samples within the range."""
    difference = np.abs(original.astype(int) - received.astype(int))
    typical = max(float(np.quantile(difference, 0.99)), 1.0)
    return int(2 ** np.clip(np.floor(np.log2(127.0 / typical)), 0, 4))


def difference_picture(original: np.ndarray, received: np.ndarray, factor: int) -> np.ndarray:
    """Received minus original, amplified, around mid-grey; uint8 of the pictures' shape."""
    difference = received.astype(int) - original.astype(int)
    return np.clip(128 + factor * difference, 0, 255).astype(np.uint8)


def sent_figure(
    original: np.ndarray,
    received: np.ndarray,
    title: str = "",
    caption: str = "",
    received_label: str = "received",
    failed: bool = False,
) -> Figure:
    """What was sent, what came out, and the difference.

    Parameters
    ----------
    original, received : uint8 arrays of one shape, (height, width, 3) or (height, width)
    title : str
        Stands on top: codec and link.
    caption : str
        Stands under the pictures: scores and rates.
    received_label : str
        Stands over the second picture.
    failed : bool
        Whether no picture came out, and the concealment is shown; its label is then red.

    Raises
    ------
    ValueError
        The pictures differ in shape.
    """
    if original.shape != received.shape:
        raise ValueError(f"pictures of shapes {original.shape} and {received.shape}")
    factor = amplification(original, received)
    difference = difference_picture(original, received, factor)
    across = min(_ACROSS, _MOST_DOWN * original.shape[1] / original.shape[0])
    down = across * original.shape[0] / original.shape[1]
    gap, top, bottom = 0.08, 0.24 + 0.22 * bool(title), 0.08 + 0.2 * caption.count("\n")
    bottom += 0.2 * bool(caption)
    column = max(across, _COLUMN)
    width, height = 3 * column + 4 * gap, top + down + bottom
    amplified = f"difference{f' × {factor}' if factor > 1 else ''} (grey: none)"
    shown = [
        ("original", original, "black"),
        (received_label, received, "#B00020" if failed else "black"),
        (amplified, difference, "black"),
    ]
    with style.styled():
        figure = Figure(figsize=(width, height))
        if title:
            figure.text(gap / width, 1 - 0.06 / height, title, va="top", fontsize=9)
        for i, (label, value, colour) in enumerate(shown):
            left = gap + i * (column + gap)
            place = (left / width, bottom / height, across / width, down / height)
            axes = figure.add_axes(place)
            axes.imshow(value, cmap="gray", vmin=0, vmax=255, interpolation="antialiased")
            axes.set_axis_off()
            y = (bottom + down + 0.05) / height
            figure.text(left / width, y, label, fontsize=8, color=colour)
        if caption:
            y = (bottom - 0.06) / height
            figure.text(gap / width, y, caption, fontsize=8, color="#333333", va="top")
    return figure

"""Quality against noise or rate, with outage under it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import AutoMinorLocator, LogLocator, NullFormatter

from gencomm.analysis.bd import quality_scale
from gencomm.analysis.columns import rising, series_labels, without_rate
from gencomm.figures import style
from gencomm.metrics import decibels

#: A codec whose PSNR reaches this doesn't stretch the axis: its curve enters at the top.
TALL_DB = 60.0
#: Where the marks of clean quality lie, in widths of the panel, at its side without noise.
_CLEAN_MARK = [0.0, 0.022]


def quality_figure(
    table: pd.DataFrame,
    metric: str = "psnr",
    axis: str | None = None,
    title: str = "",
    labels: Sequence[str] | None = None,
    width: float = 5.6,
) -> Figure:
    """Draw curves of quality against a bit error rate, a ratio in dB, or bits per pixel.

    Parameters
    ----------
    table : DataFrame
        As `gencomm.analysis.curves` gives it (or its CSV file): a line per series and point.
    metric : str
        Which quality.
    axis : str, optional
        Column of the horizontal axis; default the one that stands before the first metric.
    title : str
        Such as the name of the run.
    labels : list of str, optional
        Names of the curves in the legend, in the table's order; default the operating points.
    width : float
        In inches. Text keeps its size, so 3.5 fits a column of a paper.

    Returns
    -------
    matplotlib Figure

    Raises
    ------
    ValueError
        A column is missing, or there are fewer than two points to draw.
    """
    axis = axis or axis_of(table, metric)
    for name in (axis, metric):
        if name not in table.columns:
            raise ValueError(f"the table has no column {name!r}: {', '.join(table.columns)}")
    if np.unique(table[axis].dropna()).size < 2:
        raise ValueError(f"there is a single point along {axis}; a curve needs two")
    label = style.metric_label(metric)
    if axis == "bpp":
        table, label = _on_rate_scale(table, metric, label)
    curves = _curves(table, axis, labels)
    outages = "outage" in table.columns and bool(table["outage"].to_numpy(float).any())
    heights = [0.48 * width, 0.72][: 1 + outages]
    rows = -(-(len(curves) + 1) // _columns(width, curves))
    around = 0.75 + 0.2 * bool(title) + 0.17 * rows
    with style.styled():
        figure = Figure(
            figsize=(width, sum(heights) + around + 0.1 * outages), layout="constrained"
        )
        panels = figure.subplots(
            len(heights), 1, sharex=True, height_ratios=heights, squeeze=False
        )[:, 0]
        for panel in panels:
            style.frame(panel)
        _draw_quality(panels[0], curves, axis, metric, label, outages)
        if outages:
            _draw_outage(panels[1], curves, axis)
        _horizontal(panels[-1], table[axis].to_numpy(float), axis)
        _caption(panels[0], table, title, outages, axis)
        _legend(figure, curves, axis, metric, width)
    return figure


@dataclass(frozen=True)
class _Curve:
    label: str
    look: dict[str, Any]
    table: Any  # DataFrame

    @property
    def colour(self) -> str:
        return self.look["color"]


def axis_of(table: pd.DataFrame, metric: str) -> str:
    """`curves` puts the axis right before the first metric, which has its ends behind it."""
    names = list(table.columns)
    first = next((i for i, c in enumerate(names) if f"{c}_low" in names), None)
    if first is None or first == 0:
        raise ValueError(f"the table has no axis and no intervals: {', '.join(names)}")
    return str(names[first - 1])


def _curves(table: Any, axis: str, labels: Sequence[str] | None) -> list[_Curve]:
    """The table cut into series, each with its label and look."""
    series = list(table.columns)[: list(table.columns).index(axis)]
    parts = [
        part.sort_values(axis)
        for _, part in table.groupby(series, sort=False, dropna=False)
        if part[axis].notna().any()
    ]
    heads = pd.DataFrame([part.iloc[0][series] for part in parts])
    names = list(labels) if labels is not None else series_labels(heads, series)
    if len(names) != len(parts):
        raise ValueError(f"{len(names)} labels for {len(parts)} curves")
    if labels is None and axis != "bpp" and "bpp" in table.columns:
        rates = [part["bpp"].mean() for part in parts]
        names = [f"{n}  {r:.2f} bpp" for n, r in zip(without_rate(names), rates, strict=True)]
    looks = style.lines([str(part.iloc[0][series[0]]) for part in parts])
    return [_Curve(*line) for line in zip(names, looks, parts, strict=True)]


def _on_rate_scale(table: pd.DataFrame, metric: str, label: str) -> tuple[pd.DataFrame, str]:
    """Rate-distortion curves show a similarity in decibels, of the means and their ends."""
    if quality_scale(metric) is not decibels:
        return table, label
    columns = [c for c in (metric, f"{metric}_low", f"{metric}_high") if c in table.columns]
    table = table.assign(**{column: decibels(table[column].to_numpy()) for column in columns})
    return table, f"{label}, -10 log10(1 - x) (dB)"


def _draw_quality(
    panel: Axes, curves: list[_Curve], axis: str, metric: str, label: str, outages: bool
) -> None:
    clean = f"clean_{metric}"
    for curve in curves:
        part = curve.table
        x = part[axis].to_numpy(float)
        panel.plot(x, part[metric], label=curve.label, **curve.look)
        # Pictures differ far more than codecs do: on a rate-distortion figure the bands would all
        # lie on each other. What codecs differ by has its interval in the table of deltas.
        if f"{metric}_low" in part.columns and axis != "bpp":
            # where every send failed, a band shows how grey differs from one picture to the next
            shown = part["outage"].to_numpy(float) < 1 if "outage" in part.columns else None
            panel.fill_between(
                x, part[f"{metric}_low"], part[f"{metric}_high"], where=shown,
                color=curve.colour, alpha=0.1, linewidth=0, zorder=1,
            )  # fmt: skip
    panel.set_ylabel(label)
    _vertical_limits(panel, curves, metric, axis)
    panel.yaxis.set_minor_locator(AutoMinorLocator(2))
    _mark_clean(panel, curves, clean, rising(axis))
    if outages:
        _name_floor(panel, curves, axis, metric)


def _name_floor(panel: Axes, curves: list[_Curve], axis: str, metric: str) -> None:
    """Say what is measured where nothing came out any more, under the curves' last points."""
    lasts = [curve.table.sort_values(axis).iloc[0 if rising(axis) else -1] for curve in curves]
    floor = [line[metric] for line in lasts if line["outage"] == 1]
    if floor and metric == "psnr":  # of other metrics, the floor may lie at either end
        panel.annotate(
            "no picture", (lasts[0][axis], min(floor)), (0, -8), textcoords="offset points",
            ha="left" if rising(axis) else "right", va="top", fontsize=7.5, color="#666666",
        )  # fmt: skip


def _mark_clean(panel: Axes, curves: list[_Curve], clean: str, right: bool) -> None:
    """Clean quality as a mark at the side without noise, of curves for which there is room."""
    low, high = panel.get_ylim()
    place = [1 - x for x in _CLEAN_MARK] if right else _CLEAN_MARK
    for curve in curves:
        level = curve.table[clean].mean() if clean in curve.table.columns else np.nan
        if low <= level <= high:
            panel.plot(
                place, [level] * 2, color=curve.colour, linewidth=curve.look["linewidth"] + 0.4,
                solid_capstyle="butt", clip_on=False, transform=panel.get_yaxis_transform(),
                zorder=curve.look["zorder"],
            )  # fmt: skip


def _vertical_limits(panel: Axes, curves: list[_Curve], metric: str, axis: str) -> None:
    """Room for what can be compared: a lossless codec's 100 dB leaves the frame at the top."""
    tops, bottoms = [], []
    for curve in curves:
        part = curve.table
        low, high = (f"{metric}_low", f"{metric}_high") if axis != "bpp" else (metric, metric)
        means = [c for c in (metric, f"clean_{metric}") if c in part.columns]
        bottoms.append(part[_there(part, metric, low)].min().min())
        if metric != "psnr" or part[means].max().max() < TALL_DB:
            tops.append(part[_there(part, *means, high)].max().max())
    if not tops:
        return
    low, top = min(bottoms), max(tops)
    margin = 0.06 * max(top - low, 1e-3)
    panel.set_ylim(low - margin, top + margin)


def _there(part: Any, *names: str) -> list[str]:
    return [name for name in names if name in part.columns]


def _draw_outage(panel: Axes, curves: list[_Curve], axis: str) -> None:
    for curve in curves:
        part = curve.table
        x = part[axis].to_numpy(float)
        look = {**curve.look, "markersize": 2.6, "linewidth": 0.8 * curve.look["linewidth"]}
        panel.plot(x, part["outage"], clip_on=False, **look)
        if part["outage"].any():  # bands of codecs that never failed would lie over each other
            panel.fill_between(
                x, part["outage_low"], part["outage_high"],
                color=curve.colour, alpha=0.12, linewidth=0, zorder=1,
            )  # fmt: skip
    panel.set_facecolor("#f4f4f4")
    panel.set_ylim(-0.04, 1.04)
    panel.set_yticks([0, 0.5, 1], ["0", "0.5", "1"])
    panel.yaxis.set_minor_locator(AutoMinorLocator(2))
    panel.set_ylabel("outage rate")


def _horizontal(panel: Axes, x: np.ndarray, axis: str) -> None:
    if not rising(axis) and (x[np.isfinite(x)] > 0).all():
        panel.set_xscale("log")
        panel.xaxis.set_major_locator(LogLocator(10, numticks=20))
        panel.xaxis.set_minor_locator(LogLocator(10, subs=range(2, 10), numticks=200))
        panel.xaxis.set_minor_formatter(NullFormatter())
    else:
        panel.xaxis.set_minor_locator(AutoMinorLocator(2))
    panel.set_xlabel(style.AXIS_LABELS.get(axis, axis))


def _range(values: Any) -> str:
    low, high = int(values.min()), int(values.max())
    return str(low) if low == high else f"{low} to {high}"


def _caption(panel: Axes, table: Any, title: str, outages: bool, axis: str) -> None:
    """What the curves are of: n, and what the bands are."""
    parts = []
    if "n_items" in table.columns:
        items = _range(table["n_items"])
        parts.append(f"n = {items} {'item' if items == '1' else 'items'}")
    several = "n_items" in table.columns and (table["n_trials"] > table["n_items"]).any()
    if "n_trials" in table.columns and (several or axis != "bpp"):
        rare = "weight" in table.columns and (table["weight"] < 1).any()
        hits = " (rare hits weighted)" if rare else ""
        parts.append(f"{_range(table['n_trials'])} trials a point{hits}")
    single = "n_items" in table.columns and table["n_items"].max() == 1
    if axis != "bpp":
        parts.append(f"bands: 95 % over {'trials' if single else 'items'}")
    else:
        parts.append("means at each operating point, whole streams")
    if not outages and "outage" in table.columns and axis != "bpp":
        parts.append("no outages")
    panel.annotate(
        ", ".join(parts), (0, 1), (0, 4), xycoords="axes fraction", textcoords="offset points",
        fontsize=7.5, color="#444444",
    )  # fmt: skip
    if title:
        panel.set_title(title, loc="left", fontsize=9.5, pad=17)


def _columns(width: float, curves: list[_Curve]) -> int:
    """Legend columns that fit: a character of 7.5 points is about 0.058 inch wide."""
    longest = max(len(curve.label) for curve in curves)
    return int(np.clip((width - 0.2) / (0.058 * longest + 0.5), 1, 3))


def _legend(figure: Figure, curves: list[_Curve], axis: str, metric: str, width: float) -> None:
    handles = [Line2D([], [], label=curve.label, **curve.look) for curve in curves]
    if any(f"clean_{metric}" in curve.table.columns for curve in curves):
        grey = {"color": "#555555", "linestyle": "", "marker": "_", "markersize": 7}
        label = f"clean ({'right' if rising(axis) else 'left'} edge)"
        handles.append(Line2D([], [], label=label, markeredgewidth=1.8, **grey))
    figure.legend(
        handles=handles,
        loc="outside lower left",
        ncols=_columns(width, curves),
        frameon=False,
        handlelength=2.6,
        columnspacing=1.4,
        borderpad=0.2,
        borderaxespad=0.3,
    )

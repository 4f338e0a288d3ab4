"""Figures in several columns: the same codecs under different conditions, outage below."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, NullFormatter

from gencomm.analysis.columns import rising
from gencomm.figures import save, style


def columns_figure(
    columns: Mapping[str, pd.DataFrame],
    rows: tuple[str, ...],
    axis: str,
    names: Mapping[str, str],
    out: Path,
    note: str,
    width: float = 7.2,
) -> None:
    """Draw curves of the same codecs side by side and write the figure.

    Parameters
    ----------
    columns : dict of str to DataFrame
        Title of a column -> its part of a table of `gencomm.analysis.curves`.
    rows : tuple of str
        Quantities from top to bottom: metrics, and "outage" on grey.
    axis : str
        Column of the horizontal axis.
    names : dict of str to str
        Codecs drawn, in the order of the legend, and what they are called there.
    out : Path
    note : str
        Stands under the legend: n, and what bands are.
    width : float
        In inches.
    """
    looks = dict(zip(names, style.lines(list(names)), strict=True))
    heights = [0.4 if row == "outage" else 1.6 for row in rows]
    legend_rows = -(-len(names) // 3)
    with style.styled():
        figure = Figure(
            figsize=(width, 1.35 * sum(heights) + 1.0 + 0.17 * legend_rows), layout="constrained"
        )
        panels = figure.subplots(
            len(rows), len(columns), sharex="col" if axis == "bpp" else True, sharey="row",
            height_ratios=heights, squeeze=False,
        )  # fmt: skip
        for at, (title, table) in enumerate(columns.items()):
            panels[0, at].set_title(title, loc="left", fontsize=9)
            for row, panel in zip(rows, panels[:, at], strict=True):
                style.frame(panel)
                _draw(panel, table, row, axis, looks)
                if at == 0:
                    panel.set_ylabel("outage" if row == "outage" else style.metric_label(row))
            panels[-1, at].set_xlabel(style.AXIS_LABELS[axis])
        if not rising(axis):
            for panel in panels[-1]:
                panel.set_xscale("log")
                panel.xaxis.set_major_locator(LogLocator(10, numticks=20))
                panel.xaxis.set_minor_locator(LogLocator(10, subs=range(2, 10), numticks=200))
                panel.xaxis.set_minor_formatter(NullFormatter())
        handles = [Line2D([], [], label=names[codec], **looks[codec]) for codec in names]
        figure.legend(
            handles=handles, loc="outside lower left", ncols=3, frameon=False, handlelength=2.6,
            columnspacing=1.4, borderpad=0.2, title=note, alignment="left", title_fontsize=7.5,
        )  # fmt: skip
        save(figure, out)


def _draw(panel, table: pd.DataFrame, row: str, axis: str, looks: Mapping[str, dict]) -> None:
    for codec, look in looks.items():
        part = table[table["codec"] == codec].sort_values(axis)
        if not len(part):
            continue
        thin = {**look, "markersize": 2.6, "linewidth": 0.7 * look["linewidth"]}
        x = part[axis].to_numpy(float)
        panel.plot(x, part[row], **(thin if row == "outage" else {**look, "markersize": 3}))
        if f"{row}_low" in part and (row != "outage" or part["outage"].any()):
            shown = np.ones(len(x), bool) if row == "outage" else part["outage"].to_numpy() < 1
            panel.fill_between(
                x, part[f"{row}_low"], part[f"{row}_high"], where=shown,
                color=look["color"], alpha=0.1, linewidth=0, zorder=1,
            )  # fmt: skip
        if f"clean_{row}" in part:
            at = [0.978, 1.0] if rising(axis) else [0.0, 0.022]
            panel.plot(
                at, [part[f"clean_{row}"].mean()] * 2, color=look["color"],
                linewidth=look["linewidth"] + 0.4, solid_capstyle="butt",
                transform=panel.get_yaxis_transform(), zorder=look["zorder"],
            )  # fmt: skip
    if row == "outage":
        panel.set_facecolor("#f4f4f4")
        panel.set_ylim(-0.05, 1.05)
        panel.set_yticks([0, 0.5, 1], ["0", "0.5", "1"])

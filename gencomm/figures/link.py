"""Error rates of links against signal-to-noise ratio, with what theory says drawn in."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from gencomm.figures.style import AXIS_LABELS, MARKERS, PALETTE, frame, styled


def link_figure(table: pd.DataFrame, axis: str, references: dict[str, dict[str, Any]]) -> Figure:
    """Bit error rate and block error rate side by side.

    Parameters
    ----------
    table : DataFrame
        As `gencomm.links.LinkCurves.table` gives it.
    axis : str
        Its column on the horizontal axis.
    references : dict
        As `gencomm.links.reference_lines` gives it.

    Returns
    -------
    matplotlib Figure. Points are Monte Carlo counts with 95 % intervals; a point without any
    error is an arrow down from its upper bound. Thin lines are closed forms (left) and the normal
    approximation (right, dashed); ticks at the foot are Shannon limits.
    """
    with styled():
        return _draw(table, axis, references)


def _draw(table: Any, axis: str, references: dict[str, dict[str, Any]]) -> Figure:
    figure = Figure(figsize=(7.6, 3.7), layout="constrained")
    left, right = figure.subplots(1, 2, sharex=True)
    links = list(dict.fromkeys(table["link"]))
    log_x = axis not in ("ebno_db", "esno_db") and (table[axis] > 0).all()
    for index, name in enumerate(links):
        colour, marker = PALETTE[index % len(PALETTE)], MARKERS[index % len(MARKERS)]
        rows = table[table["link"] == name].sort_values(axis)
        for panel, rate in ((left, "ber"), (right, "bler")):
            _points(panel, rows, axis, rate, colour, marker)
        known = rows[rows["theory_ber"] > 0]
        if len(known):
            left.plot(known[axis], known["theory_ber"], color=colour, lw=1, alpha=0.8, zorder=1)
        reference = references.get(name, {})
        if "bler" in reference:
            right.plot(reference["bler_db"], reference["bler"], "--", color=colour, lw=1)
        if "shannon_db" in reference:
            for panel in (left, right):
                panel.axvline(reference["shannon_db"], ymax=0.05, color=colour, lw=2)
    _floor(left, table, "ber")
    _floor(right, table, "bler")
    for panel, title in ((left, "bit error rate"), (right, "block error rate")):
        panel.set_yscale("log")
        if log_x:
            panel.set_xscale("log")
        panel.set_xlabel(AXIS_LABELS.get(axis, axis))
        panel.set_ylabel(title)
        frame(panel)
    low, high = table[axis].min(), table[axis].max()
    if not log_x:
        limits = [r["shannon_db"] for r in references.values() if "shannon_db" in r]
        margin = 0.04 * max(high - low, 1.0)
        left.set_xlim(min([low, *limits]) - margin, high + margin)
    figure.legend(
        handles=_legend(links, table, references),
        loc="outside lower center",
        ncols=2,
        frameon=False,
    )
    return figure


def _points(panel, rows: Any, axis: str, rate: str, colour: str, marker: str) -> None:
    seen = rows[rows[rate] > 0]
    spread = np.array([seen[rate] - seen[f"{rate}_low"], seen[f"{rate}_high"] - seen[rate]])
    panel.errorbar(
        seen[axis],
        seen[rate],
        spread.clip(0),
        fmt=marker,
        ms=4,
        color=colour,
        elinewidth=1,
        capsize=2,
        zorder=3,
    )
    if rate == "bler" or not (rows["theory_ber"] > 0).any():
        panel.plot(seen[axis], seen[rate], color=colour, lw=1, alpha=0.6)
    none = rows[rows[rate] == 0]
    if len(none):
        panel.errorbar(
            none[axis],
            none[f"{rate}_high"],
            yerr=none[f"{rate}_high"] * 0.5,
            uplims=True,
            fmt="none",
            ecolor=colour,
            elinewidth=1,
        )


def _floor(panel, table: Any, rate: str) -> None:
    """Keep the axis to what was measured; closed forms run on far below."""
    seen = table.loc[table[rate] > 0, f"{rate}_low"]
    bounds = table.loc[table[rate] == 0, f"{rate}_high"] / 3
    low = min([*seen[seen > 0], *bounds], default=1e-6)
    panel.set_ylim(10 ** np.floor(np.log10(low)), 1.2)


def _legend(links: list[str], table: Any, references: dict) -> list[Line2D]:
    handles = [
        Line2D(
            [],
            [],
            color=PALETTE[i % len(PALETTE)],
            marker=MARKERS[i % len(MARKERS)],
            ms=4,
            lw=0,
            label=_short(name),
        )
        for i, name in enumerate(links)
    ]
    grey = "#555555"
    if (table["theory_ber"] > 0).any():
        handles.append(Line2D([], [], color=grey, lw=1, label="closed form"))
    if any("bler" in r for r in references.values()):
        handles.append(
            Line2D(
                [],
                [],
                color=grey,
                lw=1,
                ls="--",
                label="best code of this length (normal approximation)",
            )
        )
    if any("shannon_db" in r for r in references.values()):
        handles.append(
            Line2D(
                [], [], color=grey, lw=0, marker="|", ms=9, mew=2, label="Shannon limit of the rate"
            )
        )
    return handles


def _short(template: str) -> str:
    """The link without the AWGN that all curves share."""
    head, _, tail = template.rpartition("|")
    return head if tail.startswith("awgn(") and head else template

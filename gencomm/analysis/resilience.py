"""How much noise a codec bears: where its curve has fallen by so much from its clean quality."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from gencomm.analysis.bootstrap import REPLICATES, Bootstrap, item_means
from gencomm.analysis.columns import default_axis, differs, metrics_of, rising, series_of
from gencomm.analysis.matrices import clean_means, each_series, series_key
from gencomm.analysis.weighting import over_all_noise

#: Falls from the clean quality that are looked for, in the metric's unit: 1 and 3 dB.
DROPS = (1.0, 3.0)
#: A clean PSNR from here on is lossless in all or nearly all pictures.
LOSSLESS_DB = 80.0


def resilience(
    rows: pd.DataFrame,
    cells: pd.DataFrame,
    axis: str | None = None,
    metric: str = "psnr",
    drops: Sequence[float] = DROPS,
    level: float = 0.95,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> pd.DataFrame:
    """Where the mean curve of each series first falls `drops` below its clean quality.

    The mean curve is interpolated linearly, over the logarithm of an error rate and over a ratio
    in dB as it is. Going from the clean side to the noisy one, the first crossing counts. The
    interval is that of the bootstrap by item: every draw has its own curve and clean quality.

    Parameters
    ----------
    rows, cells : DataFrame
        As `gencomm.load_run` and `gencomm.load_cells` give them.
    axis : str, optional
        A name of the grid. Default: the first.
    metric : str
    drops : sequence of float
        In the metric's unit (dB for PSNR), each positive.
    level, replicates, seed
        Of the bootstrap.

    Returns
    -------
    DataFrame, one line per series, with its columns, ``bpp``, ``clean_<metric>``, ``n_items``,
    ``n_trials``, ``<axis>_from`` and ``<axis>_to`` (the grid's ends) and for each drop d, such
    as 1,

    ``<axis>_at_minus_<d>``
        The point; NaN where it lies beyond the grid.
    ``<axis>_at_minus_<d>_low``, ``..._high``
        Its interval. An end beyond the grid is 0 or -inf (below) or inf (above).
    ``<axis>_at_minus_<d>_beyond``
        ``"< 1e-06"`` or ``"> 0.1"`` where the point lies beyond the grid, ``"undefined"`` for a
        codec that is lossless without errors (its clean PSNR is the metric's cap), else empty.
    """
    if not len(rows):
        raise ValueError("there are no rows: the run has no finished cell yet")
    axis = axis or default_axis(rows)
    if metric not in metrics_of(rows) or f"clean_{metric}" not in cells.columns:
        raise ValueError(
            f"the tables don't hold {metric!r} of rows and of clean cells; "
            f"rows have {', '.join(metrics_of(rows))}"
        )
    if axis == "bpp":
        raise ValueError("resilience is looked for along an axis of noise, not along bpp")
    if any(not drop > 0 for drop in drops):
        raise ValueError(f"drops are positive, got {', '.join(map(str, drops))}")
    series = series_of(rows, axis)
    items = sorted(rows["item"].unique().tolist())
    bootstrap = Bootstrap(len(items), replicates, seed, level)
    clean = clean_means(cells, series, [metric], items)
    rows = over_all_noise(rows, cells)
    lines = []
    for part in each_series(rows, series, axis, [metric], items):
        reference = clean[series_key(tuple(part.key.values()))][metric]
        values = part.values[metric]
        line: dict[str, Any] = dict(part.key)
        if "bpp" in part.values:
            line["bpp"] = float(np.nanmean(item_means(part.values["bpp"])))
        line[f"clean_{metric}"] = float(item_means(reference))
        line["n_items"], line["n_trials"] = part.rows["item"].nunique(), len(part.rows)
        line[f"{axis}_from"], line[f"{axis}_to"] = float(part.x[0]), float(part.x[-1])
        if metric == "psnr" and line[f"clean_{metric}"] >= LOSSLESS_DB:
            reference = np.full_like(reference, np.nan)  # no fall from a cap can be looked for
        for drop in drops:
            name = f"{axis}_at_minus_{drop:g}"
            line |= _crossing_columns(name, axis, part.x, values, reference, drop, bootstrap)
        lines.append(line)
    return pd.DataFrame(lines)


def _crossing_columns(
    name: str,
    axis: str,
    x: np.ndarray,
    values: np.ndarray,
    reference: np.ndarray,
    drop: float,
    bootstrap: Bootstrap,
) -> dict[str, Any]:
    scale = Harshness(axis, x)
    mean = crossing(scale.h, item_means(values)[None], item_means(reference)[None] - drop)
    drawn = crossing(scale.h, bootstrap.means(values), bootstrap.means(reference) - drop)
    ends = sorted(scale.back(np.array(bootstrap.interval(drawn[:, None])).ravel()))
    point = float(scale.back(mean)[0])
    inside = bool(np.isfinite(mean[0]))
    return {
        name: point if inside else np.nan,
        f"{name}_low": float(ends[0]),
        f"{name}_high": float(ends[1]),
        f"{name}_beyond": "" if inside else scale.beyond(mean[0]),
    }


class Harshness:
    """An axis turned so that noise grows along it: log10 of an error rate, minus a ratio in dB."""

    def __init__(self, axis: str, x: np.ndarray):
        self.down = rising(axis)
        self.logarithmic = not self.down and bool((x > 0).all())
        #: points of the grid, as they stand in the table; may fall
        self.x = x
        self.h = self.forth(x)

    def forth(self, x: np.ndarray) -> np.ndarray:
        x = np.asarray(x, float)
        if self.down:
            return -x
        return np.log10(x) if self.logarithmic else x

    def back(self, h: np.ndarray) -> np.ndarray:
        if self.down:
            return -h
        return 10.0**h if self.logarithmic else h

    def beyond(self, h: float) -> str:
        """Text for a crossing before the mildest (-inf) or behind the harshest (inf) point."""
        if np.isnan(h):
            return "undefined"
        mild = h < 0
        end = self.x[np.argmin(self.h) if mild else np.argmax(self.h)]
        return f"{'<' if mild != self.down else '>'} {end:g}"


def crossing(h: np.ndarray, curves: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """Where curves first fall below their thresholds, going up along `h`.

    Parameters
    ----------
    h : float array, shape (points,)
    curves : float array, shape (n, points); NaN where there is no value, which is passed over
    thresholds : float array, shape (n,)

    Returns
    -------
    float array, shape (n,): -inf where the mildest point is below already, inf where no point is,
    NaN where there is no curve or no threshold.
    """
    order = np.argsort(h)
    h, curves = h[order], curves[:, order]
    found = np.full(len(curves), np.nan)
    for row, (curve, threshold) in enumerate(zip(curves, thresholds, strict=True)):
        there = np.isfinite(curve)
        if not there.any() or not np.isfinite(threshold):
            continue
        points, heights = h[there], curve[there]
        below = np.flatnonzero(heights < threshold)
        if not below.size:
            found[row] = np.inf
        elif below[0] == 0:
            found[row] = -np.inf
        else:
            k = below[0]
            share = (heights[k - 1] - threshold) / (heights[k - 1] - heights[k])
            found[row] = points[k - 1] + share * (points[k] - points[k - 1])
    return found


def readable(table: pd.DataFrame, metric: str = "psnr", unit: str = "dB") -> pd.DataFrame:
    """The resilience table as text, for a terminal or a page.

    ``3.2e-04 [2.1e-04, 5.0e-04]``; ``> 0.1`` where the fall lies beyond the grid.
    """
    drops = [c for c in table.columns if f"{c}_beyond" in table.columns]
    clean = f"clean_{metric}"
    behind = {"bpp", clean, "n_items", "n_trials"}
    axis = drops[0].rpartition("_at_minus_")[0] if drops else ""
    behind |= {f"{axis}_from", f"{axis}_to"}
    behind |= {f"{c}{end}" for c in drops for end in ("", "_low", "_high", "_beyond")}
    found = {}
    for name in table.columns:
        # what is alike in all lines tells nothing; the codec is always shown
        if name not in behind and (name == "codec" or differs(table, name)):
            found[name] = table[name].astype(object).where(table[name].notna(), "").astype(str)
    if "bpp" in table:
        found["bpp"] = [f"{v:.3f}" for v in table["bpp"]]
    decimals = 2 if unit == "dB" else 4
    found[f"clean {metric}{f' ({unit})' if unit else ''}"] = [
        "lossless" if metric == "psnr" and v >= LOSSLESS_DB else f"{v:.{decimals}f}"
        for v in table[clean]
    ]
    for column in drops:
        drop = column.rpartition("_at_minus_")[2]
        title = f"{axis} at -{drop}{f' {unit}' if unit else ''}"
        found[title] = [
            _point_text(
                axis,
                (line[column], line[f"{column}_low"], line[f"{column}_high"]),
                str(line[f"{column}_beyond"]),
                (line[f"{axis}_from"], line[f"{axis}_to"]),
            )
            for line in table.to_dict("records")
        ]
    return pd.DataFrame(found)


def _point_text(
    axis: str, values: tuple[float, float, float], beyond: str, grid: tuple[float, float]
) -> str:
    def plain(v: float) -> str:
        return f"{v:.2f}" if rising(axis) else f"{v:.1e}"

    def number(v: float) -> str:
        if v < grid[0]:
            return f"< {plain(grid[0])}"
        return f"> {plain(grid[1])}" if v > grid[1] else plain(v)

    value, low, high = values
    text = beyond or plain(value)
    if np.isnan(low) or np.isnan(high) or (beyond and number(low) == number(high)):
        return text
    return f"{text} [{number(low)}, {number(high)}]"

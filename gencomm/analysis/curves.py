"""Quality and outage against an axis, with intervals: what a figure draws."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from channels.intervals import wilson
from gencomm.analysis.bootstrap import REPLICATES, Bootstrap, item_means
from gencomm.analysis.columns import default_axis, metrics_of, series_of, with_family
from gencomm.analysis.matrices import (
    SeriesMatrices,
    clean_means,
    each_series,
    per_trial,
    series_key,
)
from gencomm.analysis.weighting import OUTAGE, over_all_noise

#: Rates closer than this to 0 or 1 are just that.
ROUNDING = 1e-12


def curves(
    rows: pd.DataFrame,
    cells: pd.DataFrame | None = None,
    axis: str | None = None,
    metrics: Sequence[str] | None = None,
    level: float = 0.95,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> pd.DataFrame:
    """Mean quality and outage rate of every series at every point of an axis.

    Parameters
    ----------
    rows : DataFrame
        One line a trial, as `gencomm.load_run` gives it. Needed: ``codec``, ``item``, ``trial``,
        ``status``, the axis, the metrics.
    cells : DataFrame, optional
        As `gencomm.load_cells` gives it, for the clean quality; needed where trials were drawn on
        condition of a hit.
    axis : str, optional
        A name of the grid such as ``ber`` or ``ebno_db``, or ``bpp`` to join the operating points
        of a codec. Default: the first name of the grid.
    metrics : list of str, optional
        Default: all.
    level : float
        Coverage of all intervals.
    replicates, seed : int
        Of the bootstrap.

    Returns
    -------
    DataFrame, one line per series and point, with

    the series' columns
        ``codec`` (``family`` with the axis ``bpp``), ``link``, further names of the grid, policy.
    the axis
        For ``bpp`` the mean over items; ``codec`` then names the operating point.
    ``<metric>``, ``<metric>_low``, ``<metric>_high``
        Mean over trials, then items, and its interval by bootstrap over items; over trials where
        there is a single item; NaN where there is a single trial of a single item.
    ``clean_<metric>``
        Mean over items without errors, where `cells` are given.
    ``outage``, ``outage_low``, ``outage_high``
        Share of trials without a picture, mean over items, and Wilson's interval.
    ``measured_ber``
        Bit errors per payload bit over all trials.
    ``bpp``, ``n_items``, ``n_trials``
        Mean rate, how many items, how many trials were drawn over all of them.
    ``weight``
        Mean over items of the probability of the condition under which trials were drawn: less
        than 1 where they were hits only. All columns are means over all noise nevertheless.
    """
    rows, axis, metrics = _prepared(rows, axis, metrics)
    rows = over_all_noise(rows, cells)
    if cells is not None and axis == "bpp":
        cells = with_family(cells)
    series = series_of(rows, axis)
    items = sorted(rows["item"].unique().tolist())
    bootstrap = Bootstrap(len(items), replicates, seed, level)
    clean = {} if cells is None else clean_means(cells, series, metrics, items)
    found: list[dict[str, Any]] = []
    position = "_position" if axis == "bpp" else axis
    for part in each_series(rows, series, position, metrics, items):
        lines = _lines(part, position, metrics, bootstrap)
        if axis == "bpp":
            specs = part.rows.groupby(position)["codec"].first()
            for line in lines:
                line["codec"] = specs[line["_position"]]
            lines = sorted(lines, key=lambda line: line["bpp"])
        else:
            known = clean.get(series_key(tuple(part.key.values())), {})
            for line in lines:
                line.update({f"clean_{m}": float(item_means(v)) for m, v in known.items()})
        found += lines
    table = pd.DataFrame(found)
    if axis == "bpp":  # the axis stands where it does in every table: before the metrics
        table = table.drop(columns="_position")
        table.insert(len(series), "bpp", table.pop("bpp"))
    return table


def _prepared(
    rows: pd.DataFrame, axis: str | None, metrics: Sequence[str] | None
) -> tuple[pd.DataFrame, str, list[str]]:
    if not len(rows):
        raise ValueError("there are no rows: the run has no finished cell yet")
    axis = axis or default_axis(rows)
    known = metrics_of(rows)
    chosen = list(known if metrics is None else metrics)
    for name in chosen:
        if name not in known:
            raise ValueError(f"the rows have no metric {name!r}; there is: {', '.join(known)}")
    if not chosen:
        raise ValueError("the rows have no metric")
    if axis == "bpp":
        rows = with_family(rows)
        # points of a curve are operating points, placed at their mean rate
        rows["_position"] = pd.factorize(rows["codec"])[0]
    elif axis not in rows.columns:
        raise ValueError(f"the rows have no column {axis!r} to draw against")
    elif not pd.api.types.is_numeric_dtype(rows[axis]):
        raise ValueError(f"the column {axis!r} doesn't hold numbers to draw against")
    return rows, axis, chosen


def _lines(
    part: SeriesMatrices, axis: str, metrics: Sequence[str], bootstrap: Bootstrap
) -> list[dict[str, Any]]:
    """The table's lines of one series."""
    columns: dict[str, np.ndarray] = {}
    for name in metrics:
        values = part.values[name]
        columns[name] = item_means(values)
        if bootstrap.n > 1:
            low, high = bootstrap.interval(bootstrap.means(values))
        else:
            trials = per_trial(part, axis, name)
            draw = Bootstrap(len(trials), len(bootstrap.counts), 0, bootstrap.level)
            low, high = draw.interval(draw.means(trials))
        columns[f"{name}_low"], columns[f"{name}_high"] = low, high
    columns["outage"] = item_means(part.values[OUTAGE])
    columns["outage_low"], columns["outage_high"] = outage_interval(
        columns["outage"], part.shares, bootstrap.level
    )
    with np.errstate(invalid="ignore", divide="ignore"):
        columns["measured_ber"] = part.bit_errors / part.n_bits
    if "bpp" in part.values:
        columns["bpp"] = item_means(part.values["bpp"])
    columns["n_items"] = np.isfinite(part.values[metrics[0]]).sum(axis=0)
    columns["n_trials"] = part.trials.astype(int)
    columns["weight"] = part.shares[0]
    return [
        {**part.key, axis: float(x), **{name: v[i] for name, v in columns.items()}}
        for i, x in enumerate(part.x)
    ]


def outage_interval(
    outage: np.ndarray, shares: np.ndarray, level: float = 0.95
) -> tuple[np.ndarray, np.ndarray]:
    """Wilson's interval of a rate whose trials count unequally.

    The trials' shares s in the rate make it a rate among ``sum(s)**2 / sum(s**2)`` trials
    (Kish, "Survey Sampling", 1965, section 11.7), times ``sum(s)``, which is the mean weight:
    trials drawn on condition of a hit can at most add the probability of a hit. Where all trials
    count the same this is Wilson's interval as it is.

    Parameters
    ----------
    outage : float array, shape (points,)
    shares : float array, shape (3, points)
        Sums of the shares and of their squares, and the part of `outage` that is certain.
    level : float
    """
    total, squares, certain = shares
    with np.errstate(invalid="ignore", divide="ignore"):
        trials = total**2 / squares
        rate = np.clip((outage - certain) / total, 0.0, 1.0)
    # rounding must not leave 1e-17 where nothing (or everything) was counted
    rate = np.where(rate < ROUNDING, 0.0, np.where(rate > 1 - ROUNDING, 1.0, rate))
    low, high = wilson(rate * trials, trials, level)
    return certain + total * low, np.minimum(certain + total * high, 1.0)

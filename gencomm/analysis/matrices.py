"""Rows laid out for averaging: one matrix (items or trials) x (points of the axis) a series."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from gencomm.analysis.weighting import CERTAIN, OUTAGE, WEIGHT


@dataclass(frozen=True)
class SeriesMatrices:
    """One curve's numbers.

    Attributes
    ----------
    key : dict
        What the series is: ``codec``, ``link``, ...
    x : float array, shape (points,)
        Values of the axis, ascending.
    items : list of str
        What the lines of `values` are.
    values : dict of str to float array, shape (items, points)
        Mean over trials by metric, and of ``bpp`` where the rows have it; NaN where an item has
        no trial at a point. ``_outage`` is the share of outages.
    trials, bit_errors, n_bits : float arrays, shape (points,)
        Sums over all rows.
    shares : float array, shape (3, points)
        Sums, and sums of squares, of what each row can add to a mean over items: its weight over
        the number of its item's trials and the number of items. Then what is added to the mean
        outage without any row: that of the clean results.
    rows : DataFrame
        The series' rows. (Any: pandas' own annotations give every result a dozen types.)
    """

    key: dict
    x: np.ndarray
    items: list[str]
    values: dict[str, np.ndarray]
    trials: np.ndarray
    bit_errors: np.ndarray
    n_bits: np.ndarray
    shares: np.ndarray
    rows: Any


def each_series(
    rows: Any, series: Sequence[str], axis: str, metrics: Sequence[str], items: list[str]
) -> Iterator[SeriesMatrices]:
    """Lay out every series of `rows`, in the order of their first appearance.

    `rows` are those of :func:`gencomm.analysis.weighting.over_all_noise`.
    """
    rows = rows[rows[axis].notna()]
    for key, part in rows.groupby(list(series), sort=False, dropna=False):
        x = np.sort(part[axis].unique())
        measured = [*metrics, OUTAGE, *(["bpp"] if "bpp" in part.columns else [])]
        by_item = part.groupby(["item", axis], sort=False)
        means = by_item[measured].mean()
        values = {
            name: means[name].unstack(axis).reindex(index=items, columns=x).to_numpy(float)
            for name in measured
        }
        part_of_mean = 1 / by_item[OUTAGE].transform("size")
        part_of_mean /= part.groupby(axis)["item"].transform("nunique")
        share = part[WEIGHT] * part_of_mean
        sums = {"_share": share, "_square": share**2, "_fixed": part[CERTAIN] * part_of_mean}
        at = part.assign(**sums).groupby(axis)
        yield SeriesMatrices(
            dict(zip(series, key, strict=True)),
            x.astype(float),
            items,
            values,
            at.size().reindex(x).to_numpy(float),
            _sum(at, "bit_errors", x),
            _sum(at, "n_bits", x),
            np.stack([_sum(at, name, x) for name in sums]),
            part,
        )


def per_trial(part: SeriesMatrices, axis: str, metric: str) -> np.ndarray:
    """The same for a series of one item: (trials, points)."""
    table = part.rows.pivot_table(index="trial", columns=axis, values=metric, sort=False)
    return table.reindex(columns=part.x).to_numpy(float)


def clean_means(
    cells: Any, series: Sequence[str], metrics: Sequence[str], items: list[str]
) -> dict[tuple, dict[str, np.ndarray]]:
    """Clean quality by series and metric, float (items,); a metric without it is left out."""
    found = {}
    names = [name for name in metrics if f"clean_{name}" in cells.columns]
    columns = [f"clean_{name}" for name in names]
    for key, part in cells.groupby(list(series), sort=False, dropna=False):
        means = part.groupby("item")[columns].mean().reindex(items)
        found[series_key(key)] = {
            name: means[column].to_numpy(float) for name, column in zip(names, columns, strict=True)
        }
    return found


def series_key(values: Sequence) -> tuple:
    """A key that compares equal to itself although a missing value is in it."""
    return tuple(None if pd.isna(value) else value for value in values)


def _sum(grouped: Any, name: str, x: np.ndarray) -> np.ndarray:
    if name not in grouped.obj.columns:
        return np.full(len(x), np.nan)
    return grouped[name].sum().reindex(x).to_numpy(float)

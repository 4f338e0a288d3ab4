"""Bjontegaard deltas of a run: each codec's operating points against a reference's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from channels.spec import suggest
from gencomm.analysis.bootstrap import REPLICATES, Bootstrap, item_means
from gencomm.analysis.columns import differs, metrics_of, series_of, with_family
from gencomm.metrics import METRICS, decibels
from gencomm.metrics.bjontegaard import Method, bd_quality, bd_rate, check_options

#: Draws of items for the interval of the mean curve, each of which is a delta of its own.
CURVE_REPLICATES = 1000


def bd(
    rows: pd.DataFrame,
    reference: str,
    metric: str = "psnr",
    *,
    method: Method = "pchip",
    rates: tuple[float, float] | None = None,
    level: float = 0.95,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> pd.DataFrame:
    """What each codec saves against a reference, as the mean over items and of the mean curves.

    Parameters
    ----------
    rows : DataFrame
        As `gencomm.load_run` gives it. A codec's curve are its operating points, at least four.
    reference : str
        A codec's name without arguments, such as "jpeg2000".
    metric : str
        Similarities such as ``ms_ssim`` are taken in decibels, -10 log10(1 - x).
    method, rates
        As for `gencomm.metrics.bjontegaard.bd_rate`.
    level, replicates, seed
        Of the bootstrap over items.

    Returns
    -------
    DataFrame, one line per other codec (and link and policy), with ``family``, what else tells
    series apart, ``reference``, ``metric``, and

    ``bd_rate``, ``bd_rate_low``, ``bd_rate_high``
        Mean over items of each item's own delta in per cent, and its interval.
    ``bd_quality``, ``bd_quality_low``, ``bd_quality_high``
        The same in the metric's unit at equal rate.
    ``curve_bd_rate``, ``curve_bd_rate_low``, ``curve_bd_rate_high``
        Of the mean curves: rate and metric are averaged over items at each operating point first.
    ``quality_from``, ``quality_to``
        The qualities that the mean curves have in common.
    ``n_items``, ``left_out``
        Items with a delta, and why others have none; where the mean curves have none, why.

    Raises
    ------
    ValueError
        No such codec, metric or method.
    """
    lines = []
    for pair in _pairs(rows, reference, metric, method, rates):
        table = pd.DataFrame(pair.item_lines())
        bootstrap = Bootstrap(len(table), replicates, seed, level)
        line = dict(pair.key) | {"reference": reference, "metric": metric}
        for name in ("bd_rate", "bd_quality"):
            values = table[name].to_numpy(float)
            low, high = bootstrap.interval(bootstrap.means(values)[:, None])
            line[name] = float(item_means(values))
            line[f"{name}_low"], line[f"{name}_high"] = float(low[0]), float(high[0])
        missing = table[table["why"] != ""]
        reasons = (missing["item"] + ": " + missing["why"]).tolist()
        line |= pair.curve_line(Bootstrap(len(table), CURVE_REPLICATES, seed, level), reasons)
        line["n_items"] = int(np.isfinite(table["bd_rate"]).sum())
        line["left_out"] = "; ".join(reasons)
        lines.append(line)
    return pd.DataFrame(lines)


def bd_items(
    rows: pd.DataFrame,
    reference: str,
    metric: str = "psnr",
    *,
    method: Method = "pchip",
    rates: tuple[float, float] | None = None,
) -> pd.DataFrame:
    """The deltas of every item alone; parameters as for :func:`bd`.

    Returns
    -------
    DataFrame, one line per codec and item, with the series' columns, ``item``, ``bd_rate`` (per
    cent), ``bd_quality``, ``quality_from``, ``quality_to`` (what the curves have in common) and
    ``why`` (empty, or why there is no delta).
    """
    return pd.DataFrame(
        [
            {**pair.key, "reference": reference, "metric": metric, **line}
            for pair in _pairs(rows, reference, metric, method, rates)
            for line in pair.item_lines()
        ]
    )


@dataclass(frozen=True)
class _Curves:
    """Rate and metric of a codec, float (items, operating points), before any scale."""

    rate: np.ndarray
    value: np.ndarray


@dataclass(frozen=True)
class _Pair:
    """A codec beside the reference on the same items."""

    key: dict[str, Any]
    items: list[str]
    reference: _Curves
    codec: _Curves
    scale: Callable[[np.ndarray], np.ndarray]
    options: dict[str, Any]

    def item_lines(self) -> Iterator[dict[str, Any]]:
        for k, item in enumerate(self.items):
            chosen = [(curves.rate[k], curves.value[k]) for curves in (self.reference, self.codec)]
            there = [(r[np.isfinite(r + v)], v[np.isfinite(r + v)]) for r, v in chosen]
            yield {"item": item, **self._deltas(there)}

    def _deltas(self, curves: list[tuple[np.ndarray, np.ndarray]]) -> dict[str, Any]:
        points = [one for rate, value in curves for one in (rate, self.scale(value))]
        try:
            rate = bd_rate(*points, **self.options)
            quality = bd_quality(*points, **self.options).value
        except ValueError as error:
            nothing = dict.fromkeys(("bd_rate", "bd_quality", "quality_from", "quality_to"), np.nan)
            return {**nothing, "why": str(error)}
        return {
            "bd_rate": rate.value,
            "bd_quality": quality,
            "quality_from": rate.low,
            "quality_to": rate.high,
            "why": "",
        }

    def curve_line(self, bootstrap: Bootstrap, reasons: list[str]) -> dict[str, Any]:
        """Deltas of the mean curves; appends to `reasons` where there are none."""
        pair = (self.reference, self.codec)
        found = self._deltas([(item_means(c.rate), item_means(c.value)) for c in pair])
        drawn = [(bootstrap.means(c.rate), bootstrap.means(c.value)) for c in pair]
        replicates = [
            self._deltas([(rate[k], value[k]) for rate, value in drawn])["bd_rate"]
            for k in range(len(bootstrap.counts) if bootstrap.n > 1 and not found["why"] else 0)
        ]
        low, high = np.nan, np.nan
        if replicates:
            low, high = (float(e[0]) for e in bootstrap.interval(np.array(replicates)[:, None]))
        if found["why"]:
            reasons.append(f"mean curve: {found['why']}")
        return {
            "curve_bd_rate": found["bd_rate"],
            "curve_bd_rate_low": low,
            "curve_bd_rate_high": high,
            "quality_from": found["quality_from"],
            "quality_to": found["quality_to"],
        }


def _pairs(
    rows: pd.DataFrame,
    reference: str,
    metric: str,
    method: Method,
    rates: tuple[float, float] | None,
) -> Iterator[_Pair]:
    check_options(method, rates)
    if not len(rows):
        raise ValueError("there are no rows: the run has no finished cell yet")
    if metric not in metrics_of(rows):
        raise ValueError(
            f"the rows have no metric {metric!r}; there is: {', '.join(metrics_of(rows))}"
        )
    rows = with_family(rows)
    families = list(dict.fromkeys(rows["family"]))
    if reference not in families:
        raise ValueError(f"no codec of the run is {reference!r}{suggest(reference, families)}")
    series = series_of(rows, "bpp")
    items = sorted(rows["item"].unique().tolist())
    scale, options = quality_scale(metric), {"method": method, "rates": rates}
    grouped: Any = rows.groupby(series, sort=False, dropna=False)
    found = {
        tuple(None if pd.isna(one) else one for one in key): _curves(part, metric, items)
        for key, part in grouped
    }
    for key, curves in found.items():
        beside = (reference, *key[1:])
        if key[0] != reference and beside in found:
            named = dict(zip(series, key, strict=True))
            yield _Pair(named, items, found[beside], curves, scale, options)


def _curves(part: pd.DataFrame, metric: str, items: list[str]) -> _Curves:
    """Mean over trials by item and operating point."""
    means: Any = part.groupby(["item", "codec"], sort=False)[["bpp", metric]].mean()
    order = list(dict.fromkeys(part["codec"]))
    rate, value = (
        means[name].unstack("codec").reindex(index=items, columns=order).to_numpy(float)
        for name in ("bpp", metric)
    )
    return _Curves(rate, value)


def quality_scale(metric: str) -> Callable[[np.ndarray], np.ndarray]:
    """How a metric stands on the axis of a rate-distortion curve.

    Decibels for a similarity of at most 1; the value as it is where more is better; its negative
    where less is.
    """
    if metric in METRICS:
        known = METRICS.load(metric)
        if not known.higher_is_better:
            return np.negative
        if not known.unit and known.range[1] == 1:
            return decibels
    return lambda value: value


def readable_bd(table: pd.DataFrame, unit: str = "dB") -> pd.DataFrame:
    """The table as text, for a terminal or a page: ``-35.1 [-38.0, -32.2]``."""
    shown = {"codec": table["family"]}
    last = list(table.columns).index("reference")
    shown |= {name: table[name] for name in table.columns[1:last] if differs(table, name)}
    title = f"BD-rate in {table['metric'].iloc[0]} against {table['reference'].iloc[0]} (%)"
    shown[title] = _with_interval(table, "bd_rate", ".1f")
    shown[f"BD-quality ({unit})" if unit else "BD-quality"] = _with_interval(
        table, "bd_quality", ".2f"
    )
    shown["of mean curves (%)"] = _with_interval(table, "curve_bd_rate", ".1f")
    shown["over"] = [
        "" if np.isnan(low) else f"{low:.2f} to {high:.2f}{f' {unit}' if unit else ''}"
        for low, high in zip(table["quality_from"], table["quality_to"], strict=True)
    ]
    shown["items"] = table["n_items"]
    if any(table["left_out"] != ""):
        shown["left out"] = [
            text if len(text) < 80 else text[:77] + "..." for text in table["left_out"]
        ]
    return pd.DataFrame(shown)


def _with_interval(table: pd.DataFrame, name: str, form: str) -> list[str]:
    texts = []
    for line in table.to_dict("records"):
        value, low, high = line[name], line[f"{name}_low"], line[f"{name}_high"]
        if np.isnan(value):
            texts.append("-")
        elif np.isnan(low):
            texts.append(f"{value:+{form}}")
        else:
            texts.append(f"{value:+{form}} [{low:+{form}}, {high:+{form}}]")
    return texts

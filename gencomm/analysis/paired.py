"""One codec against another on the same items, trials and noise."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from channels.spec import suggest
from gencomm.analysis.bootstrap import REPLICATES, Bootstrap, item_means
from gencomm.analysis.columns import axes, default_axis, metrics_of, series_of
from gencomm.analysis.weighting import WEIGHT, over_all_noise


def paired(
    rows: pd.DataFrame,
    baseline: str,
    metric: str = "psnr",
    axis: str | None = None,
    level: float = 0.95,
    replicates: int = REPLICATES,
    seed: int = 0,
    cells: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Differences from a baseline codec at every point of an axis, in the mean over all noise.

    Differences are taken item by item where link, point and policy agree, and the interval is
    bootstrapped by item. Where the trials of both cells were drawn in the same way, they are paired
    by their number too, since they share their noise; others of these cells are left out. Where one
    cell's trials were drawn on condition of a hit and the other's were not (their payloads lie on
    either side of the limit), trials of the same number have nothing in common, and the difference
    of the two cells' means is taken.

    Parameters
    ----------
    rows : DataFrame
        As `gencomm.load_run` gives it.
    baseline : str
        The codec that others are compared with, as it stands in ``codec``.
    metric, axis, level, replicates, seed
        As for `gencomm.analysis.curves`.
    cells : DataFrame, optional
        As `gencomm.load_cells` gives it; needed where trials were drawn on condition of a hit.

    Returns
    -------
    DataFrame, one line per other codec and point, with the series' columns, ``baseline``, the
    axis, ``difference`` (codec minus baseline), ``low``, ``high``, ``better`` (share of items on
    which the codec's mean is higher), ``n_items``, ``n_pairs`` (pairs of trials; items whose cells
    were drawn differently have none).
    """
    codecs = rows["codec"].unique().tolist()
    if baseline not in codecs:
        raise ValueError(f"no codec of the run is {baseline!r}{suggest(baseline, codecs)}")
    if metric not in metrics_of(rows):
        raise ValueError(f"the rows have no metric {metric!r}; there is: "
                         f"{', '.join(metrics_of(rows))}")  # fmt: skip
    axis = axis or default_axis(rows)
    series = series_of(rows, axis)
    kept = [c for c in series if c != "codec"]
    same = [*dict.fromkeys([*kept, *axes(rows), axis, "item"])]
    there: Any = over_all_noise(rows, cells)
    there = there[there[axis].notna()]
    there = there.assign(_rare=there[WEIGHT] < 1)
    pairs = pd.concat(
        [
            _pairs(there, baseline, [metric], [*same, "trial", "_rare"]),
            _pairs_of_cells(there, baseline, metric, same),
        ]
    )
    pairs["difference"] = pairs[metric] - pairs[f"{metric}_baseline"]
    items = sorted(rows["item"].unique().tolist())
    bootstrap = Bootstrap(len(items), replicates, seed, level)
    lines: list[dict[str, Any]] = []
    grouped: Any = pairs.groupby([*series, axis], sort=False, dropna=False)
    for key, part in grouped:
        values = part.groupby("item")["difference"].mean().reindex(items).to_numpy(float)
        low, high = bootstrap.interval(bootstrap.means(values)[:, None])
        line: dict[str, Any] = dict(zip([*series, axis], key, strict=True))
        line["baseline"] = baseline
        line["difference"] = float(item_means(values))
        line["low"], line["high"] = float(low[0]), float(high[0])
        line["better"] = float((values[np.isfinite(values)] > 0).mean())
        line["n_items"] = int(np.isfinite(values).sum())
        line["n_pairs"] = int(part["trial"].notna().sum())
        lines.append(line)
    return pd.DataFrame(lines)


def _pairs(rows: Any, baseline: str, values: list[str], same: list[str]) -> Any:
    """Each codec's values beside the baseline's, where the columns `same` agree."""
    reference = rows.loc[rows["codec"] == baseline, [*same, *values]]
    others = rows.loc[rows["codec"] != baseline, ["codec", *same, *values]]
    return others.merge(reference, on=same, suffixes=("", "_baseline"), validate="many_to_one")


def _pairs_of_cells(rows: Any, baseline: str, metric: str, same: list[str]) -> Any:
    """The same for means of cells, of which one has hits only and the other has not."""
    cells = rows.groupby(["codec", *same], dropna=False, sort=False)[[metric, "_rare"]].mean()
    found = _pairs(cells.reset_index(), baseline, [metric, "_rare"], same)
    return found[found["_rare"] != found["_rare_baseline"]].assign(trial=np.nan)

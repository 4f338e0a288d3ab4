"""One codec against another on the same items, trials and noise."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from channels.spec import suggest
from gencomm.analysis.bootstrap import REPLICATES, Bootstrap, item_means
from gencomm.analysis.columns import axes, default_axis, metrics_of, series_of


def paired(
    rows: pd.DataFrame,
    baseline: str,
    metric: str = "psnr",
    axis: str | None = None,
    level: float = 0.95,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> pd.DataFrame:
    """Differences from a baseline codec at every point of an axis.

    Rows of two codecs are paired where link, point, policy, item and trial agree; others are left
    out. The interval is bootstrapped by item.

    Parameters
    ----------
    rows : DataFrame
        As `gencomm.load_run` gives it.
    baseline : str
        The codec that others are compared with, as it stands in ``codec``.
    metric, axis, level, replicates, seed
        As for `gencomm.analysis.curves`.

    Returns
    -------
    DataFrame, one line per other codec and point, with the series' columns, ``baseline``, the
    axis, ``difference`` (codec minus baseline), ``low``, ``high``, ``better`` (share of pairs in
    which the codec's metric is higher), ``n_items``, ``n_pairs``.
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
    same = [c for c in dict.fromkeys([*kept, *axes(rows), axis, "item", "trial"])]
    there: Any = rows[rows[axis].notna()]
    reference = there.loc[there["codec"] == baseline, [*same, metric]]
    others = there.loc[there["codec"] != baseline, ["codec", *same, metric]]
    pairs = others.merge(reference, on=same, suffixes=("", "_baseline"), validate="many_to_one")
    pairs["difference"] = pairs[metric] - pairs[f"{metric}_baseline"]
    items = sorted(rows["item"].unique().tolist())
    bootstrap = Bootstrap(len(items), replicates, seed, level)
    lines: list[dict[str, Any]] = []
    for key, part in pairs.groupby([*series, axis], sort=False, dropna=False):
        values = part.groupby("item")["difference"].mean().reindex(items).to_numpy(float)
        low, high = bootstrap.interval(bootstrap.means(values)[:, None])
        line: dict[str, Any] = dict(zip([*series, axis], key, strict=True))
        line["baseline"] = baseline
        line["difference"] = float(item_means(values))
        line["low"], line["high"] = float(low[0]), float(high[0])
        line["better"] = float((part["difference"] > 0).mean())
        line["n_items"], line["n_pairs"] = int(np.isfinite(values).sum()), len(part)
        lines.append(line)
    return pd.DataFrame(lines)

"""Which scheme serves a codec best where a link is designed for: the rule of ``budget: design``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from gencomm.analysis.bootstrap import Bootstrap, item_means
from gencomm.analysis.columns import POLICY
from gencomm.analysis.schemes import overdrawn, rate_of, split_link, without_rate
from gencomm.analysis.weighting import OUTAGE, over_all_noise

#: Columns of a policy; the last one only where clips are sent.
CHOICES = (*POLICY, "frames")
#: What a candidate is described by.
COLUMNS = (
    *("codec", "medium", *CHOICES, "scheme", "operating_point", "link", "picked"),
    *("metric", "value", "low", "high", "outage", "bpp", "uses_per_pixel", "left_out"),
)


def candidates(
    rows: pd.DataFrame, cells: pd.DataFrame, metric: str, higher_is_better: bool = True
) -> pd.DataFrame:
    """Every scheme that was tried for every codec, and which of them is picked.

    Of the schemes of a codec over a medium, the one with the best mean quality over items is
    picked: of equals the first. A scheme whose rate the codec can't keep to, or at which it can't
    encode every item, is left out: it would spend more channel uses than the budget has.

    Parameters
    ----------
    rows, cells : DataFrame
        As `gencomm.load_run` and `gencomm.load_cells` give them, of a run over one point of the
        grid.
    metric : str
    higher_is_better : bool

    Returns
    -------
    DataFrame, one line per codec, medium, policy and scheme, in the order of the configuration

    ``codec``, ``medium``, ``header``, ``decode``, ``conceal``
        The codec without its rate, the link from the medium on, the policy: what is picked for.
    ``scheme``, ``operating_point``, ``link``
        Codes and modulation; the codec with its rate; the whole link.
    ``picked`` : bool
    ``metric``, ``value``, ``low``, ``high``
        What "best" is meant by: its mean over trials, then items, and the 95 % interval by
        bootstrap over items.
    ``outage``
        Share of trials without a picture, mean over items.
    ``bpp``, ``uses_per_pixel``
        Means over items, of everything that was sent, as the ledger counts it.
    ``left_out``
        Why it can't be picked, empty where it can.
    """
    policy = [name for name in CHOICES if name in cells.columns]
    items = cells["item"].unique().tolist()
    bootstrap = Bootstrap(len(items))
    by_cell: Any = over_all_noise(rows, cells).groupby("cell")[[metric, OUTAGE]].mean()
    cells = cells.join(by_cell.add_prefix("_of_"))
    lines: list[dict[str, Any]] = []
    grouped: Any = cells.groupby(["codec", "link", *policy], sort=False)
    for key, part in grouped:
        codec, link, *choices = key
        scheme, medium = split_link(link)
        values = part.set_index("item")[f"_of_{metric}"].reindex(items).to_numpy(float)
        low, high = bootstrap.interval(bootstrap.means(values)[:, None])
        lines.append(
            {
                "codec": without_rate(codec),
                "medium": medium,
                **dict(zip(policy, choices, strict=True)),
                "scheme": scheme,
                "operating_point": codec,
                "link": link,
                "picked": False,
                "metric": metric,
                "value": float(item_means(values)),
                "low": float(low[0]),
                "high": float(high[0]),
                "outage": float(part[f"_of_{OUTAGE}"].mean()),
                "bpp": float(part["bpp_total"].astype(float).mean()),
                "uses_per_pixel": float(part["uses_per_pixel"].astype(float).mean()),
                "left_out": _left_out(part, codec, items),
            }
        )
    table: Any = in_order(lines)
    for _, part in table.groupby(["codec", "medium", *policy], sort=False):
        fit = part[(part["left_out"] == "") & part["value"].notna()]
        if len(fit):
            best = fit["value"].to_numpy() * (1 if higher_is_better else -1)
            table.loc[fit.index[int(np.argmax(best))], "picked"] = True
    return table


def in_order(lines: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Candidates as a table with its columns in their order."""
    table: Any = pd.DataFrame(lines)
    return table[[name for name in COLUMNS if name in table]]


def _left_out(cells: Any, codec: str, items: list[str]) -> str:
    """Why a scheme can't be picked: the first item that doesn't fit."""
    failed = cells[cells["stop"] == "not_encoded"]
    if len(failed):
        line = failed.iloc[0]
        return f"can't encode {line['item']}: {line['detail']}"
    over = overdrawn(cells)
    if over.any():
        line = cells[over].iloc[0]
        takes, full = line["bpp_total"], rate_of(codec)
        return f"takes {takes:.3g} bpp of {line['item']}, where {full:.3g} would fill the budget"
    missing = len(items) - cells["item"].nunique()
    return f"{missing} of {len(items)} items were not run" if missing else ""

"""Trials drawn on condition of a hit, counted for what they are in a mean over all noise."""

from __future__ import annotations

from typing import Any

import pandas as pd

from gencomm.analysis.columns import OUTAGES, metrics_of

#: Column that says whether a trial was an outage, as a number.
OUTAGE = "_outage"
#: Column with the part of it that is certain: the clean result's, in trials that nothing hits.
CERTAIN = "_certain"
#: Column with the weights that the values were given.
WEIGHT = "_weight"


def over_all_noise(rows: pd.DataFrame, cells: pd.DataFrame | None = None) -> pd.DataFrame:
    """Rows whose plain means are means over all noise.

    Where fewer than half of a cell's trials would be hit, only hits are drawn
    (``trials: {skip_clean: true}``), each with the probability w of a hit as its weight. Its value
    x becomes ``(1 - w) * clean + w * x``: the mean of that over a cell's trials is unbiased for
    the mean over all noise, and its spread is the spread of that estimate. Single values are no
    longer what any trial gave, so quantiles of them mean nothing.

    Parameters
    ----------
    rows : DataFrame
        As `gencomm.load_run` gives it. Without ``weight`` all trials were drawn as they came.
    cells : DataFrame, optional
        As `gencomm.load_cells` gives it; needed where a weight is less than 1.

    Returns
    -------
    DataFrame
        The same rows with metrics and ``bit_errors`` so replaced, and ``_outage``: 1 for a trial
        without a picture, 0 for one with it, and what lies between where it was weighted; and
        ``_certain``, the part of it that is the clean result's. ``_weight`` is what ``weight`` was,
        which is 1 now: nothing is weighted twice.

    Raises
    ------
    ValueError
        Weights without the cells they belong to.
    """
    if WEIGHT in rows.columns:
        return rows
    weights = rows["weight"] if "weight" in rows.columns else 1.0
    outage = rows["status"].isin(list(OUTAGES)).astype(float)
    rows = rows.assign(**{OUTAGE: outage, CERTAIN: 0.0, WEIGHT: weights})
    weighted: Any = rows[WEIGHT] < 1
    if not weighted.any():
        return rows
    if cells is None:
        raise ValueError(
            "some rows were drawn on condition of a hit (weight < 1), and a mean over all noise "
            "takes the clean result too: give the cells' table (gencomm.load_cells) as well"
        )
    clean = cells if cells.index.name == "cell" else cells.set_index("cell")
    weight = rows.loc[weighted, WEIGHT]
    of_cell: Any = clean.reindex(rows.loc[weighted, "cell"])
    if of_cell["clean_status"].isna().any():
        raise ValueError("the cells' table lacks cells that the rows are of: is it another run's?")
    at_rest = {name: of_cell[f"clean_{name}"] for name in metrics_of(rows)}
    at_rest[OUTAGE] = of_cell["clean_status"].isin(OUTAGES)
    if "bit_errors" in rows.columns:
        at_rest["bit_errors"] = pd.Series(0.0, of_cell.index)
    for name, known in at_rest.items():
        column = rows[name].astype(float)
        column[weighted] = (1 - weight) * known.to_numpy(float) + weight * column[weighted]
        rows[name] = column
    rows.loc[weighted, CERTAIN] = (1 - weight) * at_rest[OUTAGE].to_numpy(float)
    return rows.assign(weight=1.0)

"""The best that a codec does with a ladder of modulation and coding schemes, point by point."""

from __future__ import annotations

from typing import Any

import pandas as pd

from gencomm.analysis.columns import default_axis, rising, series_labels, series_of
from gencomm.analysis.curves import curves
from gencomm.analysis.schemes import fits, split_link, without_rate


def envelope(
    rows: pd.DataFrame,
    cells: pd.DataFrame | None = None,
    axis: str | None = None,
    metric: str = "psnr",
    design: float | None = None,
    higher_is_better: bool = True,
) -> pd.DataFrame:
    """The upper envelope of a sweep with a budget of channel uses, for each codec and medium.

    Every scheme spends the same channel uses, so a faster one leaves a codec more bits and needs
    a better channel. At each point the scheme with the best mean quality is taken (the mean that
    is reported is that same mean, so the envelope flatters slightly where schemes are close). With
    `design` the scheme is picked once, at that value of the axis, and kept: a link that does not
    adapt, with its cliff.

    A scheme that doesn't serve all items, or over which the codec took more bits than would fill
    the budget, is passed over: such points cost more channel uses than the others.

    Parameters
    ----------
    rows, cells : DataFrame
        As `gencomm.load_run` and `gencomm.load_cells` give them; without `cells` what overdraws the
        budget is not known and stays in.
    axis : str, optional
        ``esno_db`` or the like; default the first of the grid.
    metric : str
        By which "best" is meant.
    design : float, optional
        A value of the axis.
    higher_is_better : bool
        Of the metric.

    Returns
    -------
    DataFrame
        As `gencomm.analysis.curves`, with ``codec`` without its rate, ``link`` the medium alone,
        and ``scheme``, such as ``ldpc(rate=1/2)|qpsk``, and ``operating_point``, which were taken.
        Where they change along a curve, so do ``bpp`` and the clean quality. A codec that no
        scheme serves at a point has no line there.

    Raises
    ------
    ValueError
        `design` is not one of the axis' values, or no codec fits the budget over any scheme.
    """
    axis = axis or default_axis(rows)
    if cells is not None:
        kept: Any = rows.merge(fits(cells), on=["codec", "link"])
        if not len(kept):
            raise ValueError("no codec fits the budget over any scheme, so there is no envelope")
        rows = kept
    table = curves(rows, cells, axis)
    series = [name for name in series_of(rows, axis) if name in table.columns]
    split = table["link"].map(split_link)
    table = table.assign(
        operating_point=table["codec"],
        codec=table["codec"].map(without_rate),
        scheme=[scheme for scheme, _ in split],
        link=[medium for _, medium in split],
    )
    keys = [name for name in series if name in table.columns]
    if design is not None:
        at_design = table[table[axis] == design]
        if at_design.empty:
            known = ", ".join(f"{x:g}" for x in sorted(table[axis].unique()))
            raise ValueError(f"{axis} = {design:g} is not a point of the run; there is: {known}")
        best = _best(at_design, keys, metric, higher_is_better)[
            [*keys, "scheme", "operating_point"]
        ]
        return table.merge(best, on=[*keys, "scheme", "operating_point"]).reset_index(drop=True)
    found = _best(table, [*keys, axis], metric, higher_is_better)
    return found.sort_values([*keys, axis], ascending=True, kind="stable").reset_index(drop=True)


def _best(table: Any, keys: list[str], metric: str, higher_is_better: bool) -> pd.DataFrame:
    there = table[table[metric].notna()]
    by_key = there.groupby(keys, sort=False, dropna=False)[metric]
    return table.loc[by_key.idxmax() if higher_is_better else by_key.idxmin()]


def scheme_labels(table: pd.DataFrame, axis: str) -> list[str]:
    """A text for each curve of a table that keeps one scheme a curve: codec, scheme and rate.

    Parameters
    ----------
    table : DataFrame
        Of :func:`gencomm.analysis.curves` for a sweep with a design point, or of :func:`envelope`
        with `design`.
    axis : str
    """
    series = list(table.columns)[: list(table.columns).index(axis)]
    heads: Any = table.drop_duplicates(series).reset_index(drop=True)
    grouped: Any = table.groupby(series, sort=False, dropna=False)
    rates = [float(part["bpp"].mean()) for _, part in grouped]
    if "scheme" in heads:
        schemes = heads["scheme"].tolist()
    else:
        schemes = [split_link(link)[0] for link in heads["link"]]
        heads = heads.assign(
            codec=heads["codec"].map(without_rate),
            link=[split_link(link)[1] for link in heads["link"]],
        )
    return [
        f"{name}: {scheme}, {rate:.2f} bpp"
        for name, scheme, rate in zip(series_labels(heads, series), schemes, rates, strict=True)
    ]


def cliffs(table: pd.DataFrame, axis: str, level: float = 0.01) -> pd.DataFrame:
    """Where each curve of an :func:`envelope` falls off: the lowest point that still works.

    Parameters
    ----------
    table : DataFrame
        Of :func:`envelope`.
    axis : str
    level : float
        Outage rate that counts as working.

    Returns
    -------
    DataFrame
        A line per codec and link: the codec, the link, and ``works_from`` (on an axis of dB the
        lowest value from which all higher ones work; NaN where none does).
    """
    lines = []
    grouped: Any = table.groupby(["codec", "link"], sort=False)
    for (codec, link), part in grouped:
        part = part.sort_values(axis, ascending=not rising(axis))
        works = (part["outage"] <= level).to_numpy()
        count = int(works.argmin()) if not works.all() else len(works)
        value = part[axis].iloc[count - 1] if count else float("nan")
        lines.append({"codec": codec, "link": link, "works_from": value})
    return pd.DataFrame(lines)

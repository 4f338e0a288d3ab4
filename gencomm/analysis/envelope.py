"""The best that a codec does with a ladder of modulation and coding schemes, point by point."""

from __future__ import annotations

from typing import Any

import pandas as pd

from channels.spec import Spec, parse_chain, parse_spec
from gencomm.analysis.columns import default_axis, rising, series_of
from gencomm.analysis.curves import curves


def envelope(
    rows: pd.DataFrame,
    cells: pd.DataFrame | None = None,
    axis: str | None = None,
    metric: str = "psnr",
    design: float | None = None,
) -> pd.DataFrame:
    """The upper envelope of a sweep with a budget of channel uses, for each codec and medium.

    Every scheme spends the same channel uses, so a faster one leaves a codec more bits and needs
    a better channel. At each point the scheme with the best mean quality is taken (the mean that
    is reported is that same mean, so the envelope flatters slightly where schemes are close). With
    `design` the scheme is picked once, at that value of the axis, and kept: a link that does not
    adapt, with its cliff.

    Parameters
    ----------
    rows, cells : DataFrame
        As `gencomm.load_run` and `gencomm.load_cells` give them.
    axis : str, optional
        ``esno_db`` or the like; default the first of the grid.
    metric : str
        By which "best" is meant.
    design : float, optional
        A value of the axis.

    Returns
    -------
    DataFrame
        As `gencomm.analysis.curves`, with ``codec`` without its rate, ``link`` the medium alone,
        and ``scheme``, such as ``ldpc(rate=1/2)|qpsk``, and ``operating_point``, which were taken.

    Raises
    ------
    ValueError
        `design` is not one of the axis' values.
    """
    axis = axis or default_axis(rows)
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
        best = _best(at_design, keys, metric)[[*keys, "scheme", "operating_point"]]
        return table.merge(best, on=[*keys, "scheme", "operating_point"]).reset_index(drop=True)
    found = _best(table, [*keys, axis], metric)
    return found.sort_values([*keys, axis], ascending=True, kind="stable").reset_index(drop=True)


def _best(table: Any, keys: list[str], metric: str) -> pd.DataFrame:
    top = table.groupby(keys, sort=False, dropna=False)[metric].idxmax()
    return table.loc[top]


def without_rate(codec: str) -> str:
    """``avif(bpp=0.5,speed=2)`` as ``avif(speed=2)``."""
    spec = parse_spec(codec)
    kept = tuple((name, value) for name, value in spec.kwargs if name != "bpp")
    return str(Spec(spec.name, spec.args, kept))


#: Names that stand in a link from the medium on.
_MEDIA_FIRST = ("awgn", "rayleigh", "rician", "phase")


def split_link(link: str) -> tuple[str, str]:
    """A link's scheme (codes and modulation) and its medium."""
    stages = parse_chain(link).stages
    first = next(
        (i for i, stage in enumerate(stages) if stage.name in _MEDIA_FIRST), len(stages) - 1
    )
    return "|".join(map(str, stages[:first])), "|".join(map(str, stages[first:]))


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

"""What a sweep ends with: the resilience table, figures and a sheet, where the time went."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from gencomm.sweeps.design import readable_picks, stored_choice
from gencomm.sweeps.status import breakdown
from gencomm.sweeps.store import Store

if TYPE_CHECKING:
    import pandas as pd


def readable_resilience(run: Any) -> pd.DataFrame:
    """The resilience table of the first metric as text."""
    from gencomm.analysis import readable
    from gencomm.metrics import METRICS

    metric = run.metrics[0]
    unit = METRICS.load(metric).unit if metric in METRICS else ""
    return readable(run.resilience(metric), metric, unit)


def readable_savings(run: Any, against: str | None = None, metric: str | None = None) -> str:
    """The table of Bjontegaard deltas as text; parameters as for :meth:`gencomm.api.Run.bd`."""
    return _savings_text(run.bd(against, metric), metric or run.metrics[0])


def _savings_text(table: pd.DataFrame, metric: str) -> str:
    from gencomm.analysis import quality_scale, readable_bd
    from gencomm.metrics import METRICS, decibels

    if not len(table):
        return "a single codec: nothing to compare its rates with"
    unit = METRICS.load(metric).unit if metric in METRICS else ""
    unit = "dB" if quality_scale(metric) is decibels else unit
    return readable_bd(table, unit).to_string(index=False)


def ending(run: Any, figures: bool) -> str:
    """The text that a finished :class:`gencomm.api.Run` prints; draws its figures.

    What can't be drawn of this run (a single point, no picture kept) is named with the reason.
    """
    found = run.status()
    outcome = run.outcome
    parts = []
    with Store(run.folder) as store:
        choice = stored_choice(store)
        config = store.runs()[-1]["config"]
    if choice:
        parts.append(readable_picks(choice, config["budget"]["design"]))
    if found["rows"]:
        parts += _tables(run)
        if figures:
            parts.append(_draw(run))
    if outcome is not None:
        parts.append(breakdown(outcome.seconds))
    open_cells = found["planned"] - found["cells"]
    parts.append(
        f"{found['cells']} of {found['planned']} cells, {found['rows']} rows in {run.folder}"
        + (f"; {open_cells} cells are open, the same command runs them" if open_cells > 0 else "")
    )
    return "\n\n".join(parts)


def _tables(run: Any) -> list[str]:
    from gencomm.analysis.columns import default_axis
    from gencomm.files import write_atomically

    if default_axis(run.rows()) == "bpp":
        table = run.bd()
        write_atomically(run.folder / "savings.csv", table.to_csv(index=False).encode())
        return [_savings_text(table, run.metrics[0])]
    try:
        table = run.resilience()
    except ValueError as error:
        return [f"no resilience table: {error}"]
    path = run.folder / "resilience.csv"
    write_atomically(path, table.to_csv(index=False).encode())
    text = readable_resilience(run).to_string(index=False)
    return [f"How much noise until quality falls by 1 and 3 (intervals: 95 %, by item)\n{text}"]


def _draw(run: Any) -> str:
    lines = []
    for name, draw in (("figure", run.plot), ("contact sheet", run.sheet)):
        path: Path = run.folder / ("sheet.png" if name == "contact sheet" else "figure.png")
        try:
            draw(out=path)
        except ValueError as error:
            lines.append(f"{name:<14} not drawn: {error}")
        else:
            lines.append(f"{name:<14} {path}")
    tables = [run.folder / name for name in ("resilience.csv", "savings.csv")]
    lines += [f"{'table':<14} {path}" for path in tables if path.is_file()]
    return "\n".join(lines)

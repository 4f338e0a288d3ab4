"""``budget: {design: ...}``: pick a scheme for each codec before a sweep, and keep to it.

An engineer who lays out a link for one signal-to-noise ratio settles source rate, code rate and
constellation there, and lives with them at every other. So does a sweep with a design point. It
has two phases:

1. A run of its own in the folder ``design`` of the run: every codec over every scheme, with the
   rate that fills the budget, at the design point alone. It resumes like any other.
2. The run itself: of each codec only the scheme picked by
   :func:`gencomm.analysis.choice.candidates`, over the whole grid.

The choice follows from the first run's rows, which are the same for any workers, order or batch.
Every shard makes it for itself, over all items. It stands in the options of the run's store, so
that a run explains itself and can be reproduced without the first phase.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gencomm.metrics.registry import make_metric
from gencomm.policy import Policy
from gencomm.sweeps.problems import ConfigError, Problem
from gencomm.sweeps.resolve import Resolved
from gencomm.sweeps.store import Store, StoreError
from gencomm.sweeps.tables import load_cells, load_run

if TYPE_CHECKING:
    import pandas as pd

#: Folder of the first phase within a run's folder.
FOLDER = "design"


def design_point(resolved: Resolved) -> dict[str, float] | None:
    """Where schemes are to be picked, or None for a sweep that keeps them all."""
    budget = resolved.config.budget
    return None if budget is None or budget.design is None else dict(budget.design)


def first_phase(resolved: Resolved) -> dict[str, Any]:
    """The configuration of the run that the choice is made from."""
    config = resolved.config.plain()
    point = config["budget"].pop("design")
    config["grid"] = config["grid"] | {name: [value] for name, value in point.items()}
    return config | {"name": f"{config['name']}-design", "pictures": 0}


def choose(resolved: Resolved, folder: Path) -> list[dict[str, Any]]:
    """The candidates of a finished first phase: :func:`gencomm.analysis.choice.candidates`.

    Raises
    ------
    ConfigError
        No codec fits any scheme.
    """
    from gencomm.analysis.choice import candidates

    rows, cells = load_run(folder / FOLDER), load_cells(folder / FOLDER)
    metric = resolved.metrics[0]
    if len(rows):
        better = make_metric(metric.spec).higher_is_better
        table: Any = candidates(rows, cells, metric.name, better)
        if table["picked"].any():
            return table.to_dict("records")
        reasons = dict(zip(table["codec"], table["left_out"], strict=True))
    else:
        reasons = {cell["codec"]: cell["detail"] for cell in cells.to_dict("records")}
    raise ConfigError(
        "no codec can fill the budget over any scheme",
        [Problem("budget", f"{codec} {reason}") for codec, reason in reasons.items()],
    )


def with_picks(resolved: Resolved, choice: Sequence[Mapping[str, Any]]) -> Resolved:
    """Keep to what was picked."""
    picked = frozenset(
        (line["operating_point"], line["link"], _policy(line)) for line in choice if line["picked"]
    )
    return replace(resolved, picked=picked)


def provisional(resolved: Resolved) -> Resolved:
    """The first scheme of every codec: as many cells as there will be, whatever is picked."""
    from gencomm.analysis.schemes import split_link, without_rate

    picked: dict[tuple, tuple[str, str, Policy]] = {}
    for link in resolved.links:
        for codec in sorted(link.only or ()):
            for policy in resolved.policies:
                key = (without_rate(codec), split_link(link.template)[1], policy)
                picked.setdefault(key, (codec, link.template, policy))
    return replace(resolved, picked=frozenset(picked.values()))


def as_stored(resolved: Resolved, store: Store) -> Resolved:
    """The same configuration with the picks of a run that was made from it.

    Raises
    ------
    StoreError
        It was stopped before anything was picked.
    """
    if design_point(resolved) is None:
        return resolved
    choice = stored_choice(store)
    if not choice:
        raise StoreError(f"{store.path.parent} was stopped before its schemes were picked")
    return with_picks(resolved, choice)


def stored_choice(store: Store) -> list[dict[str, Any]]:
    """The candidates that a run has noted, picked or not; none for a run without a design."""
    for run in reversed(store.runs()):
        if "choice" in run["options"]:
            return list(run["options"]["choice"])
    return []


def picks(run: str | Path, all_candidates: bool = False) -> pd.DataFrame:
    """What a run with a design point picked, a line per codec, medium and policy.

    Parameters
    ----------
    run : path
        The run's folder.
    all_candidates : bool
        Also the schemes that were not picked, and why those that don't fit were left out.

    Returns
    -------
    DataFrame
        Columns as of :func:`gencomm.analysis.choice.candidates`; empty for a run without a design.
    """
    from gencomm.analysis.choice import in_order

    with Store(run) as store:
        table: Any = in_order(stored_choice(store))
    if not len(table) or all_candidates:
        return table
    return table[table["picked"]].drop(columns=["picked", "left_out"]).reset_index(drop=True)


def readable_picks(choice: Sequence[Mapping[str, Any]], point: Mapping[str, Any]) -> str:
    """The choice as the text that a sweep prints."""
    import pandas as pd

    from gencomm.analysis.choice import CHOICES, in_order

    table: Any = in_order(choice)
    metric = table["metric"].iloc[0]
    where = ", ".join(f"{name} = {value:g}" for name, value in point.items())
    keys = ["codec", "medium", *(name for name in CHOICES if name in table)]
    telling = [name for name in keys if name == "codec" or table[name].nunique() > 1]
    lines = []
    for _, part in table.groupby(keys, sort=False):
        line = {name: str(part.iloc[0][name]) for name in telling}
        best = part[part["picked"]]
        if not len(best):
            reason = part["left_out"].iloc[0]
            lines.append(line | {"scheme": f"none: {part['scheme'].iloc[0]}: {reason}"})
            continue
        one = best.iloc[0]
        line |= {"scheme": one["scheme"], "bpp": f"{one['bpp']:.3f}"}
        line |= {"uses/pixel": f"{one['uses_per_pixel']:.4f}", metric: f"{one['value']:.2f}"}
        line |= {"outage": f"{one['outage']:.1%}", "of": f"{_fit(part)} schemes"}
        lines.append(line)
    text = pd.DataFrame(lines).fillna("").to_string(index=False, justify="left")
    return f"Picked at {where} by mean {metric}\n{text}"


def _fit(candidates: Any) -> int:
    return int((candidates["left_out"] == "").sum())


def _policy(line: Mapping[str, Any]) -> Policy:
    names = [field.name for field in fields(Policy)]
    return Policy(**{name: line[name] for name in names if name in line})

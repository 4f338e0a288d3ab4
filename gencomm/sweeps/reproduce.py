"""Run cells of a finished sweep again, and compare row by row."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from gencomm.sweeps.config import SweepConfig
from gencomm.sweeps.design import as_stored
from gencomm.sweeps.executors.local import LocalExecutor, LostCell
from gencomm.sweeps.folder import CONFIG_NAME
from gencomm.sweeps.plan import Cell, groups, make_plan
from gencomm.sweeps.problems import ConfigError
from gencomm.sweeps.records import CellRecord, canonical_json
from gencomm.sweeps.resolve import resolve
from gencomm.sweeps.run import make_setup
from gencomm.sweeps.store import Store, StoreError

#: Cells that are run again where nothing else is asked for.
CELLS = 12


@dataclass
class Comparison:
    """What came of running cells again.

    Attributes
    ----------
    cells, rows : int
        How many were compared.
    differences : list of str
        One line for each cell that came out otherwise, and in what.
    changed : list of str
        What differs in the circumstances (versions of libraries ...), whether or not it mattered.
    """

    cells: int = 0
    rows: int = 0
    differences: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)


def reproduce(run: str | Path, cells: int | None = CELLS, workers: int = 1) -> Comparison:
    """Run a sample of the stored cells again with the stored configuration.

    Parameters
    ----------
    run : path
        The run's folder.
    cells : int, optional
        How many, evenly spread over the plan; None for all.
    workers : int

    Raises
    ------
    StoreError
        There is no run, or nothing in it that the configuration plans.
    ConfigError
        The stored configuration can't be used here (a variable that is not set, a codec that is
        missing).
    """
    folder = Path(run)
    with Store(folder) as store:
        stored = {_key(c.item, c.codec, c.link, c.link_spec, c.policy): c for c in store.cells()}
        invocations = store.runs()
        if not invocations:
            raise StoreError(f"{folder} holds no run")
        config = SweepConfig.model_validate(invocations[-1]["config"])
        if not store.weighs:  # as it was run
            trials = config.trials.model_copy(update={"skip_clean": False})
            config = config.model_copy(update={"trials": trials})
        try:
            resolved = as_stored(resolve(config), store)
        except ConfigError as error:
            raise ConfigError(str(folder / CONFIG_NAME), error.problems) from None
        found = [
            (cell, stored[key]) for cell in make_plan(resolved) if (key := _of(cell)) in stored
        ]
        if not found:
            raise StoreError(f"{folder} holds no cell of its configuration")
        result = Comparison()
        sample = _spread(found, cells)
        executor = LocalExecutor(make_setup(resolved), workers)
        before = {cell.hash: record for cell, record in sample}
        for again in executor.run(groups(cell for cell, _ in sample)):
            result.cells += 1
            if isinstance(again, LostCell):
                old = before[again.cell.hash]
                result.differences.append(f"{_name(old)}: no result, {again.message}")
                continue
            old = before[again.hash]
            result.rows += len(again.rows)
            result.changed += _circumstances(old.identity, again.identity, result.changed)
            line = _difference(old, store.rows(old.hash), again, store.metrics)
            if line:
                result.differences.append(f"{_name(old)}: {line}")
    return result


def _key(item: str, codec: str, link: str, link_spec: str, policy: Any) -> str:
    return canonical_json([item, codec, link, link_spec, dict(policy)])


def _of(cell: Cell) -> str:
    return _key(
        cell.item.id, cell.codec.spec, cell.link.template, cell.link.spec, cell.policy.as_dict()
    )


def _spread(found: Sequence, count: int | None) -> list:
    if count is None or count >= len(found):
        return list(found)
    return [found[i] for i in np.unique(np.linspace(0, len(found) - 1, count).astype(int))]


def _name(cell: CellRecord) -> str:
    return f"{cell.item}, {cell.codec}, {cell.link_spec}"


def _circumstances(old: str, new: str, known: list[str]) -> list[str]:
    """Parts of a cell's identity that changed since, each said once."""
    before, now = json.loads(old), json.loads(new)
    lines = [
        f"{part}: {before.get(part)} then, {now.get(part)} now"
        for part in sorted(before.keys() | now.keys())
        if before.get(part) != now.get(part)
    ]
    return [line for line in lines if line not in known]


def _difference(
    old: CellRecord, old_rows: Sequence, new: CellRecord, metrics: Sequence[str]
) -> str:
    """In what a cell came out otherwise; empty where it is the same bit for bit."""
    if old.bits_hash != new.bits_hash:
        return "the encoder made other bits"
    if len(old_rows) != len(new.rows):
        return f"{len(old_rows)} rows then, {len(new.rows)} now"
    for before, now in zip(old_rows, new.rows, strict=True):
        for name in ("status", "bit_errors", "weight", "detail"):
            if getattr(before, name) != getattr(now, name):
                return (
                    f"trial {now.trial}: {name} {getattr(before, name)!r} then, "
                    f"{getattr(now, name)!r} now"
                )
        for name, was, value in zip(metrics, before.scores, now.scores, strict=True):
            if was != value:
                return f"trial {now.trial}: {name} {was!r} then, {value!r} now"
    return ""

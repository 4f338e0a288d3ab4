"""Bring shards together: the cells of several stores into one."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from gencomm.sweeps.config import SweepConfig
from gencomm.sweeps.design import FOLDER as DESIGN
from gencomm.sweeps.folder import describe, locked
from gencomm.sweeps.records import CellRecord, canonical_json
from gencomm.sweeps.store import Store, StoreError


def merge(out: str | Path, shards: Sequence[str | Path]) -> dict[str, int]:
    """Copy every cell of `shards` into the run `out`, which is made where it isn't there.

    The result is the store of an unsharded run, cell for cell and row for row.

    Parameters
    ----------
    out : path
        The run's folder.
    shards : list of paths
        Folders of runs made with the same configuration.

    Returns
    -------
    dict
        ``added`` and ``present``: cells copied, and cells that were there with the same rows.

    Raises
    ------
    StoreError
        Another configuration or other metrics, or a cell that two shards answer differently;
        what was copied before stays.
    """
    out = Path(out)
    if not shards:
        raise StoreError("there is nothing to merge: name one or more folders of shards")
    if any(Path(shard).resolve() == out.resolve() for shard in shards):
        raise StoreError(f"{out} can't be merged into itself")
    counts = {"added": 0, "present": 0}
    sources = [Store(shard) for shard in shards]
    try:
        runs = [source.runs() for source in sources]
        empty = [str(shard) for shard, found in zip(shards, runs, strict=True) if not found]
        if empty:
            raise StoreError(f"{', '.join(empty)}: no sweep was ever run there")
        configs = [found[-1]["config"] for found in runs]
        for shard, config in zip(shards, configs, strict=True):
            changed = sorted(k for k in config | configs[0] if config.get(k) != configs[0].get(k))
            if set(changed) - {"name"}:
                raise StoreError(
                    f"{shard} and {shards[0]} have different configurations: {', '.join(changed)}"
                )
        with locked(out), Store(out, sources[0].metrics) as target:
            if not target.runs():
                first = runs[0][-1]
                describe(out, SweepConfig.model_validate(configs[0]), first["environment"])
            for shard, source, found in zip(shards, sources, runs, strict=True):
                for name, one in _copy(source, target, shard).items():
                    counts[name] += one
                noted = {(run["started"], str(run["options"])) for run in target.runs()}
                for run in found:
                    if (run["started"], str(run["options"])) not in noted:
                        target.begin_run(**run)
    finally:
        for source in sources:
            source.close()
    first = [Path(shard) / DESIGN for shard in shards if (Path(shard) / DESIGN).is_dir()]
    if first:  # how schemes were picked: every shard has all of it
        merge(out / DESIGN, first)
    return counts


def _copy(source: Store, target: Store, shard: str | Path) -> dict[str, int]:
    counts = {"added": 0, "present": 0}
    held = target.finished()
    originals = {kept.name: kept for kept in source.artefacts("")}
    times = source.timing_by_cell()
    known = {_meant(cell): cell for cell in target.cells()}
    for cell in source.cells():
        rows = source.rows(cell.hash)
        other = known.setdefault(_meant(cell), cell)
        if other.hash != cell.hash:
            raise StoreError(
                f"{shard} answers a cell under other circumstances ({cell.item}, {cell.codec}, "
                f"{cell.link_spec}): {_changed(other, cell)}"
            )
        if cell.hash in held:
            _compare(target, cell, rows, shard)
            counts["present"] += 1
            continue
        kept = source.artefacts(cell.hash)
        original = originals.get(f"original/{cell.item}")
        if kept and original is not None:
            kept.insert(0, original)
        timing = times.get(cell.hash, {})
        target.add(replace(cell, rows=rows, artefacts=kept, timing=timing))
        counts["added"] += 1
    if counts["added"]:
        target.add_timing(times.get("", {}))
    return counts


def _meant(cell: CellRecord) -> str:
    """What a cell is about, whatever it was run with."""
    return canonical_json([cell.item, cell.codec, cell.link, cell.link_spec, dict(cell.policy)])


def _changed(before: CellRecord, now: CellRecord) -> str:
    """In what the circumstances of two cells differ."""
    old, new = json.loads(before.identity), json.loads(now.identity)
    parts = sorted(name for name in old | new if old.get(name) != new.get(name))
    return ", ".join(f"{name} {old.get(name)} and {new.get(name)}" for name in parts)


def _compare(target: Store, cell: CellRecord, rows: list, shard: str | Path) -> None:
    [there] = target.cells([cell.hash])
    if there != cell or target.rows(cell.hash) != rows:
        raise StoreError(
            f"{shard} answers a cell differently ({cell.item}, {cell.codec}, {cell.link_spec}): "
            "one of the machines is not deterministic, or a time limit was hit on one of them"
        )

"""How long a sweep will take, from a small probe of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gencomm.sweeps import design
from gencomm.sweeps.config import SweepConfig
from gencomm.sweeps.executors.local import LocalExecutor, LostCell
from gencomm.sweeps.plan import Cell, Group, groups, make_plan
from gencomm.sweeps.progress import duration
from gencomm.sweeps.records import CellRecord
from gencomm.sweeps.resolve import Resolved, resolve
from gencomm.sweeps.run import Options, make_setup, run_folder, select
from gencomm.sweeps.store import STORE_NAME, Store

#: Links per operating point that the probe runs.
PROBE_LINKS = 4


@dataclass(frozen=True)
class Estimate:
    """CPU seconds in all, seconds on so many workers, and how many cells were probed for it."""

    cpu_seconds: float
    seconds: float
    probed: int


def counts(plan: list[Cell], config: SweepConfig) -> dict[str, int]:
    """What a plan holds, by kind."""
    return {
        "items": len({cell.item.id for cell in plan}),
        "codecs": len({cell.codec.spec for cell in plan}),
        "links": len({(cell.link.template, cell.link.spec) for cell in plan}),
        "policies": len({cell.policy for cell in plan}),
        "cells": len(plan),
        "encodings": len(groups(plan)),
        "trials at least": len(plan) * config.trials.min,
        "trials at most": len(plan) * config.trials.max,
    }


def estimate(resolved: Resolved, todo: list[Cell], workers: int) -> Estimate:
    """Run every operating point on the first item over a few links, and multiply up.

    Time per cell is taken to grow with the pixels of the item.
    """
    if not todo:
        return Estimate(0.0, 0.0, 0)
    executor = LocalExecutor(make_setup(resolved), workers)
    every = groups(todo)
    first = {group.codec.spec: group for group in reversed(every)}
    probes = [_probe(group) for group in first.values()]
    encode: dict[str, float] = {}
    rest: dict[str, list[float]] = {}
    probed = 0
    for result in executor.run(probes):
        probed += 1
        if isinstance(result, LostCell):
            continue
        spent = dict(result.timing)
        codec = result.codec
        encode[codec] = encode.get(codec, 0.0) + spent.pop("encode", 0.0)
        rest.setdefault(codec, []).append(_seconds(result, spent))
    total = 0.0
    for group in every:
        codec = group.codec.spec
        scale = group.item.pixels / first[codec].item.pixels
        times = rest.get(codec, [0.0])
        total += scale * (encode.get(codec, 0.0) + len(group.cells) * sum(times) / len(times))
    return Estimate(total, total / min(workers, len(every)), probed)


def _stored_choice(folder: Path) -> list[dict[str, Any]]:
    if not (folder / STORE_NAME).is_file():
        return []
    with Store(folder) as store:
        return design.stored_choice(store)


def _probe(group: Group) -> Group:
    """A few of a group's cells, from first to last."""
    n = len(group.cells)
    picked = sorted({round(i * (n - 1) / max(1, PROBE_LINKS - 1)) for i in range(PROBE_LINKS)})
    return Group(group.item, group.codec, tuple(group.cells[i] for i in picked))


def _seconds(record: CellRecord, spent: dict[str, float]) -> float:
    """CPU seconds of one cell, without what is spent once per worker."""
    return sum(spent.values()) - spent.get("start", 0.0)


def preview(
    config: Any, out: str | Path | None, options: Options, probe: bool = True
) -> dict[str, Any]:
    """Counts of a plan, what of it is stored, and an estimate of the time for the rest.

    Of a sweep with a design point, before its schemes are picked: those of the first phase.
    """
    resolved = resolve(config)
    folder = run_folder(resolved, out)
    if design.design_point(resolved) is not None:
        choice = _stored_choice(folder)
        if not choice:
            then = len(make_plan(design.provisional(resolved)))
            first = preview(design.first_phase(resolved), folder / design.FOLDER, options, probe)
            return first | {"then": f"{then} cells of the schemes picked; ask again for their time"}
        resolved = design.with_picks(resolved, choice)
    plan = make_plan(resolved)
    chosen = select(plan, options)
    held: set[str] = set()
    if (folder / STORE_NAME).is_file():
        with Store(folder) as store:
            held = store.finished()
    todo = [cell for cell in chosen if cell.hash not in held][: options.limit]
    found: dict[str, Any] = {"name": resolved.config.name, "folder": str(folder)}
    found |= counts(chosen, resolved.config)
    found |= {"cells stored": len(chosen) - sum(c.hash not in held for c in chosen)}
    found |= {"cells to run": len(todo), "workers": options.count()}
    if probe and todo:
        guess = estimate(resolved, todo, options.count())
        found["CPU time, about"] = duration(guess.cpu_seconds)
        found["time, about"] = duration(guess.seconds)
        found["estimated from"] = f"{guess.probed} cells, run as a probe and thrown away"
    return found

"""How far a run is, whether somebody is at it, and where its time went."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gencomm.sweeps.design import FOLDER as DESIGN
from gencomm.sweeps.folder import is_locked
from gencomm.sweeps.stopwatch import STAGES, WORK, harness_share
from gencomm.sweeps.store import STORE_NAME, Store


def status(run: str | Path) -> dict[str, Any]:
    """Counts of a run, finished or running.

    Returns
    -------
    dict
        ``folder``, ``name``, ``running`` (a sweep is writing now), ``planned`` and ``cells`` (in
        the plan; in the store), ``rows``, ``statuses``, ``weighted`` (rows drawn on condition of a
        hit), ``stops``, ``invocations``, ``started`` and ``seconds`` (CPU seconds by stage over all
        invocations). For a run with a design point ``choice``, the same of its first phase.

    Raises
    ------
    StoreError
        There is no run in that folder.
    """
    first = Path(run) / DESIGN
    choice = status(first) if (first / STORE_NAME).is_file() else None
    with Store(run) as store:
        invocations, counts, seconds = store.runs(), store.counts(), store.timing()
        last = invocations[-1] if invocations else None
        return {
            "folder": str(run),
            "name": last["config"]["name"] if last else choice["name"] if choice else "",
            "running": is_locked(Path(run)),
            "planned": last["options"]["planned"] if last else 0,
            "cells": sum(counts["stop"].values()),
            "rows": sum(counts["status"].values()),
            "statuses": counts["status"],
            "weighted": store.weighted(),
            "stops": counts["stop"],
            "invocations": len(invocations),
            "started": [one["started"] for one in invocations],
            "seconds": {stage: seconds.get(stage, 0.0) for stage in STAGES},
            **({"choice": choice} if choice else {}),
        }


def breakdown(seconds: dict[str, float]) -> str:
    """CPU seconds by stage as a small table, and the share that the harness itself takes."""
    total = sum(seconds.values())
    if not total:
        return "no time was spent"
    lines = [f"{'CPU time by stage':<58}{'seconds':>10}{'share':>8}"]
    for stage, what in STAGES.items():
        spent = seconds.get(stage, 0.0)
        name = f"{stage:<10} {what}"
        lines.append(f"  {name:<56}{spent:>10.1f}{spent / total:>8.1%}")
    lines.append(f"  {'all':<56}{total:>10.1f}{1:>8.0%}")
    share = harness_share(seconds)
    lines.append(f"harness (all but {', '.join(WORK)}): {share:.1%} of the CPU time")
    return "\n".join(lines)

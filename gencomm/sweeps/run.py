"""Run a sweep: what is planned and not yet stored goes to the workers, and comes back to stay."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TextIO

from gencomm.sweeps import design
from gencomm.sweeps.config import SweepConfig
from gencomm.sweeps.executors.dask import DaskExecutor, check_installed
from gencomm.sweeps.executors.local import LocalExecutor, LostCell
from gencomm.sweeps.folder import cores, describe, environment, locked
from gencomm.sweeps.plan import Cell, groups, make_plan, parse_shard, shard
from gencomm.sweeps.progress import Progress
from gencomm.sweeps.records import CellRecord
from gencomm.sweeps.resolve import Resolved, resolve
from gencomm.sweeps.stopwatch import Stopwatch, complete, cpu_seconds
from gencomm.sweeps.store import Store, StoreError
from gencomm.sweeps.trials import BATCH, Setup


@dataclass(frozen=True)
class Options:
    """What a sweep may be told that changes no row.

    Attributes
    ----------
    workers : int, optional
        Worker processes; default one per core that this process may use.
    limit : int, optional
        Run at most so many of the open cells now.
    shard : text, optional
        ``i/N``: only this part of the plan.
    batch : int
        Trials sent and decoded together.
    dask : text, optional
        Address of a Dask scheduler, whose workers then run the cells instead of this machine's.
    """

    workers: int | None = None
    limit: int | None = None
    shard: str | None = None
    batch: int = BATCH
    dask: str | None = None

    def __post_init__(self) -> None:
        for name, what in (("workers", "worker"), ("limit", "cell (limit)"), ("batch", "trial")):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"there must be at least 1 {what}, got {value}")
        if self.shard is not None:
            parse_shard(self.shard)
        if self.dask is not None:
            if self.workers is not None:
                raise ValueError("with dask the cluster says how many workers: give no workers")
            check_installed()

    def count(self) -> int:
        """How many workers to start."""
        return cores() if self.workers is None else self.workers


@dataclass
class Outcome:
    """How a sweep went.

    Attributes
    ----------
    folder : path
    planned, stored, added : int
        Cells of this plan (or shard), of them in the store now, and of them added this time.
    rows : int
        Rows added this time.
    lost : list of LostCell
        Cells that gave no result; the same command tries them again.
    seconds : dict
        CPU seconds of this time by stage, see :mod:`gencomm.sweeps.stopwatch`.
    interrupted : bool
        Whether Ctrl-C ended it.
    choice : Outcome or None
        How the first phase of a sweep with a design point went, in which schemes are picked.
    """

    folder: Path
    planned: int = 0
    stored: int = 0
    added: int = 0
    rows: int = 0
    lost: list[LostCell] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    interrupted: bool = False
    choice: Outcome | None = None


def run_sweep(
    config: SweepConfig | Mapping[str, Any] | str | Path | None,
    out: str | Path | None = None,
    options: Options | None = None,
    file: TextIO | None = None,
) -> Outcome:
    """Run all that a configuration plans and the folder `out` doesn't hold yet.

    Parameters
    ----------
    config : configuration, mapping, path or None
        None is the built-in configuration.
    out : path, optional
        The run's folder; default ``runs/<name>``. The same call again goes on where it ended.
    options : Options, optional
    file : text stream, optional
        Where progress goes.

    Raises
    ------
    ConfigError
        Mistakes in the configuration, all of them.
    StoreError
        The folder belongs to another configuration, or another sweep is writing to it.
    """
    options = options or Options()
    start, watch = cpu_seconds(), Stopwatch()
    with watch.watch("plan"):
        resolved = resolve(config)
        folder = run_folder(resolved, out)
        point = design.design_point(resolved)
        if point is not None:
            resolved = design.provisional(resolved)
        plan = make_plan(resolved)
    with locked(folder):
        with watch.watch("store"):
            store = Store(folder, [metric.name for metric in resolved.metrics])
        with store:
            first = None if point is None else _first_phase(resolved, folder, options, file)
            ready, choice = first is None or first.stored == first.planned, []
            if first is not None and ready:
                with watch.watch("plan"):
                    choice = design.choose(resolved, folder)
                    resolved = design.with_picks(resolved, choice)
                    plan = make_plan(resolved)
            with watch.watch("store"):
                if ready:  # before that it isn't known which cells there will be
                    _check_belongs(store, plan, folder)
                _begin(store, resolved, len(plan), options, choice)
                wanted, todo = _open_cells(store, plan, options)
            outcome = Outcome(folder, len(wanted), choice=first)
            if first is not None:
                outcome.lost, outcome.interrupted = list(first.lost), first.interrupted
                start += sum(first.seconds.values())  # it has booked them
                if options.limit is not None:
                    todo = todo[: max(0, options.limit - first.added)]
            if ready:
                _run_cells(store, resolved, todo, options, outcome, watch, file)
            with watch.watch("store"):
                held = store.finished()
            outcome.stored = sum(cell.hash in held for cell in wanted)
            booked = watch.take()
            for stage, seconds in booked.items():
                outcome.seconds[stage] = outcome.seconds.get(stage, 0.0) + seconds
            total = cpu_seconds() - start
            in_cells = sum(outcome.seconds.values()) - sum(booked.values())
            outcome.seconds = complete(outcome.seconds, total)
            booked["other"] = max(0.0, total - in_cells - sum(booked.values()))
            store.add_timing(booked)
    return outcome


def _begin(
    store: Store, resolved: Resolved, planned: int, options: Options, choice: list[dict]
) -> None:
    """Note what is run where, in the store and beside it."""
    about = environment()
    describe(store.path.parent, resolved.config, about)
    told = {"planned": planned, "limit": options.limit, "shard": options.shard}
    told |= {"dask": options.dask} if options.dask else {"workers": options.count()}
    told |= {"choice": choice} if choice else {}
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    store.begin_run(now, resolved.config.plain(), about, told)


def _first_phase(
    resolved: Resolved, folder: Path, options: Options, file: TextIO | None
) -> Outcome:
    """Every codec over every scheme at the design point, in a folder of its own.

    Every shard runs all of it, since the choice takes all items.
    """
    if file is not None:
        file.write(f"picking schemes ({folder / design.FOLDER})\n")
    return run_sweep(
        design.first_phase(resolved), folder / design.FOLDER, replace(options, shard=None), file
    )


def run_folder(resolved: Resolved, out: str | Path | None) -> Path:
    """Where a run lies: `out`, or ``runs/<name>``."""
    return Path(out) if out is not None else Path("runs") / resolved.config.name


def make_setup(resolved: Resolved, batch: int = BATCH) -> Setup:
    """What workers are told."""
    metrics = tuple(metric.spec for metric in resolved.metrics)
    return Setup(resolved.config, resolved.source, metrics, batch)


def select(plan: list[Cell], options: Options) -> list[Cell]:
    """The part of a plan that a shard holds."""
    return shard(plan, *parse_shard(options.shard)) if options.shard else plan


def _open_cells(store: Store, plan: list[Cell], options: Options) -> tuple[list[Cell], list[Cell]]:
    """Cells of this shard, and those of them to run now."""
    wanted = select(plan, options)
    held = store.finished()
    todo = [cell for cell in wanted if cell.hash not in held]
    return wanted, todo if options.limit is None else todo[: options.limit]


def _check_belongs(store: Store, plan: list[Cell], folder: Path) -> None:
    """A folder may grow (more codecs, items, points), but holds one meaning."""
    stray = store.finished() - {cell.hash for cell in plan}
    if stray:
        raise StoreError(
            f"{folder} holds {len(stray)} cells that this configuration doesn't plan: seed, "
            "trials, metrics, limits, policy or a version changed since, or something was taken "
            "out (or, with a design point, another scheme is picked now). Use another folder for "
            "--out (a configuration may only grow in its folder)"
        )


def _run_cells(
    store: Store,
    resolved: Resolved,
    todo: list[Cell],
    options: Options,
    outcome: Outcome,
    watch: Stopwatch,
    file: TextIO | None,
) -> None:
    setup = make_setup(resolved, options.batch)
    if options.dask is not None:
        executor = DaskExecutor(setup, options.dask)
    else:
        executor = LocalExecutor(setup, options.count())
    results = executor.run(groups(todo))
    try:
        with Progress(len(todo), file) as progress:
            for result in results:
                if isinstance(result, LostCell):
                    outcome.lost.append(result)
                    progress.say(_lost(result))
                    continue
                with watch.watch("store"):
                    added = store.add(result)
                _book(outcome, result, added)
                progress.advance(len(result.rows), f"{result.item} {result.codec}")
    except KeyboardInterrupt:
        outcome.interrupted = True
    finally:
        results.close()
    for stage, seconds in executor.spent.items():
        watch.add(stage, seconds)


def _book(outcome: Outcome, record: CellRecord, added: bool) -> None:
    outcome.added += added
    outcome.rows += len(record.rows) if added else 0
    for stage, seconds in record.timing.items():
        outcome.seconds[stage] = outcome.seconds.get(stage, 0.0) + seconds


def _lost(lost: LostCell) -> str:
    cell = lost.cell
    return f"no result: {cell.item.id}, {cell.codec.spec}, {cell.link.spec}: {lost.message}"

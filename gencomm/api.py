"""The verbs as functions: what the command line calls, and what a notebook calls.

>>> import gencomm
>>> run = gencomm.sweep("kodak.yaml", out="runs/kodak")
>>> run.rows(), run.resilience(), run.plot("psnr"), run.sheet()
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from channels.spec import suggest
from gencomm.exporting import export
from gencomm.links import link, record
from gencomm.metrics.registry import METRICS
from gencomm.sending import send
from gencomm.sending_clips import send_clip
from gencomm.sweeps.run import Options, Outcome, run_sweep
from gencomm.sweeps.store import Store
from gencomm.sweeps.tables import load_cells, load_run
from gencomm.training.starting import Trained, train

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from gencomm.sweeps.config import SweepConfig
    from gencomm.sweeps.reproduce import Comparison
    from gencomm.testing.codecs import Report

__all__ = [
    "Run",
    "Trained",
    "check_codec",
    "doctor",
    "export",
    "link",
    "load_cells",
    "load_run",
    "merge",
    "plan",
    "record",
    "reproduce",
    "send",
    "send_clip",
    "status",
    "sweep",
    "train",
]


@dataclass(frozen=True)
class Run:
    """A run's folder, seen as tables and figures. Shows itself in a notebook.

    Attributes
    ----------
    folder : Path
    outcome : Outcome or None
        How the sweep went that made it just now.
    """

    folder: Path
    outcome: Outcome | None = None

    def rows(self) -> pd.DataFrame:
        """One line per trial: :func:`gencomm.load_run`."""
        return load_run(self.folder)

    def cells(self) -> pd.DataFrame:
        """One line per cell: :func:`gencomm.load_cells`."""
        return load_cells(self.folder)

    @cached_property
    def metrics(self) -> tuple[str, ...]:
        """Names of the metrics, in the configuration's order."""
        with Store(self.folder) as store:
            return store.metrics

    def status(self) -> dict[str, Any]:
        """Counts: see :func:`gencomm.sweeps.status.status`."""
        from gencomm.sweeps.status import status

        return status(self.folder)

    def resilience(self, metric: str | None = None, **options: Any) -> pd.DataFrame:
        """How much noise each codec bears: :func:`gencomm.analysis.resilience`."""
        from gencomm.analysis import resilience

        return resilience(self.rows(), self.cells(), metric=metric or self.metrics[0], **options)

    def curves(self, axis: str | None = None) -> pd.DataFrame:
        """Quality and outage at every point, with intervals: :func:`gencomm.analysis.curves`."""
        from gencomm.analysis import curves

        return curves(self.rows(), self.cells(), axis)

    def picks(self, all_candidates: bool = False) -> pd.DataFrame:
        """What ``budget: {design: ...}`` picked: :func:`gencomm.sweeps.design.picks`."""
        from gencomm.sweeps.design import picks

        return picks(self.folder, all_candidates)

    def envelope(
        self, axis: str | None = None, metric: str | None = None, design: float | None = None
    ) -> pd.DataFrame:
        """The best of a ladder of schemes at each point: :func:`gencomm.analysis.envelope`."""
        from gencomm.analysis import envelope

        metric = metric or self.metrics[0]
        known = METRICS.load(metric) if metric in METRICS else None
        better = known is None or known.higher_is_better
        return envelope(self.rows(), self.cells(), axis, metric, design, better)

    def bd(
        self,
        reference: str | None = None,
        metric: str | None = None,
        items: bool = False,
        **options: Any,
    ) -> pd.DataFrame:
        """Bjontegaard deltas of every codec's operating points: :func:`gencomm.analysis.bd`.

        Parameters
        ----------
        reference : str, optional
            The codec compared with, such as "jpeg2000". Default: the configuration's first.
        metric : str, optional
            Default: the configuration's first.
        items : bool
            A line per item (:func:`gencomm.analysis.bd_items`) instead of means with intervals.
        **options
            ``method`` ("pchip", "akima", "cubic") and ``rates``, a band such as (0.2, 1.0) bpp.
        """
        from gencomm.analysis import bd, bd_items, over_all_noise

        rows = over_all_noise(self.rows(), self.cells())
        if reference is None and len(rows):
            reference = str(rows["codec"].iloc[0]).split("(")[0]
        function = bd_items if items else bd
        return function(rows, reference or "", metric or self.metrics[0], **options)

    def plot(
        self,
        metric: str | None = None,
        axis: str | None = None,
        out: str | Path | None = None,
        envelope: bool = False,
        design: float | None = None,
    ) -> Figure:
        """Quality against an axis of the grid (or ``bpp``), and outage below.

        Where a scheme was picked for each codec (``budget: {design: ...}``), the legend names it.

        Parameters
        ----------
        metric : str, optional
            Default: the configuration's first.
        axis : str, optional
            Default: the first of the grid.
        out : path, optional
            Write it there too: ``.png``, ``.pdf`` or ``.svg``.
        envelope : bool
            Of a sweep with a budget: only the best scheme at each point.
        design : float, optional
            The same with the scheme that is best at this value of the axis.
        """
        from gencomm.analysis.envelope import scheme_labels
        from gencomm.figures.quality import axis_of, quality_figure
        from gencomm.figures.saving import save

        metric = metric or self.metrics[0]
        best = envelope or design is not None
        table = self.envelope(axis, metric, design) if best else self.curves(axis)
        axis, labels = axis or axis_of(table, metric), None
        if design is not None or (not best and axis != "bpp" and len(self.picks())):
            labels = scheme_labels(table, axis)
        elif envelope:  # the scheme changes along a curve, and with it the rate
            table = table.drop(columns=[n for n in ("bpp", f"clean_{metric}") if n in table])
        figure = quality_figure(table, metric, axis, self._title, labels)
        if out is not None:
            save(figure, out)
        return figure

    def sheet(
        self,
        item: str | None = None,
        metric: str | None = None,
        axis: str | None = None,
        out: str | Path | None = None,
    ) -> Figure:
        """What came out, as pictures: codecs in rows, points of the grid in columns.

        Pictures are there for the first items of the configuration (its key ``pictures``).
        """
        from gencomm.figures.saving import save
        from gencomm.figures.sheet import run_sheet

        with Store(self.folder) as store:
            kept = store.artefacts()
        metric = metric or self.metrics[0]
        rows, cells = self.rows(), self.cells()
        figure = run_sheet(rows, kept, metric, axis, item, title=self._title, cells=cells)
        if out is not None:
            save(figure, out)
        return figure

    @property
    def _title(self) -> str:
        return str(self.status()["name"])

    def report(self, figures: bool = True) -> str:
        """What a sweep ends with: a table, where the time went, and files written."""
        from gencomm.sweeps.ending import ending

        return ending(self, figures)

    def _repr_html_(self) -> str:
        from gencomm.sweeps.ending import readable_resilience

        found = self.status()
        head = f"<p>{found['name']}: {found['cells']} of {found['planned']} cells"
        try:
            return f"{head}</p>{readable_resilience(self).to_html(index=False)}"
        except ValueError as error:  # too little to say yet, or no axis of noise
            return f"{head}; no resilience table: {error}</p>"


def sweep(
    config: SweepConfig | Mapping[str, Any] | str | Path | None = None,
    out: str | Path | None = None,
    *,
    workers: int | None = None,
    limit: int | None = None,
    shard: str | None = None,
    quick: bool = False,
    dask: str | None = None,
    progress: bool = True,
) -> Run:
    """Run a sweep, or go on with one: what the folder holds already is not run again.

    Rows are the same bit for bit for any number of workers, here or on a Dask cluster, and however
    often it was stopped.

    Parameters
    ----------
    config : path, mapping or None
        None is the built-in configuration.
    out : path, optional
        The run's folder; default ``runs/<name>``.
    workers : int, optional
        Worker processes; default one per core.
    limit : int, optional
        Run at most so many open cells now.
    shard : text, optional
        ``i/N``: run only this part of the plan.
    quick : bool
        A small version for a first look: 2 items, 5 points an axis, at most 4 trials.
    dask : text, optional
        Address of a Dask scheduler, such as ``tcp://scheduler:8786``, whose workers then run the
        cells instead of this machine's: :mod:`gencomm.sweeps.executors.dask`. Needs the extra
        ``[dask]``.
    progress : bool
        Say on stderr how far it is.

    Returns
    -------
    Run

    Raises
    ------
    ConfigError
        Every mistake in the configuration at once.
    StoreError
        The folder belongs to another configuration, or another sweep is writing to it.
    KeyboardInterrupt
        Ctrl-C: cells finished are stored, and the same call goes on.
    """
    file = sys.stderr if progress else None
    options = Options(workers, limit, shard, dask=dask)
    outcome = run_sweep(_read(config, quick), out, options, file)
    if outcome.interrupted:
        if file is not None:
            file.write(
                f"stopped: {outcome.stored} of {outcome.planned} cells are stored in "
                f"{outcome.folder}; the same command goes on from there\n"
            )
        raise KeyboardInterrupt
    return Run(outcome.folder, outcome)


def plan(
    config: SweepConfig | Mapping[str, Any] | str | Path | None = None,
    out: str | Path | None = None,
    *,
    workers: int | None = None,
    limit: int | None = None,
    shard: str | None = None,
    quick: bool = False,
    estimate: bool = True,
) -> dict[str, Any]:
    """What :func:`sweep` would do, and about how long it would take (from a small probe)."""
    from gencomm.sweeps.estimate import preview

    options = Options(workers, limit, shard)
    return preview(_read(config, quick), out, options, probe=estimate)


def status(run: str | Path) -> dict[str, Any]:
    """How far a run is: :func:`gencomm.sweeps.status.status`."""
    return Run(Path(run)).status()


def merge(out: str | Path, shards: Sequence[str | Path]) -> Run:
    """Bring shards together: :func:`gencomm.sweeps.merge.merge`."""
    from gencomm.sweeps.merge import merge as merge_stores

    merge_stores(out, shards)
    return Run(Path(out))


def reproduce(run: str | Path, cells: int | None = 12, *, workers: int | None = None) -> Comparison:
    """Run a sample of cells again and compare: :func:`gencomm.sweeps.reproduce.reproduce`."""
    from gencomm.sweeps.reproduce import reproduce as run_again

    return run_again(run, cells, Options(workers).count())


def check_codec(
    codec: Any, expected_failures: Mapping[str, str] | None = None, *, seconds: float = 10.0
) -> Report:
    """Put a codec through the kit: :func:`gencomm.testing.codecs.check_codec`."""
    from gencomm.testing.codecs import CHECKS, LIMITS
    from gencomm.testing.codecs import check_codec as check

    known = [one.name for one in CHECKS]
    for name in expected_failures or {}:
        if name not in known:
            raise ValueError(f"no check is called {name!r}{suggest(name, known)}")
    return check(codec, expected_failures, limits=replace(LIMITS, seconds=seconds))


def doctor() -> dict[str, Any]:
    """What is installed and whether it works: :func:`gencomm.doctor.doctor`."""
    from gencomm.doctor import doctor as look

    return look()


def _read(
    config: SweepConfig | Mapping[str, Any] | str | Path | None, quick: bool
) -> SweepConfig | Mapping[str, Any] | str | Path | None:
    if not quick:
        return config
    from gencomm.sweeps.resolve import read_config

    return read_config(config).quick()

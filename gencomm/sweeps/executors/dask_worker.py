"""What lives in a dask worker process: the sweep's bench, built once and kept between tasks."""

from __future__ import annotations

import json
import threading
import traceback
from collections import deque
from dataclasses import replace

from distributed import Worker, WorkerPlugin, get_worker

from gencomm.sweeps.executors.local import LostCell
from gencomm.sweeps.plan import Group, versions
from gencomm.sweeps.records import CellRecord
from gencomm.sweeps.resolve import codec_part
from gencomm.sweeps.trials import Bench, Setup


def run_group(name: str, group: Group) -> list[CellRecord | LostCell]:
    """The task: run a group on this worker's bench for the sweep `name`."""
    return get_worker().plugins[name].run(group)  # type: ignore[attr-defined]


class BenchPlugin(WorkerPlugin):
    """Comes with a worker's start and goes when the sweep ends."""

    def __init__(self, setup: Setup):
        self._setup = setup
        self._bench: Bench | None = None
        self._ended = False

    def setup(self, worker: Worker) -> None:
        """In the worker; the bench is built by the first task, whose errors are told."""
        self._lock = threading.Lock()
        self._checked: set[str] = set()

    def teardown(self, worker: Worker) -> None:
        """End the codecs' processes, or leave it to the task that is using them."""
        self._ended = True
        if self._lock.acquire(blocking=False):
            try:
                self._close()
            finally:
                self._lock.release()

    def run(self, group: Group) -> list[CellRecord | LostCell]:
        """All cells of a group. The harness's own failures cost one cell, as in local workers."""
        found: list[CellRecord | LostCell] = []
        left = deque(group.cells)
        with self._lock:
            while left and not self._ended:
                try:
                    self._check_same(group)
                    self._bench = self._bench or Bench(self._setup)
                    for record in self._bench.run(replace(group, cells=tuple(left))):
                        found.append(record)
                        left.popleft()
                        if self._ended:
                            break
                except Exception as error:
                    message = f"{type(error).__name__}: {error}"
                    found.append(LostCell(left.popleft(), message, traceback.format_exc()))
            if self._ended:
                self._close()
        return found

    def _close(self) -> None:
        if self._bench is not None:
            self._bench.close()
            self._bench = None

    def _check_same(self, group: Group) -> None:
        """Rows are stored under the versions of the machine that planned: refuse to have others."""
        spec = group.codec.spec
        if spec in self._checked:
            return
        planned = json.loads(group.cells[0].identity)
        told = {name: planned[name] for name in versions()} | {spec: group.codec.identity}
        here = versions() | {spec: codec_part(spec).identity}
        for name, value in told.items():
            if here[name] != value:
                raise RuntimeError(
                    f"the dask worker has {name} {here[name]}, but {value} planned the sweep; "
                    "install the same there"
                )
        self._checked.add(spec)

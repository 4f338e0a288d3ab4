"""Workers on this machine: groups out, finished cells in, whoever dies."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter, deque
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass, replace
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait

from gencomm.sweeps.executors.worker import Broken, Ready, Spent
from gencomm.sweeps.plan import Cell, Group
from gencomm.sweeps.records import CellRecord
from gencomm.sweeps.trials import Setup

#: A cell whose worker died this often is left out.
ATTEMPTS = 3
#: Worker starts that may fail one after the other.
START_ATTEMPTS = 3
#: Seconds between two looks at whether the workers still live.
LOOK = 1.0
#: Seconds that a worker gets to end by itself.
PATIENCE = 10.0
_START = "from gencomm.sweeps.executors.worker import main"
#: One thread a worker: workers are the parallelism, and sums come out the same.
_ONE_THREAD = {
    name: "1"
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
}


class ExecutorError(RuntimeError):
    """No worker could be started."""


@dataclass(frozen=True)
class LostCell:
    """A cell that gave no result, and why. It stays open, so that a later run tries it again."""

    cell: Cell
    message: str
    trace: str = ""


class _Worker:
    def __init__(self, setup: Setup):
        ours, theirs = Pipe()
        with theirs:
            descriptor = theirs.fileno()
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-c", f"{_START}; main({descriptor})"],
                pass_fds=[descriptor],
                stdin=subprocess.DEVNULL,
                env={**os.environ, **_ONE_THREAD, "PYTHONPATH": os.pathsep.join(_search_path())},
            )
        self.connection: Connection = ours  # type: ignore[assignment]
        self.started = self.idle = False
        self.left: deque[Cell] = deque()
        self.group: Group | None = None
        self.connection.send(_search_path())
        self.connection.send(setup)

    def give(self, group: Group) -> None:
        self.idle, self.group, self.left = False, group, deque(group.cells)
        self.connection.send(group)

    @property
    def dead(self) -> bool:
        return self.process.poll() is not None and not self.connection.poll()

    def end(self, patience: float) -> None:
        try:
            self.process.wait(patience)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.connection.close()


def _search_path() -> list[str]:
    """Where this process finds its modules; "" means the folder we stand in."""
    return [entry or os.getcwd() for entry in sys.path]


class LocalExecutor:
    """Runs groups in worker processes.

    Parameters
    ----------
    setup : Setup
    workers : int
        How many processes.
    """

    def __init__(self, setup: Setup, workers: int):
        if workers < 1:
            raise ValueError(f"there must be at least 1 worker, got {workers}")
        self._setup, self._count = setup, workers
        self._workers: list[_Worker] = []
        self._attempts: Counter[str] = Counter()
        self._failed_starts = 0
        #: CPU seconds of the workers that belong to no cell, by stage
        self.spent: Counter[str] = Counter()

    def run(self, groups: Iterable[Group]) -> Generator[CellRecord | LostCell]:
        """Finished cells as they come. Closing the iterator ends the workers."""
        pending = deque(groups)
        try:
            while pending or any(worker.group for worker in self._workers):
                busy = sum(worker.group is not None for worker in self._workers)
                while len(self._workers) < min(self._count, busy + len(pending)):
                    self._workers.append(_Worker(self._setup))
                wait([worker.connection for worker in self._workers], LOOK)
                for worker in list(self._workers):
                    yield from self._attend(worker, pending)
            self._dismiss()
        finally:
            for worker in self._workers:
                worker.process.kill()
                worker.end(PATIENCE)
            self._workers.clear()

    def _attend(self, worker: _Worker, pending: deque[Group]) -> Iterator[CellRecord | LostCell]:
        """Take what a worker has to say; put another in its place when it died."""
        try:
            while worker.connection.poll():
                message = worker.connection.recv()
                if isinstance(message, Ready):
                    self._failed_starts = 0
                    worker.started = worker.idle = True
                    worker.group = None
                elif isinstance(message, Broken):
                    lost = worker.left.popleft()
                    _put_back(worker, pending)
                    yield LostCell(lost, message.message, message.trace)
                else:
                    worker.left.popleft()
                    yield message
            if worker.idle and pending:
                worker.give(pending.popleft())
            dead = worker.dead
        except (EOFError, OSError):
            dead = True
        if dead:
            yield from self._bury(worker, pending)

    def _bury(self, worker: _Worker, pending: deque[Group]) -> Iterator[LostCell]:
        self._workers.remove(worker)
        worker.process.kill()
        worker.end(PATIENCE)
        code = worker.process.returncode
        if not worker.started:
            self._failed_starts += 1
            if self._failed_starts >= START_ATTEMPTS:
                raise ExecutorError(
                    f"{START_ATTEMPTS} worker processes in a row ended before they were set up "
                    f"(the last with {_ending(code)}); what they said stands above"
                )
        if worker.group is None:
            return
        if worker.left:
            cell = worker.left[0]
            self._attempts[cell.hash] += 1
            if self._attempts[cell.hash] >= ATTEMPTS:
                worker.left.popleft()
                yield LostCell(
                    cell, f"its worker died {ATTEMPTS} times (the last by {_ending(code)})"
                )
        _put_back(worker, pending)

    def _dismiss(self) -> None:
        """Let the workers end by themselves, and take their last words."""
        for worker in self._workers:
            try:
                worker.connection.send(None)
                while worker.connection.poll(PATIENCE):
                    message = worker.connection.recv()
                    if isinstance(message, Spent):
                        self.spent.update(message.seconds)
                        break
            except (EOFError, OSError):
                pass  # it died with nothing left to do: only its times are lost
            worker.end(PATIENCE)
        self._workers.clear()


def _put_back(worker: _Worker, pending: deque[Group]) -> None:
    """What a worker left undone goes first."""
    if worker.group is not None and worker.left:
        pending.appendleft(replace(worker.group, cells=tuple(worker.left)))
    worker.group, worker.left = None, deque()


def _ending(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"

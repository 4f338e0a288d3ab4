"""Workers of a Dask cluster: the same groups out, the same cells in, on many machines.

A dask worker process builds one bench for the sweep and keeps it between tasks; a task is a group.
gencomm, its plug-ins and the items must be there on every machine, under the same paths; where a
version that decides the answer differs from the one that planned, the cell is lost with a message
instead of stored under a name that is not its own.

A process runs one group at a time whatever its threads, so start workers with one thread each::

    dask scheduler
    dask worker tcp://scheduler:8786 --nworkers auto --nthreads 1
"""

from __future__ import annotations

import importlib.util
import uuid
import warnings
from collections import Counter, deque
from collections.abc import Generator, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from gencomm.sweeps.executors.local import ExecutorError, LostCell
from gencomm.sweeps.plan import Group
from gencomm.sweeps.records import CellRecord
from gencomm.sweeps.trials import Setup

if TYPE_CHECKING:
    from distributed import Client, Future

#: Seconds to reach the scheduler in.
TIMEOUT = 10
#: Groups handed to the scheduler in one message.
MESSAGE = 64


def check_installed() -> None:
    """
    Raises
    ------
    ValueError
        The package distributed is missing.
    """
    if importlib.util.find_spec("distributed") is None:
        raise ValueError(
            'a sweep on Dask needs the package distributed: pip install "gencomm[dask]"'
        )


class DaskExecutor:
    """Runs groups on the workers of a Dask cluster, as many as there are and will come.

    A group whose worker died is tried again by the scheduler (its setting ``allowed-failures``);
    when it gives up, the group's cells are tried once more one by one, when nothing else is
    running, so that only the cell that kills is left out.

    Parameters
    ----------
    setup : Setup
    address : text
        The scheduler's, such as ``tcp://scheduler:8786``.

    Raises
    ------
    ExecutorError
        No scheduler answers there.
    """

    def __init__(self, setup: Setup, address: str):
        check_installed()
        from distributed import Client

        try:
            self._client: Client = Client(address, timeout=TIMEOUT, set_as_default=False)
        except (OSError, ValueError) as error:
            raise ExecutorError(
                f"no Dask scheduler answers at {address!r} ({error}); "
                "it looks like tcp://host:8786, and 'dask scheduler' starts one"
            ) from error
        self._setup, self._address = setup, address
        self._name = f"gencomm-{uuid.uuid4().hex}"
        #: CPU seconds that belong to no cell: those of the cluster are not known here
        self.spent: Counter[str] = Counter()

    def run(self, groups: Iterable[Group]) -> Generator[CellRecord | LostCell]:
        """Finished cells as they come. Closing the iterator takes back what is still to do."""
        from distributed import KilledWorker, as_completed

        waiting: dict[Future, Group] = {}
        suspects: deque[Group] = deque()
        alone = False
        try:
            self._prepare()
            futures = as_completed(loop=self._client.loop)
            waiting |= self._submit(list(groups))
            futures.update(waiting)
            for future in futures:
                group = waiting.pop(future)
                error = future.exception() if future.status == "error" else None
                if isinstance(error, KilledWorker):
                    if alone:
                        yield LostCell(group.cells[0], str(error))
                    else:
                        suspects += (replace(group, cells=(cell,)) for cell in group.cells)
                elif error is not None:
                    raise ExecutorError(f"the Dask cluster failed: {error!r}") from error
                elif future.status != "finished":
                    raise ExecutorError(
                        f"the Dask scheduler at {self._address} went away; "
                        "the same command goes on from there"
                    )
                else:
                    yield from future.result()
                if suspects and not waiting:
                    alone = True
                    waiting |= self._submit([suspects.popleft()])
                    futures.update(waiting)
        finally:
            self._leave(list(waiting))

    def _prepare(self) -> None:
        """Tell all workers, those too that come later, what the sweep is."""
        from gencomm.sweeps.executors.dask_worker import BenchPlugin

        try:
            self._client.register_plugin(BenchPlugin(self._setup), name=self._name)
        except Exception as error:  # whatever a worker raised
            raise ExecutorError(
                f"a dask worker can't be set up: {type(error).__name__}: {error}; gencomm and the "
                "plug-ins must be installed where workers run"
            ) from error
        threads = self._client.nthreads()
        if not threads:
            warnings.warn(f"no dask worker has come to {self._address} yet; waiting", stacklevel=3)
        elif max(threads.values()) > 1:
            warnings.warn(
                "a dask worker runs one group at a time however many threads it has: start more "
                "of them with 'dask worker ... --nworkers auto --nthreads 1'",
                stacklevel=3,
            )

    def _submit(self, groups: list[Group]) -> dict[Future, Group]:
        from gencomm.sweeps.executors.dask_worker import run_group

        names = [self._name] * len(groups)
        futures = self._client.map(run_group, names, groups, pure=False, batch_size=MESSAGE)
        return dict(zip(futures, groups, strict=True))

    def _leave(self, futures: list[Future]) -> None:
        if self._client.status == "running":
            self._client.cancel(futures)
            self._client.unregister_worker_plugin(self._name)
        self._client.close()

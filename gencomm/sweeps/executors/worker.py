"""A worker of the local executor, started as ``python -c "...; main(file descriptor)"``.

It is a program of its own instead of a fork, so that it shares no state with the process that
started it, and so that a script without an ``if __name__ == "__main__"`` may call `sweep`.
"""

from __future__ import annotations

import os
import signal
import sys
import time
import traceback
from dataclasses import dataclass
from multiprocessing.connection import Connection


@dataclass(frozen=True)
class Ready:
    """The worker is set up, or has finished its group."""


@dataclass(frozen=True)
class Broken:
    """The harness itself failed on the cell that was next; the decoder's failures are rows."""

    message: str
    trace: str


@dataclass(frozen=True)
class Spent:
    """CPU seconds that belong to no cell; a worker's last word."""

    seconds: dict[str, float]


def main(descriptor: int) -> None:
    """Serve the parent until it says None or is gone."""
    # Ctrl-C reaches the whole foreground group; the parent decides what comes of it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.set_inheritable(descriptor, False)
    connection = Connection(descriptor)
    try:
        _serve(connection)
    except (EOFError, BrokenPipeError, ConnectionResetError):
        os._exit(1)  # the parent is gone; codec processes see their pipe close and go too


def _serve(connection: Connection) -> None:
    sys.path[:] = connection.recv()
    from gencomm.sweeps.trials import Bench

    bench = Bench(connection.recv())
    bench.watch.add("start", time.process_time())
    connection.send(Ready())
    while (group := connection.recv()) is not None:
        try:
            for record in bench.run(group):
                connection.send(record)
        except (EOFError, BrokenPipeError, ConnectionResetError):
            raise
        except Exception as error:
            message = f"{type(error).__name__}: {error}"
            connection.send(Broken(message, traceback.format_exc()))
        connection.send(Ready())
    bench.close()
    connection.send(Spent(bench.watch.take()))

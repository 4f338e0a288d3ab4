"""The parent side, lower half: starting the zygote, and one codec's nursery and worker."""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from gencomm.codecs.contract import Status
from gencomm.isolation.limits import IsolationError, Limits
from gencomm.isolation.wire import Gone, Late, Rubbish, receive, send, wait_readable

_THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)
_START_SECONDS = 120.0
_KILL_SECONDS = 20.0
#: A worker on a busy machine gets up to so many times its time, until it has had this part of it.
_PATIENCE, _FAIR = 10.0, 0.9


class Zygote:
    """A clean process to fork from; one for this process and number of threads."""

    _all: dict[tuple[int, int], Zygote] = {}  # noqa: RUF012  process-wide on purpose
    _lock = threading.Lock()

    def __init__(self, threads: int):
        if not hasattr(os, "fork") or sys.platform == "win32":
            raise IsolationError(
                "decoders in processes of their own need fork (Linux, macOS); here use "
                "open_codec(spec, isolate=False), without limits"
            )
        ours, theirs = socket.socketpair()
        environ = {**os.environ, **dict.fromkeys(_THREAD_VARIABLES, str(threads))}
        code = (
            "import sys, json; sys.path[:] = json.loads(sys.argv[2]); "
            "from gencomm.isolation.zygote import main; main(int(sys.argv[1]))"
        )
        with theirs, tempfile.TemporaryFile() as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-c", code, str(theirs.fileno()), json.dumps(sys.path)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                pass_fds=[theirs.fileno()],
                env=environ,
                start_new_session=True,
            )
            theirs.close()
            self.control = ours
            try:
                receive(ours, time.monotonic() + _START_SECONDS)
            except (Gone, Late, Rubbish) as error:
                self.close()
                errors.seek(0)
                text = errors.read().decode(errors="replace")[-2000:]
                raise IsolationError(f"the worker processes can't be started: {text}") from error

    @classmethod
    def get(cls, threads: int) -> Zygote:
        """The zygote of this process; started at first use, and again if it was killed."""
        key = (os.getpid(), threads)
        with cls._lock:
            zygote = cls._all.get(key)
            if zygote is None or zygote.process.poll() is not None:
                cls._all[key] = zygote = cls(threads)
            return zygote

    def nursery(self) -> tuple[socket.socket, int]:
        """Fork a nursery: the socket to it, and its process id."""
        ours, theirs = socket.socketpair()
        try:
            with self._lock, theirs:
                send(self.control, {"op": "nursery"}, (theirs.fileno(),))
                reply, _ = receive(self.control, time.monotonic() + _START_SECONDS)
        except (Gone, Late, Rubbish) as error:
            ours.close()
            self.close()
            raise IsolationError("the process that starts workers has died") from error
        return ours, int(reply["pid"])

    def close(self) -> None:
        """End it and all below it."""
        self.control.close()
        try:
            self.process.wait(_KILL_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    @classmethod
    def close_all(cls) -> None:
        """End all of this process; registered to run at exit."""
        for (pid, _), zygote in list(cls._all.items()):
            if pid == os.getpid():
                zygote.close()
        cls._all.clear()


atexit.register(Zygote.close_all)


@dataclass(frozen=True)
class Death:
    """How a worker ended: text for the row, and the CPU seconds of its life."""

    detail: str
    cpu: float


class Nest:
    """One codec's nursery and, between deaths, its worker."""

    def __init__(self, spec: str, limits: Limits):
        self.spec, self.limits = spec, limits
        self.control: socket.socket | None = None
        self.work: socket.socket | None = None
        self.pid = 0
        self.worker = 0
        self.facts = self._hatch()

    def _hatch(self) -> dict[str, Any]:
        """Start the nursery and build the codec in it."""
        self.control, self.pid = Zygote.get(self.limits.threads).nursery()
        environ = {k: v for k, v in os.environ.items() if k not in _THREAD_VARIABLES}
        try:
            send(
                self.control,
                {"op": "build", "spec": self.spec, "path": sys.path, "environ": environ},
            )
            facts, _ = receive(self.control, time.monotonic() + self.limits.start_seconds)
            if "error" not in facts:
                return _checked_facts(facts)
        except (Gone, Late, Rubbish, KeyError, TypeError) as error:
            late = isinstance(error, Late)
            self.close()
            raise IsolationError(
                f"{self.spec}: building the codec "
                + (f"took more than {self.limits.start_seconds:g} s" if late else "killed it"),
                Status.TIMEOUT if late else Status.CRASHED,
            ) from error
        self.close()
        raise IsolationError(f"{self.spec}: {str(facts['error'])[:1000]}")

    def ensure_worker(self) -> socket.socket:
        """The socket to a living worker, forked now if there is none."""
        if self.work is not None:
            return self.work
        if self.control is None:
            self._hatch()
        for attempt in range(2):
            ours, theirs = socket.socketpair()
            try:
                with theirs:
                    assert self.control is not None
                    send(
                        self.control,
                        {"op": "worker", **asdict(self.limits)},
                        (theirs.fileno(),),
                    )
                reply, _ = receive(self.control, time.monotonic() + _KILL_SECONDS)
                self.worker, self.work = int(reply["worker"]), ours
                return ours
            except (KeyError, TypeError, ValueError, Gone, Late, Rubbish) as error:
                ours.close()
                self.close()
                if attempt:
                    raise IsolationError(f"{self.spec}: no worker can be started") from error
                self._hatch()
        raise AssertionError("unreachable")

    def reply(self, seconds: float, life: float = 0.0) -> dict[str, Any]:
        """The worker's next message.

        A worker that has not had its `seconds` of the processor when they are over, because the
        machine is busy, is given more: what a trial comes to must not depend on what else runs.

        Parameters
        ----------
        seconds : float
            Time that the worker may take.
        life : float
            CPU seconds that it had used up before.

        Raises
        ------
        Late
            Nothing came in time. The worker still runs: call `kill`.
        Gone
            The worker has died: call `kill` to learn how.
        Rubbish
            It wrote nonsense: call `kill`.
        """
        assert self.work is not None
        assert self.control is not None
        start = time.monotonic()
        deadline = start + seconds
        while True:
            try:
                ready = wait_readable([self.work, self.control], deadline)
                break
            except Late:
                used = _cpu_if_running(self.worker)
                over = time.monotonic() - start > _PATIENCE * seconds
                if over or used is None or used - life >= _FAIR * seconds:
                    raise
                deadline = time.monotonic() + min(1.0, 0.2 * seconds)
        if self.work not in ready:
            # the nursery speaks unasked only of a death; what the worker wrote before comes first
            ready = [self.work] if _readable(self.work) else []
        if not ready:
            raise Gone
        message, _ = receive(self.work, time.monotonic() + _KILL_SECONDS)
        return message

    def kill(self) -> Death:
        """End the worker, dead or alive, with all it started; says how it ended."""
        if self.work is None or self.control is None:
            return Death("died", 0.0)
        self.work.close()
        self.work = None
        try:
            send(self.control, {"op": "kill"})
            message, _ = receive(self.control, time.monotonic() + _KILL_SECONDS)
            code, cpu = int(message["code"]), float(message["cpu"])
        except (Gone, Late, Rubbish, KeyError, TypeError, ValueError):
            self.close()
            return Death("took its whole nest down", 0.0)
        return Death(_death(code), max(0.0, cpu))

    def close(self) -> None:
        """End the worker and the nursery."""
        if self.work is not None:
            self.work.close()
            self.work = None
        if self.control is not None:
            self.control.close()
            self.control = None
            # it ends by itself when the socket closes, unless foreign code keeps it busy
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)


def _death(code: int) -> str:
    if code >= 0:
        return f"its process ended by itself with code {code}"
    try:
        return f"its process was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"its process was ended by signal {-code}"


def _cpu_if_running(pid: int) -> float | None:
    """CPU seconds of a process that computes or waits for a processor; None of one that sleeps."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
        running, ticks = fields[0] in "RD", int(fields[11]) + int(fields[12])
    except (OSError, ValueError, IndexError):
        return None
    return ticks / os.sysconf("SC_CLK_TCK") if running else None


def _readable(sock: socket.socket) -> bool:
    try:
        wait_readable([sock], time.monotonic())
    except Late:
        return False
    return True


def _checked_facts(facts: dict[str, Any]) -> dict[str, Any]:
    """What the nursery says of its codec, of the right types; raises `Rubbish`."""
    kinds = {
        "name": str,
        "modality": str,
        "wants": list,
        "versions": dict,
        "batch": bool,
        "traits": dict,
    }
    for key, kind in kinds.items():
        if not isinstance(facts.get(key), kind):
            raise Rubbish(f"no {key}")
    return facts

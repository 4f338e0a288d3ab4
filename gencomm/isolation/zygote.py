"""The child side, upper half: the zygote and the nurseries that it forks. Linux and macOS.

The zygote runs no foreign code. A nursery builds one codec, then forks workers from itself and
buries them with all that they have started. Each ends when its socket closes, that is, when the
parent process ends in whatever way.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import select
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Any

from gencomm.isolation.wire import Gone, Rubbish, close_all, receive, send

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
#: How often the zygote looks whether its parent still lives, should the socket have leaked into
#: another process and not close.
_LOOK_SECONDS = 2.0


def main(fd: int) -> None:
    """Run the zygote on an inherited socket; returns when the parent is gone."""
    import numpy  # noqa: F401  imported here so that forks share it
    from PIL import Image  # noqa: F401

    import gencomm.codecs.registry  # noqa: F401

    parent = os.getppid()
    control = socket.socket(fileno=fd)
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    wake = _wake_on_child_death()
    send(control, {"ready": True})
    while True:
        ready, _, _ = select.select([control, wake], [], [], _LOOK_SECONDS)
        if wake in ready:
            os.read(wake, 4096)
        while _reap() is not None:
            pass
        if os.getppid() != parent:
            break
        if control in ready:
            try:
                _, fds = receive(control, with_fds=True)
            except (Gone, Rubbish):
                break
            pid = os.fork()
            if pid == 0:
                control.close()
                os.close(wake)
                _run(_Nursery(socket.socket(fileno=fds[0])).serve)
            close_all(fds)
            send(control, {"pid": pid})
    bury_descendants()


def _run(target) -> None:
    """Run in a forked child, and never return into the code of the process it was forked from."""
    try:
        target()
    except BaseException:
        os._exit(70)
    os._exit(0)


class _Nursery:
    """Builds one codec; forks workers that run it."""

    def __init__(self, control: socket.socket):
        self.control = control
        self.codec: Any = None
        self.worker = 0
        self.wake = -1

    def serve(self) -> None:
        os.setsid()
        _die_with_parent()
        _prctl(_PR_SET_CHILD_SUBREAPER, 1)
        _silence()
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        self.wake = _wake_on_child_death()
        try:
            while self._step():
                pass
        finally:
            bury_descendants()

    def _step(self) -> bool:
        ready, _, _ = select.select([self.control, self.wake], [], [])
        if self.wake in ready:
            os.read(self.wake, 4096)
            self._reap_all()
        if self.control in ready:
            try:
                message, fds = receive(self.control, with_fds=True)
            except (Gone, Rubbish):
                return False
            try:
                {"build": self._build, "worker": self._fork, "kill": self._kill}[message["op"]](
                    message, fds
                )
            except Gone:
                return False
            finally:
                close_all(fds)
        return True

    def _build(self, message: dict, fds: list[int]) -> None:
        sys.path[:] = message["path"]
        os.environ.update(message["environ"])
        from gencomm.isolation.worker import build

        self.codec, facts = build(message["spec"])
        send(self.control, facts)

    def _fork(self, message: dict, fds: list[int]) -> None:
        pid = os.fork()
        if pid == 0:
            self.control.close()
            os.close(self.wake)
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            _die_with_parent()
            from gencomm.isolation.worker import Worker

            work = socket.socket(fileno=fds[0])
            _run(Worker(self.codec, work, message["memory"], message["output"]).serve)
        self.worker = pid
        send(self.control, {"worker": pid})

    def _kill(self, message: dict, fds: list[int]) -> None:
        if self.worker:
            os.kill(self.worker, signal.SIGKILL)
            self._wait_for_worker()

    def _wait_for_worker(self) -> None:
        while self.worker:
            found = os.wait4(-1, 0)
            self._buried(*found)

    def _reap_all(self) -> None:
        while (found := _reap()) is not None:
            self._buried(*found)

    def _buried(self, pid: int, status: int, usage: Any) -> None:
        if pid != self.worker:
            return
        self.worker = 0
        bury_descendants()  # what it forked now belongs to this process
        code = os.waitstatus_to_exitcode(status)
        cpu = usage.ru_utime + usage.ru_stime
        send(self.control, {"died": pid, "code": code, "cpu": cpu})


def _reap() -> tuple[int, int, Any] | None:
    """One child that has ended, with its resource usage; None where there is none."""
    try:
        found = os.wait4(-1, os.WNOHANG)
    except ChildProcessError:
        return None
    return found if found[0] else None


def bury_descendants() -> None:
    """Kill and reap all processes that descend from this one.

    As a subreaper (Linux) this process inherits orphans, those that called setsid too, so what
    remains after a round shows up as its child in the next. Elsewhere: children only.
    """
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        for pid in _descendants():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        try:
            while os.wait4(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return
        time.sleep(0.001)


def _descendants() -> list[int]:
    """Processes below this one, by /proc; empty where that doesn't exist."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            fields = entry.read_text(errors="replace").rpartition(")")[2].split()
            parents[int(entry.parent.name)] = int(fields[1])
    found, level = [], {os.getpid()}
    while level:
        level = {pid for pid, parent in parents.items() if parent in level}
        found += sorted(level)
    return found


def _wake_on_child_death() -> int:
    """A descriptor that becomes readable when a child ends."""
    read, write = os.pipe()
    os.set_blocking(write, False)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    return read


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def _die_with_parent() -> None:
    """Ask the kernel to kill this process when its parent ends; look that it hasn't already."""
    parent = os.getppid()
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent or parent == 1:
        os._exit(0)


def _silence() -> None:
    """Native libraries print where they like; not into the user's terminal."""
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    os.close(null)

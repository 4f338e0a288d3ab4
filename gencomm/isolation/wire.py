"""Messages between processes: JSON with a length in front, file descriptors beside.

Nothing here trusts the other side: lengths are bounded, waiting ends at a deadline, and what is
not a JSON object of the right kind raises `Rubbish`.
"""

from __future__ import annotations

import array
import contextlib
import fcntl
import json
import math
import os
import select
import socket
import tempfile
import time
from typing import Any

import numpy as np

MAX_MESSAGE = 4 * 2**20
#: Batches are cut so that the values of one cut fill about this much shared memory.
CUT_BYTES = 64 * 2**20
_MAX_FDS = 4


class Gone(Exception):
    """The other side has closed."""


class Late(Exception):
    """Nothing came before the deadline."""


class Rubbish(Exception):
    """What came is no message."""


def send(sock: socket.socket, message: dict[str, Any], fds: tuple[int, ...] = ()) -> None:
    """Send one message, with file descriptors. Raises `Gone`."""
    body = json.dumps(message, allow_nan=False).encode()
    data = len(body).to_bytes(4) + body
    ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
    try:
        sent = sock.sendmsg([data], ancillary)
        sock.sendall(data[sent:])
    except (BrokenPipeError, ConnectionResetError) as error:
        raise Gone from error


def receive(
    sock: socket.socket, deadline: float | None = None, with_fds: bool = False
) -> tuple[dict[str, Any], list[int]]:
    """One message and its file descriptors.

    Parameters
    ----------
    deadline : float, optional
        On `time.monotonic`'s clock; waits for ever by default.
    with_fds : bool
        Whether the sender may pass descriptors; a child never may.

    Raises
    ------
    Gone, Late, Rubbish
    """
    fds: list[int] = []
    try:
        size = int.from_bytes(_exactly(sock, 4, deadline, fds if with_fds else None))
        if size > MAX_MESSAGE:
            raise Rubbish(f"a message of {size} bytes")
        body = _exactly(sock, size, deadline, None)
        message = json.loads(body, parse_constant=_no_constant)
        if not isinstance(message, dict):
            raise Rubbish("not an object")
    except (ValueError, RecursionError) as error:
        close_all(fds)
        raise Rubbish(str(error)[:200]) from error
    except (Gone, Late, Rubbish):
        close_all(fds)
        raise
    return message, fds


def _no_constant(word: str) -> float:
    raise Rubbish(f"{word} is not JSON")


def _exactly(
    sock: socket.socket, size: int, deadline: float | None, fds: list[int] | None
) -> bytes:
    parts, missing = [], size
    while missing:
        wait_readable([sock], deadline)
        try:
            if fds is None:
                part = sock.recv(min(missing, 2**20))
            else:
                part, ancillary, _, _ = sock.recvmsg(missing, socket.CMSG_SPACE(4 * _MAX_FDS))
                for level, kind, data in ancillary:
                    if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                        whole = len(data) - len(data) % 4
                        fds.extend(array.array("i", data[:whole]))
        except ConnectionResetError as error:
            raise Gone from error
        if not part:
            raise Gone
        parts.append(part)
        missing -= len(part)
    return b"".join(parts)


def wait_readable(socks: list[socket.socket], deadline: float | None) -> list[socket.socket]:
    """Those of `socks` that can be read; raises `Late` at the deadline."""
    poll = select.poll()
    by_fd = {sock.fileno(): sock for sock in socks}
    for fd in by_fd:
        poll.register(fd, select.POLLIN)
    while True:
        left = None if deadline is None else max(0.0, deadline - time.monotonic())
        ready = poll.poll(None if left is None else math.ceil(1000 * left))
        if ready:
            return [by_fd[fd] for fd, _ in ready]
        if left == 0.0:
            raise Late


def close_all(fds: list[int]) -> None:
    """Close file descriptors."""
    for fd in fds:
        with contextlib.suppress(OSError):
            os.close(fd)


class Mailbox:
    """Shared memory that grows: a file without a name, read and written by offset.

    Offsets instead of a mapping, so that a child that cuts it can't kill its parent; where the
    kernel can seal it, it can't be cut at all.
    """

    def __init__(self) -> None:
        if hasattr(os, "memfd_create"):
            self.fd = os.memfd_create("gencomm", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
            fcntl.fcntl(self.fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL)
        else:
            with tempfile.TemporaryFile(prefix="gencomm") as file:
                self.fd = os.dup(file.fileno())

    def write(self, at: int, data: Any) -> int:
        """Write a buffer at an offset; gives the offset after it."""
        return write_at(self.fd, at, data)

    def read(self, at: int, out: np.ndarray) -> bool:
        """Fill an array from an offset; False where the file ends before."""
        return read_at(self.fd, at, out)

    def close(self) -> None:
        """Close; nothing is left behind."""
        close_all([self.fd])


def write_at(fd: int, at: int, data: Any) -> int:
    """Write a buffer at an offset; gives the offset after it."""
    view = memoryview(data).cast("B") if memoryview(data).nbytes else memoryview(b"")
    while view:
        count = os.pwrite(fd, view, at)
        view, at = view[count:], at + count
    return at


def read_at(fd: int, at: int, out: np.ndarray) -> bool:
    """Fill a contiguous array from an offset; False where the file ends before."""
    view = out.reshape(-1).view(np.uint8).data if out.size else memoryview(b"")
    while view:
        count = os.preadv(fd, [view], at)
        if count <= 0:
            return False
        view, at = view[count:], at + count
    return True

"""Codecs that misbehave as the first byte of a stream tells them."""

import ctypes
import os
import signal
import socket
import struct
import subprocess
import sys
import time

import numpy as np

from channels.bits import PackedBits
from gencomm.codecs.contract import Decoded, Encoded, Status

SHAPE = (16, 24, 3)
CALM = 0


def segfault():
    ctypes.string_at(0)


def abort():
    os.abort()


def spin():
    while True:
        pass


def sleep():
    time.sleep(600)


def deaf():
    """Hang, and listen to no signal that can be ignored."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    time.sleep(600)


def allocate():
    return np.ones(8 * 2**30, np.uint8)


def allocate_in_c():
    libc = ctypes.CDLL(None)
    libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
    at = libc.malloc(8 * 2**30)
    if not at:
        raise RuntimeError("DefaultCPUAllocator: not enough memory")
    ctypes.memset(at, 1, 8 * 2**30)


def leak():
    kept = []
    while True:
        kept.append(bytearray(2**24))


def smaller():
    return Decoded(np.zeros((8, 8, 3), np.uint8))


def larger():
    return Decoded(np.zeros((2000, 3000, 3), np.uint8))


def other_type():
    return Decoded(np.zeros(SHAPE, np.float64))


def objects():
    return Decoded(np.full(SHAPE, None))


def nothing():
    return None


def plain_list():
    return Decoded([1, 2, 3])


def invented_status():
    return Decoded(None, Status.TIMEOUT)


def raise_error():
    raise ZeroDivisionError("one over nothing")


def raise_odd():
    class Odd(Exception):
        def __str__(self):
            raise ValueError("no text")

    raise Odd


def recurse():
    recurse()


def print_much():
    for stream in (sys.stdout, sys.stderr):
        stream.write("x" * 2**23)
        stream.flush()
    os.write(1, b"y" * 2**22)
    os.write(2, b"z" * 2**22)
    return Decoded(np.full(SHAPE, 7, np.uint8))


def leave():
    os._exit(0)


def leave_politely():
    sys.exit(3)


def fork_and_both_return():
    os.fork()
    return Decoded(np.full(SHAPE, 7, np.uint8))


def fork_a_daemon():
    """Start a process that outlives this one, in a session of its own, holding all files open."""
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            time.sleep(600)
        os._exit(0)
    return Decoded(np.full(SHAPE, 7, np.uint8))


def fork_and_die():
    subprocess.Popen(["sleep", "600"], start_new_session=True, close_fds=False)
    os.kill(os.getpid(), signal.SIGSEGV)


def _sockets():
    for fd in range(3, 64):
        try:
            yield socket.socket(fileno=os.dup(fd))
        except OSError:
            continue


def write_rubbish():
    """Find the socket to the harness and write nonsense to it."""
    for sock in _sockets():
        sock.send(b"\x00\x00\x00\x05hello")
    return Decoded(np.full(SHAPE, 7, np.uint8))


def write_long():
    for sock in _sockets():
        sock.send(struct.pack(">I", 2**31) + b"{" * 100)
    return Decoded(np.full(SHAPE, 7, np.uint8))


def write_lies():
    """Answer in the harness's own format before the worker does."""
    body = b'{"index": 0, "status": "ok", "shape": [1, 1], "cpu": -1, "wall": 1e400}'
    for sock in _sockets():
        sock.send(struct.pack(">I", len(body)) + body)
    return Decoded(np.full(SHAPE, 7, np.uint8))


def truncate_shared_memory():
    """Cut every file that this process holds."""
    for fd in range(3, 64):
        try:
            os.ftruncate(fd, 0)
        except OSError:
            continue
    return Decoded(np.full(SHAPE, 7, np.uint8))


MISDEEDS = [
    segfault, abort, spin, sleep, deaf, allocate, allocate_in_c, leak, smaller, larger, other_type,
    objects, nothing, plain_list, invented_status, raise_error, raise_odd, recurse, print_much,
    leave, leave_politely, fork_and_both_return, fork_a_daemon, fork_and_die, write_rubbish,
    write_long, write_lies, truncate_shared_memory,
]  # fmt: skip
CODE = {misdeed.__name__: number for number, misdeed in enumerate(MISDEEDS, start=1)}


def stream(name=None, fill=7):
    """A stream that makes the decoder do as named, or decode to a picture filled with `fill`."""
    return PackedBits.from_bytes(bytes([CODE[name] if name else CALM, fill]))


class Hostile:
    """Does as the first byte says."""

    name = "hostile"
    modality = "image"
    wants = frozenset()

    def encode(self, item):
        if item.id in CODE:
            return MISDEEDS[CODE[item.id] - 1]()
        return Encoded(PackedBits.from_bytes(b"\x00\x07"), header_bits=8)

    def decode(self, received):
        data = received.bits.to_bytes()
        if data[0] == CALM:
            return Decoded(np.full(SHAPE, data[1], np.uint8))
        return MISDEEDS[data[0] - 1]()


class Batched(Hostile):
    """Decodes lists, and dies of them like the other of single ones."""

    def decode_batch(self, received):
        return [self.decode(one) for one in received]


class Floats(Hostile):
    """Gives floating-point values, sometimes not finite."""

    modality = "weights"

    def decode(self, received):
        value = np.linspace(0, 1, 10, dtype=np.float32)
        if received.bits.to_bytes()[0]:
            value[3] = np.nan
        return Decoded(value)


class Broken(Hostile):
    """Can't be built."""

    def __init__(self):
        raise RuntimeError("weights are missing")


class Stuck(Hostile):
    """Takes for ever to build."""

    def __init__(self):
        time.sleep(600)


class DeadOnArrival(Hostile):
    """Dies while it is built."""

    def __init__(self):
        ctypes.string_at(0)


class Damaging:
    """A stream of 1 damages the process so that the next decode kills it, whatever it is."""

    name = "damaging"
    modality = "image"
    wants = frozenset()
    poisoned = False

    def encode(self, item):
        return Encoded(PackedBits.from_bytes(b"\x00"))

    def decode(self, received):
        if self.poisoned:
            ctypes.string_at(0)
        self.poisoned = received.bits.to_bytes()[0] == 1
        return Decoded(np.full(SHAPE, received.bits.to_bytes()[0], np.uint8))


class Echo:
    """Gives back what it was told of the received bits."""

    name = "echo"
    modality = "image"
    wants = frozenset({"llr", "erasures"})

    def encode(self, item):
        bits = PackedBits.from_bits(np.array([1, 0, 1], np.uint8))
        classes = np.array([0, 1, 2], np.uint8)
        return Encoded(bits, 2, b"side", classes, {"note": [1, "two", None], "n": np.int64(3)})

    def decode(self, received):
        value = np.zeros(SHAPE, np.uint8)
        said = [
            received.bits.n_bits, *received.bits.unpack()[:3], len(received.side),
            int(received.llr.sum()), int(received.erasures.sum()), int(received.ber * 1000),
            int(received.lenient), received.max_pixels,
        ]  # fmt: skip
        value.flat[: len(said)] = said
        return Decoded(value, Status.PARTIAL, "as told")


class Threads(Hostile):
    """Reports the limits on threads."""

    def decode(self, received):
        value = np.zeros(SHAPE, np.uint8)
        value.flat[:2] = int(os.environ["OMP_NUM_THREADS"]), len(os.listdir("/proc/self/task"))
        return Decoded(value)

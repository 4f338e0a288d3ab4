"""The child side, lower half: a worker runs foreign code and tells what became of it."""

from __future__ import annotations

import errno
import os
import resource
import socket
import sys
import time
from typing import Any

import numpy as np

from channels.bits import PackedBits
from gencomm.codecs.contract import Decoded, Item, Received, Status, decode_all
from gencomm.isolation.wire import CUT_BYTES, Gone, close_all, read_at, receive, send, write_at

_MAX_TEXT = 500


def build(spec: str) -> tuple[Any, dict[str, Any]]:
    """Build a codec; gives it with its facts, or None with the error."""
    from gencomm.codecs.registry import make_codec

    try:
        codec = make_codec(spec)
        load = getattr(codec, "load", None)
        if load is not None:
            load()
        versions = getattr(codec, "versions", None)
        return codec, {
            "name": str(codec.name),
            "modality": str(codec.modality),
            "wants": sorted(map(str, codec.wants)),
            "versions": {str(k): str(v) for k, v in (versions() if versions else {}).items()},
            "batch": callable(getattr(codec, "decode_batch", None)),
            "traits": traits(codec),
        }
    except Exception as error:
        return None, {"error": describe(error)}


def traits(codec: Any) -> dict[str, Any]:
    """What a codec states of itself for the conformance kit; see `gencomm.testing.codecs`."""
    floor, shape = getattr(codec, "min_psnr", None), getattr(codec, "fixed_shape", None)
    return {
        "min_psnr": None if floor is None else float(floor),
        "fixed_shape": None if shape is None else [int(n) for n in shape],
    }


def describe(error: BaseException) -> str:
    """Type and text of an exception, of bounded length."""
    try:
        text = str(error)
    except Exception:
        text = "(its text can't be had)"
    return f"{type(error).__name__}: {text}"[:_MAX_TEXT]


def is_memory(error: BaseException) -> bool:
    """Whether an exception says that there was no memory: native code has words of its own."""
    if isinstance(error, MemoryError) or getattr(error, "errno", None) == errno.ENOMEM:
        return True
    text = describe(error).lower()
    return "not enough memory" in text or "cannot allocate memory" in text


def guarded(call, *args) -> tuple[Any, Status | None, str]:
    """Call foreign code: its result, or the status and words of how it failed."""
    try:
        return call(*args), None, ""
    except Exception as error:
        return None, Status.MEMORY if is_memory(error) else Status.CRASHED, describe(error)
    except SystemExit as error:
        return None, Status.CRASHED, describe(error)


def checked(value: Any) -> Decoded:
    """What a codec returned, if it is what a codec may return; else raises `TypeError`."""
    if not isinstance(value, Decoded):
        raise TypeError(f"decode returned {type(value).__name__}, not Decoded")
    if value.status not in (Status.OK, Status.PARTIAL, Status.REJECTED):
        raise TypeError(f"decode returned status {value.status}; only the harness gives that")
    if (value.value is None) != (value.status is Status.REJECTED):
        raise TypeError(f"decode returned status {value.status} with value {type(value.value)}")
    if value.value is not None and not isinstance(value.value, np.ndarray):
        raise TypeError(f"decode returned a {type(value.value).__name__}, not an array")
    return value


class Worker:
    """Serves requests on a socket until it closes."""

    def __init__(self, codec: Any, work: socket.socket, memory: int, output: int):
        self.codec, self.work, self.memory = codec, work, memory
        self.output = output
        self.pid = os.getpid()
        self.cpu = 0.0

    def serve(self) -> None:
        limit = _mapped() + self.memory
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        if hard != resource.RLIM_INFINITY:
            limit = min(limit, hard)
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        # no file may grow beyond what a batch of values or an encoder's output needs
        size = 2 * self.output + CUT_BYTES
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
        self.cpu = time.process_time()
        while True:
            try:
                message, fds = receive(self.work, with_fds=True)
                getattr(self, f"_{message['op']}")(message, *fds)
            except Gone:
                return
            close_all(fds)

    def _reply(self, message: dict[str, Any], cpu: float, wall: float) -> None:
        if os.getpid() != self.pid:  # foreign code forked, and this is the fork
            os._exit(0)
        now = time.process_time()
        own, self.cpu = max(0.0, now - self.cpu - cpu), now
        send(self.work, {**message, "cpu": cpu, "wall": wall, "own": own, "strays": _strays()})

    def _timed(self, call, *args) -> tuple[tuple[Any, Status | None, str], float, float]:
        wall, cpu = time.perf_counter(), time.process_time()
        result = guarded(call, *args)
        return result, time.process_time() - cpu, time.perf_counter() - wall

    def _encode(self, message: dict, inbox: int, outbox: int) -> None:
        note = message["item"]
        value = np.empty(note["shape"], np.dtype(note["dtype"]))
        read_at(inbox, 0, value)
        item = Item(note["id"], note["modality"], value, note["hash"], note["meta"])
        (encoded, status, why), cpu, wall = self._timed(self.codec.encode, item)
        if status is not None:
            return self._reply({"status": status, "detail": why}, cpu, wall)
        try:
            bits, side, classes = encoded.bits, bytes(encoded.side), encoded.classes
            marks = b"" if classes is None else np.ascontiguousarray(classes, np.uint8).tobytes()
            answer = {
                "status": Status.OK,
                "n_bits": int(bits.n_bits),
                "header_bits": int(encoded.header_bits),
                "side": len(side),
                "classes": None if classes is None else len(marks),
                "units": None if encoded.units is None else [int(n) for n in encoded.units],
                "meta": _plain(encoded.meta),
            }
            data = bits.data.tobytes()
        except Exception as error:
            bad = f"encode returned something else than Encoded: {describe(error)}"
            return self._reply({"status": Status.CRASHED, "detail": bad}, cpu, wall)
        total = len(data) + len(side) + len(marks)
        if total > message["capacity"]:
            why = f"encode made {total} bytes, the limit is {message['capacity']}"
            return self._reply({"status": Status.MEMORY, "detail": why}, cpu, wall)
        write_at(outbox, 0, data + side + marks)
        return self._reply(answer, cpu, wall)

    def _decode(self, message: dict, inbox: int, outbox: int) -> None:
        at = 0
        for index, note in enumerate(message["received"]):
            received, at = _read_received(inbox, at, note)
            result, cpu, wall = self._timed(self._decode_one, received)
            self._answer(index, result, message["slot"], outbox, cpu, wall)

    def _decode_one(self, received: Received) -> Decoded:
        return checked(self.codec.decode(received))

    def _batch(self, message: dict, inbox: int, outbox: int) -> None:
        at, batch = 0, []
        for note in message["received"]:
            received, at = _read_received(inbox, at, note)
            batch.append(received)
        (values, status, why), cpu, wall = self._timed(self._decode_batch, batch)
        if status is not None:
            return self._reply({"failed": why}, cpu, wall)
        share = 1 / len(batch)
        for index, value in enumerate(values):
            self._answer(
                index, (value, None, ""), message["slot"], outbox, cpu * share, wall * share
            )
        return None

    def _decode_batch(self, batch: list[Received]) -> list[Decoded]:
        values = [checked(value) for value in decode_all(self.codec, batch)]
        if len(values) != len(batch):
            raise TypeError(f"decode_batch gave {len(values)} values for {len(batch)}")
        return values

    def _answer(
        self,
        index: int,
        result: tuple[Decoded | None, Status | None, str],
        slot: int,
        outbox: int,
        cpu: float,
        wall: float,
    ) -> None:
        decoded, status, why = result
        note: dict[str, Any] = {"index": index, "status": status, "detail": why}
        if decoded is not None:
            note["status"] = decoded.status
            note["detail"] = str(decoded.detail)[:_MAX_TEXT]
            if decoded.value is not None:
                value = decoded.value
                note["shape"], note["dtype"] = list(value.shape), value.dtype.str
                if value.nbytes <= slot and not value.dtype.hasobject:
                    write_at(outbox, index * slot, np.ascontiguousarray(value))
        self._reply(note, cpu, wall)


def _read_received(inbox: int, at: int, note: dict) -> tuple[Received, int]:
    """Rebuild what the parent wrote; see `CodecProcess`."""

    def array(count: int | None, dtype: Any) -> np.ndarray | None:
        nonlocal at
        if count is None:
            return None
        out = np.empty(count, dtype)
        read_at(inbox, at, out)
        at += out.nbytes
        return out

    n_bits = note["n_bits"]
    data = array((n_bits + 7) // 8, np.uint8)
    side = array(note["side"], np.uint8)
    llr, erasures = array(note["llr"], np.float32), array(note["erasures"], np.bool_)
    assert data is not None
    assert side is not None
    received = Received(
        PackedBits(data, n_bits),
        side.tobytes(),
        llr,
        erasures,
        note["ber"],
        note["lenient"],
        note["max_pixels"],
        note["frames"],
    )
    return received, at


def _plain(value: Any) -> Any:
    """NumPy's numbers among plain ones; raises `TypeError` on what JSON can't say."""
    if isinstance(value, dict):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(entry) for entry in value]
    if isinstance(value, np.generic):
        return _plain(value.item())
    if (isinstance(value, float) and value != value) or value in (float("inf"), float("-inf")):
        raise TypeError(f"{value} in meta")
    if value is None or isinstance(value, (str, bool, int, float)):
        return value
    raise TypeError(f"a {type(value).__name__} in meta; plain values only")


def _strays() -> bool:
    """Whether foreign code has left child processes."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def _mapped() -> int:
    """Bytes of address space that this process maps."""
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[0]) * resource.getpagesize()
    except OSError:  # macOS: no /proc; its RLIMIT_AS counts resident memory, roughly
        scale = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale

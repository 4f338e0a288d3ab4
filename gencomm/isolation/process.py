"""The parent side, upper half: a codec in a process of its own."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from channels.bits import PackedBits, clear_spare_bits
from gencomm.codecs.contract import Decoded, Encoded, Item, Received, Status
from gencomm.isolation.limits import Encoding, IsolationError, Limits, Outcome
from gencomm.isolation.nest import Nest
from gencomm.isolation.wire import CUT_BYTES, Gone, Late, Mailbox, Rubbish, send

_CUT_ITEMS = 64
#: Slack on the time limit for the harness's own part of a request.
_GRACE = 0.25


class CodecProcess:
    """A codec that runs in a child process under limits.

    Parameters
    ----------
    spec : str
        Such as ``jpeg(bpp=0.5)``, or ``module:object``.
    limits : Limits, optional

    Attributes
    ----------
    name, modality, wants, versions
        The codec's own.
    traits : dict
        What it states for the conformance kit.
    cpu : dict of str to float
        CPU seconds spent so far in the child: ``encode``, ``decode`` (the codec's) and ``worker``
        (the harness's part there: copying, messages).

    Raises
    ------
    IsolationError
        The codec can't be built: with the cause.
    """

    def __init__(self, spec: str, limits: Limits | None = None):
        self.spec, self.limits = spec, limits or Limits()
        self.cpu = {"encode": 0.0, "decode": 0.0, "worker": 0.0}
        self._nest = Nest(spec, self.limits)
        facts = self._nest.facts
        self.name: str = facts["name"]
        self.modality: str = facts["modality"]
        self.wants: frozenset[str] = frozenset(map(str, facts["wants"]))
        self.versions: dict[str, str] = {str(k): str(v) for k, v in facts["versions"].items()}
        self.traits: dict[str, Any] = facts["traits"]
        self._batch: bool = facts["batch"]
        self._inbox, self._outbox = Mailbox(), Mailbox()
        self._life = 0.0  # CPU that the living worker has accounted for

    def __enter__(self) -> CodecProcess:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """End the child process and give all memory back."""
        self._nest.close()
        self._inbox.close()
        self._outbox.close()

    def encode(self, item: Item) -> Encoding:
        """Encode an item.

        Raises
        ------
        IsolationError
            The encoder raised, died or ran into a limit; `status` says which.
        """
        value = np.ascontiguousarray(item.value)
        self._inbox.write(0, value)
        note = {
            "id": item.id,
            "modality": item.modality,
            "shape": list(value.shape),
            "dtype": value.dtype.str,
            "hash": item.hash,
            "meta": {k: v for k, v in item.meta.items() if _is_plain(v)},
        }
        request = {"op": "encode", "item": note, "capacity": self.limits.output}
        try:
            message = self._ask(request, self.limits.encode_seconds)
            self._account("encode", message)
            if message.get("status") != Status.OK:
                raise IsolationError(
                    f"{self.spec} can't encode {item.id}: {_text(message)}", _failure(message)
                )
            encoded = self._read_encoded(message)
        except (Gone, Late, Rubbish) as error:
            status, detail, _ = self._buried("encode", error, self.limits.encode_seconds)
            raise IsolationError(f"{self.spec} can't encode {item.id}: {detail}", status) from error
        finally:
            self._tidy()
        return Encoding(encoded, _seconds(message, "cpu"), _seconds(message, "wall"))

    def _read_encoded(self, message: dict[str, Any]) -> Encoded:
        n_bits, side_size = _count(message, "n_bits"), _count(message, "side")
        header = _count(message, "header_bits")
        marks = None if message.get("classes") is None else _count(message, "classes")
        size = (n_bits + 7) // 8
        if size + side_size + (marks or 0) > self.limits.output or header > n_bits:
            raise Rubbish("impossible sizes")
        if marks not in (None, n_bits) or not isinstance(message.get("meta"), dict):
            raise Rubbish("classes or meta of the wrong kind")
        whole = np.zeros(size + side_size + (marks or 0), np.uint8)
        if not self._outbox.read(0, whole):
            raise Rubbish("less data than announced")
        data = whole[:size].copy()
        clear_spare_bits(data, n_bits)
        classes = None if marks is None else whole[size + side_size :].copy()
        side = whole[size : size + side_size].tobytes()
        bits = PackedBits(data, n_bits)
        return Encoded(bits, header, side, classes, message["meta"], _units(message, n_bits))

    def decode(
        self, received: Sequence[Received], shape: Sequence[int], dtype: Any = np.uint8
    ) -> list[Outcome]:
        """Decode a batch; one outcome for each, in order, whatever happens.

        Parameters
        ----------
        received : sequence of Received
        shape, dtype
            Of the item that was sent: another shape or type is ``wrong_size``.

        Raises
        ------
        ValueError
            Such a value would be larger than the limit `output`.
        """
        shape, dtype = tuple(shape), np.dtype(dtype)
        slot = math.prod(shape) * dtype.itemsize
        if slot > self.limits.output:
            raise ValueError(
                f"a value of {slot} bytes is above the limit output={self.limits.output}"
            )
        cut = max(1, min(_CUT_ITEMS, CUT_BYTES // max(1, slot)))
        outcomes: list[Outcome] = []
        while len(outcomes) < len(received):
            at = len(outcomes)
            part = [self._limited(one, shape) for one in received[at : at + cut]]
            try:
                done = self._decode_batch(part, shape, dtype, slot) if self._batch else None
                outcomes += done or self._decode_cut(part, shape, dtype, slot)
            except BaseException:
                self._nest.kill()  # a reply to this request must not meet the next one
                raise
        self._tidy()
        return outcomes

    def _limited(self, received: Received, shape: tuple[int, ...]) -> Received:
        if received.max_pixels is not None or self.modality != "image":
            return received
        pixels = int(self.limits.pixels * max(math.prod(shape[:2]), 2**12))
        return Received(**{**vars(received), "max_pixels": pixels})

    def _decode_batch(
        self, part: list[Received], shape: tuple[int, ...], dtype: np.dtype, slot: int
    ) -> list[Outcome] | None:
        """All of `part` in one call of the codec's own; None where that failed for any."""
        seconds = self.limits.seconds * len(part)
        try:
            message = self._ask(self._request("batch", part, slot), seconds)
            if "failed" in message:
                self._account("decode", message)
                return None
            outcomes = [self._outcome(message, 0, shape, dtype, slot)]
            for index in range(1, len(part)):
                message = self._nest.reply(_GRACE + seconds, self._life)
                outcomes.append(self._outcome(message, index, shape, dtype, slot))
            return outcomes
        except (Gone, Late, Rubbish) as error:
            self._buried("decode", error, seconds)
            return None

    def _decode_cut(
        self, part: list[Received], shape: tuple[int, ...], dtype: np.dtype, slot: int
    ) -> list[Outcome]:
        """Decode one by one up to the first death, so at least one."""
        outcomes: list[Outcome] = []
        fresh = self._nest.work is None
        try:
            message = self._ask(self._request("decode", part, slot), self.limits.seconds)
            while True:
                outcomes.append(self._outcome(message, len(outcomes), shape, dtype, slot))
                if len(outcomes) == len(part):
                    return outcomes
                message = self._nest.reply(self.limits.seconds + _GRACE, self._life)
        except (Gone, Late, Rubbish) as error:
            status, detail, cpu = self._buried("decode", error, self.limits.seconds)
            # An earlier trial may have damaged the worker's memory. What a trial comes to must not
            # depend on the batch it was in: ask a fresh worker, with this one alone.
            if status is Status.CRASHED and not (fresh and not outcomes):
                alone = part[len(outcomes) : len(outcomes) + 1]
                return outcomes + self._decode_cut(alone, shape, dtype, slot)
            wall = self.limits.seconds if status is Status.TIMEOUT else 0.0
            return [*outcomes, Outcome(Decoded(None, status, detail), cpu, wall)]

    def _request(self, op: str, part: list[Received], slot: int) -> dict[str, Any]:
        """Write a batch into shared memory; the note that tells where everything lies."""
        at, notes = 0, []
        for one in part:
            llr = None if one.llr is None else np.ascontiguousarray(one.llr, np.float32)
            erasures = None
            if one.erasures is not None:
                erasures = np.ascontiguousarray(one.erasures, np.bool_)
            at = self._inbox.write(at, np.ascontiguousarray(one.bits.data))
            at = self._inbox.write(at, one.side)
            for extra in (llr, erasures):
                at = at if extra is None else self._inbox.write(at, extra)
            notes.append(
                {
                    "n_bits": one.bits.n_bits,
                    "side": len(one.side),
                    "llr": None if llr is None else llr.size,
                    "erasures": None if erasures is None else erasures.size,
                    "ber": one.ber,
                    "lenient": one.lenient,
                    "max_pixels": one.max_pixels,
                    "frames": one.frames,
                }
            )
        return {"op": op, "received": notes, "slot": slot}

    def _ask(self, request: dict[str, Any], seconds: float) -> dict[str, Any]:
        """Send a request to the worker and wait for its first reply."""
        if self._nest.work is None:
            self._life = 0.0
        work = self._nest.ensure_worker()
        send(work, request, (self._inbox.fd, self._outbox.fd))
        return self._nest.reply(seconds + _GRACE, self._life)

    def _outcome(
        self, message: dict[str, Any], index: int, shape: tuple, dtype: np.dtype, slot: int
    ) -> Outcome:
        """Check what a worker says of one trial, and fetch the value."""
        self._account("decode", message)
        if message.get("index") != index:
            raise Rubbish("an answer out of turn")
        cpu, wall = _seconds(message, "cpu"), _seconds(message, "wall")
        status, detail = message.get("status"), _text(message)
        if status not in (Status.OK, Status.PARTIAL):
            return Outcome(Decoded(None, _failure(message, Status.REJECTED), detail), cpu, wall)
        if message.get("shape") != list(shape) or message.get("dtype") != dtype.str:
            got = f"{message.get('dtype')} of shape {message.get('shape')}"[:200]
            return Outcome(
                Decoded(None, Status.WRONG_SIZE, f"got {got}, not {dtype.str} of {list(shape)}"),
                cpu,
                wall,
            )
        value = np.zeros(shape, dtype)
        if not self._outbox.read(index * slot, value):
            raise Rubbish("less data than announced")
        if value.dtype.kind in "fc" and not np.isfinite(value).all():
            why = "the value holds NaN or infinity"
            return Outcome(Decoded(None, Status.CRASHED, why), cpu, wall)
        return Outcome(Decoded(value, Status(status), detail), cpu, wall)

    def _account(self, stage: str, message: dict[str, Any]) -> None:
        cpu, own = _seconds(message, "cpu"), _seconds(message, "own")
        self.cpu[stage] += cpu
        self.cpu["worker"] += own
        self._life += cpu + own
        self._strays = bool(message.get("strays"))
        self._spent = message.get("status") == Status.MEMORY

    _strays = False
    _spent = False

    def _tidy(self) -> None:
        """Replace a worker that left processes behind or ran out of memory."""
        if (self._strays or self._spent) and self._nest.work is not None:
            self._nest.kill()
        self._strays = self._spent = False

    def _buried(self, stage: str, error: Exception, seconds: float) -> tuple[Status, str, float]:
        """Bury the worker; status and words for the trial that it died on, and its CPU time."""
        death = self._nest.kill()
        cpu = max(0.0, death.cpu - self._life)
        self._life = 0.0
        self.cpu[stage] += cpu
        if isinstance(error, Late):
            return Status.TIMEOUT, f"took more than {seconds:g} s", cpu
        if isinstance(error, Rubbish):
            return Status.CRASHED, f"its process wrote nonsense: {error}"[:300], cpu
        return Status.CRASHED, death.detail, cpu


def _is_plain(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    return value is None or isinstance(value, (str, bool, int))


def _text(message: dict[str, Any]) -> str:
    return str(message.get("detail", ""))[:500]


def _failure(message: dict[str, Any], *also: Status) -> Status:
    """The failure that a worker reports; one that it can't know of is `Rubbish`."""
    for status in (Status.CRASHED, Status.MEMORY, *also):
        if message.get("status") == status:
            return status
    raise Rubbish(f"status {message.get('status')!r}"[:100])


def _count(message: dict[str, Any], key: str) -> int:
    value = message.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**40:
        raise Rubbish(f"{key} is {value!r}"[:100])
    return value


def _units(message: dict[str, Any], n_bits: int) -> np.ndarray | None:
    """Lengths of units that add up to the stream, each of whole bytes but for the last."""
    units = message.get("units")
    if units is None:
        return None
    whole = isinstance(units, list) and all(type(n) is int and 0 <= n <= n_bits for n in units)
    if not whole or sum(units) != n_bits or any(n % 8 for n in units[:-1]):
        raise Rubbish("units that don't add up to the stream")
    return np.array(units, np.int64)


def _seconds(message: dict[str, Any], key: str) -> float:
    value = message.get(key)
    if not isinstance(value, (int, float)) or not 0 <= value < 1e9:
        raise Rubbish(f"{key} is {value!r}"[:100])
    return float(value)

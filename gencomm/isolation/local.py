"""The same interface without a process: for trusted codecs, notebooks and debugging."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from gencomm.codecs.contract import Decoded, Item, Received, Status
from gencomm.codecs.registry import make_codec
from gencomm.isolation.limits import Encoding, IsolationError, Limits, Outcome
from gencomm.isolation.worker import checked, guarded, traits


class LocalCodec:
    """A codec that runs in this process. Exceptions become statuses; no limit holds.

    Takes the place of `CodecProcess`, and takes codec objects too.
    """

    def __init__(self, spec: Any, limits: Limits | None = None):
        self.limits = limits or Limits()
        self.codec = make_codec(spec) if isinstance(spec, str) else spec
        self.spec = spec if isinstance(spec, str) else self.codec.name
        self.name, self.modality = self.codec.name, self.codec.modality
        self.wants = frozenset(self.codec.wants)
        versions = getattr(self.codec, "versions", None)
        self.versions: dict[str, str] = versions() if versions else {}
        self.traits = traits(self.codec)
        self.cpu = {"encode": 0.0, "decode": 0.0, "worker": 0.0}

    def __enter__(self) -> LocalCodec:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Nothing to end here."""

    def encode(self, item: Item) -> Encoding:
        """Encode an item; raises `IsolationError` where the codec raises."""
        wall, cpu = time.perf_counter(), time.process_time()
        encoded, status, why = guarded(self.codec.encode, item)
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        self.cpu["encode"] += cpu
        if status is not None:
            raise IsolationError(f"{self.spec} can't encode {item.id}: {why}", status)
        return Encoding(encoded, cpu, wall)

    def decode(
        self, received: Sequence[Received], shape: Sequence[int], dtype: Any = np.uint8
    ) -> list[Outcome]:
        """Decode a batch, one by one; one outcome for each, in order."""
        return [self._decode(one, tuple(shape), np.dtype(dtype)) for one in received]

    def _decode(self, received: Received, shape: tuple[int, ...], dtype: np.dtype) -> Outcome:
        wall, cpu = time.perf_counter(), time.process_time()
        decoded, status, why = guarded(lambda: checked(self.codec.decode(received)))
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        self.cpu["decode"] += cpu
        if status is not None:
            return Outcome(Decoded(None, status, why), cpu, wall)
        value = decoded.value
        if value is not None and (value.shape != shape or value.dtype != dtype):
            why = f"got {value.dtype} of shape {value.shape}, not {dtype} of {shape}"
            return Outcome(Decoded(None, Status.WRONG_SIZE, why), cpu, wall)
        if value is not None and value.dtype.kind in "fc" and not np.isfinite(value).all():
            why = "the value holds NaN or infinity"
            return Outcome(Decoded(None, Status.CRASHED, why), cpu, wall)
        return Outcome(decoded, cpu, wall)

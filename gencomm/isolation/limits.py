"""What isolated codecs may use, and what comes back from them."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass

from gencomm.codecs.contract import Decoded, Encoded, Status


class IsolationError(RuntimeError):
    """A codec that can't be started, or an encoder that failed.

    Attributes
    ----------
    status : Status
        What became of it: crashed, timeout, memory.
    """

    def __init__(self, message: str, status: Status = Status.CRASHED):
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Limits:
    """Bounds on one codec's process.

    Attributes
    ----------
    seconds : float
        Time of one decode: by the clock, or of the processor where the machine is so busy that a
        computing decoder did not get that much of it.
    memory : int
        Bytes of address space a worker may map beyond what it maps when it starts.
    output : int
        Bytes an encoder may hand over, and a decoded value may have.
    encode_seconds : float
        Wall time of one encode, the search for a rate included.
    start_seconds : float
        Wall time for building the codec (loading weights).
    threads : int
        Threads of numerical libraries; results are the same for any number, time isn't.
    pixels : float
        Codecs are told to refuse pictures that claim more than so many times the item's pixels.
    """

    seconds: float = 10.0
    memory: int = 2**30
    output: int = 2**28
    encode_seconds: float = 600.0
    start_seconds: float = 120.0
    threads: int = 1
    pixels: float = 16.0

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not (value > 0 and math.isfinite(value)):
                raise ValueError(f"limit {name} must be positive and finite, got {value}")


@dataclass(frozen=True)
class Outcome:
    """What became of one trial: `decoded`, and the seconds its decoder took (CPU and wall)."""

    decoded: Decoded
    cpu: float = 0.0
    wall: float = 0.0


@dataclass(frozen=True)
class Encoding:
    """What an encoder made, and the seconds it took (CPU and wall)."""

    encoded: Encoded
    cpu: float = 0.0
    wall: float = 0.0


def cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1

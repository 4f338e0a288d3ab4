"""CPU seconds by stage: where a sweep's time goes, and how much of it the harness takes."""

from __future__ import annotations

import resource
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

#: Stages that a sweep is for; all others are the harness's own.
WORK = ("encode", "decode", "metric")
#: The stages in the order they are printed, with what they are.
STAGES = {
    "encode": "encoders",
    "decode": "decoders",
    "metric": "metrics",
    "link": "links: noise, modulation, counting errors",
    "transport": "to and from the decoders' processes",
    "source": "reading items",
    "picture": "pictures kept for contact sheets",
    "plan": "configuration and plan",
    "store": "writing the store",
    "start": "starting processes and imports",
    "other": "all the rest",
}


class Stopwatch:
    """Adds up CPU seconds of this process by stage. Stages may nest; each second counts once."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._inner = 0.0

    @contextmanager
    def watch(self, stage: str) -> Iterator[None]:
        """Book what happens inside to `stage`, less what is booked to others meanwhile."""
        before, outer_inner, self._inner = time.process_time(), self._inner, 0.0
        try:
            yield
        finally:
            spent = time.process_time() - before
            self.seconds[stage] += max(0.0, spent - self._inner)
            self._inner = outer_inner + spent

    def add(self, stage: str, seconds: float) -> None:
        """Book seconds that another process spent."""
        self.seconds[stage] += seconds

    def take(self) -> dict[str, float]:
        """What was booked since the last call."""
        taken, self.seconds = dict(self.seconds), defaultdict(float)
        return taken


def cpu_seconds() -> float:
    """CPU seconds of this process and of all its children that have ended."""
    total = 0.0
    for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN):
        usage = resource.getrusage(who)
        total += usage.ru_utime + usage.ru_stime
    return total


def complete(seconds: Mapping[str, float], total: float) -> dict[str, float]:
    """All stages in order; what `total` holds beyond those booked becomes "other"."""
    found = {stage: float(seconds.get(stage, 0.0)) for stage in STAGES}
    booked = sum(value for stage, value in found.items() if stage != "other")
    found["other"] = max(0.0, total - booked)
    return found


def harness_share(seconds: Mapping[str, float]) -> float:
    """The part of the CPU time that is neither encode, decode nor metric; 0 to 1."""
    total = sum(seconds.values())
    return 1.0 - sum(seconds.get(stage, 0.0) for stage in WORK) / total if total else 0.0

"""When a cell has trials enough.

The rule looks at the trials in their order and stops at the first that suffices; what was drawn
beyond is thrown away. So the answer depends neither on the batch size nor on the worker.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache

from gencomm.codecs.contract import Status

#: Of the interval that `half_width` speaks of.
CONFIDENCE = 0.95
#: So many trials in a row stopped at the limit of time or memory end a cell: a decoder that hangs
#: on every trial would otherwise cost its limit times the number of trials.
STALLED = 3


class Stop(enum.StrEnum):
    """Why a cell ended."""

    MAX_TRIALS = "max_trials"
    #: every interval asked for is narrow enough
    HALF_WIDTH = "half_width"
    #: so many outages as were asked for
    MAX_ERRORS = "max_errors"
    #: the codec's bits can't be hit: the link has no noise, or nothing goes over it
    NO_ERRORS_POSSIBLE = "no_errors_possible"
    #: trial after trial ran into the limit of time or memory
    LIMIT = "limit"
    #: the encoder failed, so there was nothing to send
    NOT_ENCODED = "not_encoded"


@dataclass
class Trace:
    """What a rule sees of a cell: its clean scores, and one entry a trial of all else.

    `weight` is the probability of the condition under which the trials were drawn, 1 where there
    was none.
    """

    clean: Mapping[str, float]
    weight: float = 1.0
    statuses: list[Status] = field(default_factory=list)
    bit_errors: list[int] = field(default_factory=list)
    scores: dict[str, list[float]] = field(default_factory=dict)

    def add(self, status: Status, bit_errors: int, scores: Mapping[str, float]) -> None:
        """The next trial."""
        self.statuses.append(status)
        self.bit_errors.append(bit_errors)
        for name, score in scores.items():
            self.scores.setdefault(name, []).append(score)


@dataclass(frozen=True)
class StopRule:
    """At least `min` and at most `max` trials, fewer than that when one of these holds.

    Attributes
    ----------
    half_width : dict of str to float
        The Student-t interval (95 %) of the mean over the cell's trials is at most this wide to
        either side, for every metric named. Trials drawn on condition of a hit move the mean over
        all noise by their weight only, and so does their interval. Two things keep an early stop
        from biasing the mean of a codec that is either unharmed or destroyed, which a few trials
        of one kind make look certain. Trials that are all alike say nothing about their spread.
        And where no trial so
        far arrived without an error, the share exp(-k) of trials that may yet do so (k: the
        fewest errors seen; exact for independent errors at a rate of k a trial) adds its pull
        towards the clean quality to the half width; under a condition that share is known instead.
    max_errors : int, optional
        So many trials ended in an outage.
    """

    min: int
    max: int
    half_width: Mapping[str, float] = field(default_factory=dict)
    max_errors: int | None = None

    def stop(self, trials: Trace, checked: int = 0) -> tuple[int, Stop] | None:
        """How many trials suffice and why, or None where more are needed.

        Parameters
        ----------
        trials : Trace
            All so far, in order.
        checked : int
            How many of them an earlier call found too few.
        """
        for n in range(checked + 1, len(trials.statuses) + 1):
            reason = self._at(n, trials)
            if reason is not None:
                return n, reason
        return None

    def _at(self, n: int, trials: Trace) -> Stop | None:
        last = trials.statuses[max(0, n - STALLED) : n]
        if len(last) == STALLED and all(s in (Status.TIMEOUT, Status.MEMORY) for s in last):
            return Stop.LIMIT
        if n >= self.min and _looks(n):
            outages = sum(status.outage for status in trials.statuses[:n])
            if self.max_errors is not None and outages >= self.max_errors:
                return Stop.MAX_ERRORS
            if self.half_width and all(
                self._narrow(n, trials, name, wanted) for name, wanted in self.half_width.items()
            ):
                return Stop.HALF_WIDTH
        return Stop.MAX_TRIALS if n >= self.max else None

    def _narrow(self, n: int, trials: Trace, name: str, wanted: float) -> bool:
        values = trials.scores[name][:n]
        width = trials.weight * half_width(values)
        if width == 0:
            return False
        fewest = min(trials.bit_errors[:n])
        if fewest > 0 and trials.weight == 1:
            width += math.exp(-fewest) * abs(trials.clean[name] - math.fsum(values) / n)
        return width <= wanted


def _looks(n: int) -> bool:
    """Whether to look after `n` trials: after each one to 64, then 32 times per doubling."""
    return n <= 64 or n % (1 << (n.bit_length() - 6)) == 0


def half_width(values: Sequence[float]) -> float:
    """Half the width of the 95 % Student-t interval of the mean.

    Infinite for fewer than two values, or where one of them is not finite.
    """
    n = len(values)
    if n < 2 or not all(map(math.isfinite, values)):
        return math.inf
    mean = math.fsum(values) / n
    variance = math.fsum((v - mean) ** 2 for v in values) / (n - 1)
    return _quantile(n - 1) * math.sqrt(variance / n)


@cache
def _quantile(degrees: int) -> float:
    from scipy.special import stdtrit

    return float(stdtrit(degrees, 0.5 + CONFIDENCE / 2))

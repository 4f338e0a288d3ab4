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


@dataclass(frozen=True)
class StopRule:
    """At least `min` and at most `max` trials, fewer than that when one of these holds.

    Attributes
    ----------
    half_width : dict of str to float
        The Student-t interval (95 %) of the mean over the cell's trials is at most this wide to
        either side, for every metric named. Trials that are all alike don't count: four trials
        without a bit error say nothing about the one in ten that has one, and stopping there
        would bias a cell towards its clean quality. (Such trials cost next to nothing.)
    max_errors : int, optional
        So many trials ended in an outage.
    """

    min: int
    max: int
    half_width: Mapping[str, float] = field(default_factory=dict)
    max_errors: int | None = None

    def stop(
        self,
        statuses: Sequence[Status],
        scores: Mapping[str, Sequence[float]],
        checked: int = 0,
    ) -> tuple[int, Stop] | None:
        """How many trials suffice and why, or None where more are needed.

        Parameters
        ----------
        statuses : one per trial so far, in order
        scores : metric name -> one value per trial
        checked : how many trials an earlier call found too few
        """
        for n in range(checked + 1, len(statuses) + 1):
            reason = self._at(n, statuses, scores)
            if reason is not None:
                return n, reason
        return None

    def _at(
        self, n: int, statuses: Sequence[Status], scores: Mapping[str, Sequence[float]]
    ) -> Stop | None:
        last = statuses[max(0, n - STALLED) : n]
        if len(last) == STALLED and all(s in (Status.TIMEOUT, Status.MEMORY) for s in last):
            return Stop.LIMIT
        if n >= self.min and _looks(n):
            outages = sum(status.outage for status in statuses[:n])
            if self.max_errors is not None and outages >= self.max_errors:
                return Stop.MAX_ERRORS
            if self.half_width and all(
                0 < half_width(scores[name][:n]) <= wanted
                for name, wanted in self.half_width.items()
            ):
                return Stop.HALF_WIDTH
        return Stop.MAX_TRIALS if n >= self.max else None


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

"""The learning rate: warm-up, constant for as long as there is time, and a decay at the end.

Warmup, stable, decay: unlike a cosine it needs no budget beforehand. The constant phase can go on
from its checkpoint in any later session; a decay starts from that checkpoint, is written to a file
of its own, and leaves the constant phase where it was.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Schedule:
    """Factor of the learning rate at each step.

    Attributes
    ----------
    warmup : int
        Steps of the linear rise.
    decay_from : int or None
        Step at which the decay begins; None in the constant phase.
    decay_steps : int
        Its length; at its end the factor is zero.
    """

    warmup: int
    decay_from: int | None = None
    decay_steps: int = 0

    def __call__(self, step: int) -> float:
        factor = min(1.0, (step + 1) / max(self.warmup, 1))
        if self.decay_from is None:
            return factor
        # 1 - sqrt: falls fast at first, which leaves more of a short decay at low rates.
        done = min(max(step - self.decay_from, 0) / max(self.decay_steps, 1), 1.0)
        return factor * (1 - done**0.5)

    def finished(self, step: int) -> bool:
        """Whether the decay has come to zero."""
        return self.decay_from is not None and step >= self.decay_from + self.decay_steps

    def ema(self, decay: float, step: int) -> float:
        """Decay of the moving average of the weights at a step.

        Short at first, so that it forgets the start. In the decay of the learning rate it reaches
        over no more than a tenth: the weights from before that are worse.
        """
        shortest = 1 - 10 / max(self.decay_steps, 10)
        longest = decay if self.decay_from is None else min(decay, shortest)
        return min(longest, (1 + step) / (10 + step))

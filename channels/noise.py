"""Counter-based noise: every trial has its own generator, whoever draws it and when.

A generator is named by (seed, link, item) and addressed by (trial, stage). It does not know the
codec, the worker, the batch size or the order of work, so rows come out the same bit for bit for
any number of workers, and codecs compared at one operating condition see the same noise.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class NoiseStream:
    """The noise of one (seed, link, item).

    Philox 4x64 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011) takes a
    128-bit key and a 256-bit counter. The key is the head of SHA-256 over the three names; stage
    and trial fill the upper half of the counter, which leaves 2**128 draws to each.
    """

    seed: int = 0
    link: str = ""
    item: str = ""
    _key: np.ndarray = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        names = json.dumps([self.seed, self.link, self.item]).encode()
        digest = hashlib.sha256(names).digest()
        object.__setattr__(self, "_key", np.frombuffer(digest[:16], "<u8").astype(np.uint64))

    def generator(self, trial: int, stage: int = 0) -> np.random.Generator:
        """The generator of one trial (>= 0) at one stage of the link (>= 0)."""
        counter = np.array([0, 0, stage, trial], np.uint64)
        return np.random.Generator(np.random.Philox(counter=counter, key=self._key))


def split(rng: np.random.Generator, count: int) -> list[np.random.Generator]:
    """Generators of their own for `count` processes within a trial, keyed by draws from `rng`.

    What one process draws then doesn't depend on how much the others have drawn.
    """
    keys = rng.integers(0, 2**64, (count, 2), np.uint64)
    return [np.random.Generator(np.random.Philox(key=key)) for key in keys]

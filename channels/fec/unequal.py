"""Unequal error protection: each class of bits has a code of its own."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from channels.ledger import together
from channels.link import CHANNELS
from channels.noise import split
from channels.spec import Chain
from channels.stage import Batch, ClassSizes, Context, Sizes, Stage


class Unequal(Stage):
    """A code for each class of importance: ``unequal(ldpc(rate=1/3), ldpc(rate=3/4))|qam16|...``.

    The first code protects bits of class 0, the most important; the second those of class 1, and
    so on; the last one those of all classes behind. The bits of each class are sent together, in
    their order, class 0 first. Where nobody gives classes all bits are of class 0.

    Its rate depends on the payload: `ebno_db` would mean something else for each, so media take
    `esno_db` beside it, and the ledger gives the Eb/N0 that came out. It comes first in a link,
    since codes, frames and interleavers before it would leave no classes.

    Parameters
    ----------
    *codes : chain, text or None
        A code (``conv(rate=3/4)``), a chain of stages that work on bits (``packets|ldpc``), or
        ``none`` for bits that go without.
    """

    def __init__(self, *codes: Chain | None):
        if not codes:
            raise ValueError("name a code for each class, such as unequal(ldpc(rate=1/3), none)")
        self.branches = [_Branch.build(code) for code in codes]
        self.class_rates = tuple(branch.rate for branch in self.branches)
        self.rate = self.class_rates[0]
        stages = [stage for branch in self.branches for stage in branch.stages]
        self.soft_input = any(stage.soft_input for stage in stages)
        self.calibrated = all(stage.calibrated for stage in stages)

    def configure(self, context: Context) -> None:
        for branch in self.branches:
            soft = context.soft
            for stage in branch.stages:
                stage.configure(
                    Context(branch.rate, context.bits_per_symbol, soft, context.constellation)
                )
                soft = soft or stage.soft_input

    def sizes(self, n_in: int) -> Sizes:
        return together([part.sizes for part in self.class_sizes([n_in])])

    def class_sizes(self, counts: Sequence[int]) -> tuple[ClassSizes, ...]:
        last = len(self.branches) - 1
        shares = [*counts[:last], *[0] * (last - len(counts)), sum(counts[last:])]
        return tuple(
            ClassSizes(number, branch.text, n_in, branch.sizes(n_in), branch.rate)
            for number, (branch, n_in) in enumerate(zip(self.branches, shares, strict=True))
        )

    def _places(self, batch: Batch) -> list[np.ndarray | slice]:
        """Where the bits of each branch stand in the payload."""
        nothing = slice(0, 0)
        if batch.classes is None:
            return [slice(None), *[nothing] * (len(self.branches) - 1)]
        classes = np.minimum(batch.classes, len(self.branches) - 1)
        return [np.flatnonzero(classes == number) for number in range(len(self.branches))]

    def forward(self, batch: Batch, rngs: Sequence[np.random.Generator]) -> tuple[Batch, Any]:
        assert batch.bits is not None
        bits = np.unpackbits(batch.bits, axis=-1, count=batch.n_bits)
        places, sent, states = self._places(batch), [], []
        own = [split(rng, len(self.branches)) for rng in rngs]
        for number, (branch, where) in enumerate(zip(self.branches, places, strict=True)):
            part = bits[:, where]
            out, state = branch.forward(
                Batch(part.shape[1], bits=np.packbits(part, axis=-1)), [r[number] for r in own]
            )
            assert out.bits is not None
            sent.append(np.unpackbits(out.bits, axis=-1, count=out.n_bits))
            states.append((where, out.n_bits, state))
        joined = np.concatenate(sent, axis=-1)
        packed = np.packbits(joined, axis=-1)
        n_out = joined.shape[1]
        return batch.with_(n_bits=n_out, bits=packed, classes=None), (batch.n_bits, states)

    def backward(self, batch: Batch, state: Any) -> Batch:
        assert batch.bits is not None
        n_in, states = state
        rows, n_out = batch.bits.shape[0], batch.n_bits
        received = np.unpackbits(batch.bits, axis=-1, count=n_out)
        gone = None
        if batch.erased is not None:
            gone = np.unpackbits(batch.erased, axis=-1, count=n_out)
        bits, lost = np.empty((rows, n_in), np.uint8), np.zeros((rows, n_in), np.uint8)
        llr = None if batch.llr is None else np.empty((rows, n_in), np.float32)
        flagged, at = gone is not None, 0
        for branch, (where, length, inner) in zip(self.branches, states, strict=True):
            here = slice(at, at + length)
            at += length
            part = Batch(
                length,
                bits=np.packbits(received[:, here], axis=-1),
                llr=None if batch.llr is None else np.ascontiguousarray(batch.llr[:, here]),
                erased=None if gone is None else np.packbits(gone[:, here], axis=-1),
                crossover=batch.crossover,
            )
            found = branch.backward(part, inner)
            assert found.bits is not None
            bits[:, where] = np.unpackbits(found.bits, axis=-1, count=found.n_bits)
            if found.erased is not None:
                flagged = True
                lost[:, where] = np.unpackbits(found.erased, axis=-1, count=found.n_bits)
            if found.llr is None and found.n_bits:
                llr = None  # half a set of LLRs helps nobody
            elif llr is not None and found.n_bits:
                llr[:, where] = found.llr
        return Batch(
            n_in,
            bits=np.packbits(bits, axis=-1),
            llr=llr,
            erased=np.packbits(lost, axis=-1) if flagged else None,
        )


@dataclass(frozen=True)
class _Branch:
    """What the bits of one class go through."""

    text: str
    stages: tuple[Stage, ...]

    @classmethod
    def build(cls, chain: Chain | None) -> _Branch:
        stages = []
        for spec in chain or ():
            stage = CHANNELS.create(spec)
            if stage.medium or stage.takes != "bits" or stage.gives != "bits":
                raise spec.error(f"{spec.name} protects no bits; media and modulations come after")
            if stage.class_rates:
                raise spec.error(f"{spec.name} stands for a class whose bits are all alike")
            stage.spec = spec
            stages.append(stage)
        text = "|".join(CHANNELS.canonical(spec) for spec in chain) if chain else "none"
        return cls(text, tuple(stages))

    @property
    def rate(self) -> float:
        return float(math.prod(stage.rate for stage in self.stages))

    def sizes(self, n_in: int) -> Sizes:
        found = [Sizes(n_in)]
        for stage in self.stages:
            found.append(stage.sizes(found[-1].n_out))
        total = together(found[1:])
        return Sizes(found[-1].n_out, total.parity, total.framing, total.padding)

    def forward(self, batch: Batch, rngs: Sequence[np.random.Generator]) -> tuple[Batch, list[Any]]:
        states, own = [], [split(rng, len(self.stages)) for rng in rngs]
        for number, stage in enumerate(self.stages):
            batch, state = stage.forward(batch, [r[number] for r in own])
            states.append(state)
        return batch, states

    def backward(self, batch: Batch, states: list[Any]) -> Batch:
        for stage, state in zip(reversed(self.stages), reversed(states), strict=True):
            batch = stage.backward(batch, state)
        return batch

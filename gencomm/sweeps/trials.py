"""The trials of a cell: encode once, send in batches, decode, measure, stop when it is enough."""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from channels.link import Link, ReceivedBatch
from channels.noise import NoiseStream
from gencomm.codecs.contract import Decoded, Encoded, Item, Received, Status
from gencomm.isolation import CodecProcess, IsolationError, Limits
from gencomm.items import as_picture
from gencomm.metrics import Panel
from gencomm.policy import (
    Policy,
    Wire,
    clean_received,
    conceal,
    from_wire,
    is_clean,
    ledger,
    link_ber,
    settle,
    to_wire,
)
from gencomm.sources import Source
from gencomm.sweeps.adaptive import Stop, StopRule, Trace
from gencomm.sweeps.config import SweepConfig
from gencomm.sweeps.plan import CODECS_AT_ONCE, Cell, Group
from gencomm.sweeps.records import Artefact, CellRecord, RowRecord
from gencomm.sweeps.stopwatch import Stopwatch

#: Trials sent and decoded at a time, once a cell has its least number.
BATCH = 4
#: Pictures of a batch take at most about this much memory.
BATCH_BYTES = 256 * 2**20
#: Characters of a decoder's words that a row keeps.
DETAIL = 200
#: Where a trial is hit with a smaller probability than this, only trials that are hit are drawn.
#: With w that probability, the estimate's variance falls by 1/w or more, so here at least by two,
#: and each decoding buys at least as much as it would otherwise. Above, little is gained for codecs
#: that damage harms gradually, and rows that need no weight are easier to read.
RARE = 0.5
_ADDRESS = re.compile(r"0x[0-9a-fA-F]+")


@dataclass(frozen=True)
class Setup:
    """What a worker is told once: everything that is not in a cell."""

    config: SweepConfig
    source: Source
    metrics: tuple[str, ...]
    batch: int = BATCH


@dataclass(frozen=True)
class _Clean:
    """What the undamaged bits give; a trial without errors gives the same."""

    status: Status
    detail: str
    scores: tuple[float, ...]
    value: np.ndarray


class Bench:
    """One worker's workplace: codecs, links and references are built once and kept.

    Parameters
    ----------
    setup : Setup
    """

    def __init__(self, setup: Setup):
        self.watch = Stopwatch()
        self._setup = setup
        config = setup.config
        trials = config.trials
        self._rule = StopRule(trials.min, trials.max, dict(trials.half_width), trials.max_errors)
        self._limits = Limits(seconds=config.limits.seconds, memory=config.limits.memory)
        self._panel = Panel(setup.metrics)
        self._codecs: dict[str, CodecProcess] = {}
        self._links: dict[tuple[str, frozenset[str]], Link] = {}
        self._item: Item | None = None
        self._reference: Any = None
        self._concealed: dict[str, tuple[float, ...]] = {}

    def run(self, group: Group) -> Iterator[CellRecord]:
        """Run the cells of a group one by one; each is finished when it comes out."""
        item = self._take_item(group)
        process = self._codec(group.codec.spec)
        encoded, failure = self._encode(process, item)
        bits_hash = "" if encoded is None else _bits_hash(encoded)
        clean: dict[Policy, _Clean] = {}
        for cell in group.cells:
            if encoded is None:
                yield self._not_encoded(cell, failure)
                continue
            wire = to_wire(encoded, cell.policy)
            if cell.policy not in clean:
                clean[cell.policy] = self._clean(process, item, wire, cell.policy)
            yield self._cell(cell, process, item, encoded, wire, clean[cell.policy], bits_hash)

    def close(self) -> None:
        """End the codecs' processes."""
        for process in self._codecs.values():
            process.close()
        self._codecs.clear()

    def _take_item(self, group: Group) -> Item:
        item = self._item
        if item is None or item.hash != group.item.hash:
            with self.watch.watch("source"):
                item = self._setup.source.read(group.item.index)
            if item.hash != group.item.hash:
                raise RuntimeError(
                    f"item {group.item.id} is not what it was when the sweep was planned; "
                    "the source changed while the sweep was running"
                )
            with self.watch.watch("metric"):
                self._reference = self._panel.prepare(item.value)
            self._item, self._concealed = item, {}
        return item

    def _codec(self, spec: str) -> CodecProcess:
        if spec not in self._codecs:
            while len(self._codecs) >= CODECS_AT_ONCE:
                self._codecs.pop(next(iter(self._codecs))).close()
            with self.watch.watch("start"):
                self._codecs[spec] = CodecProcess(spec, self._limits)
        else:  # the least recently used one stands first
            self._codecs[spec] = self._codecs.pop(spec)
        return self._codecs[spec]

    def _link(self, spec: str, wants: frozenset[str]) -> Link:
        key = (spec, wants)
        if key not in self._links:
            with self.watch.watch("link"):
                self._links[key] = Link.parse(spec, wants)
        return self._links[key]

    def _encode(self, process: CodecProcess, item: Item) -> tuple[Encoded | None, str]:
        with self._calling(process):
            try:
                try:
                    return process.encode(item).encoded, ""
                except IsolationError as error:
                    if error.status is not Status.CRASHED:
                        raise
                    # killed from outside (out of memory, an administrator)? One that crashes by
                    # itself does so again
                    return process.encode(item).encoded, ""
            except IsolationError as error:
                return None, _words(f"{error.status}: {error}")

    def _decode(
        self, process: CodecProcess, item: Item, received: list[Received], policy: Policy
    ) -> list[tuple[Status, str, np.ndarray]]:
        if not received:
            return []
        with self._calling(process):
            outcomes = process.decode(received, item.value.shape)
            return [_settled(outcome.decoded, item, policy) for outcome in outcomes]

    @contextmanager
    def _calling(self, process: CodecProcess) -> Iterator[None]:
        """Book what a call costs, here and in the codec's process."""
        before = dict(process.cpu)
        with self.watch.watch("transport"):
            yield
        for stage, seconds in process.cpu.items():
            booked = "transport" if stage == "worker" else stage
            self.watch.add(booked, seconds - before[stage])

    def _clean(self, process: CodecProcess, item: Item, wire: Wire, policy: Policy) -> _Clean:
        [(status, detail, value)] = self._decode(
            process, item, [clean_received(wire, policy)], policy
        )
        [scores] = self._measure(item, policy, [status], [value])
        return _Clean(status, detail, scores, value)

    def _measure(
        self, item: Item, policy: Policy, statuses: list[Status], values: list[np.ndarray]
    ) -> list[tuple[float, ...]]:
        """Scores by trial, in the metrics' order; a concealment is measured once per item."""
        with self.watch.watch("metric"):
            shown = [i for i, status in enumerate(statuses) if not status.outage]
            if len(shown) < len(statuses) and policy.conceal not in self._concealed:
                grey = conceal(policy, item)[None]
                [self._concealed[policy.conceal]] = self._scores(grey)
            found = [self._concealed.get(policy.conceal, ())] * len(statuses)
            if shown:
                measured = self._scores(np.stack([values[i] for i in shown]))
                for i, scores in zip(shown, measured, strict=True):
                    found[i] = scores
            return found

    def _scores(self, values: np.ndarray) -> list[tuple[float, ...]]:
        scores = self._panel.measure(self._reference, values)
        return list(zip(*(map(float, scores[name]) for name in self._panel.names), strict=True))

    def _cell(
        self,
        cell: Cell,
        process: CodecProcess,
        item: Item,
        encoded: Encoded,
        wire: Wire,
        clean: _Clean,
        bits_hash: str,
    ) -> CellRecord:
        link = self._link(cell.link.spec, cell.codec.wants)
        account = ledger(item, encoded, wire, link)
        rows: list[RowRecord] = []
        names = self._panel.names
        clean_scores = dict(zip(names, clean.scores, strict=True))
        chance = _hit_probability(wire, link)
        rare = self._only_hits(chance, cell.codec.wants)
        trace = Trace(clean_scores, chance if rare and chance else 1.0)
        kept: list[Artefact] = []
        reason = None
        for trials in self._batches(wire, chance, item):
            for row, value in self._batch(cell, process, item, wire, link, clean, trials, rare):
                if row.trial == 0 and cell.item.index < self._setup.config.pictures:
                    # of what is rarely hit, the picture shows what is likelier
                    kept = self._pictures(cell, item, clean.value if rare else value, rare)
                rows.append(row)
                scores = dict(zip(names, row.scores, strict=True))
                trace.add(Status(row.status), row.bit_errors, scores)
            if chance == 0:
                reason = Stop.NO_ERRORS_POSSIBLE
                break
            enough = self._rule.stop(trace, len(rows) - len(trials))
            if enough is not None:
                count, reason = enough
                del rows[count:]
                break
        assert reason is not None, "the rule always ends at its greatest number of trials"
        return CellRecord(
            **_named(cell),
            trials=len(rows),
            stop=str(reason),
            detail="",
            n_bits=account.payload_bits,
            side_bits=account.side_bits,
            bpp=account.bpp,
            bits_hash=bits_hash,
            clean_status=str(clean.status),
            clean_scores=clean_scores,
            ledger=account.as_dict(),
            notes=encoded.meta,
            rows=rows,
            artefacts=kept,
            timing=self.watch.take(),
        )

    def _only_hits(self, chance: float | None, wants: frozenset[str]) -> bool:
        """Whether to draw only trials that are hit. A codec that reads LLRs is never unharmed."""
        if not self._setup.config.trials.skip_clean or "llr" in wants:
            return False
        return chance is not None and 0 < chance < RARE

    def _batches(self, wire: Wire, chance: float | None, item: Item) -> Iterator[range]:
        """Numbers of the trials to send together."""
        if chance == 0:
            yield range(1)
            return
        rule, start = self._rule, 0
        fit = max(1, BATCH_BYTES // max(1, item.value.nbytes + 8 * wire.payload.n_bits))
        adaptive = rule.half_width or rule.max_errors is not None
        while start < rule.max:
            size = self._setup.batch if start or not adaptive else max(rule.min, 1)
            stop = min(start + min(size, fit), rule.max)
            yield range(start, stop)
            start = stop

    def _batch(
        self,
        cell: Cell,
        process: CodecProcess,
        item: Item,
        wire: Wire,
        link: Link,
        clean: _Clean,
        trials: range,
        only_hits: bool,
    ) -> list[tuple[RowRecord, np.ndarray]]:
        """Send some trials, and decode and measure those that were hit."""
        with self.watch.watch("link"):
            stream = NoiseStream(self._setup.config.seed, link.text, item.hash)
            batch = link.transmit(wire.payload, trials, stream, wire.classes, only_hits, wire.units)
            same = _reaches_unharmed(batch, cell.codec.wants)
            hit = [i for i in range(len(trials)) if not same[i]]
            ber = link_ber(link)
            received = [from_wire(wire, batch, i, cell.policy, cell.codec.wants, ber) for i in hit]
        found = self._decode(process, item, received, cell.policy)
        measured = self._measure(item, cell.policy, [f[0] for f in found], [f[2] for f in found])
        fresh = {
            i: (status, detail, scores, value)
            for i, (status, detail, value), scores in zip(hit, found, measured, strict=True)
        }
        same_again = (clean.status, clean.detail, clean.scores, clean.value)
        lines = []
        for i, trial in enumerate(trials):
            status, detail, scores, value = fresh.get(i, same_again)
            errors = int(batch.bit_errors[i])
            row = RowRecord(trial, str(status), detail, errors, scores, batch.weight)
            lines.append((row, value))
        return lines

    def _not_encoded(self, cell: Cell, failure: str) -> CellRecord:
        return CellRecord(
            **_named(cell),
            trials=0,
            stop=str(Stop.NOT_ENCODED),
            detail=failure,
            n_bits=0,
            side_bits=0,
            bpp=None,
            bits_hash="",
            clean_status="",
            clean_scores={},
            ledger={},
            notes={},
            timing=self.watch.take(),
        )

    def _pictures(self, cell: Cell, item: Item, value: np.ndarray, clean: bool) -> list[Artefact]:
        """What came out and the original, for contact sheets."""
        sent, came = as_picture(item, item.value), as_picture(item, value)
        if sent is None or came is None:
            return []
        with self.watch.watch("picture"):
            original = f"original/{item.id}"
            kind = "clean" if clean else "received"
            return [
                Artefact(original, "", "original", "image/jpeg", _jpeg(sent)),
                Artefact(f"received/{cell.hash}", cell.hash, kind, "image/jpeg", _jpeg(came)),
            ]


def _named(cell: Cell) -> dict:
    return {
        "hash": cell.hash,
        "position": cell.position,
        "identity": cell.identity,
        "item": cell.item.id,
        "codec": cell.codec.spec,
        "link": cell.link.template,
        "link_spec": cell.link.spec,
        "point": cell.link.point,
        "policy": cell.policy.as_dict(),
    }


def _settled(decoded: Decoded, item: Item, policy: Policy) -> tuple[Status, str, np.ndarray]:
    status, value = settle(decoded, item, policy)
    return status, _words(decoded.detail), value


def _words(text: str) -> str:
    """A decoder's words without what differs from run to run, cut short."""
    return _ADDRESS.sub("0x...", text)[:DETAIL]


def _bits_hash(encoded: Encoded) -> str:
    digest = hashlib.sha256(f"{encoded.bits.n_bits},{len(encoded.side)}:".encode())
    digest.update(encoded.bits.to_bytes())
    digest.update(encoded.side)
    return digest.hexdigest()


def _hit_probability(wire: Wire, link: Link) -> float | None:
    """Probability that a trial is hit; 0 where none can be, None where it is not known."""
    n_bits = wire.payload.n_bits
    if n_bits == 0 or link_ber(link) == 0.0:
        return 0.0
    return link.hit_probability(n_bits, wire.classes, wire.units)


def _reaches_unharmed(batch: ReceivedBatch, wants: frozenset[str]) -> np.ndarray:
    """Trials whose decoding is the clean one; none where the codec reads LLRs."""
    if "llr" in wants and batch.llr is not None:
        return np.zeros(len(batch.bit_errors), bool)
    return is_clean(batch)


def _jpeg(value: np.ndarray) -> bytes:
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(value).save(file, "JPEG", quality=92, subsampling=0)
    return file.getvalue()

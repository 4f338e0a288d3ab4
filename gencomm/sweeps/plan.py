"""The plan: every cell of a sweep, in order, each with the hash of all that decides its answer."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gencomm.policy import Policy
from gencomm.sweeps.problems import ConfigError, Problem
from gencomm.sweeps.records import canonical_json
from gencomm.sweeps.resolve import CodecPart, LinkPart, Resolved
from gencomm.version import __version__

#: Raise it whenever a row comes to mean something else.
ROW_VERSION = 2

#: Operating points whose codecs' processes a worker keeps running.
CODECS_AT_ONCE = 8


@dataclass(frozen=True)
class ItemPart:
    """An item of the sweep: its place in the source, its name, its content hash, its size."""

    index: int
    id: str
    hash: str
    pixels: int


@dataclass(frozen=True)
class Cell:
    """One item x one operating point x one link x one policy.

    `hash` is SHA-256 of `identity`, the canonical JSON of everything that changes the answer.
    """

    position: int
    hash: str
    identity: str
    item: ItemPart
    codec: CodecPart
    link: LinkPart
    policy: Policy


@dataclass(frozen=True)
class Group:
    """Cells of one item and one operating point: encoded once, by one worker."""

    item: ItemPart
    codec: CodecPart
    cells: tuple[Cell, ...]


def make_plan(resolved: Resolved, seen: Callable[[int, int], None] | None = None) -> list[Cell]:
    """All cells: items outermost, so that a sweep that is stopped early has every curve on fewer
    items; then codecs, so that an item is encoded once per operating point.

    Parameters
    ----------
    resolved : Resolved
    seen : callable, optional
        Told (items read, items in all), since every item is read once for its hash.

    Raises
    ------
    ConfigError
        A codec that takes another kind of item.
    """
    cells: list[Cell] = []
    common = _common(resolved)
    for item in read_items(resolved, seen):
        for codec in resolved.codecs:
            for policy in resolved.policies:
                for link in resolved.links:
                    if link.only is not None and codec.spec not in link.only:
                        continue
                    if not _is_picked(resolved, codec, link, policy):
                        continue
                    identity = canonical_json(
                        {
                            **common,
                            "item": [item.id, item.hash],
                            "codec": [codec.spec, codec.identity],
                            "link": [link.spec, *link.checksums],
                            "template": link.template,
                            "policy": policy.as_dict(),
                        }
                    )
                    digest = hashlib.sha256(identity.encode()).hexdigest()
                    cells.append(Cell(len(cells), digest, identity, item, codec, link, policy))
    return cells


def _is_picked(resolved: Resolved, codec: CodecPart, link: LinkPart, policy: Policy) -> bool:
    picked = resolved.picked
    return picked is None or (codec.spec, link.template, policy) in picked


def versions() -> dict[str, Any]:
    """What decides the answer and comes with the machine, besides the codecs' own versions."""
    return {
        "row_version": ROW_VERSION,
        "gencomm": __version__,
        # numpy may change the draws of a Generator with a new minor version (its NEP 19)
        "numpy": ".".join(np.__version__.split(".")[:2]),
    }


def _common(resolved: Resolved) -> dict[str, Any]:
    """What is the same for all cells. Limits count: they decide what is a timeout."""
    config = resolved.config
    return {
        **versions(),
        "seed": config.seed,
        "trials": config.trials.model_dump(mode="json"),
        "metrics": [metric.spec for metric in resolved.metrics],
        "limits": config.limits.model_dump(mode="json"),
    }


def read_items(
    resolved: Resolved, seen: Callable[[int, int], None] | None = None
) -> list[ItemPart]:
    """Read each item once, for its hash."""
    total = min(len(resolved.source), resolved.config.items or len(resolved.source))
    found = []
    for index in range(total):
        item = resolved.source.read(index)
        problems = [
            Problem(f"codecs[{i}]", f"{codec.spec} takes {codec.modality}, not {item.modality}")
            for i, codec in enumerate(resolved.codecs)
            if codec.modality != item.modality
        ]
        if problems:
            raise ConfigError(f"item {item.id}", problems)
        found.append(ItemPart(index, item.id, item.hash, item.pixels))
        if seen is not None:
            seen(index + 1, total)
    return found


def groups(cells: Iterable[Cell]) -> list[Group]:
    """Cells by item and operating point, item by item.

    Of more than `CODECS_AT_ONCE` operating points, the first so many run over all items before
    the next: a worker keeps no more of their processes, and would else start one for every item.
    """
    found: dict[tuple[str, str], list[Cell]] = {}
    for cell in cells:
        found.setdefault((cell.item.id, cell.codec.spec), []).append(cell)
    met = dict.fromkeys(spec for _, spec in found)
    part = {spec: i // CODECS_AT_ONCE for i, spec in enumerate(met)}
    ordered = sorted(found.values(), key=lambda some: part[some[0].codec.spec])
    return [Group(some[0].item, some[0].codec, tuple(some)) for some in ordered]


def parse_shard(text: str) -> tuple[int, int]:
    """``2/5`` as (2, 5).

    Raises
    ------
    ValueError
        Anything but i/N with 1 <= i <= N.
    """
    first, slash, second = text.partition("/")
    if slash and first.strip().isdigit() and second.strip().isdigit():
        index, count = int(first), int(second)
        if 1 <= index <= count:
            return index, count
    raise ValueError(f"a shard is i/N with i from 1 to N, such as 1/4; got {text!r}")


def shard(cells: Sequence[Cell], index: int, count: int) -> list[Cell]:
    """The cells of shard `index` (from 1) of `count`.

    Whole groups, chosen by hash: a group stays in its shard whatever else the plan holds.
    """
    chosen: dict[tuple[str, str], bool] = {}
    for cell in cells:
        key = (cell.item.hash, cell.codec.spec)
        if key not in chosen:
            digest = hashlib.sha256(canonical_json(key).encode()).digest()
            chosen[key] = int.from_bytes(digest[:8], "big") % count == index - 1
    return [cell for cell in cells if chosen[cell.item.hash, cell.codec.spec]]

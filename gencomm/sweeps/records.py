"""What a finished cell is made of, on its way from a worker to the store."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class RowRecord:
    """What one trial gave; `scores` are in the order of the store's metrics.

    `weight` is the probability of the condition under which it was drawn, 1 where there was none.
    """

    trial: int
    status: str
    detail: str
    bit_errors: int
    scores: tuple[float, ...]
    weight: float = 1.0


@dataclass(frozen=True)
class Artefact:
    """A picture kept for a contact sheet, encoded as `media_type` says.

    `kind` is "original" (cell "", one per item), "received" (trial 0 of a cell), or "clean" (the
    undamaged result, of a cell whose trials were drawn on condition of a hit: the likelier one).
    """

    name: str
    cell: str
    kind: str
    media_type: str
    data: bytes


@dataclass(frozen=True)
class CellRecord:
    """A finished cell with its rows: what the store writes in one transaction.

    Attributes
    ----------
    hash, position, identity
        Content hash, place in the plan, and the canonical JSON that the hash is of.
    item, codec, link, link_spec, point, policy
        The item's id, the codec's spec, the link as the configuration writes it and with the
        grid's values `point` put in, the policy.
    trials, stop, detail
        Rows there are, why they ended, and a word of explanation where something went wrong.
    n_bits, side_bits : int
        Bits that went over the link; bits granted error-free.
    bpp : float or None
        Bits per pixel sent, as :class:`gencomm.policy.CellLedger` counts them.
    bits_hash : str
        SHA-256 of the encoded bits and side information.
    clean_status, clean_scores
        Result of the undamaged bits.
    ledger, notes : dict
        Where the bits went (:class:`gencomm.policy.CellLedger`); what the encoder noted.
    timing : dict
        CPU seconds by stage.
    """

    hash: str
    position: int
    identity: str
    item: str
    codec: str
    link: str
    link_spec: str
    point: Mapping[str, Any]
    policy: Mapping[str, Any]
    trials: int
    stop: str
    detail: str
    n_bits: int
    side_bits: int
    bpp: float | None
    bits_hash: str
    clean_status: str
    clean_scores: Mapping[str, float]
    ledger: Mapping[str, Any]
    notes: Mapping[str, Any]
    rows: Sequence[RowRecord] = ()
    artefacts: Sequence[Artefact] = ()
    timing: Mapping[str, float] = field(default_factory=dict)


def canonical_json(value: Any) -> str:
    """One text for one value: sorted keys, no spaces, shortest form of each number."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)

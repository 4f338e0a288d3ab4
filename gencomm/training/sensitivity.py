"""Measure what each wrong bit costs, through the decoder, and keep it beside the weights.

``python -m gencomm.training.sensitivity ncode_joint --data faces64.npz`` encodes pictures, flips
one bit after the other, decodes, and writes ``ncode_joint.sensitivity.json`` beside the weights.
From then on the codec orders its bits by these numbers where links protect them unequally
(`unequal`). Weights that were trained further need maps of their own: older ones are not used.

What a bit does depends on the picture, so that a plain mean over a few pictures orders bits worse
than the closed form of what it does to the values, which knows no network but all of training
(measured at 512 bits, a quarter of them protected, four faces: 0.2 to 0.6 dB worse). So where a
code has that closed form, pictures only say how much the decoder makes of a change of values: the
ratio of both changes over the pictures, times the closed form (a ratio estimator). For
`ncode_joint`, nearly linear, it is worth the same within 0.03 dB: no map is shipped.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np

from channels.bits import PackedBits
from gencomm.codecs.contract import Codec, Received, decode_all
from gencomm.codecs.fixed_length import HEADER_BITS
from gencomm.codecs.generative.allocation import CELL, MOST
from gencomm.codecs.generative.codec import Generative
from gencomm.codecs.generative.codec import map_name as cell_map_name
from gencomm.codecs.ncode_joint.codec import NCodeJoint
from gencomm.codecs.ncode_joint.codec import map_name as face_map_name
from gencomm.codecs.ncode_joint.points import DESIGNS, RATES
from gencomm.items import Item, image_item
from gencomm.sources.packed import Packed
from gencomm.weights import Weights, load_weights
from gencomm.weights.sensitivity import write_maps

#: Streams that are decoded at a time.
BATCH = 64
#: Labellings of which maps are measured: those that somebody would send.
LABELS = ("learnt", "annealed")
#: Cells along a side of what is cut from a photograph; bits of the middle one are flipped.
CELLS = 3


class Plan(NamedTuple):
    """One map to measure.

    Attributes
    ----------
    name : str
        Of the map.
    codec : Codec
    flips : list of int arrays
        Places that are flipped together, one after the other.
    ber : float
        Which the decoder is told.
    values : callable, optional
        Bits (n, n_bits) to what they stand for (n, values), whose mean change is known.
    known : float (len(flips),), optional
        That mean: the squared change of the values by each flip.
    """

    name: str
    codec: Codec
    flips: list[np.ndarray]
    ber: float
    values: Callable[[np.ndarray], np.ndarray] | None = None
    known: np.ndarray | None = None


def flip_changes(plan: Plan, items: Sequence[Item]) -> np.ndarray:
    """How far pictures move when bits are flipped.

    For a decoder that gives the mean of what was sent this is also, on average, by how much the
    squared error grows.

    Parameters
    ----------
    plan : Plan
    items : sequence of Item

    Returns
    -------
    float64 (len(plan.flips),)
        Mean over items of the squared change, summed over samples.

    Raises
    ------
    RuntimeError
        A stream with flipped bits is not decoded.
    """
    moved, expected = np.zeros(len(plan.flips)), np.zeros(len(plan.flips))
    for item in items:
        sent = plan.codec.encode(item)
        bits = sent.bits.unpack()
        rows = np.repeat(bits[None], 1 + len(plan.flips), 0)
        for row, places in zip(rows[1:], plan.flips, strict=True):
            row[places] ^= 1
        clean = None
        for at in range(0, len(rows), BATCH):
            part = rows[at : at + BATCH]
            received = [
                Received(PackedBits.from_bits(row), sent.side, ber=plan.ber) for row in part
            ]
            for k, decoded in enumerate(decode_all(plan.codec, received), at):
                if decoded.value is None:
                    raise RuntimeError(f"{item.id} is lost with a flipped bit: {decoded.detail}")
                value = decoded.value.astype(np.float64)
                clean = value if clean is None else clean
                if k:
                    moved[k - 1] += ((value - clean) ** 2).sum()
        if plan.values is not None:
            found = plan.values(rows)
            expected += ((found[1:] - found[0]) ** 2).sum(1)
    if plan.known is None:
        return moved / len(items)
    # a flip that moved no value of these pictures says nothing of the network
    gain = np.where(expected > 0, moved / np.where(expected > 0, expected, 1), 1.0)
    return gain * plan.known


def face_plans(weights: Weights) -> Iterator[Plan]:
    """Every bit of each code of `ncode_joint`."""
    from gencomm.codecs.ncode_joint.inference import Networks

    networks = Networks(weights)
    for bits, design, labels in product(RATES, DESIGNS, LABELS):
        codec = NCodeJoint(bits, design, labels, weights=weights.name)
        values = partial(networks.values, bits=bits, design=design, labels=labels, ber=design)
        yield Plan(
            face_map_name(bits, design, labels),
            codec,
            list(np.arange(bits)[:, None]),
            design,
            values,
            networks.importance(bits, design, labels),
        )


def cell_plans(weights: Weights) -> Iterator[Plan]:
    """Every bit of the largest cell of `generative`, all its copies at once."""
    codec = Generative(bpp=1.0, weights=weights.name)
    known, decoded, source = codec.changes(MOST)
    middle = HEADER_BITS + (CELLS * CELLS // 2) * MOST
    flips = [middle + np.flatnonzero(source == bit) for bit in source]
    own = middle + np.unique(source, return_index=True)[1]  # one copy of each
    yield Plan(cell_map_name("gray"), codec, flips, 0.0, lambda rows: decoded(rows[:, own]), known)


def middle_of(item: Item) -> Item:
    """The middle of a photograph, as large as `CELLS` by `CELLS` cells."""
    side = CELLS * CELL
    top, left = ((size - side) // 2 for size in item.value.shape[:2])
    return image_item(item.id, item.value[top : top + side, left : left + side])


PLANS: dict[str, Callable[[Weights], Iterator[Plan]]] = {
    "ncode_joint": face_plans,
    "generative": cell_plans,
}


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(prog="python -m gencomm.training.sensitivity")
    parser.add_argument("codec", choices=PLANS)
    parser.add_argument("--weights", help="a file of weights, or a name (default: the codec's)")
    parser.add_argument("--data", required=True, help="a packed set")
    parser.add_argument("--split", help="part of the set, such as validation")
    parser.add_argument("--count", type=int, default=8, help="pictures (default: 8)")
    parser.add_argument("--only", default="", help="maps whose names begin so, such as bits=512")
    args = parser.parse_args()
    weights = load_weights(args.weights or args.codec)
    items = list(Packed(args.data, args.count, split=args.split))
    if args.codec == "generative":
        items = [middle_of(item) for item in items]
    maps = {}
    for plan in PLANS[args.codec](weights):
        if not plan.name.startswith(args.only):
            continue
        maps[plan.name] = flip_changes(plan, items)
        print(
            f"{plan.name}: {maps[plan.name].min():.0f} to {maps[plan.name].max():.0f}", flush=True
        )
    part = f", part {args.split}" if args.split else ""
    words = f"squared change of a picture by one flipped bit, on {len(items)} pictures of "
    path = write_maps(weights, maps, f"{words}{Path(args.data).name}{part}")
    print(f"wrote {path}")


if __name__ == "__main__":
    main()

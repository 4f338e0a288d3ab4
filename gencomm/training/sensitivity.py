"""Measure what each wrong bit costs, through the decoder, and keep it beside the weights.

``python -m gencomm.training.sensitivity ncode_joint --data faces64.npz`` encodes pictures, flips
one bit after the other, decodes, and writes ``ncode_joint.sensitivity.json`` beside the weights.
From then on the codec orders its bits by these numbers where links protect them unequally
(`unequal`). Weights that were trained further need maps of their own: older ones are not used.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from channels.bits import PackedBits
from gencomm.codecs.contract import Codec, Received, decode_all
from gencomm.codecs.fixed_length import HEADER_BITS
from gencomm.codecs.generative.allocation import CELL, MOST, layout
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
    """

    name: str
    codec: Codec
    flips: list[np.ndarray]
    ber: float


def flip_costs(
    codec: Codec, items: Sequence[Item], flips: Sequence[np.ndarray], ber: float = 0.0
) -> np.ndarray:
    """How much the squared error of pictures grows when bits are flipped.

    Parameters
    ----------
    codec : Codec
        Of fixed length.
    items : sequence of Item
    flips : sequence of int arrays
        Places of the bits that are flipped together.
    ber : float
        Bit error rate that the decoder is told.

    Returns
    -------
    float64 (len(flips),)
        Mean over items of the sum over samples. Negative where flips happen to help.

    Raises
    ------
    RuntimeError
        A stream with flipped bits is not decoded.
    """
    total = np.zeros(len(flips))
    for item in items:
        sent = codec.encode(item)
        bits = sent.bits.unpack()
        error: list[float] = []
        cases = [np.zeros(0, np.int64), *flips]
        for at in range(0, len(cases), BATCH):
            received = []
            for places in cases[at : at + BATCH]:
                hit = bits.copy()
                hit[places] ^= 1
                received.append(Received(PackedBits.from_bits(hit), sent.side, ber=ber))
            for decoded in decode_all(codec, received):
                if decoded.value is None:
                    raise RuntimeError(f"{item.id} is lost with a flipped bit: {decoded.detail}")
                difference = decoded.value.astype(np.float64) - item.value
                error.append(float((difference**2).sum()))
        total += np.array(error[1:]) - error[0]
    return total / len(items)


def face_plans(weights: Weights) -> Iterator[Plan]:
    """Every bit of each code of `ncode_joint`."""
    for bits in RATES:
        for design in DESIGNS:
            for labels in LABELS:
                codec = NCodeJoint(bits, design, labels, weights=weights.name)
                flips = list(np.arange(bits)[:, None])
                yield Plan(face_map_name(bits, design, labels), codec, flips, design)


def cell_plans(weights: Weights) -> Iterator[Plan]:
    """Every bit of the largest cell of `generative`, all its copies at once."""
    plan = layout(MOST, float(weights.state["sizes"]["design_ber"]))
    middle = HEADER_BITS + (CELLS * CELLS // 2) * MOST
    pairs = list(zip(plan.value.tolist(), plan.plane.tolist(), strict=True))
    places: dict[tuple[int, int], list[int]] = {}
    for k, pair in enumerate(pairs):
        places.setdefault(pair, []).append(middle + k)
    flips = [np.array(places[pair]) for pair in pairs]
    codec = Generative(bpp=1.0, weights=weights.name)
    yield Plan(cell_map_name("gray"), codec, flips, 0.0)


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
    args = parser.parse_args()
    weights = load_weights(args.weights or args.codec)
    items = list(Packed(args.data, args.count, split=args.split))
    if args.codec == "generative":
        items = [middle_of(item) for item in items]
    maps = {}
    for plan in PLANS[args.codec](weights):
        maps[plan.name] = flip_costs(plan.codec, items, plan.flips, plan.ber)
        print(
            f"{plan.name}: {maps[plan.name].min():.0f} to {maps[plan.name].max():.0f}", flush=True
        )
    part = f", part {args.split}" if args.split else ""
    words = f"mean increase of the squared error for one flipped bit, on {len(items)} pictures of "
    path = write_maps(weights, maps, f"{words}{Path(args.data).name}{part}")
    print(f"wrote {path}")


if __name__ == "__main__":
    main()

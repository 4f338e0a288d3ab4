"""What do the bits of a fixed-length code mean? Sheets to look at, and how unequal bits are.

``python experiments/latents/recipe.py`` draws interpolation.png, flips.png, samples.png and
sensitivity.png, and writes results.csv and claims.json beside this file. Everything shown is made
of one face that may be published (the source ``face``) or of random bits; no data set is needed.
``--generative WEIGHTS`` (a file, or ``generative`` where the package has it) draws flips and
samples of that code on a photograph too.
"""

from __future__ import annotations

import argparse
import csv
import json
from pathlib import Path

import numpy as np
from bits import cell_order, drawn, exchanged, mixed, order, single_errors
from matplotlib.figure import Figure

from channels.bits import PackedBits
from gencomm.codecs.contract import Received, decode_all
from gencomm.codecs.fixed_length import HEADER_BITS
from gencomm.codecs.registry import make_codec
from gencomm.figures import style
from gencomm.figures.saving import save
from gencomm.figures.sheet import Tile, contact_sheet
from gencomm.items import Item, image_item
from gencomm.sources.registry import make_source

HERE = Path(__file__).resolve().parent
CODECS = {
    "klt": "klt",
    "klt, for BER 0.05": "klt(design_ber=0.05)",
    "ncode_joint": "ncode_joint",
    "ncode_joint, annealed": "ncode_joint(labels=annealed)",
    "ncode_joint, for BER 0.05": "ncode_joint(design_ber=0.05)",
}
COLOURS = dict(zip(CODECS, ("#E69F00", "#E69F00", "#009E73", "#0072B2", "#009E73"), strict=True))
STEPS = (0.0, 0.17, 0.33, 0.5, 0.67, 0.83, 1.0)
#: Bits by falling importance that are shown flipped, and what their difference is multiplied by.
RANKS, GAIN = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512), 4
SAMPLES, SEED = 9, 7
#: Of the sheets, whose pictures have few samples.
DPI = 120


def pictures(codec, rows: np.ndarray) -> list[np.ndarray]:
    """What bits (n, bits) decode to."""
    received = [Received(PackedBits.from_bits(row)) for row in rows]
    found = [one.value for one in decode_all(codec, received)]
    assert all(value is not None for value in found)
    return [value for value in found if value is not None]


def interpolation(face: Item) -> Figure:
    """From the face to its mirror image, and to what random bits gave."""
    mirror = image_item("mirror", np.ascontiguousarray(face.value[:, ::-1]))
    tiles = []
    for name in ("klt", "ncode_joint"):
        codec = make_codec(CODECS[name])
        one, two = (codec.encode(item).bits.unpack() for item in (face, mirror))
        other = drawn(codec, 1, SEED)[0]
        for label, rows in (
            ("to the mirror image:\nvalues mixed, quantised", mixed(codec, one, two, STEPS)),
            ("to a random picture:\nvalues mixed, quantised", mixed(codec, one, other, STEPS)),
            (
                "to a random picture:\nbits exchanged, small first",
                exchanged(codec, one, other, STEPS),
            ),
        ):
            for share, value in zip(STEPS, pictures(codec, rows), strict=True):
                tiles.append(Tile(f"{name}\n{label}", f"{share:.0%}", value))
    title = "Between two codes lie codes, 512 bits each"
    return contact_sheet(tiles, face.value, title, column_title="of the other")


def flips(face: Item) -> Figure:
    """The face with one bit wrong, and what that changed."""
    tiles = []
    for name, spec in CODECS.items():
        codec = make_codec(spec)
        bits = codec.encode(face).bits.unpack()
        ranked = order(codec)
        hit = np.repeat(bits[None], len(RANKS), 0)
        hit[np.arange(len(RANKS)), ranked[np.array(RANKS) - 1]] ^= 1
        clean, *found = pictures(codec, np.concatenate([bits[None], hit]))
        tiles += flip_tiles(name, clean, found, [str(rank) for rank in RANKS])
    note = f"below each: 128 + {GAIN} x the difference, and how far from the undamaged picture"
    title = "One wrong bit of 512, from the most important to the least"
    return contact_sheet(tiles, face.value, title, note, "rank of the bit", width=10.5)


def flip_tiles(
    name: str, clean: np.ndarray, found: list[np.ndarray], columns: list[str]
) -> list[Tile]:
    """A row of damaged pictures and one of amplified differences."""
    tiles = []
    for column, value in zip(columns, found, strict=True):
        change = value.astype(float) - clean
        shown = np.clip(128 + GAIN * change, 0, 255).astype(np.uint8)
        error = float((change**2).mean())
        caption = f"{10 * np.log10(255**2 / error):.0f} dB" if error else "no change"
        tiles += [Tile(name, column, value), Tile(f"{name}:\nchange", column, shown, caption)]
    return tiles


def samples() -> Figure:
    """Pictures of random bits: all equally likely, and as the code says values are."""
    tiles = []
    for name, spec in CODECS.items():
        codec = make_codec(spec)
        rng = np.random.default_rng(SEED)
        even = rng.integers(0, 2, (SAMPLES, 512), np.uint8)
        likely = drawn(codec, SAMPLES, SEED)
        if "annealed" in name:
            continue  # other names for the same vectors
        for label, rows in (("fair coins", even), ("as likely as in training", likely)):
            for k, value in enumerate(pictures(codec, rows)):
                tiles.append(Tile(f"{name}\n{label}", str(k + 1), value))
    return contact_sheet(tiles, title="Every pattern of 512 bits is a picture", width=10.0)


def sensitivity() -> tuple[Figure, list[dict], list[dict]]:
    """How unequal bits are: closed form of each code, which costs no picture."""
    rows, claims = [], []
    with style.styled():
        figure = Figure(figsize=(6.4, 3.6), layout="constrained")
        axes = figure.add_subplot()
        for name, spec in CODECS.items():
            cost = np.sort(single_errors(make_codec(spec)))[::-1] / 12288
            dashes = "--" if "BER" in name else "-"
            axes.plot(np.arange(1, 513), cost, dashes, color=COLOURS[name], label=name)
            rows += [{"codec": spec, "rank": k + 1, "cost": f"{v:.5g}"} for k, v in enumerate(cost)]
            claims.append(
                {
                    "claim": f"{spec}: share of the cost of single errors in a quarter of the bits",
                    "source": "issue 11, importance classes",
                    "target": "above 0.25 (else unequal protection has nothing to work with)",
                    "value": round(float(cost[:128].sum() / cost.sum()), 3),
                    "low": None,
                    "high": None,
                    "verdict": "met" if cost[:128].sum() > 0.25 * cost.sum() else "refuted",
                }
            )
        axes.set(xscale="log", yscale="log", xlim=(1, 512), ylim=(0.5, None))
        axes.set(xlabel="bits by importance", ylabel="mean squared change of a sample")
        style.frame(axes)
        axes.legend(frameon=False)
        axes.set_title("What one wrong bit of 512 changes", loc="left")
    return figure, rows, claims


def generative_sheets(weights: str) -> tuple[Figure, Figure]:
    """Flips and samples of `generative`, on a photograph cut to a few cells."""
    photographs = {item.id: item for item in make_source("photos")}
    coffee = next(item for name, item in photographs.items() if "coffee" in name)
    item = image_item("coffee", np.ascontiguousarray(coffee.value[100:260, 160:352]))
    codec = make_codec(f"generative(bpp=0.25,weights='{weights}')")
    sent = codec.encode(item)
    bits, budget = sent.bits.unpack(), int(sent.meta["bits_per_cell"])
    ranked = cell_order(codec, budget)
    middle = HEADER_BITS + 14 * budget  # of 5 x 6 cells
    ranks = [rank for rank in RANKS if rank <= len(ranked)]
    rows = np.repeat(bits[None], len(ranks), 0)
    for row, rank in zip(rows, ranks, strict=True):
        row[middle + ranked[rank - 1]] ^= 1
    clean, *found = pictures(codec, np.concatenate([bits[None], rows]))
    tiles = flip_tiles("generative", clean, found, [str(rank) for rank in ranks])
    title = f"One wrong bit of the {len(ranked)} of one cell, with all its copies, by importance"
    first = contact_sheet(tiles, item.value, title, "", "rank of the bit", width=12.0)
    rng = np.random.default_rng(SEED)
    tiles = []
    for bpp in (0.05, 0.15, 0.5):
        codec = make_codec(f"generative(bpp={bpp:g},weights='{weights}')")
        sent = codec.encode(item)
        head, size = sent.bits.unpack()[:HEADER_BITS], sent.bits.n_bits
        rows = np.repeat(np.pad(head, (0, size - HEADER_BITS))[None], 4, 0)
        rows[:, HEADER_BITS:] = rng.integers(0, 2, (4, size - HEADER_BITS))
        for k, value in enumerate(pictures(codec, rows)):
            tiles.append(Tile(f"{bpp:g} bpp", str(k + 1), value))
    return first, contact_sheet(tiles, title="Photographs of fair coins")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--generative", metavar="WEIGHTS", help="draw that code's sheets too")
    args = parser.parse_args()
    face = make_source("face")[0]
    save(interpolation(face), HERE / "interpolation.png", DPI)
    save(flips(face), HERE / "flips.png", DPI)
    save(samples(), HERE / "samples.png", DPI)
    figure, rows, claims = sensitivity()
    save(figure, HERE / "sensitivity.png", DPI)
    with (HERE / "results.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    (HERE / "claims.json").write_text(json.dumps(claims, indent=2) + "\n")
    if args.generative:
        first, second = generative_sheets(args.generative)
        save(first, HERE / "generative_flips.png", DPI)
        save(second, HERE / "generative_samples.png", DPI)


if __name__ == "__main__":
    main()

"""Measure a trained codec on real streams, and write the card that lies beside its weights.

``python -m gencomm.training.card cae --data kodak.npz`` writes the card of the weights that come
with the package; the numbers are measured, the words come from the recipe.
"""

from __future__ import annotations

import argparse
import platform
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from gencomm.codecs.contract import Received, Status
from gencomm.codecs.registry import make_codec
from gencomm.metrics.registry import make_metric
from gencomm.sources.packed import Packed
from gencomm.training.loop import load_recipe
from gencomm.weights import FOLDER, load_weights


class Point(NamedTuple):
    """Means over pictures at one quality."""

    quality: float
    bpp: float
    estimated: float
    psnr: float
    ms_ssim: float


def measure(name: str, qualities: Sequence[float], data: str) -> list[Point]:
    """Encode and decode every picture at every quality; what counts are whole streams.

    Parameters
    ----------
    name : str
        Of a codec that takes ``quality``.
    qualities : sequence of float
    data : str
        A packed set.

    Raises
    ------
    RuntimeError
        A stream does not decode.
    """
    metrics = [make_metric("psnr"), make_metric("ms_ssim")]
    source, points = Packed(data), []
    codecs = [make_codec(f"{name}(quality={quality:g})") for quality in qualities]
    rows: list[list[tuple[float, ...]]] = [[] for _ in qualities]
    for item in source:
        states = [metric.prepare(item.value) for metric in metrics]
        for codec, found in zip(codecs, rows, strict=True):
            encoded = codec.encode(item)
            decoded = codec.decode(Received(encoded.bits, encoded.side))
            if decoded.status is not Status.OK or decoded.value is None:
                raise RuntimeError(f"{item.id} does not decode: {decoded.detail}")
            values = [
                float(metric.measure(state, decoded.value[None])[0])
                for metric, state in zip(metrics, states, strict=True)
            ]
            bpp = encoded.total_bits / item.pixels
            found.append((bpp, encoded.meta["estimated_bpp"], *values))
    for quality, found in zip(qualities, rows, strict=True):
        points.append(Point(quality, *np.mean(found, 0).tolist()))
    return points


def card(name: str, state: dict[str, Any], checksum: str, words: str, points: list[Point]) -> str:
    """The text of a card, Markdown."""
    lines = [
        f"# Weights of `{name}`",
        "",
        words.strip(),
        "",
        "## Training",
        f"{state['step']} steps, {state['seconds'] / 3600:.1f} hours on one core of "
        f"{platform.processor() or platform.machine()} in bfloat16"
        + (f"; {state['history']}" if state.get("history") else "")
        + ".",
        "",
        "## Measured",
        "Kodak, all 24 pictures: means of bits per pixel of whole streams, headers included (in",
        "brackets what the tables estimate), of PSNR over RGB, and of MS-SSIM over RGB.",
        "",
        "| quality | bpp | PSNR (dB) | MS-SSIM |",
        "| --- | --- | --- | --- |",
    ]
    lines += [
        f"| {p.quality:g} | {p.bpp:.4f} ({p.estimated:.4f}) | {p.psnr:.2f} | {p.ms_ssim:.4f} |"
        for p in points
    ]
    return "\n".join([*lines, "", f"SHA-256 of the file: `{checksum}`", ""])


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(prog="python -m gencomm.training.card")
    parser.add_argument("codec", help="name of a learned codec")
    parser.add_argument("--data", required=True, help="a packed set, Kodak's for a published card")
    parser.add_argument("--qualities", type=float, nargs="+", default=[0, 20, 40, 60, 80, 100])
    args = parser.parse_args()
    weights = load_weights(args.codec)
    points = measure(args.codec, args.qualities, args.data)
    words = load_recipe(args.codec).card
    text = card(args.codec, weights.state, weights.checksum, words, points)
    (FOLDER / f"{args.codec}.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()

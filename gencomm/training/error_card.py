"""Measure a trained code over a channel with errors, and write the card beside its weights.

``python -m gencomm.training.error_card ncode_joint --data faces64.npz`` writes the card of the
weights that come with the package: what is measured are real bits through a binary symmetric
channel; the words come from the recipe, and so does the list of codecs to measure.
"""

from __future__ import annotations

import argparse
import platform
from collections.abc import Sequence
from typing import Any

import numpy as np

from channels.bits import PackedBits
from gencomm.codecs.contract import Received, decode_all
from gencomm.codecs.registry import make_codec
from gencomm.items import Item
from gencomm.metrics.registry import make_metric
from gencomm.sources.packed import Packed
from gencomm.training.loop import load_recipe
from gencomm.weights import FOLDER, load_weights

#: Bit error rates of the table.
RATES = (0.0, 1e-2, 5e-2, 1e-1)


def measure(codec: str, items: Sequence[Item], rates: Sequence[float]) -> list[tuple[float, float]]:
    """Mean PSNR and SSIM of pictures at each bit error rate, one draw of errors a picture.

    Raises
    ------
    RuntimeError
        A picture is not decoded.
    """
    made = make_codec(codec)
    batch = getattr(made, "encode_batch", None)
    sent = batch(items) if batch else [made.encode(item) for item in items]
    metrics = [make_metric("psnr"), make_metric("ssim")]
    states = [[metric.prepare(item.value) for metric in metrics] for item in items]
    found = []
    for rate in rates:
        rng = np.random.default_rng(1)  # the same errors for each codec of as many bits
        received = []
        for one in sent:
            bits = one.bits.unpack()
            arrived = PackedBits.from_bits(bits ^ (rng.random(bits.size) < rate))
            received.append(Received(arrived, one.side, ber=rate))
        scores = []
        for decoded, state in zip(decode_all(made, received), states, strict=True):
            if decoded.value is None:
                raise RuntimeError(f"{codec} does not decode at {rate}: {decoded.detail}")
            pairs = zip(metrics, state, strict=True)
            scores.append([float(metric.measure(s, decoded.value[None])[0]) for metric, s in pairs])
        psnr, ssim = np.mean(scores, axis=0)
        found.append((float(psnr), float(ssim)))
    return found


def card(name: str, state: dict[str, Any], checksum: str, words: str, table: list[str]) -> str:
    """The text of a card, Markdown."""
    return "\n".join(
        [
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
            *table,
            "",
            f"SHA-256 of the file: `{checksum}`",
            "",
        ]
    )


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(prog="python -m gencomm.training.error_card")
    parser.add_argument("weights", help="name of weights in the package")
    parser.add_argument("--data", required=True, help="a packed set")
    parser.add_argument("--split", default="test")
    parser.add_argument("--count", type=int, default=400)
    args = parser.parse_args()
    weights = load_weights(args.weights)
    recipe = load_recipe(weights.state["recipe_spec"])
    items = list(Packed(args.data, args.count, split=args.split))
    table = [
        "## Measured",
        f"On the first {len(items)} pictures of the part {args.split}: mean PSNR over RGB in dB",
        "and SSIM, over a binary symmetric channel whose error rate the receiver knows.",
        "",
        f"| codec | {' | '.join(f'BER {rate:g}' for rate in RATES)} |",
        f"|{' --- |' * (1 + len(RATES))}",
    ]
    for codec in recipe.measured:
        found = measure(codec, items, RATES)
        figures = " | ".join(f"{psnr:.2f} / {ssim:.3f}" for psnr, ssim in found)
        table.append(f"| `{codec}` | {figures} |")
        print(table[-1], flush=True)
    text = card(args.weights, weights.state, weights.checksum, recipe.card, table)
    (FOLDER / f"{args.weights}.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()

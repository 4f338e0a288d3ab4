"""Measure a trained codec on real streams, and write the card that lies beside its weights.

``python -m gencomm.training.card cae --data kodak.npz`` writes the card of the weights that come
with the package. What is measured are whole streams, for codes of fixed length also through a
binary symmetric channel; the words come from the recipe, and so does the list of codecs.
"""

from __future__ import annotations

import argparse
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from channels.bits import PackedBits
from gencomm.codecs.contract import Received, decode_all
from gencomm.codecs.registry import make_codec
from gencomm.items import Item
from gencomm.metrics import Panel
from gencomm.metrics.ssim import WEIGHTS, scales_for
from gencomm.sources.packed import Packed
from gencomm.sources.packed_clips import PackedClips
from gencomm.training.loop import load_recipe
from gencomm.weights import FOLDER, load_weights

#: Bit error rates of the table, of codes of fixed length: those that recipes list in `measured`.
RATES = (0.0, 1e-2, 5e-2, 1e-1)
#: Qualities of codecs that have one, where the recipe lists none.
QUALITIES = (0, 20, 40, 60, 80, 100)
#: Pictures that are measured of a set that comes in parts.
COUNT = 400


class Row(NamedTuple):
    """Means over pictures of one codec.

    Attributes
    ----------
    codec : str
    bpp : float
        Of whole streams, side information included.
    estimated : float or None
        The same as the entropy model says, where there is one.
    scores : list of (float, float)
        PSNR in dB and MS-SSIM or SSIM at each bit error rate.
    """

    codec: str
    bpp: float
    estimated: float | None
    scores: list[tuple[float, float]]


def measure(codec: str, items: Sequence[Item], rates: Sequence[float], similarity: str) -> Row:
    """Encode pictures or clips, and decode them after one draw of errors for each at each rate.

    Parameters
    ----------
    codec : str
    items : sequence of Item
    rates : sequence of float
        Bit error rates, which the decoder is told. Headers are sent unharmed.
    similarity : {"ssim", "ms_ssim"}
        The metric beside PSNR.

    Raises
    ------
    RuntimeError
        A picture is not decoded.
    """
    made = make_codec(codec)
    batch = getattr(made, "encode_batch", None)
    sent = batch(items) if batch else [made.encode(item) for item in items]
    panel = Panel(["psnr", similarity])
    states = [panel.prepare(item.value) for item in items]
    found = []
    for rate in rates:
        rng = np.random.default_rng(1)  # the same errors for each codec of as many bits
        received = []
        for one in sent:
            bits = one.bits.unpack()
            bits[one.header_bits :] ^= rng.random(bits.size - one.header_bits) < rate
            received.append(Received(PackedBits.from_bits(bits), one.side, ber=rate))
        scores = []
        for item, decoded, state in zip(items, decode_all(made, received), states, strict=True):
            if decoded.value is None:
                raise RuntimeError(f"{codec} loses {item.id} at {rate:g}: {decoded.detail}")
            found_here = panel.measure(state, decoded.value[None])
            scores.append([float(found_here[name][0]) for name in panel.names])
        psnr, second = np.mean(scores, axis=0)
        found.append((float(psnr), float(second)))
    estimates = [one.meta.get("estimated_bpp") for one in sent]
    return Row(
        codec,
        float(np.mean([s.total_bits / item.pixels for s, item in zip(sent, items, strict=True)])),
        None if None in estimates else float(np.mean(estimates)),
        found,
    )


def table(rows: Sequence[Row], rates: Sequence[float], similarity: str, what: str) -> list[str]:
    """Lines of Markdown.

    Parameters
    ----------
    rows : sequence of Row
    rates : sequence of float
    similarity : str
        The second score's name, as a reader knows it.
    what : str
        Which pictures were measured.
    """
    estimated = any(row.estimated is not None for row in rows)
    clean = tuple(rates) == (0.0,)
    text = f"On {what}: means of bits per pixel of whole streams, headers included"
    text += " (in\nbrackets what the entropy model estimates)" if estimated else ""
    text += f", of PSNR over RGB in dB, and of {similarity}"
    if not clean:
        text += ", over a binary symmetric channel\nwhose error rate the receiver knows"
    heads = ["PSNR / " + similarity] if clean else [f"BER {rate:g}" for rate in rates]
    lines = [f"{text}.", "", f"| codec | bpp | {' | '.join(heads)} |"]
    lines.append(f"|{' --- |' * (2 + len(heads))}")
    digits = 4 if clean else 3
    for row in rows:
        rate = f"{row.bpp:.4f}" + (f" ({row.estimated:.4f})" if row.estimated is not None else "")
        scores = [f"{psnr:.2f} / {second:.{digits}f}" for psnr, second in row.scores]
        lines.append(f"| `{row.codec}` | {rate} | {' | '.join(scores)} |")
    return lines


def card(name: str, state: dict[str, Any], checksum: str, words: str, lines: list[str]) -> str:
    """The text of a card, Markdown.

    Parameters
    ----------
    name : str
        Of the weights.
    state : dict
        ``step``, ``seconds`` and, where there is one, ``history`` of the training.
    checksum : str
        SHA-256 of the file.
    words : str
        The recipe's: what it is, data and terms.
    lines : list of str
        Of the table.
    """
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
            "## Measured",
            *lines,
            "",
            f"SHA-256 of the file: `{checksum}`",
            "",
        ]
    )


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(prog="python -m gencomm.training.card")
    parser.add_argument("weights", help="name of weights in the package")
    parser.add_argument("--data", required=True, help="a packed set, Kodak's for photographs")
    parser.add_argument("--split", help="part of the set (default: test, where it has parts)")
    parser.add_argument(
        "--count", type=int, help=f"pictures or clips (default: all; {COUNT} pictures of a part)"
    )
    args = parser.parse_args()
    weights = load_weights(args.weights)
    recipe = load_recipe(weights.state.get("recipe_spec", args.weights))
    split = args.split or ("test" if getattr(recipe, "train_split", None) else None)
    clips = getattr(recipe, "frames", 1) > 1
    if clips:
        items = list(PackedClips(args.data, split=split, limit=args.count))
    else:
        items = list(Packed(args.data, args.count or (COUNT if split else None), split=split))
    codecs = getattr(recipe, "measured", [f"{args.weights}(quality={q})" for q in QUALITIES])
    # what an entropy code is worth over a noisy channel is no matter of its weights
    rates = getattr(recipe, "measured_bers", RATES if hasattr(recipe, "measured") else (0.0,))
    # smaller pictures haven't all the scales of MS-SSIM
    sides = [item.value.shape[1:3] if clips else item.value.shape[:2] for item in items]
    whole = all(scales_for(*side) == WEIGHTS.size for side in sides)
    metric, label = ("ms_ssim", "MS-SSIM") if whole else ("ssim", "SSIM")
    rows = []
    for codec in codecs:
        rows.append(measure(codec, items, rates, metric))
        print(table(rows[-1:], rates, label, "")[-1], flush=True)
    what = f"the first {len(items)} {'clips' if clips else 'pictures'} of {Path(args.data).stem}"
    what += f", part {split}" if split else ""
    text = card(
        args.weights, weights.state, weights.checksum, recipe.card, table(rows, rates, label, what)
    )
    (FOLDER / f"{args.weights}.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()

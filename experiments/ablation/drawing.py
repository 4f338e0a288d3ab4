"""The figure: curves over the bit error rate, soft decoding, unequal protection."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from measuring import Scores, interval
from points import BERS, PROTECTION, UEP_CODECS

from gencomm.figures import style
from gencomm.figures.saving import save

#: Codec, label, colour, dashes.
CURVES = (
    ("jpeg2000(bpp=0.48)", "JPEG 2000, 1,100 bits", "#0072B2", "-"),
    ("block_dct(bpp=0.5)", "fixed length: block DCT, 1,552 bits", "#882255", "-"),
    ("klt", "domain: klt, 512 bits", "#E69F00", "-"),
    ("klt(design_ber=0.05)", "  quantisers for BER 0.05", "#E69F00", (0, (5, 1.5))),
    ("ncode_joint(know_ber=false)", "learned: ncode_joint, 512 bits", "#009E73", "-"),
    ("ncode_joint(labels=annealed)", "  told, labels annealed", "#009E73", (0, (3, 1, 1, 1))),
    ("ncode_joint(design_ber=0.05)", "  trained for BER 0.05, told", "#009E73", (0, (5, 1.5))),
)
WAYS = dict(zip(PROTECTION, ("#777777", "#000000", "#D55E00", "#CC79A7", "#56B4E9"), strict=True))
NAMES = {
    "equal, one block": "polar 1/2, one block",
    "equal, four blocks": "polar 1/2, four blocks",
    "unequal 1/3, 1/2, 2/3, 2/3": "polar 1/3, 1/2, 2/3, 2/3",
    "unequal 1/4, 1/2, none, none": "polar 1/4, 1/2, none, none",
    "no code, twice the energy": "no code, equal energy",
}
#: Where quality without errors stands on a logarithmic axis.
LEFT = 3e-5


def draw(scores: Scores, soft: list[dict], protection: list[dict], path: Path) -> None:
    """Draw what was measured."""
    with style.styled():
        figure = Figure(figsize=(10.2, 6.6), layout="constrained")
        grid = figure.add_gridspec(2, 3, height_ratios=(1.25, 1))
        curves(figure.add_subplot(grid[0, :2]), scores)
        gains(figure.add_subplot(grid[0, 2]), soft)
        first = figure.add_subplot(grid[1, 0])
        for k, codec in enumerate(UEP_CODECS):
            axes = first if k == 0 else figure.add_subplot(grid[1, k], sharey=first)
            protected(axes, [r for r in protection if r["codec"] == codec], codec)
        place = first.get_legend_handles_labels()
        blank = figure.add_subplot(grid[1, 2])
        blank.axis("off")
        blank.legend(*place, loc="center left", frameon=False, title="512 bits, 1,024 uses of BPSK")
    save(figure, path)


def curves(axes: Axes, scores: Scores) -> None:
    """PSNR over the bit error rate; what is lost without errors stands on the left."""
    faces = 0
    for codec, label, colour, dashes in CURVES:
        if (codec, "clean", "psnr") not in scores:
            continue
        found = [interval(scores[codec, f"bsc({b:g})", "psnr"]) for b in BERS]
        clean = interval(scores[codec, "clean", "psnr"])
        faces = scores[codec, "clean", "psnr"].size
        mean, low, high = np.array(found).T
        axes.plot(BERS, mean, color=colour, linestyle=dashes, label=label)
        axes.fill_between(BERS, low, high, color=colour, alpha=0.12, linewidth=0)
        axes.plot([LEFT, BERS[0]], [clean[0], mean[0]], color=colour, linewidth=0.6, alpha=0.6)
        axes.plot(LEFT, clean[0], "o", color=colour, clip_on=False)
    axes.set(xscale="log", xlim=(LEFT, 0.22), xlabel=style.AXIS_LABELS["ber"], ylabel="PSNR (dB)")
    axes.set_xticks([LEFT, 1e-4, 1e-3, 1e-2, 1e-1])
    axes.set_xticklabels(["none", "$10^{-4}$", "$10^{-3}$", "$10^{-2}$", "$10^{-1}$"])
    style.frame(axes)
    axes.legend(loc="lower left", frameon=False)
    axes.set_title(
        f"What makes a short code survive ({faces} faces, headers granted free)", loc="left"
    )


def gains(axes: Axes, soft: list[dict]) -> None:
    """What LLRs gain over hard decisions of a decoder that knows the error rate."""
    codecs = list(dict.fromkeys(row["hard"] for row in soft))
    rates = sorted({row["ber"] for row in soft})
    for k, codec in enumerate(codecs):
        own = sorted((r for r in soft if r["hard"] == codec), key=lambda r: r["ber"])
        x = np.array([rates.index(r["ber"]) for r in own]) + (k - (len(codecs) - 1) / 2) * 0.2
        y = np.array([float(r["gain_mse_db"]) for r in own])
        ends = [[float(r[f"gain_mse_db_{e}"]) for r in own] for e in ("low", "high")]
        error = np.abs(np.array(ends) - y)
        colour = "#E69F00" if codec.startswith("klt") else "#009E73"
        designed = "design_ber" in codec
        axes.bar(
            x, y, 0.18, yerr=error, color=colour, alpha=0.45 if designed else 0.9,
            error_kw={"linewidth": 0.7},
            label=codec.split("(")[0] + (", for BER 0.05" if designed else ""),
        )  # fmt: skip
    axes.axhline(0, color="black", linewidth=0.6)
    axes.set_xticks(range(len(rates)), [f"{rate:g}" for rate in rates])
    axes.set(xlabel="bit error rate of hard decisions", ylabel="less mean squared error (dB)")
    style.frame(axes)
    axes.set_ylim(top=2.6)  # room for the legend
    axes.legend(frameon=False, loc="upper left")
    axes.set_title("Soft decoding over BPSK", loc="left")


def protected(axes: Axes, rows: list[dict], codec: str) -> None:
    """PSNR over energy for each way of protecting."""
    for name, colour in WAYS.items():
        own = sorted((r for r in rows if r["protection"] == name), key=lambda r: r["ebno_db"])
        if not own:
            continue
        x = [r["ebno_db"] for r in own]
        low, high = ([r[f"psnr_{end}"] for r in own] for end in ("low", "high"))
        axes.plot(x, [r["psnr"] for r in own], color=colour, marker="o", label=NAMES[name])
        axes.fill_between(x, low, high, color=colour, alpha=0.12, linewidth=0)
    axes.set(xlabel=style.AXIS_LABELS["ebno_db"], ylabel="PSNR (dB)")
    style.frame(axes)
    count = rows[0]["faces"] if rows else 0
    axes.set_title(f"{codec} ({count} faces)", loc="left")

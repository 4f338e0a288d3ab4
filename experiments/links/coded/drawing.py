"""Figures of the coded links: error rates, and bits per use beside capacity."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from channels import theory
from channels.finite_blocklength import required_ebno_db, shannon_ebno_db
from gencomm.figures.style import frame, styled

if TYPE_CHECKING:
    from recipe import Curve

#: Family -> (colour, marker, name in the legend).
LOOKS: dict[str, tuple[str, str, str]] = {
    "uncoded": ("#777777", "o", "no code"),
    "simple": ("#B9A08A", "v", "repetition, Hamming"),
    "algebraic": ("#E69F00", "s", "BCH (127, 64), RS (255, 223), hard decisions"),
    "conv": (
        "#009E73",
        "D",
        "convolutional, K = 7: 1/2, 2/3, 3/4, 5/6; dashed, hollow: 1/2, hard decisions",
    ),
    "concatenated": ("#CC79A7", "P", "RS (255, 223) over convolutional 1/2"),
    "polar": ("#D55E00", "^", "5G polar, list of 8: 1/3, 1/2, 3/4 (512 bits)"),
    "ldpc-1040": ("#56B4E9", "o", "5G LDPC: 1/3, 1/2, 3/4 (1,040 bits)"),
    "ldpc-8448": ("#0072B2", "o", "5G LDPC: 1/3, 1/2, 3/4 (8,448 bits)"),
    "ldpc-qam": ("#332288", "X", "5G LDPC on 16-, 64-, 256-QAM (1,040 bits)"),
}
#: Error rates drawn in the waterfall panel.
FLOOR = 4e-6
CONSTELLATIONS = {"qpsk": "QPSK", "qam16": "16-QAM", "qam64": "64-QAM", "qam256": "256-QAM"}


def draw(results: pd.DataFrame, needed: pd.DataFrame, curves: list[Curve], folder: Path) -> None:
    """Write figure.png and blocks.png."""
    shown = [curve for curve in curves if curve.family != "reference"]
    with styled():
        _overview(results, needed, shown).savefig(folder / "figure.png", dpi=200)
        _blocks(results, shown).savefig(folder / "blocks.png", dpi=200)


def _overview(results: pd.DataFrame, needed: pd.DataFrame, curves: list[Curve]) -> Figure:
    figure = Figure(figsize=(10.2, 5.2), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1.06, 1))
    _waterfall(left, results, curves)
    _plane(right, needed, curves)
    families = list(dict.fromkeys(curve.family for curve in curves))
    handles = [
        Line2D([], [], color=LOOKS[f][0], marker=LOOKS[f][1], ms=4.5, lw=1.2, label=LOOKS[f][2])
        for f in families
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=3, frameon=False)
    return figure


def _waterfall(axes: Any, results: pd.DataFrame, curves: list[Curve]) -> None:
    """BER of everything over QPSK against Eb/N0, Shannon limits at the foot."""
    ebno_db = np.linspace(-1, 12, 400)
    axes.semilogy(
        ebno_db, theory.ber_awgn("qpsk", theory.ebno_to_esno_db(ebno_db, 2)), color="#777777", lw=1
    )
    for curve in curves:
        rows = results[(results.curve == curve.name) & (results.ber > 0)].sort_values("ebno_db")
        if not curve.link.endswith("qpsk"):
            continue
        colour, marker, _ = LOOKS[curve.family]
        spread = np.array([rows.ber - rows.ber_low, rows.ber_high - rows.ber]).clip(0)
        axes.errorbar(rows.ebno_db, rows.ber, spread, fmt=marker, ms=3, color=colour,
                      elinewidth=0.8, lw=0)  # fmt: skip
        if curve.family != "uncoded":
            style = (0, (4, 1.5)) if curve.name == "conv-hard" else "-"
            axes.plot(rows.ebno_db, rows.ber, color=colour, lw=1.1, ls=style)
    for rate, text in ((1 / 3, "1/3"), (1 / 2, "1/2"), (3 / 4, "3/4")):
        limit = shannon_ebno_db(2 * rate)
        axes.axvline(limit, color="black", lw=0.8, ls=(0, (1, 2)))
        axes.annotate(text, (limit, 0.55), (2, 0), textcoords="offset points", fontsize=6.5,
                      va="center")  # fmt: skip
    axes.annotate("dotted: Shannon limit of rates 1/3, 1/2, 3/4", (2.0, 0.33), (2, 0),
                  textcoords="offset points", fontsize=6.5, va="center")  # fmt: skip
    axes.set(xlim=(-0.8, 10.4), ylim=(FLOOR, 0.8), ylabel="bit error rate",
             xlabel=r"$E_\mathrm{b}/N_0$ (dB, per information bit)",
             title="Over QPSK: simulated points, 95 % intervals")  # fmt: skip
    frame(axes)


def _plane(axes: Any, needed: pd.DataFrame, curves: list[Curve]) -> None:
    """Information bits per use against the Eb/N0 that blocks of about 1,000 bits need."""
    esno_db = np.linspace(-12, 34, 400)
    capacity = theory.capacity_awgn(esno_db)
    axes.plot(esno_db - 10 * np.log10(capacity), capacity, color="black", lw=1.6)
    axes.annotate("Shannon capacity", (9.6, 6.3), (-4, 3), textcoords="offset points",
                  fontsize=7.5, rotation=36, ha="right", va="bottom",
                  rotation_mode="anchor")  # fmt: skip
    for name, label in CONSTELLATIONS.items():
        known = theory.capacity_constellation(name, esno_db)
        seen = known > 0.05
        x = esno_db[seen] - 10 * np.log10(known[seen])
        axes.plot(x, known[seen], color="#aaaaaa", lw=0.9)
        bits = theory.BITS_PER_SYMBOL[name]
        axes.annotate(label, (23.6, bits), (0, -2), textcoords="offset points", fontsize=6.5,
                      color="#777777", ha="right", va="top")  # fmt: skip
    table = needed.set_index("curve")
    for family, group in _by_family(curves).items():
        colour, marker, _ = LOOKS[family]
        rows = table.loc[[c.name for c in group if c.name != "conv-hard"]]
        if family in ("conv", "polar", "ldpc-1040", "ldpc-8448"):
            axes.plot(rows.ebno_db, rows.bits_per_use, color=colour, lw=0.9)
        hard = table.loc[[c.name for c in group if c.name == "conv-hard"]]
        axes.plot(hard.ebno_db, hard.bits_per_use, marker, ms=4.5, mfc="white", color=colour)
        spread = np.array([rows.ebno_db - rows.low, rows.high - rows.ebno_db]).clip(0)
        axes.errorbar(rows.ebno_db, rows.bits_per_use, xerr=spread, fmt=marker, ms=4.5,
                      color=colour, elinewidth=1, lw=0, mew=0)  # fmt: skip
    axes.set(xlim=(-2, 24), ylim=(0.3, 12), yscale="log",
             xlabel=r"$E_\mathrm{b}/N_0$ (dB) for a block error rate of $10^{-2}$",
             ylabel="information bits per channel use",
             title="Blocks of about 1,000 bits: what each link needs, beside capacity")  # fmt: skip
    ticks = [0.5, 1, 2, 4, 8]
    axes.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    frame(axes)


def _by_family(curves: list[Curve]) -> dict[str, list[Curve]]:
    found: dict[str, list[Curve]] = {}
    for curve in curves:
        found.setdefault(curve.family, []).append(curve)
    return found


def _blocks(results: pd.DataFrame, curves: list[Curve]) -> Figure:
    """Block error rates of LDPC and polar codes beside the normal approximation."""
    from channels import Link

    figure = Figure(figsize=(8.6, 3.6), layout="constrained")
    panels = figure.subplots(1, 3, sharey=True)
    rates = np.logspace(-0.05, -4, 40)
    for axes, family, title in zip(
        panels,
        ("polar", "ldpc-1040", "ldpc-8448"),
        ("polar, 512 bits, list of 8", "LDPC, 1,040 bits", "LDPC, 8,448 bits"),
        strict=True,
    ):
        colour, marker, _ = LOOKS[family]
        for curve in (c for c in curves if c.family == family):
            rows = results[(results.curve == curve.name) & (results.bler > 1e-4)]
            spread = np.array([rows.bler - rows.bler_low, rows.bler_high - rows.bler]).clip(0)
            axes.errorbar(rows.ebno_db, rows.bler, spread, fmt=f"{marker}-", ms=3.2, color=colour,
                          lw=1.1, elinewidth=0.9, capsize=1.5)  # fmt: skip
            link = Link.parse(f"{curve.link}|awgn(ebno_db=0)")
            k = int(rows.block_bits.iloc[0])
            n = 2 * link.ledger(k).channel_uses
            best = [required_ebno_db(k, n, rate) for rate in rates]
            axes.plot(best, rates, color="#444444", lw=1, ls=(0, (4, 1.5)))
            limit = shannon_ebno_db(2 * link.rate)
            axes.axvline(limit, ymax=0.06, color="black", lw=2)
            axes.annotate(curve.name.rsplit("-", 1)[1], (rows.ebno_db.iloc[0], 1.25), fontsize=7,
                          ha="center", color=colour, annotation_clip=False)  # fmt: skip
        axes.set(yscale="log", ylim=(1e-4, 1.1), xlabel=r"$E_\mathrm{b}/N_0$ (dB)")
        axes.set_title(title, pad=14)
        frame(axes)
    panels[0].set_ylabel("block error rate")
    handles = [
        Line2D([], [], color="#444444", lw=1, ls=(0, (4, 1.5)),
               label="best code of this length and rate (normal approximation)"),
        Line2D([], [], color="black", lw=0, marker="|", ms=8, mew=2,
               label="Shannon limit of the rate"),
    ]  # fmt: skip
    figure.legend(handles=handles, loc="outside lower center", ncols=2, frameon=False)
    return figure

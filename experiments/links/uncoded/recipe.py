"""Uncoded links against their closed forms: ``python experiments/links/uncoded/recipe.py``.

Simulates every modulation over AWGN and every binary medium from 1e-1 to 1e-5, and writes
results.csv, claims.json and figure.png beside this file. With ``--figure`` it only draws again.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.optimize import brentq
from scipy.stats import binom

from channels import Link, NoiseStream, PackedBits, theory
from channels.bits import count_ones
from channels.intervals import clopper_pearson

HERE = Path(__file__).parent
SEED = 2026
TARGETS = (1e-1, 5e-2, 2e-2, 1e-2, 5e-3, 2e-3, 1e-3, 3e-4, 1e-4, 3e-5, 1e-5)
#: Errors expected at each point: a 99 % interval of +-5 %, and 0.005 dB for all points together.
ERRORS = 3000
TRIAL_BITS = 480_000
LEVEL = 0.99
BURST = 10.0
LABELS = {
    "bpsk": "BPSK (under QPSK)",
    "qpsk": "QPSK",
    "qam16": "16-QAM",
    "qam64": "64-QAM",
    "qam256": "256-QAM",
    "qam1024": "1024-QAM",
    "bsc": "BSC",
    "bec": "BEC (erasures)",
    "packet_erasure": "packet erasure (packets)",
    "gilbert_elliott": "Gilbert-Elliott",
}


def esno_for(modulation: str, ber: float) -> float:
    """Es/N0 in dB at which the closed form gives `ber`, to a thousandth."""
    tiny = 1e-300
    root = brentq(lambda db: math.log(float(theory.ber_awgn(modulation, db)) / ber + tiny), -30, 60)
    return round(root, 3)


def points() -> list[dict]:
    """What to simulate: link, closed form and design effect of each point."""
    found = []
    for modulation, bits in theory.BITS_PER_SYMBOL.items():
        for target in TARGETS:
            esno_db = esno_for(modulation, target)
            found.append(
                {
                    "channel": modulation,
                    "link": f"{modulation}|awgn(esno_db={esno_db})",
                    "ebno_db": float(theory.esno_to_ebno_db(esno_db, bits)),
                    "closed_form": float(theory.ber_awgn(modulation, esno_db)),
                    "effect": theory.design_effect(modulation, esno_db),
                }
            )
    for target in TARGETS:
        p_bad = 2 * target
        good = float(f"{(target - p_bad * 0.45) / (1 - p_bad):.6g}")
        mean = theory.gilbert_elliott_ber(p_bad, 0.45, good)
        memory = 1 - p_bad / (BURST * (1 - p_bad)) - 1 / BURST
        state = p_bad * (1 - p_bad) * (0.45 - good) ** 2
        bursts = f"{p_bad}, {BURST}, ber_bad=0.45, ber_good={good}"
        effect = 1 + 2 * state * memory / (1 - memory) / (mean * (1 - mean))
        for name, link, rate, design in (
            ("bsc", f"bsc({target})", target, 1.0),
            ("bec", f"bec({target})", target, 1.0),
            ("packet_erasure", f"packet_erasure({target}, bytes=1)", target, 1.0),
            ("gilbert_elliott", f"gilbert_elliott({bursts})", mean, effect),
        ):
            found.append({"channel": name, "link": link, "closed_form": rate, "effect": design})
    return found


def simulate(point: dict) -> dict:
    """Count until about `ERRORS` independent events are expected, and the interval of the rate."""
    link = Link.parse(point["link"])
    rng = NoiseStream(SEED, "payload").generator(0)
    payload = PackedBits.from_bits(rng.integers(0, 2, TRIAL_BITS, np.uint8))
    per_event = 8 if point["channel"] == "packet_erasure" else 1  # packets of one byte
    wanted = ERRORS * point["effect"] * per_event / point["closed_form"]
    trials = max(1, round(wanted / TRIAL_BITS))
    errors = 0
    for part in link.batches(payload, range(trials), NoiseStream(SEED, link.text)):
        lost = part.erased
        errors += int((part.bit_errors if lost is None else count_ones(lost)).sum())
    errors, sent = errors // per_event, trials * TRIAL_BITS // per_event
    low, high = clopper_pearson(errors / point["effect"], sent / point["effect"], LEVEL)
    return point | {
        "sent": sent,
        "errors": errors,
        "rate": errors / sent,
        "low": float(low),
        "high": float(high),
        "inside": bool(low <= point["closed_form"] <= high),
    }


def offset_db(rows: pd.DataFrame) -> tuple[float, float]:
    """By how many dB the simulated curves lie beside the closed forms, all points together.

    Each point's log error rate over the slope of its curve, weighted by its certainty.

    Returns
    -------
    offset, error : float
        Mean (positive: the simulation is worse) and standard deviation.
    """
    offsets, weights = [], []
    for row in rows.itertuples():
        esno_db = float(theory.ebno_to_esno_db(row.ebno_db, theory.BITS_PER_SYMBOL[row.channel]))
        nearby = np.log(theory.ber_awgn(row.channel, [esno_db - 0.01, esno_db + 0.01]))
        slope = (nearby[1] - nearby[0]) / 0.02
        offsets.append(-math.log(row.rate / row.closed_form) / slope)
        weights.append(slope**2 * row.errors / row.effect)
    total = float(np.sum(weights))
    return float(np.dot(offsets, weights)) / total, 1 / math.sqrt(total)


def claims(rows: pd.DataFrame) -> list[dict]:
    """What results.csv says."""
    symbols = rows[rows.channel.isin(theory.BITS_PER_SYMBOL)]
    found = []
    media = rows.drop(symbols.index)
    for what, source, part in (
        ("modulations over AWGN (BPSK to 1024-QAM)", "Cho and Yoon 2002", symbols),
        ("binary media (BSC, BEC, packet erasure, Gilbert-Elliott)", "their definitions", media),
    ):
        n, outside = len(part), int((~part.inside).sum())
        # true closed forms leave more than this many points outside once in a thousand runs
        allowed = int(binom.ppf(0.999, n, 1 - LEVEL))
        low, high = clopper_pearson(n - outside, n, 0.95)
        found.append(
            {
                "claim": f"{what}: share of {n} points from 1e-1 to 1e-5 whose 99 % interval "
                "holds the closed form",
                "source": source,
                "target": f"0.99 (at most {allowed} of {n} outside, by chance)",
                "value": (n - outside) / n,
                "low": float(low),
                "high": float(high),
                "verdict": "met" if outside <= allowed else "short",
            }
        )
    offset, error = offset_db(symbols)
    found.append(
        {
            "claim": f"distance of all {len(symbols)} simulated points from their curves, in dB",
            "source": "Cho and Yoon 2002",
            "target": "0 within 0.01 dB",
            "value": offset,
            "low": offset - 1.96 * error,
            "high": offset + 1.96 * error,
            "verdict": "met" if abs(offset) + 1.96 * error < 0.01 else "short",
        }
    )
    return found


def figure(rows: pd.DataFrame, path: Path) -> None:
    """Points with 99 % intervals on their curves, and their ratio to them."""
    from matplotlib import pyplot as plt

    from gencomm.figures.style import MARKERS, PALETTE

    plt.rcParams.update({"font.size": 8, "axes.spines.top": False, "axes.spines.right": False})
    canvas, (top, middle, bottom) = plt.subplots(
        3, 1, figsize=(6.3, 7.6), height_ratios=(3, 1, 1), layout="constrained"
    )
    n_inside = int(rows.inside.sum())
    for number, (channel, part) in enumerate(rows.groupby("channel", sort=False)):
        symbols = channel in theory.BITS_PER_SYMBOL
        index = number if symbols else number - len(theory.BITS_PER_SYMBOL)
        look = {"color": PALETTE[index], "fmt": MARKERS[index], "ms": 3.2, "lw": 1, "capsize": 1.5}
        bars = np.array([part.rate - part.low, part.high - part.rate])
        ratio_axes = bottom
        shift = 10 ** (0.03 * (index - 2.5))
        if symbols:
            ratio_axes = middle
            ebno_db = np.linspace(-1, part.ebno_db.max() + 1, 300)
            esno_db = theory.ebno_to_esno_db(ebno_db, theory.BITS_PER_SYMBOL[channel])
            top.semilogy(ebno_db, theory.ber_awgn(channel, esno_db), color=PALETTE[index], lw=0.9)
            top.errorbar(part.ebno_db, part.rate, bars, label=LABELS[channel], **look)
        label = None if symbols else LABELS[channel]
        ratio_axes.errorbar(
            part.closed_form * shift,
            part.rate / part.closed_form,
            bars / part.closed_form.to_numpy(),
            label=label,
            **look,
        )
    top.set(ylim=(4e-6, 0.4), xlabel=r"$E_\mathrm{b}/N_0$ (dB)", ylabel="bit error rate")
    top.legend(frameon=False, title="points: simulated\nlines: closed form", loc="upper right")
    for axes, what in ((middle, "modulations over AWGN"), (bottom, "binary media")):
        axes.axhline(1, color="black", lw=0.8)
        axes.set(xscale="log", ylabel="simulated / closed form", title=what, ylim=(0.91, 1.09))
        axes.title.set_fontsize(8)
    bottom.set_xlabel("closed-form error or erasure rate (points of one rate drawn side by side)")
    bottom.legend(frameon=False, ncols=4, loc="upper center", fontsize=7, borderaxespad=0)
    bottom.set_ylim(0.91, 1.12)
    canvas.suptitle(
        f"Uncoded links: 99 % intervals hold the closed form at {n_inside} of {len(rows)} points",
        fontsize=9,
    )
    canvas.savefig(path, dpi=200)
    plt.close(canvas)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--figure", action="store_true", help="draw again from results.csv")
    arguments = parser.parse_args()
    table = HERE / "results.csv"
    if not arguments.figure:
        rows = []
        for point in points():
            rows.append(simulate(point))
            last = rows[-1]
            print(f"{last['link']:60s} {last['rate']:.4g} of {last['closed_form']:.4g}", flush=True)
        pd.DataFrame(rows).to_csv(table, index=False, float_format="%.8g")
    results = pd.read_csv(table)
    (HERE / "claims.json").write_text(json.dumps(claims(results), indent=1) + "\n")
    figure(results, HERE / "figure.png")
    for claim in claims(results):
        print(f"{claim['verdict']}: {claim['claim']}: {claim['value']:.4g} ({claim['target']})")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Rate and distortion of learned and classical codecs on Kodak: real bits, headers included.

``GENCOMM_DATA=... python experiments/rate_distortion/recipe.py`` runs the sweep of kodak.yaml for
every family of codecs whose weights are there, and writes results.csv, savings.csv (means with
intervals), by_picture.csv, the figures and claims.json beside this file. What was measured before
is not run again.
``--families hyperprior`` runs that family alone and keeps the lines of the others; ``--draw`` makes
figures and claims from results.csv.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import pandas as pd
from drawing import draw_rates, draw_training
from measure import HERE, LEARNED, families, run_family, table

from gencomm.analysis import Bootstrap, bd, bd_items, readable_bd
from gencomm.files import write_atomically
from gencomm.metrics import decibels

RESULTS, SAVINGS, BY_PICTURE = (HERE / f"{n}.csv" for n in ("results", "savings", "by_picture"))
#: What codecs are compared with, and in what.
REFERENCES, METRICS = ("jpeg", "jpeg2000"), ("psnr", "ms_ssim")
#: Rates over which the targets hold, in bits per pixel.
BAND = (0.2, 1.0)
#: Codec, compared with, metric, BD-rate in per cent that is aimed at.
TARGETS = (
    ("cae", "jpeg", "psnr", -35.0),
    ("cae", "jpeg2000", "psnr", 0.0),
    ("cae", "jpeg2000", "ms_ssim", -20.0),
    ("hyperprior", "jpeg2000", "psnr", -20.0),
)
#: Estimate and real rate may differ by so much.
ESTIMATE = 0.01
#: Means over the 24 pictures measured on another machine of this project, at fixed settings
#: (Pillow 13.0): bits per pixel, PSNR in dB, MS-SSIM.
KNOWN = {
    "jpeg": [(0.256, 26.67, 0.894), (0.449, 29.14, 0.946), (0.683, 31.01, 0.968),
             (0.869, 32.17, 0.977), (1.344, 34.52, 0.987)],
    "jpeg2000": [(0.125, 26.98, 0.888), (0.249, 29.23, 0.930), (0.374, 30.85, 0.950),
                 (0.499, 32.16, 0.962), (0.998, 35.98, 0.983)],
    "webp": [(0.155, 26.98, 0.899), (0.274, 28.93, 0.939), (0.476, 31.23, 0.964),
             (0.673, 33.01, 0.975), (0.939, 34.87, 0.983)],
    "avif": [(0.244, 29.76, 0.954), (0.407, 31.79, 0.973), (0.637, 33.96, 0.983)],
}  # fmt: skip
#: What the two measurements may differ by: dB of PSNR, and MS-SSIM.
AGREE = (0.3, 0.006)


def rows_of(results: pd.DataFrame) -> pd.DataFrame:
    """As `gencomm.analysis` takes them."""
    whole = results.assign(link="clean", trial=0, status="ok")
    return whole[["codec", "link", "item", "trial", "status", "bpp", "psnr", "ms_ssim", "ssim"]]


def saving(table: pd.DataFrame, codec: str, reference: str, metric: str, target: float) -> dict:
    """A claim on a BD-rate: the mean over pictures of each one's own."""
    wanted = (table["family"] == codec) & (table["reference"] == reference)
    line = table[wanted & (table["metric"] == metric)].iloc[0]
    if line["left_out"]:
        raise RuntimeError(f"{codec} against {reference}: {line['left_out']}")
    name = {"psnr": "PSNR", "ms_ssim": "MS-SSIM"}[metric]
    verdict = "met" if line["bd_rate_high"] <= target else "partly"
    return {
        "claim": f"{codec}: BD-rate against {reference} in {name} over {BAND[0]:g} to {BAND[1]:g} "
        f"bpp, per cent, mean of {line['n_items']} pictures ({line['curve_bd_rate']:.1f} of the "
        f"mean curves, {line['curve_bd_rate_low']:.1f} to {line['curve_bd_rate_high']:.1f})",
        "source": "results.csv",
        "target": f"at most {target:g}",
        "value": round(line["bd_rate"], 2),
        "low": round(line["bd_rate_low"], 2),
        "high": round(line["bd_rate_high"], 2),
        "verdict": verdict if line["bd_rate"] <= target else "short",
    }


def estimate(results: pd.DataFrame, codec: str) -> dict:
    """A claim on how far the tables' estimate lies from the bits that were sent."""
    part = results[results["family"] == codec]
    means = part.groupby("item")[["bpp", "estimated_bpp"]].sum()
    off = (means["estimated_bpp"] / means["bpp"] - 1).abs().to_numpy()
    bootstrap = Bootstrap(len(off))
    low, high = (float(end[0]) for end in bootstrap.interval(bootstrap.means(off)[:, None]))
    worst = float((part["estimated_bpp"] / part["bpp"] - 1).abs().max())
    return {
        "claim": f"{codec}: estimated and real rate differ over {len(off)} pictures and all "
        f"qualities by, per cent (at most {100 * worst:.2f} in one stream)",
        "source": "results.csv",
        "target": f"below {100 * ESTIMATE:g}",
        "value": round(100 * float(off.mean()), 3),
        "low": round(100 * low, 3),
        "high": round(100 * high, 3),
        "verdict": "met" if high < 100 * ESTIMATE else "short",
    }


def anchors(results: pd.DataFrame, codec: str) -> dict:
    """A claim on a classical codec: no worse than what was measured before."""
    means = (
        results[results["family"] == codec]
        .groupby("codec", sort=False)[["bpp", "psnr", "ms_ssim"]]
        .mean()
    )
    means = means.sort_values("bpp")
    rate = np.log(means["bpp"].to_numpy())
    inside = [one for one in KNOWN[codec] if rate[0] <= np.log(one[0]) <= rate[-1]]
    worst = [0.0, 0.0]
    for bpp, *scores in inside:
        for k, (name, known) in enumerate(zip(("psnr", "ms_ssim"), scores, strict=True)):
            values = means[name].to_numpy()
            if name == "ms_ssim":  # nearly straight over log rate in decibels, not as it is
                here = 1 - 10 ** (-np.interp(np.log(bpp), rate, decibels(values)) / 10)
            else:
                here = np.interp(np.log(bpp), rate, values)
            worst[k] = min(worst[k], float(here) - known)
    return {
        "claim": f"{codec}: PSNR in dB below what was measured at other settings, the most of "
        f"{len(inside)} rates (MS-SSIM {-worst[1]:.4f} below)",
        "source": "results.csv; mean points in recipe.py",
        "target": f"at most {AGREE[0]:g} ({AGREE[1]:g})",
        "value": abs(round(worst[0], 3)),
        "low": None,
        "high": None,
        "verdict": "met" if -worst[0] <= AGREE[0] and -worst[1] <= AGREE[1] else "short",
    }


def by_picture(rows: pd.DataFrame) -> pd.DataFrame:
    """BD-rates of every codec and picture against JPEG and JPEG 2000."""
    parts = [bd_items(rows, r, m, rates=BAND) for r in REFERENCES for m in METRICS]
    kept = ["family", "reference", "metric", "item", "bd_rate", "bd_quality"]
    whole = pd.concat(parts)[[*kept, "quality_from", "quality_to", "why"]]
    return whole.round({"bd_rate": 3, "bd_quality": 4, "quality_from": 3, "quality_to": 3})


def write(results: pd.DataFrame) -> None:
    """Tables, figures and claims from the results."""
    rows, there = rows_of(results), set(results["family"])
    write_atomically(BY_PICTURE, by_picture(rows).to_csv(index=False).encode())
    saved = pd.concat([bd(rows, r, m, rates=BAND) for r in REFERENCES for m in METRICS])
    write_atomically(SAVINGS, saved.round(4).to_csv(index=False).encode())
    found = [saving(saved, *target) for target in TARGETS if target[0] in there]
    found += [estimate(results, name) for name in LEARNED if name in there]
    found += [anchors(results, name) for name in KNOWN if name in there]
    text = json.dumps(found, indent=1) + "\n"
    write_atomically(HERE / "claims.json", text.encode())
    for claim in found:
        print(f"{claim['verdict']}: {claim['claim']}: {claim['value']} ({claim['target']})")
    for _, part in saved.groupby(["reference", "metric"], sort=False):
        print(readable_bd(part).to_string(index=False))
    draw_rates(results, HERE / "figure.png")
    draw_training(HERE / "training.csv", HERE / "training.png")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--families", nargs="+", choices=[*families()], default=[*families()])
    parser.add_argument("--runs", type=Path, default=Path("runs/rate_distortion"))
    parser.add_argument("--workers", type=int)
    parser.add_argument("--draw", action="store_true", help="measure nothing")
    args = parser.parse_args()
    if not args.draw:
        fresh = {name: table(run_family(name, args.runs, args.workers), name)
                 for name in args.families}  # fmt: skip
        if RESULTS.exists():
            old = pd.read_csv(RESULTS)
            fresh |= {n: part for n, part in old.groupby("family") if n not in fresh}
        whole = pd.concat([fresh[name] for name in families() if name in fresh])
        write_atomically(RESULTS, whole.to_csv(index=False).encode())
    write(pd.read_csv(RESULTS))


if __name__ == "__main__":
    main()

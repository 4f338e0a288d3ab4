"""From a finished sweep of kodak.yaml to this folder's results.

    gencomm sweep experiments/resilience/entropy_coded/kodak.yaml --out runs/entropy_coded
    python experiments/resilience/entropy_coded/publish.py runs/entropy_coded

Writes results.csv (what the figure draws), resilience.csv, cost.csv (what slices cost at equal
quality, measured here on the same pictures), figure.png and claims.json.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import pandas as pd

from gencomm.analysis import Bootstrap, over_all_noise
from gencomm.api import Run
from gencomm.codecs.registry import make_codec
from gencomm.files import write_atomically
from gencomm.sources import SOURCES
from gencomm.sweeps.config import read_yaml

HERE = Path(__file__).resolve().parent
LEARNED = ("cae", "hyperprior")
#: Quality at which the cost of slices is measured, about that of the sweep, and their number.
QUALITY, SLICES = 60, 8
#: Bit error rates that claims look at: the nearest points of the grid.
POINTS = (1e-5, 1e-4)


def psnr_at(rows: pd.DataFrame, codec: str, ber: float) -> pd.Series:
    """Mean PSNR by picture at the point of the grid next to an error rate."""
    part = rows[rows["codec"] == codec]
    grid = np.sort(part["ber"].unique())
    nearest = grid[np.argmin(np.abs(np.log(grid / ber)))]
    return part[part["ber"] == nearest].groupby("item")["psnr"].mean()


def difference(rows: pd.DataFrame, better: str, worse: str, ber: float, words: str) -> dict:
    """A claim that one codec stands above another at an error rate."""
    gained = (psnr_at(rows, better, ber) - psnr_at(rows, worse, ber)).to_numpy(float)
    bootstrap = Bootstrap(len(gained))
    low, high = (float(end[0]) for end in bootstrap.interval(bootstrap.means(gained)[:, None]))
    value = float(gained.mean())
    return {
        "claim": f"{words}, dB of PSNR at BER {ber:g}, mean of {len(gained)} pictures",
        "source": "rows of the sweep",
        "target": "above 0",
        "value": round(value, 2),
        "low": round(low, 2),
        "high": round(high, 2),
        "verdict": "met" if low > 0 else "partly" if value > 0 else "short",
    }


def costs(run: Run, families: list[str]) -> pd.DataFrame:
    """Bits of one stream and of slices at equal quality, on the pictures of the run."""
    items = set(run.rows()["item"])
    source = SOURCES.create(f'packed("{read_yaml(HERE / "kodak.yaml")["source"]["packed"]}")')
    lines = []
    for index in range(len(source)):
        item = source.read(index)
        if item.id not in items:
            continue
        for name in families:
            one, sliced = (
                make_codec(f"{name}(quality={QUALITY},slices={n})").encode(item).total_bits
                for n in (1, SLICES)
            )
            lines.append({"codec": name, "item": item.id, "one_stream": one, "sliced": sliced})
    return pd.DataFrame(lines)


def cost_claim(table: pd.DataFrame, name: str) -> dict:
    """What slices cost, per cent of the bits of one stream."""
    part = table[table["codec"] == name]
    more = 100 * (part["sliced"] / part["one_stream"] - 1).to_numpy(float)
    bootstrap = Bootstrap(len(more))
    low, high = (float(end[0]) for end in bootstrap.interval(bootstrap.means(more)[:, None]))
    return {
        "claim": f"{name}: {SLICES} slices take more bits than one stream at equal quality, "
        f"per cent, mean of {len(more)} pictures",
        "source": "cost.csv",
        "target": "below 5",
        "value": round(float(more.mean()), 2),
        "low": round(low, 2),
        "high": round(high, 2),
        "verdict": "met" if high < 5 else "partly" if more.mean() < 5 else "short",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    run = Run(parser.parse_args().run)
    rows = over_all_noise(run.rows(), run.cells())
    there = set(rows["codec"])
    write_atomically(HERE / "results.csv", run.curves().to_csv(index=False).encode())
    write_atomically(HERE / "resilience.csv", run.resilience().to_csv(index=False).encode())
    run.plot(out=HERE / "figure.png")
    learned = [name for name in LEARNED if f"{name}(bpp=0.5)" in there]
    table = costs(run, learned)
    write_atomically(HERE / "cost.csv", table.to_csv(index=False).encode())
    found = []
    for name in learned:
        one, sliced = f"{name}(bpp=0.5)", f"{name}(bpp=0.5,slices={SLICES})"
        found.append(cost_claim(table, name))
        for ber in POINTS:
            words = f"{name}: {SLICES} slices above one stream"
            found.append(difference(rows, sliced, one, ber, words))
        for ber in POINTS:
            words = f"{name} with {SLICES} slices above JPEG with restart markers"
            found.append(difference(rows, sliced, "jpeg_restart(bpp=0.5)", ber, words))
            words = f"{name} with {SLICES} slices above JPEG 2000"
            found.append(difference(rows, sliced, "jpeg2000(bpp=0.5)", ber, words))
    write_atomically(HERE / "claims.json", (json.dumps(found, indent=1) + "\n").encode())
    for claim in found:
        print(f"{claim['verdict']}: {claim['claim']}: {claim['value']}")


if __name__ == "__main__":
    main()

"""From a finished sweep to a folder of results: tables, figures, claims.

    python experiments/classical/publish.py runs/photos experiments/classical/photos

Everything in claims.json is computed here from the rows; results.csv holds what the figure draws.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd

from gencomm.analysis import Bootstrap, over_all_noise
from gencomm.api import Run
from gencomm.files import write_atomically

#: Codes whose every bit matters to the rest of the picture, and those of fixed length; each where
#: the run has it.
ENTROPY_CODED = ("jpeg", "webp", "avif", "cae")
FIXED_LENGTH = ("block_dct", "generative")
#: Between these error rates the former fall and the latter do not (the project's second issue).
BEFORE, AFTER = 1e-6, 1e-3
FALL, STAND = 10.0, 2.0
#: Share of the CPU time that the harness may take on the Kodak sweep.
HARNESS = 0.10


def claims(run: Run, kodak: bool) -> list[dict]:
    """The claims that this run's rows support or not."""
    rows = over_all_noise(run.rows(), run.cells())
    there = set(rows["codec"].str.split("(").str[0])
    found = [fall(rows, name, FALL, at_least=True) for name in ENTROPY_CODED if name in there]
    found += [fall(rows, name, STAND, at_least=False) for name in FIXED_LENGTH if name in there]
    if kodak:
        found.append(harness(run))
    return found


def fall(rows: pd.DataFrame, family: str, target: float, at_least: bool) -> dict:
    """How many dB a codec loses from the lowest error rate to `AFTER`, by item."""
    part = rows[rows["codec"].str.split("(").str[0] == family]
    table = part.groupby(["item", "ber"])["psnr"].mean().unstack("ber")
    points = np.array(table.columns, float)
    first = int(np.argmin(np.abs(np.log(points / BEFORE))))
    last = int(np.argmin(np.abs(np.log(points / AFTER))))
    lost = (table.iloc[:, first] - table.iloc[:, last]).to_numpy(float)
    bootstrap = Bootstrap(len(lost))
    low, high = bootstrap.interval(bootstrap.means(lost[:, None]))
    value, low, high = float(lost.mean()), float(low[0]), float(high[0])
    good = low >= target if at_least else high <= target
    near = value >= target if at_least else value <= target
    return {
        "claim": f"{family}: dB of PSNR lost from BER {points[first]:.0e} to {points[last]:.0e}, "
        f"mean of {len(lost)} pictures",
        "source": "results.csv; rows of the sweep",
        "target": f"{'at least' if at_least else 'at most'} {target:g}",
        "value": round(value, 2),
        "low": round(low, 2),
        "high": round(high, 2),
        "verdict": "met" if good else "partly" if near else "short",
    }


def harness(run: Run) -> dict:
    """CPU time that is not encoding, decoding or measuring."""
    from gencomm.sweeps.stopwatch import harness_share

    share = harness_share(run.status()["seconds"])
    return {
        "claim": "share of the sweep's CPU time that is not encode, decode or metric",
        "source": "gencomm status",
        "target": f"below {HARNESS:g}",
        "value": round(float(share), 4),
        "low": None,
        "high": None,
        "verdict": "met" if share < HARNESS else "short",
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("folder", type=Path)
    arguments = parser.parse_args()
    run, folder = Run(arguments.run), arguments.folder
    write_atomically(folder / "results.csv", run.curves().to_csv(index=False).encode())
    write_atomically(folder / "resilience.csv", run.resilience().to_csv(index=False).encode())
    run.plot(out=folder / "figure.png")
    run.sheet(out=folder / "sheet.png")
    text = json.dumps(claims(run, folder.name == "kodak"), indent=1) + "\n"
    write_atomically(folder / "claims.json", text.encode())
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())

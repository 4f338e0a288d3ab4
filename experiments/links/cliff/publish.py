"""From the finished sweeps to this folder: tables, figures, claims.

    python experiments/links/cliff/publish.py RUN_OF_CLIFF [RUN_OF_LADDER]

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

HERE = Path(__file__).resolve().parent
CODED, BARE = "ldpc", "qpsk"
#: An entropy-coded codec falls by this many dB within this many dB of Eb/N0.
FALL, WITHIN = 5.0, 1.0


def by_item(rows: pd.DataFrame, codec: str, link: str) -> pd.DataFrame:
    """Mean PSNR of each item (rows) at each Eb/N0 (columns).

    `rows` are those of :func:`gencomm.analysis.over_all_noise`, whose plain means count.
    """
    part = rows[
        (rows["codec"].str.split("(").str[0] == codec)
        & (rows["link"].str.split("(").str[0].str.split("|").str[0] == link)
    ]
    return part.groupby(["item", "ebno_db"])["psnr"].mean().unstack("ebno_db")


def steepest_fall(rows: pd.DataFrame, codec: str, link: str, within: float) -> dict:
    """The largest fall of the mean PSNR between two points no more than `within` dB apart."""
    table = by_item(rows, codec, link)
    x, mean = np.array(table.columns, float), table.mean().to_numpy()
    pairs = [
        (mean[j] - mean[i], i, j)
        for i in range(len(x))
        for j in range(i + 1, len(x))
        if x[j] - x[i] <= within + 1e-9
    ]
    _, low, high = max(pairs)
    lost = (table.iloc[:, high] - table.iloc[:, low]).to_numpy()
    return {"from": x[high], "to": x[low], **_interval(lost)}


def gap(rows: pd.DataFrame, one: tuple[str, str], other: tuple[str, str], ebno_db: float) -> dict:
    """Mean PSNR of one codec and link over another's, paired by picture."""
    a, b = (by_item(rows, *which)[ebno_db] for which in (one, other))
    return _interval((a - b).to_numpy())


def _interval(values: np.ndarray) -> dict:
    bootstrap = Bootstrap(len(values))
    low, high = bootstrap.interval(bootstrap.means(values[:, None]))
    return {
        "value": round(float(values.mean()), 2),
        "low": round(float(low[0]), 2),
        "high": round(float(high[0]), 2),
        "n": len(values),
    }


def claims(rows: pd.DataFrame) -> list[dict]:
    """What the rows say of the cliff."""
    found = []
    for codec in ("jpeg2000", "avif"):
        fall = steepest_fall(rows, codec, CODED, WITHIN)
        sure, near = fall["low"] >= FALL, fall["value"] >= FALL
        found.append(
            _claim(
                f"{codec} behind LDPC 1/2 on 16-QAM: dB of PSNR lost from {fall['from']:g} to "
                f"{fall['to']:g} dB Eb/N0, mean of {fall['n']} pictures: the cliff",
                f"at least {FALL:g} within {WITHIN:g} dB",
                fall,
                "met" if sure else "partly" if near else "short",
            )
        )
    steps = steepest_fall(rows, "block_dct", BARE, WITHIN)
    found.append(
        _claim(
            f"block_dct over bare QPSK: its steepest fall within {WITHIN:g} dB, from "
            f"{steps['from']:g} to {steps['to']:g} dB Eb/N0",
            f"below {FALL:g}",
            steps,
            "met" if steps["high"] < FALL else "partly" if steps["value"] < FALL else "short",
        )
    )
    for at, better in ((5.0, True), (1.0, False)):
        which = (("jpeg2000", CODED), ("block_dct", BARE))
        ahead, behind = which if better else which[::-1]
        lead = gap(rows, ahead, behind, at)
        names = ("jpeg2000 behind LDPC", "block_dct over bare QPSK")
        first, second = names if better else names[::-1]
        found.append(
            _claim(
                f"at {at:g} dB Eb/N0 and equal channel uses: dB of PSNR by which {first} is "
                f"better than {second}",
                "above 0",
                lead,
                "met" if lead["low"] > 0 else "partly" if lead["value"] > 0 else "short",
            )
        )
    return found


def _claim(what: str, target: str, found: dict, verdict: str) -> dict:
    return {
        "claim": what,
        "source": "results.csv; rows of the sweep",
        "target": target,
        **{key: found[key] for key in ("value", "low", "high")},
        "verdict": verdict,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cliff", type=Path)
    parser.add_argument("ladder", type=Path, nargs="?")
    arguments = parser.parse_args()
    run = Run(arguments.cliff)
    write_atomically(HERE / "results.csv", run.curves().to_csv(index=False).encode())
    run.plot("psnr", out=HERE / "figure.png")
    run.sheet(out=HERE / "sheet.png")
    found = claims(over_all_noise(run.rows(), run.cells()))
    write_atomically(HERE / "claims.json", (json.dumps(found, indent=1) + "\n").encode())
    if arguments.ladder:
        ladder = Run(arguments.ladder)
        ladder.plot("psnr", envelope=True, out=HERE / "envelope.png")
        write_atomically(HERE / "envelope.csv", ladder.envelope().to_csv(index=False).encode())
    for claim in found:
        print(f"{claim['verdict']}: {claim['claim']}: {claim['value']} ({claim['target']})")
    return 0


if __name__ == "__main__":
    sys.exit(main())

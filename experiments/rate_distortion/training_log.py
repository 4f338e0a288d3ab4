"""Put logs of training into training.csv: ``python training_log.py cae=RUN/log.jsonl ...``.

A line for each evaluation and operating point, on validation pictures (none of Kodak's). Recipes
that aren't named keep their lines.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pandas as pd

OUT = Path(__file__).resolve().parent / "training.csv"


def read_log(recipe: str, path: Path) -> pd.DataFrame:
    """The evaluations of one run; each fall of the learning rate is a phase of its own."""
    entries = [json.loads(line) for line in path.read_text().splitlines()]
    lines = [
        {
            "recipe": recipe,
            "phase": phase,
            "step": entry["step"],
            "seconds": entry["seconds"],
            "point": k,
            "bpp": round(point["bpp"], 5),
            "psnr": round(point["psnr"], 4),
        }
        for entry, phase in zip(entries, phases(entries), strict=True)
        for k, point in enumerate(entry["points"])
    ]
    return pd.DataFrame(lines)


def phases(entries: list[dict]) -> list[str]:
    """ "constant", "decay 1", "decay 2" ... of each entry: a log goes from the constant phase to a
    decay and back, and a rate above the last one's of a decay begins the next decay.
    """
    told = [entry.get("learning_rate") for entry in entries]  # early logs told none
    top = max(rate for rate in told if rate is not None)
    found, number, last = [], 0, 0.0
    for rate in told:
        if rate is None or rate >= 0.999 * top:
            found.append("constant")
        else:
            number += rate > last
            last = rate
            found.append(f"decay {number}")
    return found


def main(words: list[str]) -> None:
    found = {name: read_log(name, Path(path)) for name, path in (w.split("=", 1) for w in words)}
    if OUT.exists():
        old = pd.read_csv(OUT)
        found = {str(name): part for name, part in old.groupby("recipe", sort=False)} | found
    pd.concat(found.values()).to_csv(OUT, index=False)


if __name__ == "__main__":
    main(sys.argv[1:])

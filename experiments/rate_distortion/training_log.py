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
    """The evaluations of one run; those of a falling learning rate are a phase of their own."""
    entries = [json.loads(line) for line in path.read_text().splitlines()]
    top = max(entry.get("learning_rate", 0.0) for entry in entries)
    lines = [
        {
            "recipe": recipe,
            "phase": "decay" if entry.get("learning_rate", top) < 0.999 * top else "constant",
            "step": entry["step"],
            "seconds": entry["seconds"],
            "point": k,
            "bpp": round(point["bpp"], 5),
            "psnr": round(point["psnr"], 4),
        }
        for entry in entries
        for k, point in enumerate(entry["points"])
    ]
    return pd.DataFrame(lines)


def main(words: list[str]) -> None:
    found = {name: read_log(name, Path(path)) for name, path in (w.split("=", 1) for w in words)}
    if OUT.exists():
        old = pd.read_csv(OUT)
        found = {str(name): part for name, part in old.groupby("recipe", sort=False)} | found
    pd.concat(found.values()).to_csv(OUT, index=False)


if __name__ == "__main__":
    main(sys.argv[1:])

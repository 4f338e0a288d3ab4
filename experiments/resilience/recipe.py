"""Resilience of generative codes beside entropy-coded ones: sweeps, tables, figures, claims.

    GENCOMM_DATA=... python experiments/resilience/recipe.py faces runs/faces
    GENCOMM_DATA=... python experiments/resilience/recipe.py photographs runs/photographs

runs every configuration in the folder beside this file that is named, each into a run folder of
its own (what those hold already is not run again), and writes the tables, figures and claims there.
``--publish`` runs nothing and writes them from what the runs hold.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import faces.results
import photographs.results

import gencomm
from gencomm.files import write_atomically

HERE = Path(__file__).resolve().parent
PARTS = {"faces": faces.results, "photographs": photographs.results}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("runs", type=Path)
    parser.add_argument("--publish", action="store_true", help="run nothing")
    parser.add_argument("--workers", type=int)
    arguments = parser.parse_args()
    part = PARTS[arguments.part]
    if not arguments.publish:
        for name in part.RUNS:
            config = HERE / arguments.part / f"{name}.yaml"
            gencomm.sweep(config, arguments.runs / name, workers=arguments.workers)
    found = part.publish(arguments.runs, HERE / arguments.part)
    text = json.dumps(found, indent=1) + "\n"
    write_atomically(HERE / arguments.part / "claims.json", text.encode())
    for claim in found:
        print(f"{claim['verdict']}: {claim['claim']}: {claim['value']}")


if __name__ == "__main__":
    main()

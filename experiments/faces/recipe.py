"""What codecs make of aligned faces in a few hundred bits, with and without bit errors.

``GENCOMM_DATA=... python experiments/faces/recipe.py`` codes the 400 first test faces of
``faces64.npz`` at every operating point of `points.POINTS` whose weights are there, sends each once
over binary symmetric channels with the header granted free, and writes results.csv, figure.png and
claims.json beside this file. ``--judge 100`` lets the judges of the extra ``judges`` look at the
first 100 faces too (judges.csv). Points that those files hold already are not measured again.
``--draw`` makes figure and claims from the files. ``sheet.py`` makes the contact sheet.
"""

from __future__ import annotations

import argparse
import csv
import json
from pathlib import Path

from claims import claims
from drawing import draw
from judging import FIELDS as JUDGED_FIELDS
from judging import Judges
from measuring import FIELDS, measure
from points import BERS, POINTS, ready
from points import JUDGED as TO_JUDGE

from gencomm.files import write_atomically
from gencomm.sources.packed import Packed

HERE = Path(__file__).resolve().parent
RESULTS, JUDGED = HERE / "results.csv", HERE / "judges.csv"
COUNT = 400


def read(path: Path) -> list[dict]:
    if not path.is_file():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def write(path: Path, rows: list[dict], fields: tuple[str, ...]) -> None:
    """In the order of `POINTS`."""
    rows.sort(key=lambda r: (POINTS.index(r["codec"]), float(r["ber"])))
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, fields, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def run_points(judged: int) -> None:
    """Measure what the files don't hold."""
    items = list(Packed("${GENCOMM_DATA}/faces64.npz", split="test", limit=COUNT))
    judges = None
    for path, fields in ((RESULTS, FIELDS), (JUDGED, JUDGED_FIELDS)):
        if path is JUDGED and not judged:
            continue
        done = {row["codec"] for row in read(path)}
        points = POINTS if path is RESULTS else TO_JUDGE
        for spec in (one for one in points if one not in done and ready(one)):
            if path is RESULTS:
                rows = measure(spec, items, BERS)
            else:
                judges = judges or Judges(items[:judged])
                rows = judges.judge(spec, (0.0,))
            write(path, read(path) + rows, fields)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--draw", action="store_true", help="from the files, without measuring")
    parser.add_argument("--judge", type=int, default=0, metavar="N", help="faces for the judges")
    args = parser.parse_args()
    if not args.draw:
        run_points(args.judge)
    results, judged = read(RESULTS), read(JUDGED)
    draw(results, judged).savefig(HERE / "figure.png")
    text = json.dumps(claims(results, judged), indent=2) + "\n"
    write_atomically(HERE / "claims.json", text.encode())


if __name__ == "__main__":
    main()

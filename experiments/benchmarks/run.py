"""Speed beside the peers, in one run: ``python experiments/benchmarks/run.py``.

Prints a table and writes results.json beside this file: each figure is the median of several runs
on one core, by processor time, so that a busy machine makes it noisy but not wrong; wall time is
kept too. Peers that aren't installed are said to be missing and cost nothing else.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[variable] = "1"  # before numpy and torch are imported: one core for everybody

import channel_speed  # noqa: E402
import codec_speed  # noqa: E402
import face_speed  # noqa: E402
import fec_speed  # noqa: E402
import video_speed  # noqa: E402
from rich.console import Console  # noqa: E402
from rich.table import Table  # noqa: E402

HERE = Path(__file__).parent
PACKAGES = (
    "numpy", "numba", "scipy", "commpy", "sionna-no-rt", "sionna", "torch",
    "constriction", "pillow", "av",
)  # fmt: skip
SECTIONS = {
    "channels": channel_speed,
    "fec": fec_speed,
    "codecs": codec_speed,
    "faces": face_speed,
    "video": video_speed,
}


def machine() -> dict:
    """What the figures were measured on."""
    model = platform.processor()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
        model = names[0].partition(":")[2].strip() if names else model
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = None
    return {
        "processor": model,
        "cores": os.cpu_count(),
        "load": [round(value, 2) for value in os.getloadavg()],
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "packages": versions,
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def show(rows: list[dict], console: Console) -> None:
    """Print one line a case and one column a competitor."""
    who = list(dict.fromkeys(name for row in rows for name in row["speeds"]))
    table = Table(title="One core, medians by processor time", title_justify="left")
    table.add_column("case")
    for name in who:
        table.add_column(name, justify="right")
    table.add_column("target", justify="right")
    for row in rows:
        cells = []
        for name in who:
            speed = row["speeds"].get(name)
            shown = row.get("shown", "cpu")
            cells.append("" if speed is None else f"{speed[shown]:,.3g} {row['unit']}")
        target = f"{row['target']:g} {row['unit']}" if row["target"] else ""
        table.add_row(row["case"], *cells, target)
    console.print(table)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=HERE / "results.json")
    parser.add_argument("--repeat", type=int, default=9, help="runs per figure (default 9)")
    parser.add_argument(
        "--sections", nargs="+", choices=SECTIONS, default=[*SECTIONS],
        help="measure these alone, and keep the others' lines",
    )  # fmt: skip
    arguments = parser.parse_args()
    chosen = {name: SECTIONS[name] for name in arguments.sections}
    rows, missing = [], set()
    if arguments.out.exists():
        rows = [
            r for r in json.loads(arguments.out.read_text())["rows"] if r["section"] not in chosen
        ]
    about = machine()
    for name, section in chosen.items():
        measured = [{"section": name, **row} for row in section.measure_all(arguments.repeat)]
        show(measured, Console(width=150))
        # sections may be measured on different days: each says on what
        rows += [{**row, "machine": about} for row in measured]
        missing |= set(section.missing())
    result = {
        "machine": about,
        "repeat": arguments.repeat,
        "missing": sorted(missing),
        "rows": rows,
    }
    for name in sorted(missing):
        print(f"{name} is not installed: no figures of its own")
    temporary = arguments.out.with_suffix(".tmp")
    temporary.write_text(json.dumps(result, indent=1) + "\n")
    temporary.replace(arguments.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())

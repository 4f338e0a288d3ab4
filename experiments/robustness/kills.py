"""Kill a sweep 100 times at random moments; no finished row may be lost or changed.

``python experiments/robustness/kills.py`` runs one sweep to its end undisturbed, then the same
sweep in another folder, killed (signal 9) at random times, again and again; every third kill takes
a worker instead, with its decoders, while the sweep itself goes on. After each kill all that
was finished before must still be there, unchanged; at the end the two folders must hold the same
rows, bit for bit. Writes results.csv and claims.json beside this file.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from gencomm.sweeps.store import Store, StoreError

HERE = Path(__file__).resolve().parent
#: Real codecs on small photographs: enough cells that a hundred kills find it still running.
CONFIG = {
    "name": "kills",
    "seed": 1,
    "source": "photos(size=96)",
    "codecs": ["jpeg(quality=50)", "webp(quality=50)", "jpeg2000(bpp=1)", "raw"],
    "links": ["bsc({ber})", "qpsk|awgn(ebno_db={snr})"],
    "grid": {"ber": {"log": [1e-6, 1e-1, 40]}, "snr": {"linear": [0, 12, 24]}},
    "trials": {"min": 4, "max": 12, "half_width": {"psnr": 0.5}},
    "metrics": ["psnr", "ssim"],
}


def start(folder: Path) -> subprocess.Popen:
    """A sweep in a process of its own."""
    code = (
        "import sys, json, gencomm; "
        "gencomm.sweep(json.loads(sys.argv[1]), sys.argv[2], workers=2, progress=False)"
    )
    return subprocess.Popen([sys.executable, "-c", code, json.dumps(CONFIG), str(folder)])


def contents(folder: Path) -> dict[str, tuple]:
    """Everything but times, by cell; empty where the store is not laid out yet."""
    try:
        with Store(folder) as store:
            return {
                cell.hash: (cell, store.rows(cell.hash), store.artefacts(cell.hash))
                for cell in store.cells()
            }
    except StoreError:  # were it damaged later on, its cells would count as lost
        return {}


def wait(
    process: subprocess.Popen, folder: Path, held: int, rng: random.Random, reach: float
) -> float:
    """Let a random time pass: every fourth time from the start, in which the sweep is setting up;
    else from the moment when it has finished a cell more than it was started with."""
    began = time.monotonic()
    if rng.random() < 0.25:
        time.sleep(rng.uniform(0.0, 3.0))
    else:
        while process.poll() is None and count(folder) <= held:
            time.sleep(0.05)
        time.sleep(rng.uniform(0.0, reach))
    return time.monotonic() - began


def count(folder: Path) -> int:
    """Finished cells."""
    try:
        with Store(folder) as store:
            return len(store.finished())
    except StoreError:
        return 0


def workers(pid: int) -> list[int]:
    """The child processes of `pid`."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = entry.read_text(errors="replace").rpartition(")")[2].split()
        except OSError:
            continue  # it ended meanwhile
        if int(fields[1]) == pid:
            found.append(int(entry.parent.name))
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    rng = random.Random(args.seed)
    with tempfile.TemporaryDirectory() as scratch:
        began = time.monotonic()
        if start(Path(scratch) / "whole").wait():
            raise SystemExit("the undisturbed sweep failed")
        seconds = time.monotonic() - began
        expected = contents(Path(scratch) / "whole")
        print(f"undisturbed: {len(expected)} cells in {seconds:.0f} s", flush=True)
        lines: list[dict] = []
        same, runs = True, 0
        while len(lines) < args.kills:  # a sweep that reaches its end makes room for another
            folder = Path(scratch) / f"killed{runs}"
            kill_often(args.kills, seconds, folder, rng, lines)
            same, runs = same and contents(folder) == expected, runs + 1
    lost = sum(line["lost"] for line in lines)
    changed = sum(line["changed"] for line in lines)
    with (HERE / "results.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(lines[0]))
        writer.writeheader()
        writer.writerows(lines)
    rows = sum(len(one[1]) for one in expected.values())
    ok = same and not lost and not changed
    claim = {
        "claim": f"{len(lines)} kills (signal 9) at random times, then resume: finished cells lost "
        f"or changed, of {len(expected)} cells with {rows} rows",
        "source": "results.csv",
        "target": 0,
        "value": lost + changed + (not same),
        "low": None,
        "high": None,
        "verdict": "met" if ok else "short",
    }
    (HERE / "claims.json").write_text(json.dumps([claim], indent=1) + "\n")
    print(f"{len(lines)} kills, {lost} lost, {changed} changed; final table the same: {same}")
    return 0 if ok else 1


def kill_often(
    kills: int, seconds: float, folder: Path, rng: random.Random, lines: list[dict]
) -> None:
    """Kill one sweep again and again until there were so many kills, or it reaches its end."""
    held: dict[str, tuple] = {}
    process = start(folder)
    while len(lines) < kills:
        pause = wait(process, folder, len(held), rng, 2 * seconds / kills)
        if process.poll() is not None:
            break
        children = workers(process.pid)
        child = len(lines) % 3 == 2 and bool(children)
        os.kill(rng.choice(children) if child else process.pid, signal.SIGKILL)
        if not child:
            process.wait()
        now = contents(folder)
        lines.append(
            {
                "kill": len(lines) + 1,
                "run": folder.name,
                "waited": round(pause, 2),
                "killed": "a worker" if child else "the sweep",
                "cells_before": len(held),
                "cells_after": len(now),
                "lost": sum(h not in now for h in held),
                "changed": sum(h in now and now[h] != held[h] for h in held),
            }
        )
        print(*lines[-1].values(), flush=True)
        held = now
        if not child:
            process = start(folder)
    while process.wait():  # undisturbed to its end; what a kill left open is run again
        process = start(folder)


if __name__ == "__main__":
    sys.exit(main())

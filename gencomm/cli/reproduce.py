"""Run some cells of a run again, and compare row by row, bit for bit."""

from __future__ import annotations

import argparse


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", help="folder of the run")
    parser.add_argument("--cells", type=int, default=12, metavar="N", help="how many (12)")
    parser.add_argument("--all", action="store_true", help="all cells")
    parser.add_argument("--workers", type=int, metavar="N", help="processes (one per core)")


def run(args: argparse.Namespace) -> int:
    from gencomm import api
    from gencomm.cli import FAILED

    if args.cells < 1:
        raise ValueError(f"--cells must be at least 1, got {args.cells}")
    found = api.reproduce(args.run, None if args.all else args.cells, workers=args.workers)
    for line in found.changed:
        print(f"changed since: {line}")
    for line in found.differences:
        print(f"differs: {line}")
    same = found.cells - len(found.differences)
    print(f"{same} of {found.cells} cells ({found.rows} rows) came out the same, bit for bit")
    return FAILED if found.differences else 0

"""Say how far a run is, what came of its trials, and where its time went."""

from __future__ import annotations

import argparse


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", help="folder of the run")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    from gencomm import api
    from gencomm.cli import output
    from gencomm.sweeps.status import breakdown

    found = api.status(args.run)
    if args.json:
        output.dump(found)
        return 0
    state = "running now" if found["running"] else "not running"
    print(f"{found['name']}: {found['cells']} of {found['planned']} cells, {state}")
    if "choice" in found:
        first = found["choice"]
        print(
            f"schemes picked from {first['cells']} of {first['planned']} cells of the folder design"
        )
    print(f"{found['rows']} rows; {found['invocations']} invocations\n")
    print(output.table(["status", "rows"], found["statuses"].items()))
    if found["weighted"]:
        print(f"{found['weighted']} of them of trials drawn on condition of a hit, with its weight")
    print()
    print(output.table(["stopped by", "cells"], found["stops"].items()), end="\n\n")
    print(breakdown(found["seconds"]))
    return 0

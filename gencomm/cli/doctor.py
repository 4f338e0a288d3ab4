"""Say what is installed, and try every codec on a small picture."""

from __future__ import annotations

import argparse


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    from gencomm import api
    from gencomm.cli import FAILED, output

    found = api.doctor()
    if args.json:
        output.dump(found)
    else:
        print(output.pairs(found["system"]), end="\n\n")
        print(output.table(["package", "version"], found["packages"].items()), end="\n\n")
        lines = [[c["codec"], c["origin"], c["verdict"], c["versions"]] for c in found["codecs"]]
        print(output.table(["codec", "from", "verdict", "decided by"], lines))
        for group, names in found["plugins"].items():
            print(f"\nplug-ins in {group}: {', '.join(f'{n} ({o})' for n, o in names.items())}")
    return FAILED if found["broken"] else 0

"""Draw the pictures of a run: codecs in rows, points of the grid in columns."""

from __future__ import annotations

import argparse


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", help="folder of the run")
    parser.add_argument("--item", help="whose pictures (the first that has some)")
    parser.add_argument("--out", metavar="FILE", help=".png (RUN/sheet.png)")


def run(args: argparse.Namespace) -> int:
    from pathlib import Path

    from gencomm.api import Run

    out = Path(args.out) if args.out else Path(args.run) / "sheet.png"
    Run(Path(args.run)).sheet(item=args.item, out=out)
    print(out)
    return 0

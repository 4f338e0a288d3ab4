"""Draw a run: quality with its interval against the axis of the grid, and outage below.

``--x bpp`` joins the operating points of each codec to a rate-distortion curve, and prints what
each saves against one of them: Bjontegaard deltas, as the mean over items and of the mean curves.
"""

from __future__ import annotations

import argparse


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", help="folder of the run")
    parser.add_argument("--metric", help="what to draw (the configuration's first metric)")
    parser.add_argument("--axis", "--x", help="a name of the grid, or bpp (the first of the grid)")
    parser.add_argument(
        "--against", metavar="CODEC", help="with bpp: the codec compared with (the first)"
    )
    parser.add_argument(
        "--envelope", action="store_true", help="of a ladder of schemes, the best at each point"
    )
    parser.add_argument(
        "--design", type=float, metavar="X", help="of a ladder, the scheme that is best at X alone"
    )
    parser.add_argument("--out", metavar="FILE", help=".png, .pdf or .svg (RUN/figure.png)")


def run(args: argparse.Namespace) -> int:
    from pathlib import Path

    from gencomm.api import Run
    from gencomm.sweeps.ending import readable_savings

    out = Path(args.out) if args.out else Path(args.run) / "figure.png"
    found = Run(Path(args.run))
    if args.against and args.axis != "bpp":
        raise ValueError("--against compares rate-distortion curves: it goes with --x bpp")
    found.plot(args.metric, axis=args.axis, out=out, envelope=args.envelope, design=args.design)
    if args.axis == "bpp":
        print(f"{readable_savings(found, args.against, args.metric)}\n")
    print(out)
    return 0

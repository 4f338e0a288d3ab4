"""Send every item through every codec and link of a configuration, many times.

Without a configuration the built-in one runs: scikit-image's photographs, a generative code and six
other codecs, a binary symmetric channel from 1e-6 to 1e-1. The same command again goes on where it
ended, and ends with the same rows, whatever stopped it and however many workers it has.
"""

from __future__ import annotations

import argparse
import sys


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("config", nargs="?", help="YAML file; none: the built-in configuration")
    parser.add_argument("--out", metavar="RUN", help="folder of the run (runs/<name>)")
    parser.add_argument("--workers", type=int, metavar="N", help="processes (one per core)")
    parser.add_argument(
        "--dask", metavar="ADDRESS", help="run on a Dask cluster: tcp://scheduler:8786"
    )
    parser.add_argument("--limit", type=int, metavar="N", help="run at most N open cells now")
    parser.add_argument("--shard", metavar="i/N", help="run this part of the plan only")
    parser.add_argument(
        "--quick", action="store_true", help="2 items, 5 points an axis, at most 4 trials"
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="count cells and estimate the time; run nothing"
    )
    parser.add_argument("--quiet", action="store_true", help="no progress and no figures")


def run(args: argparse.Namespace) -> int:
    from gencomm import api
    from gencomm.cli import FAILED
    from gencomm.cli.output import pairs
    from gencomm.sweeps.config import lacking

    if args.config is None and lacking():
        print(
            f"without {', '.join(lacking())} there are no learned codecs: running the classical "
            "ones alone. pip install 'gencomm[learned]' brings them",
            file=sys.stderr,
        )
    if args.dry_run:
        if args.dask:
            raise ValueError("--dry-run estimates for this machine's workers: leave --dask out")
        plan = api.plan(
            args.config,
            args.out,
            workers=args.workers,
            limit=args.limit,
            shard=args.shard,
            quick=args.quick,
        )
        print(pairs(plan))
        return 0
    done = api.sweep(
        args.config,
        args.out,
        workers=args.workers,
        limit=args.limit,
        shard=args.shard,
        quick=args.quick,
        dask=args.dask,
        progress=not args.quiet,
    )
    print(done.report(figures=not args.quiet))
    if done.outcome is not None and done.outcome.lost:
        print(
            f"{len(done.outcome.lost)} cells gave no result (see above); "
            "the same command tries them again",
            file=sys.stderr,
        )
        return FAILED
    return 0

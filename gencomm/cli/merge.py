"""Bring the shards of a sweep together.

Run each shard with 'gencomm sweep CONFIG --shard i/N --out SHARD', on any machine, then merge: the
result is the run that one machine would have made, row for row.
"""

from __future__ import annotations

import argparse


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("out", metavar="RUN", help="folder to merge into; may be new")
    parser.add_argument("shards", metavar="SHARD", nargs="+", help="folders of the shards")


def run(args: argparse.Namespace) -> int:
    from gencomm import api

    merged = api.merge(args.out, args.shards)
    found = merged.status()
    print(f"{found['cells']} of {found['planned']} cells are in {args.out}")
    return 0

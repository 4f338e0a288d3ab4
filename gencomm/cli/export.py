"""Write a run's table to a file for other programs: CSV, JSON or Parquet.

What the columns are is written beside it, to FILE.columns.txt.
"""

from __future__ import annotations

import argparse


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", help="folder of the run")
    parser.add_argument(
        "--out", metavar="FILE", required=True, help=".csv, .json, .jsonl or .parquet"
    )
    parser.add_argument(
        "--table", choices=("rows", "cells"), default="rows", help="a line per trial, or per cell"
    )


def run(args: argparse.Namespace) -> int:
    from gencomm import api

    print(api.export(args.run, args.out, args.table))
    return 0

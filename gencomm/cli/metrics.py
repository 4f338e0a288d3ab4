"""List the metrics."""

from __future__ import annotations

import argparse


def arguments(parser: argparse.ArgumentParser) -> None:
    from gencomm.cli import listing

    listing.arguments(parser, "metric")


def run(args: argparse.Namespace) -> int:
    from gencomm.cli import listing
    from gencomm.metrics import METRICS

    return listing.show(METRICS, args)

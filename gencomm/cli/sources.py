"""List the sources of items."""

from __future__ import annotations

import argparse


def arguments(parser: argparse.ArgumentParser) -> None:
    from gencomm.cli import listing

    listing.arguments(parser, "source")


def run(args: argparse.Namespace) -> int:
    from gencomm.cli import listing
    from gencomm.sources import SOURCES

    return listing.show(SOURCES, args)

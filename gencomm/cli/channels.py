"""List the parts that links are made of. They are joined with '|', the medium last."""

from __future__ import annotations

import argparse


def arguments(parser: argparse.ArgumentParser) -> None:
    from gencomm.cli import listing

    listing.arguments(parser, "channel")


def run(args: argparse.Namespace) -> int:
    from channels.link import CHANNELS
    from gencomm.cli import listing

    return listing.show(CHANNELS, args)

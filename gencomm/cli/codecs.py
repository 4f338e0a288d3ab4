"""List the codecs: built-in ones and those of plug-ins."""

from __future__ import annotations

import argparse


def arguments(parser: argparse.ArgumentParser) -> None:
    from gencomm.cli import listing

    listing.arguments(parser, "codec")


def run(args: argparse.Namespace) -> int:
    from gencomm.cli import listing
    from gencomm.codecs.registry import CODECS

    return listing.show(CODECS, args)

"""The command line: ``gencomm VERB``. A verb is a module of this package with

``arguments(parser)``
    its arguments, and
``run(args) -> int``
    which calls the function of the same name in :mod:`gencomm.api` and prints what it gives.

Verbs import inside `run`, so that ``--help`` stays quick.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import traceback
from collections.abc import Sequence

from gencomm import __version__

#: Verbs in the order of the help, with a line on each.
VERBS = {
    "sweep": "send every item through every codec and link, many times; the main job",
    "send": "send one picture once, and look at what comes out",
    "link": "error rates of links over Eb/N0, beside theory",
    "plot": "draw a run: quality against bit error rate or Eb/N0",
    "sheet": "draw a run's pictures: codecs in rows, links in columns",
    "export": "write a run's rows or cells as CSV, JSON or Parquet",
    "status": "say how far a run is, and where its time went",
    "merge": "bring the shards of a sweep together",
    "reproduce": "run some cells of a run again, and compare",
    "train": "train a learned codec, or go on training it",
    "codecs": "list the codecs",
    "channels": "list the parts that links are made of",
    "metrics": "list the metrics",
    "sources": "list the sources of items",
    "check-codec": "put a codec through the conformance kit",
    "doctor": "say what is installed and whether it works",
}
#: Exit codes: something went wrong; the command or the configuration is wrong; Ctrl-C.
FAILED, USAGE, INTERRUPTED = 1, 2, 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; gives its exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    args = _parser(words).parse_args(words)
    try:
        return _module(args.verb).run(args)
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # whoever read our output (head, less) has closed it
        sys.stderr.close()
        return 0
    except Exception as error:
        if args.debug:
            traceback.print_exc()
            return FAILED
        return _complain(error)


def _parser(words: Sequence[str]) -> argparse.ArgumentParser:
    """The parser; only the verb that is asked for gets its arguments."""
    parser = argparse.ArgumentParser(
        prog="gencomm",
        description="What is left of compressed data after a noisy channel?",
        epilog="'gencomm VERB --help' says more. Without a configuration, 'gencomm sweep' runs a "
        "built-in one: real photographs, seven codecs, bit error rates from 1e-6 to 1e-1.",
    )
    parser.add_argument("--version", action="version", version=f"gencomm {__version__}")
    parser.add_argument("--debug", action="store_true", help="show where an error comes from")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    for name, line in VERBS.items():
        known = name in words
        doc = (_module(name).__doc__ or line) if known else line
        verb = verbs.add_parser(
            name,
            help=line,
            description=doc,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        verb.add_argument(
            "--debug", action="store_true", default=argparse.SUPPRESS, help=argparse.SUPPRESS
        )
        if known:
            _module(name).arguments(verb)
    return parser


def _module(verb: str):
    return importlib.import_module(f"gencomm.cli.{verb.replace('-', '_')}")


def _complain(error: Exception) -> int:
    """One message for an error: what the user can mend, or what we must."""
    if isinstance(error, ValueError):  # ConfigError, SpecError and PictureError are among them
        print(f"gencomm: {error}", file=sys.stderr)
        return USAGE
    if isinstance(error, (OSError, RuntimeError)):  # StoreError, ExecutorError and IsolationError
        print(f"gencomm: {error}", file=sys.stderr)
        return FAILED
    print(
        f"gencomm: an error of gencomm itself, {type(error).__name__}: {error}\n"
        "Please report it with what the same command says with --debug.",
        file=sys.stderr,
    )
    return FAILED

"""Put a codec through the conformance kit: what every codec must keep to, check by check."""

from __future__ import annotations

import argparse


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("codec", metavar="CODEC", help="a spec, or module:object")
    parser.add_argument(
        "--expect-failure",
        action="append",
        default=[],
        metavar="CHECK=REASON",
        help="a check that is known not to hold, and why; may be given several times",
    )
    parser.add_argument("--seconds", type=float, default=10.0, help="limit of a decode (10)")


def run(args: argparse.Namespace) -> int:
    from gencomm import api
    from gencomm.cli import FAILED

    expected = {}
    for text in args.expect_failure:
        name, mark, reason = text.partition("=")
        if not (mark and reason.strip()):
            raise ValueError(f"--expect-failure takes CHECK=REASON, got {text!r}")
        expected[name] = reason
    report = api.check_codec(args.codec, expected, seconds=args.seconds)
    print(report)
    return 0 if report.ok else FAILED

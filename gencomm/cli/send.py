"""Send one picture once: write original, received and difference side by side, print the ledger."""

from __future__ import annotations

import argparse


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("item", metavar="PICTURE", help='a file, or a source such as "photos"')
    parser.add_argument("--codec", default="jpeg2000(bpp=0.5)", help="(jpeg2000:bpp=0.5)")
    parser.add_argument("--channel", default="bsc(1e-4)", help='(bsc:1e-4), "qpsk|awgn:ebno_db=8"')
    parser.add_argument("--out", metavar="FILE", help=".png, .pdf or .svg (PICTURE-received.png)")
    parser.add_argument("--seed", type=int, default=0, help="which noise (0)")
    parser.add_argument("--trial", type=int, default=0, help="which draw of it (0)")
    parser.add_argument("--header", choices=("in_band", "protected"), default="in_band")
    parser.add_argument("--decode", choices=("lenient", "strict"), default="lenient")
    parser.add_argument("--conceal", choices=("grey", "mean"), default="grey")
    parser.add_argument("--seconds", type=float, default=10.0, help="limit of a decode (10)")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    from pathlib import Path

    from gencomm import api
    from gencomm.cli import output
    from gencomm.isolation import Limits
    from gencomm.policy import Policy

    sent = api.send(
        args.item,
        codec=args.codec,
        channel=args.channel,
        seed=args.seed,
        trial=args.trial,
        policy=Policy(args.header, args.decode, args.conceal),
        limits=Limits(seconds=args.seconds),
    )
    path = sent.save(args.out or f"{Path(sent.item.id).stem}-received.png")
    if args.json:
        output.dump({**sent.as_dict(), "figure": str(path)})
    else:
        print(f"{sent}\n\n{path}")
    return 0

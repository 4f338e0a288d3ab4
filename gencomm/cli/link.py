"""Bit and block error rates of links, with intervals, beside theory.

    gencomm link qpsk qam16 qam64
    gencomm link "conv(rate=1/2)|qpsk" "ldpc(rate=1/2)|qpsk" --ebno-db 0:5:0.25
    gencomm link "bsc({ber})" --values 1e-1,1e-2,1e-3
    gencomm link "conv|qpsk" --ebno-db 3 --record conv.trace

A link without a medium is sent over AWGN. Without values its curve starts at the Shannon limit of
its rate and climbs until errors become too rare for the limits below.

--record keeps what one link gets wrong at one point, bursts and all, in a file that is a channel
of its own: gencomm send photo.jpg --codec jpeg2000:bpp=0.5 --channel "trace(conv.trace)".
"""

from __future__ import annotations

import argparse
import sys

_COLUMNS = ("blocks", "wrong", "BER", "95 % interval", "BLER", "closed form", "stopped by")
_ROW = "{:>9}  {:>10}  {:>8}  {:>9}  {:>19}  {:>9}  {:>11}  {}"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("links", nargs="+", metavar="LINK", help="such as 'ldpc(rate=1/2)|qpsk'")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--ebno-db", metavar="RANGE", help="per information bit: 0:6:0.5 or 1,2,4")
    where.add_argument("--esno-db", metavar="RANGE", help="per symbol")
    where.add_argument("--values", metavar="RANGE", help="of the placeholder in the links")
    parser.add_argument(
        "--block-errors", type=int, default=100, metavar="N", help="a point needs so many (100)"
    )
    parser.add_argument(
        "--max-bits", type=float, metavar="N", help="payload bits a point (1e8; a recording: 1e7)"
    )
    parser.add_argument(
        "--max-seconds", type=float, default=60, metavar="S", help="time a point (60)"
    )
    parser.add_argument(
        "--block-bits", type=int, metavar="N", help="payload of a block (one block of the code)"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--csv", metavar="FILE", help="write the points there")
    parser.add_argument(
        "--record", metavar="FILE", help="keep a link's errors there, to play back as trace(FILE)"
    )
    parser.add_argument("--out", metavar="FILE", help="write the figure there (.png, .pdf, .svg)")


def parse_range(text: str) -> list[float]:
    """``0:6:0.5`` (both ends count) or ``1,2,4``.

    Raises
    ------
    ValueError
        Anything else, an empty range, or more than 1000 values.
    """
    wrong = ValueError(f"{text!r} is no range; write first:last:step, such as 0:6:0.5, or 1,2,4")
    try:
        if ":" not in text:
            return [float(part) for part in text.split(",")]
        first, last, step = (float(part) for part in text.split(":"))
    except ValueError:
        raise wrong from None
    if not step > 0 or not last >= first or not (last - first) / step < 1000:
        raise wrong
    return [round(first + i * step, 9) for i in range(int((last - first) / step + 1e-9) + 1)]


def run(args: argparse.Namespace) -> int:
    from channels.jit import watch_compilation
    from gencomm import api
    from gencomm.figures.saving import figure_format, save

    axis, text = None, args.values
    if args.ebno_db or args.esno_db:
        axis = "ebno_db" if args.ebno_db else "esno_db"
        text = args.ebno_db or args.esno_db
    values = parse_range(text) if text else None
    screen = _Screen()
    if args.record:
        return _record(args, axis, values, screen)
    if args.out:
        figure_format(args.out)  # not after minutes of simulation
    with watch_compilation(screen.compiling):
        curves = api.link(
            args.links,
            values=values,
            axis=axis,
            progress=screen.show,
            target_block_errors=args.block_errors,
            max_bits=1e8 if args.max_bits is None else args.max_bits,
            max_seconds=args.max_seconds,
            block_bits=args.block_bits,
            seed=args.seed,
        )
    if args.csv:
        curves.to_csv(args.csv)
        print(args.csv)
    if args.out:
        save(curves.plot(), args.out)
        print(args.out)
    return 0


def _record(
    args: argparse.Namespace, axis: str | None, values: list[float] | None, screen: _Screen
) -> int:
    from channels.jit import watch_compilation
    from gencomm import api

    if len(args.links) != 1 or (values and len(values) != 1):
        raise ValueError("--record keeps the errors of one link at one value, such as --ebno-db 3")
    if args.csv or args.out:
        raise ValueError("--record writes the recording alone; leave out --csv and --out")
    limits = {} if args.max_bits is None else {"max_bits": args.max_bits}
    with watch_compilation(screen.compiling):
        found = api.record(
            args.links[0],
            args.record,
            value=values[0] if values else None,
            axis=axis,
            block_bits=args.block_bits,
            seed=args.seed,
            progress=screen.count,
            **limits,
        )
    lost = f", {found.erased_bits:,} lost" if found.erased is not None else ""
    print(f"{found.link}: {found.bit_errors:,} of {found.total_bits:,} bits wrong{lost}")
    print(f"{args.record}: play it back with --channel 'trace({args.record})'")
    return 0


class _Screen:
    """The live table: a row grows while its point runs, and ends with the reason it stopped."""

    def __init__(self) -> None:
        self.live = sys.stdout.isatty()
        self.link = ""
        self.compiled: set[str] = set()

    def compiling(self, name: str) -> None:
        if not self.compiled:
            print("compiling, the first time only: ", end="", file=sys.stderr)
        if name not in self.compiled:  # once for each, whatever types it is compiled for
            self.compiled.add(name)
            print(name.strip("_"), end=" ", file=sys.stderr, flush=True)

    def count(self, done: int, total: int) -> None:
        if self.live:
            print(
                f"\r{done} of {total} transmissions", end="\n" if done == total else "", flush=True
            )

    def show(self, link: str, value: float, rates) -> None:
        if self.compiled and link != self.link:
            print(file=sys.stderr)
        if link != self.link:
            print(f"\n{link}, blocks of {rates.block_bits} bits")
            print(_ROW.format("value", *_COLUMNS))
            self.link = link
        if rates.stop_reason == "running" and not self.live:
            return
        low, high = rates.ber_interval()
        theory = "-" if rates.theory_ber is None else f"{rates.theory_ber:.3e}"
        row = _ROW.format(
            f"{value:g}", rates.blocks, rates.block_errors, f"{rates.ber:.3e}",
            f"{low:.2e} {high:.2e}", f"{rates.bler:.3e}", theory, rates.stop_reason,
        )  # fmt: skip
        running = rates.stop_reason == "running"
        print(f"\r{row}\033[K" if self.live else row, end="" if running else "\n", flush=True)

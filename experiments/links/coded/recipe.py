"""Coded links beside capacity, closed forms and other people's decoders.

    python experiments/links/coded/recipe.py

simulates every curve of `CURVES` through :func:`gencomm.links.link` and writes results.csv,
exact.csv, required.csv, claims.json and the figures beside this file. Points that results.csv
already holds are not simulated again: a run that was stopped goes on, and ``--again`` begins anew.
Counts depend on the seed alone.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from channels.fec.reed_solomon import ReedSolomonCode
from gencomm.files import write_atomically
from gencomm.links import link

HERE = Path(__file__).resolve().parent
SEED = 2026
#: Block errors that a point needs, and payload bits at which it stops without them.
ERRORS = {"target_block_errors": 150, "max_bits": 3e7}
#: Columns that depend on the machine, or on nothing but the link.
UNSAVED = ["seconds", "ebno_effective_db"]
#: A curve that climbs ends with the first point whose whole 95 % interval lies below this BER ...
LAST_BER = 1e-5
#: ... or, where block errors are what matters, whose rate lies below this.
LAST_BLER = 1e-3


@dataclass(frozen=True)
class Curve:
    """One curve: a link and the values of Eb/N0 (dB) at which it is simulated.

    Attributes
    ----------
    name : str
        Key in results.csv.
    label, family : str
        For the figures.
    link : str
        Without its medium, which is AWGN.
    start, step : float
        First Eb/N0 and distance of the points; the curve climbs until `ends`.
    values : tuple of float
        The points, where they are given by a reference.
    ends : {"ber", "bler"}
        What has to become small.
    options : dict
        For :func:`gencomm.links.link`.
    """

    name: str
    label: str
    family: str
    link: str
    start: float = 0.0
    step: float = 0.25
    values: tuple[float, ...] = ()
    ends: str = "ber"
    options: dict[str, Any] = field(default_factory=dict)


def _curves() -> list[Curve]:
    """What stands in the figures: blocks of about 1,000 bits where the code lets one choose."""
    found = []
    whole = {"block_bits": 1008}
    for name, label, start in (
        ("qpsk", "QPSK (and BPSK)", 0.0),
        ("qam16", "16-QAM", 4.0),
        ("qam64", "64-QAM", 8.0),
        ("qam256", "256-QAM", 12.0),
    ):
        found.append(Curve(name, label, "uncoded", name, start, 1.0, options=whole))
    found.append(Curve("repetition", "repetition (3, 1)", "simple", "repetition|qpsk", 0.0, 1.0,
                       options=whole))  # fmt: skip
    found.append(Curve("hamming", "Hamming (7, 4)", "simple", "hamming|qpsk", 2.0, 1.0,
                       options=whole))  # fmt: skip
    found.append(Curve("bch", "BCH (127, 64)", "algebraic", "bch(n=127, k=64)|qpsk", 2.0, 0.5,
                       options={"block_bits": 1024}))  # fmt: skip
    found.append(Curve("rs", "RS (255, 223)", "algebraic", "rs(n=255, k=223)|qpsk", 4.5, 0.25))
    for rate, start in (("1/2", 1.0), ("2/3", 1.5), ("3/4", 2.0), ("5/6", 2.5)):
        name = f"conv-{rate}"
        found.append(Curve(name, f"conv {rate}", "conv", f"conv(rate={rate})|qpsk", start, 0.25))
    found.append(Curve("conv-hard", "conv 1/2 hard", "conv", "conv(rate=1/2, decision=hard)|qpsk",
                       3.0, 0.25))  # fmt: skip
    found.append(Curve("concatenated", "RS (255, 223) over conv 1/2", "concatenated",
                       "rs|block_interleaver(rows=5, columns=255, unit=8)|conv(k=10200)|qpsk",
                       1.5, 0.1, options={"block_bits": 5 * 1784, "max_bits": 1.5e7}))  # fmt: skip
    for k, start, step in ((1040, 0.2, 0.2), (8448, 0.4, 0.1)):
        for rate, shift in (("1/3", -0.8), ("1/2", 0.0), ("3/4", 1.2)):
            spec = f"ldpc(rate={rate}, k={k})|qpsk"
            found.append(Curve(f"ldpc-{k}-{rate}", f"LDPC {rate}", f"ldpc-{k}", spec,
                               round(start + shift, 1), step, ends="bler",
                               options={"max_bits": 3e7 if k == 1040 else 6e7}))  # fmt: skip
    for modulation, rate, start in (
        ("qam16", "1/2", 2.6),
        ("qam16", "3/4", 4.8),
        ("qam64", "1/2", 5.0),
        ("qam64", "3/4", 8.0),
        ("qam256", "3/4", 11.6),
    ):
        spec = f"ldpc(rate={rate}, k=1040)|{modulation}"
        found.append(Curve(f"{modulation}-{rate}", f"LDPC {rate}", "ldpc-qam", spec, start, 0.2,
                           ends="bler", options={"max_bits": 1.5e7}))  # fmt: skip
    for rate, start in (("1/3", 0.0), ("1/2", 0.6), ("3/4", 2.0)):
        spec = f"polar(rate={rate}, k=512, list=8)|qpsk"
        found.append(Curve(f"polar-{rate}", f"polar {rate}, list 8", "polar", spec, start, 0.2,
                           ends="bler", options={"max_bits": 1e7}))  # fmt: skip
    return found


def _references() -> list[Curve]:
    """Links simulated where a reference has its points; references.csv has them by curve."""
    points = pd.read_csv(HERE / "references.csv")
    slow = {"max_bits": 2.5e6}
    found, beyond = [], ()
    for name, spec, options in (
        ("aff3ct-rs-223", "rs(n=255, k=223)|bpsk", {}),
        ("aff3ct-rs-239", "rs(n=255, k=239)|bpsk", {}),
        ("aff3ct-bch-64", "bch(n=127, k=64)|bpsk", {}),
        ("aff3ct-bch-215", "bch(n=255, k=215)|bpsk", {}),
        ("aff3ct-bpsk", "bpsk", {"block_bits": 4000, "max_bits": 2e7}),
        ("aff3ct-qam16", "qam16", {"block_bits": 4000, "max_bits": 2e7}),
        ("aff3ct-polar-sc", "polar(k=512, n=1024, list=1, crc=none)|bpsk", {"max_bits": 1e7}),
        ("aff3ct-ldpc-512", "ldpc(k=512, decoder=sum_product, iterations=10)|bpsk", slow),
        ("aff3ct-ldpc-6144", "ldpc(k=6144, decoder=sum_product, iterations=10)|bpsk", slow),
        (
            "aff3ct-ldpc-20",
            "ldpc(k=20, decoder=sum_product, iterations=10)|bpsk",
            {"target_block_errors": 1000, "max_bits": 1e7},
        ),
        (
            "sionna-ldpc-1040",
            "ldpc(k=1040, decoder=sum_product, iterations=50)|bpsk",
            {"max_bits": 1.2e7},
        ),
        ("sionna-polar-8", "polar(k=512, n=1024, list=8)|bpsk", {"max_bits": 1e7}),
    ):
        at = tuple(points.loc[points.curve == name, "ebno_db"])
        if name == "sionna-ldpc-1040":
            at = beyond = (*at, 1.4, 1.5)  # where less than one block in a hundred is wrong
        found.append(Curve(name, name, "reference", spec, values=at, options=options))
    found.append(
        Curve(
            "default-ldpc-1040",
            "LDPC as by default",
            "reference",
            "ldpc(k=1040)|bpsk",
            values=beyond,
            options={"max_bits": 3e7},
        )
    )
    return found


def simulate(curve: Curve, done: dict[tuple[str, str, float], dict]) -> Iterator[tuple[dict, bool]]:
    """The points of a curve, and whether each is new."""
    number = 0
    while True:
        if curve.values:
            if number == len(curve.values):
                return
            value = float(curve.values[number])
        else:
            value = round(curve.start + number * curve.step, 6)
        row = done.get((curve.name, curve.link, value))
        new = row is None
        if row is None:
            found = link(curve.link, values=[value], seed=SEED, **(ERRORS | curve.options)).table()
            row = {"curve": curve.name, **found.iloc[0].drop(UNSAVED).to_dict()}
            row["link"] = curve.link
        yield row, new
        number += 1
        if not curve.values and (
            row["ber_high"] < LAST_BER if curve.ends == "ber" else row["bler"] < LAST_BLER
        ):
            return


def reed_solomon_limits(words: int = 2000) -> pd.DataFrame:
    """How many random words of RS(255, 223) come back right with so many errors and erasures."""
    code = ReedSolomonCode(255, 223)
    rng = np.random.default_rng(SEED)
    rows = []
    for errors, erasures in ((15, 0), (16, 0), (17, 0), (0, 31), (0, 32), (0, 33), (8, 16),
                             (8, 17), (9, 16)):  # fmt: skip
        bits = rng.integers(0, 2, (words, code.k), np.uint8)
        sent = np.packbits(code.encode(bits), axis=1)
        lost = np.zeros(sent.shape, bool)
        for word, mask in zip(sent, lost, strict=True):
            places = rng.permutation(sent.shape[1])[: errors + erasures]
            word[places[:errors]] ^= rng.integers(1, 256, errors, np.uint8)
            word[places[errors:]] = rng.integers(0, 256, erasures, np.uint8)
            mask[places[errors:]] = True
        decoded = code.decode(np.unpackbits(sent, axis=1), np.repeat(lost, 8, axis=1))
        right = int((decoded.bits == bits).all(axis=1).sum())
        believed = int((decoded.ok & (decoded.bits != bits).any(axis=1)).sum())
        rows.append(
            {
                "errors": errors,
                "erasures": erasures,
                "words": words,
                "right": right,
                "wrong_but_believed": believed,
            }
        )
    return pd.DataFrame(rows)


def main() -> int:
    from claims import claims, required
    from drawing import draw

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--again", action="store_true", help="simulate everything anew")
    parser.add_argument("--figure", action="store_true", help="only evaluate and draw again")
    arguments = parser.parse_args()
    table = HERE / "results.csv"
    curves = [*_curves(), *_references()]
    if not arguments.figure:
        done = {}
        if table.exists() and not arguments.again:
            kept = pd.read_csv(table).to_dict("records")
            done = {(row["curve"], row["link"], row["ebno_db"]): row for row in kept}
        rows = []
        for curve in curves:
            for row, new in simulate(curve, done):
                rows.append(row)
                if new:
                    # what is done and not yet reached stays in the table too
                    reached = {(r["curve"], r["link"], r["ebno_db"]) for r in rows}
                    rest = [row for key, row in done.items() if key not in reached]
                    text = pd.DataFrame(rows + rest).to_csv(index=False, float_format="%.8g")
                    write_atomically(table, text.encode())
                    print(f"{curve.name:18s} {row['ebno_db']:6.2f} dB  BER {row['ber']:.2e}  "
                          f"BLER {row['bler']:.2e}  {row['stop_reason']}", flush=True)  # fmt: skip
        text = pd.DataFrame(rows).to_csv(index=False, float_format="%.8g")
        write_atomically(table, text.encode())
        write_atomically(HERE / "exact.csv", reed_solomon_limits().to_csv(index=False).encode())
    results = pd.read_csv(table)
    needed = required(results, curves)
    text = needed.to_csv(index=False, float_format="%.5g")
    write_atomically(HERE / "required.csv", text.encode())
    found = claims(results, pd.read_csv(HERE / "references.csv"), pd.read_csv(HERE / "exact.csv"))
    write_atomically(HERE / "claims.json", (json.dumps(found, indent=1) + "\n").encode())
    draw(results, needed, curves, HERE)
    for claim in found:
        print(f"{claim['verdict']}: {claim['claim']}: {claim['value']} ({claim['target']})")
    return 0


if __name__ == "__main__":
    sys.exit(main())

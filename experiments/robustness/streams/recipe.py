"""Ten thousand corrupted streams for each learned codec: no exception, no hang, each a status.

``python experiments/robustness/streams/recipe.py`` encodes small photographs (they come with the
package), corrupts the streams, decodes each in this process, with nothing around it that would
catch what a decoder throws, and writes results.csv and claims.json beside this file.
``--codecs cae`` measures that codec alone and keeps the lines of the others.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import json
import os
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from channels.bits import PackedBits
from gencomm.codecs.contract import Received
from gencomm.codecs.registry import make_codec
from gencomm.items import image_item
from gencomm.sources import SOURCES
from gencomm.weights import index

HERE = Path(__file__).resolve().parent
STREAMS = 10_000
CODECS = ("cae", "hyperprior")
#: Height and width that photographs are cut to, and what is sent of them.
SIZES = ((64, 64), (48, 72), (17, 90), (33, 1))
OPTIONS = ("quality=20", "quality=60", "quality=60,slices=2", "quality=90,slices=4")
#: A decode that takes longer than this, in seconds of wall time, counts as a hang.
PATIENCE = 60
#: What every decode should take at most, in seconds of CPU time.
TARGET_SECONDS = 2.0
FLIPS = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1)


class Hang(BaseException):
    """Raised by the alarm; no handler of a decoder catches it by accident."""


def flips(p: float) -> Callable:
    """Bit flips with probability p, of which at least one hits: others would test nothing."""

    def corrupt(data: bytes, header: int, rng: np.random.Generator) -> bytes:
        n = 8 * len(data)
        count = 0
        while not count:  # the draw that is conditioned on, by rejection where that is quick
            count = 1 if n * p < 0.02 else rng.binomial(n, p)
        bits = np.unpackbits(np.frombuffer(data, np.uint8))
        bits[rng.choice(n, count, replace=False)] ^= 1
        return np.packbits(bits).tobytes()

    return corrupt


def truncate(data: bytes, header: int, rng: np.random.Generator) -> bytes:
    return data[: rng.integers(len(data))]


def lengthen(data: bytes, header: int, rng: np.random.Generator) -> bytes:
    return data + rng.bytes(int(rng.integers(1, 2 * len(data))))


def garbage(data: bytes, header: int, rng: np.random.Generator) -> bytes:
    return rng.bytes(int(rng.integers(1, 2 * len(data))))


def garbage_behind_header(data: bytes, header: int, rng: np.random.Generator) -> bytes:
    """The header is sound, so that the garbage comes to the entropy decoder."""
    return data[:header] + rng.bytes(int(rng.integers(1, 2 * len(data))))


def holes(data: bytes, header: int, rng: np.random.Generator) -> bytes:
    """A run of bytes behind the header is zero, one, or missing."""
    first, last = np.sort(rng.integers(header, len(data) + 1, 2))
    filling = (b"\0", b"\xff", b"")[rng.integers(3)] * int(last - first)
    return data[:first] + filling + data[last:]


def empty(data: bytes, header: int, rng: np.random.Generator) -> bytes:
    return b""


#: Name, share of the streams, and what is done.
KINDS: dict[str, tuple[float, Callable]] = {
    **{f"flips at {p:g}": (0.1, flips(p)) for p in FLIPS},
    "truncated": (0.12, truncate),
    "garbage behind a sound header": (0.12, garbage_behind_header),
    "garbage": (0.1, garbage),
    "holes": (0.1, holes),
    "lengthened": (0.05, lengthen),
    "empty": (0.01, empty),
}


def sent(name: str) -> list[tuple]:
    """(codec, item, stream, bytes of header) for every photograph, size and option."""
    source = SOURCES.create("photos(size=96)")
    pictures = [source.read(k).value for k in range(len(source))]
    found = []
    for k, ((height, width), options) in enumerate(itertools.product(SIZES, OPTIONS)):
        picture = np.ascontiguousarray(pictures[k % len(pictures)][:height, :width])
        item = image_item(f"picture{k}", picture[..., 1].copy() if k % 5 == 4 else picture)
        codec = make_codec(f"{name}({options})")
        encoded = codec.encode(item)
        codec.decode(Received(encoded.bits))  # loads the networks, outside the clock
        found.append((codec, item, encoded.bits.to_bytes(), encoded.header_bits // 8))
    return found


def attempt(codec, item, data: bytes, lenient: bool) -> tuple[str, float]:
    """Status of one decode and its CPU time; ``exception: ...`` or ``hang`` where it has none."""
    began = time.process_time()
    signal.alarm(PATIENCE)
    try:
        decoded = codec.decode(Received(PackedBits.from_bytes(data), lenient=lenient))
        status = str(decoded.status)
        if decoded.value is None:
            status = status if status == "rejected" else f"exception: {status} without a picture"
        elif decoded.value.shape != item.value.shape:
            status = "wrong_size"
        elif decoded.value.dtype != np.uint8:
            status = f"exception: a picture of {decoded.value.dtype}"
    except Hang:
        status = "hang"
    except Exception as error:  # what this experiment looks for
        status = f"exception: {error!r}"
    finally:
        signal.alarm(0)
    return status, time.process_time() - began


def measure(name: str, streams: int, seed: int) -> list[dict]:
    """One line a kind of corruption."""
    pool, rows = sent(name), []
    for kind, (share, corrupt) in KINDS.items():
        rng = np.random.default_rng([seed, len(rows)])
        statuses: Counter[str] = Counter()
        seconds = []
        for trial in range(round(share * streams)):
            codec, item, data, header = pool[trial % len(pool)]
            status, spent = attempt(codec, item, corrupt(data, header, rng), trial // 16 % 2 == 0)
            if status.startswith(("exception", "hang")):
                print(f"{name}, {kind}, trial {trial}: {status}", flush=True)
            statuses[status.split(":")[0]] += 1
            seconds.append(spent)
        rows.append(
            {
                "codec": name,
                "kind": kind,
                "streams": len(seconds),
                **{s: statuses[s] for s in ("ok", "partial", "rejected", "wrong_size")},
                "exceptions": statuses["exception"],
                "hangs": statuses["hang"],
                "median_seconds": round(float(np.median(seconds)), 4),
                "slowest_seconds": round(max(seconds), 4),
            }
        )
        print(*rows[-1].values(), flush=True)
    return rows


def claims(rows: list[dict]) -> list[dict]:
    """What results.csv says of each codec."""
    found = []
    for name in dict.fromkeys(row["codec"] for row in rows):
        part = [row for row in rows if row["codec"] == name]
        total, bad, slowest = (
            sum(int(row["streams"]) for row in part),
            sum(int(row["exceptions"]) + int(row["hangs"]) for row in part),
            max(float(row["slowest_seconds"]) for row in part),
        )
        told = sum(int(row[s]) for row in part for s in ("ok", "partial", "rejected", "wrong_size"))
        found.append(
            {
                "claim": f"{name}: corrupted streams that end in an exception, a hang or without a "
                f"status, of {total}",
                "source": "results.csv",
                "target": f"0 of {STREAMS}",
                "value": bad + (total - bad - told),
                "low": None,
                "high": None,
                "verdict": "met" if not bad and told == total >= STREAMS else "short",
            }
        )
        found.append(
            {
                "claim": f"{name}: CPU seconds of the slowest decode of a corrupted stream",
                "source": "results.csv",
                "target": f"at most {TARGET_SECONDS:g}",
                "value": slowest,
                "low": None,
                "high": None,
                "verdict": "met" if slowest <= TARGET_SECONDS else "short",
            }
        )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    there = [name for name in CODECS if name in index()]
    parser.add_argument("--codecs", nargs="+", default=there, choices=CODECS)
    parser.add_argument("--streams", type=int, default=STREAMS)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()

    def ring(*_: object) -> None:
        raise Hang

    signal.signal(signal.SIGALRM, ring)
    results = HERE / "results.csv"
    rows: list[dict] = []
    if results.exists():
        with results.open(newline="") as file:
            rows = [row for row in csv.DictReader(file) if row["codec"] not in args.codecs]
    for name in args.codecs:
        rows += measure(name, args.streams, args.seed)
    rows.sort(key=lambda row: CODECS.index(row["codec"]))
    with results.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    found = claims(rows)
    (HERE / "claims.json").write_text(json.dumps(found, indent=1) + "\n")
    for claim in found:
        print(f"{claim['verdict']}: {claim['claim']}: {claim['value']} ({claim['target']})")


if __name__ == "__main__":
    main()

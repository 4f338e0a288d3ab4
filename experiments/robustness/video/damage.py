"""A thousand damaged streams at every bit error rate for each video codec: each ends in a status.

``python experiments/robustness/video/damage.py`` encodes a short clip (a camera path over one of
scikit-image's photographs), sends it 1,000 times over a binary symmetric channel at each error
rate, and decodes what arrives as a sweep does, in the codec's process under limits. Writes
results.csv and claims.json beside this file. ``--codecs h264`` measures that codec alone and keeps
the lines of the others.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
from collections import Counter
from pathlib import Path

from channels.link import Link
from channels.noise import NoiseStream
from gencomm.codecs.contract import Status
from gencomm.files import write_atomically
from gencomm.isolation import CodecProcess, Limits
from gencomm.items import Item
from gencomm.policy import Policy, from_wire, settle, to_wire
from gencomm.sources import make_source

HERE = Path(__file__).resolve().parent
SOURCE = "camera_path(names=[coffee],width=64,height=48,frames=8)"
CODECS = {
    "mjpeg": "mjpeg",
    "mpeg2": "mpeg2(gop=4)",
    "mpeg4": "mpeg4(gop=4,resync=60)",
    "h264": "h264(gop=4,slices=2)",
    "hevc": "hevc(gop=4)",
    "av1": "av1(gop=4)",
}
RATES = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1)
STREAMS, BATCH = 1_000, 100
LIMITS = Limits(seconds=10, memory=2**30)
STATUSES = [str(status) for status in Status]
FIELDS = ["codec", "ber", "streams", "hit", *STATUSES, "raised", "slowest_seconds"]


def damage(process: CodecProcess, item: Item, ber: float) -> dict[str, object]:
    """Send the item `STREAMS` times; streams that noise doesn't hit are replaced by hit ones."""
    policy = Policy()
    wire = to_wire(process.encode(item).encoded, policy)
    link = Link.parse(f"bsc({ber})", process.wants)
    stream = NoiseStream(1, link.text, item.hash)
    counts: Counter[str] = Counter()
    slowest, raised = 0.0, 0
    for start in range(0, STREAMS, BATCH):
        trials = range(start, start + BATCH)
        batch = link.transmit(wire.payload, trials, stream, at_least_one=True)
        received = [from_wire(wire, batch, i, policy, process.wants) for i in range(BATCH)]
        try:
            outcomes = process.decode(received, item.value.shape)
            for outcome in outcomes:
                status, value = settle(outcome.decoded, item, policy)
                assert value.shape == item.value.shape
                counts[str(status)] += 1
                slowest = max(slowest, outcome.cpu)
        except Exception as error:  # what this looks for: the harness itself must never raise
            print(f"{process.name} at {ber:g}: {type(error).__name__}: {error}")
            raised += 1
    return {
        "ber": ber,
        "streams": sum(counts.values()),
        "hit": STREAMS,
        **{status: counts[status] for status in STATUSES},
        "raised": raised,
        "slowest_seconds": round(slowest, 3),
    }


def claims(lines: list[dict]) -> list[dict]:
    """What the lines say, by codec."""
    found = []
    for codec in dict.fromkeys(line["codec"] for line in lines):
        own = [line for line in lines if line["codec"] == codec]
        wanted = STREAMS * len(RATES)
        without = wanted - sum(int(line["streams"]) for line in own)
        bad = without + sum(int(line["raised"]) for line in own)
        found.append(
            {
                "claim": f"{codec}: damaged streams, {STREAMS} at each of {len(RATES)} bit error "
                "rates, that end without a status or with an exception of the harness",
                "source": "results.csv",
                "target": f"0 of {wanted}",
                "value": bad,
                "low": None,
                "high": None,
                "verdict": "met" if not bad else "short",
            }
        )
        died = sum(int(line[s]) for line in own for s in ("crashed", "timeout", "memory"))
        found.append(
            {
                "claim": f"{codec}: of them, decoders that died or were stopped",
                "source": "results.csv",
                "target": "0",
                "value": died,
                "low": None,
                "high": None,
                "verdict": "met" if not died else "partly",
            }
        )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--codecs", nargs="+", choices=list(CODECS), default=list(CODECS))
    chosen = parser.parse_args().codecs
    table, kept = HERE / "results.csv", []
    if table.exists():
        kept = [x for x in csv.DictReader(table.open()) if x["codec"] not in chosen]
    [item] = make_source(SOURCE)
    lines: list[dict] = [*kept]
    for name in chosen:
        with CodecProcess(CODECS[name], LIMITS) as process:
            for ber in RATES:
                lines.append({"codec": name, **damage(process, item, ber)})
                print(lines[-1], flush=True)
    lines.sort(key=lambda line: (list(CODECS).index(line["codec"]), float(line["ber"])))
    text = io.StringIO()
    writer = csv.DictWriter(text, FIELDS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    write_atomically(table, text.getvalue().encode())
    write_atomically(HERE / "claims.json", (json.dumps(claims(lines), indent=1) + "\n").encode())


if __name__ == "__main__":
    main()

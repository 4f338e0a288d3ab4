"""What codecs make of aligned faces in a few hundred bits, with and without bit errors.

``GENCOMM_DATA=... python experiments/faces/recipe.py`` codes the 400 first test faces of
``faces64.npz`` at every operating point, sends each once over binary symmetric channels with the
header granted free, and writes results.csv and claims.json beside this file. ``--judge 100`` lets
the judges of the extra ``judges`` look at the first 100 faces of `JUDGED` too (judges.csv). Points
that those files hold already are not measured again. ``--claims`` makes claims.json alone.
"""

from __future__ import annotations

import argparse
import csv
import json
from pathlib import Path

import numpy as np

from channels.link import Link
from channels.noise import NoiseStream
from gencomm.analysis.realism import realism
from gencomm.codecs.contract import Received
from gencomm.isolation import CodecProcess, Limits
from gencomm.items import Item, image_item
from gencomm.metrics import make_metric
from gencomm.policy import Policy, clean_received, from_wire, link_ber, settle, to_wire
from gencomm.sources.packed import Packed

HERE = Path(__file__).resolve().parent
COUNT, SEED, RESAMPLES = 400, 1, 2000
BERS = (0.0, 1e-2, 5e-2, 1e-1)
POLICY = Policy(header="protected")
POINTS = [
    *(f"klt(bits={bits})" for bits in (128, 256, 512, 1024)),
    "klt(decode=soft)",
    "klt(design_ber=0.01)",
    "klt(design_ber=0.05)",
    *(f"jpeg(quality={q})" for q in (2, 5, 10, 14)),
    *(f"jpeg2000(bpp={b})" for b in (0.32, 0.4, 0.48, 0.8)),
    *(f"webp(quality={q})" for q in (0, 2, 5)),
    *(f"avif(quality={q},speed=2)" for q in (0, 6, 12, 20)),
]
JUDGED = (
    "klt(bits=512)",
    "klt(design_ber=0.05)",
    "jpeg(quality=10)",
    "jpeg2000(bpp=0.4)",
    "webp(quality=0)",
    "avif(quality=6,speed=2)",
)
JUDGED_BERS = (0.0, 1e-2)
#: Measured with the codecs' own libraries before gencomm had these codecs: spec, bit error rate,
#: PSNR in dB.
KLT_TARGETS = [
    ("klt(bits=512)", 0.0, 23.13),
    ("klt(bits=512)", 1e-2, 21.65),
    ("klt(bits=512)", 5e-2, 18.18),
    ("klt(design_ber=0.01)", 0.0, 22.76),
    ("klt(design_ber=0.01)", 1e-2, 22.23),
    ("klt(design_ber=0.05)", 0.0, 22.00),
    ("klt(design_ber=0.05)", 5e-2, 20.47),
]
#: The same: codec, payload bits (the file less that of a flat grey picture), PSNR in dB.
CLEAN_TARGETS = [
    ("jpeg", 1201, 22.81),
    ("jpeg2000", 703, 21.20),
    ("webp", 1463, 24.98),
    ("avif", 783, 23.64),
    ("avif", 1349, 25.95),
]
FIELDS = (
    "codec", "ber", "faces", "file_bits", "header_bits", "payload_bits",
    "psnr", "psnr_low", "psnr_high", "ssim", "ssim_low", "ssim_high", "outage",
)  # fmt: skip


def received_faces(spec: str, items: list[Item], bers: tuple[float, ...]):
    """Send every face at every error rate: bits, header bits, values and statuses."""
    with CodecProcess(spec, Limits(seconds=10, memory=2**30)) as process:
        encoded = [process.encode(item).encoded for item in items]
        wires = [to_wire(one, POLICY) for one in encoded]
        yield encoded, wires
        for ber in bers:
            received: list[Received] = []
            if ber:
                link = Link.parse(f"bsc(p={ber:g})", process.wants)
                for item, wire in zip(items, wires, strict=True):
                    stream = NoiseStream(SEED, link.text, item.hash)
                    batch = link.transmit(wire.payload, range(1), stream, wire.classes)
                    known = link_ber(link)
                    received.append(from_wire(wire, batch, 0, POLICY, process.wants, known))
            else:
                received = [clean_received(wire, POLICY) for wire in wires]
            shape = items[0].value.shape
            outcomes = [
                one
                for at in range(0, len(received), 50)
                for one in process.decode(received[at : at + 50], shape)
            ]
            settled = [
                settle(o.decoded, item, POLICY) for o, item in zip(outcomes, items, strict=True)
            ]
            yield ber, np.stack([value for _, value in settled]), [s for s, _ in settled]


def measure(spec: str, items: list[Item]) -> list[dict]:
    """Lines of results.csv for one operating point."""
    runs = received_faces(spec, items, BERS)
    encoded, wires = next(runs)
    file_bits = np.mean([one.total_bits for one in encoded])
    header = np.mean([wire.side_bits for wire in wires])
    payload = file_bits
    if not spec.startswith("klt"):
        with CodecProcess(spec) as process:
            grey = image_item("grey", np.full((64, 64, 3), 128, np.uint8))
            payload = file_bits - process.encode(grey).encoded.total_bits
    metrics = {name: make_metric(name) for name in ("psnr", "ssim")}
    states = {n: [m.prepare(item.value) for item in items] for n, m in metrics.items()}
    rows = []
    for ber, values, statuses in runs:
        row = {
            "codec": spec,
            "ber": ber,
            "faces": len(items),
            "file_bits": round(float(file_bits), 1),
            "header_bits": round(float(header), 1),
            "payload_bits": round(float(payload), 1),
            "outage": round(float(np.mean([s.outage for s in statuses])), 4),
        }
        for name, metric in metrics.items():
            scores = [
                metric.measure(state, value[None])[0]
                for state, value in zip(states[name], values, strict=True)
            ]
            row |= {f"{name}{k}": v for k, v in interval(np.array(scores)).items()}
        rows.append(row)
        print(spec, ber, row["payload_bits"], row["psnr"], row["ssim"], flush=True)
    return rows


def judge(spec: str, items: list[Item]) -> list[dict]:
    """LPIPS, identity, and realism as a set, of one operating point."""
    runs = received_faces(spec, items, JUDGED_BERS)
    next(runs)
    metrics = {name: make_metric(name) for name in ("lpips", "identity_distance", "identity")}
    states = {n: [m.prepare(item.value) for item in items] for n, m in metrics.items()}
    rows = []
    for ber, values, _ in runs:
        row: dict = {"codec": spec, "ber": ber, "faces": len(items)}
        for name, metric in metrics.items():
            scores = [
                metric.measure(state, value[None])[0]
                for state, value in zip(states[name], values, strict=True)
            ]
            row |= {f"{name}{k}": v for k, v in interval(np.array(scores)).items()}
        if ber == 0:
            found = realism(list(values), [item.value for item in items])
            row |= {
                "kernel_distance": round(found.kernel, 4),
                "kernel_distance_low": round(found.low, 4),
                "kernel_distance_high": round(found.high, 4),
                "frechet_distance": round(found.frechet, 2),
            }
        rows.append(row)
        print(row, flush=True)
    return rows


def interval(scores: np.ndarray) -> dict[str, float]:
    """Mean and 95 % bootstrap interval over faces."""
    rng = np.random.default_rng(SEED)
    draws = scores[rng.integers(0, scores.size, (RESAMPLES, scores.size))].mean(axis=1)
    low, high = np.quantile(draws, [0.025, 0.975])
    return {
        "": round(float(scores.mean()), 4),
        "_low": round(float(low), 4),
        "_high": round(float(high), 4),
    }


def claims(rows: list[dict]) -> list[dict]:
    """What results.csv says of the figures measured before."""
    table = {(r["codec"], float(r["ber"])): r for r in rows}
    found = []
    for spec, ber, target in KLT_TARGETS:
        row = table.get((spec, ber))
        if row:
            where = f"at BER {ber:g}" if ber else "without errors"
            found.append(
                claim(
                    f"{spec}: PSNR in dB of test faces {where}",
                    target,
                    *(float(row[k]) for k in ("psnr", "psnr_low", "psnr_high")),
                )
            )
    for codec, payload, target in CLEAN_TARGETS:
        own = [r for r in rows if r["codec"].startswith(f"{codec}(") and float(r["ber"]) == 0]
        own.sort(key=lambda r: float(r["payload_bits"]))
        bits = [float(r["payload_bits"]) for r in own]
        if len(own) > 1 and bits[0] <= payload <= bits[-1]:
            at = [
                float(np.interp(np.log(payload), np.log(bits), [float(r[k]) for r in own]))
                for k in ("psnr", "psnr_low", "psnr_high")
            ]
            found.append(
                claim(f"{codec}: PSNR in dB of test faces at {payload} payload bits", target, *at)
            )
    return found


def claim(words: str, target: float, value: float, low: float, high: float) -> dict:
    verdict = "met" if value >= target else "partly" if high >= target else "short"
    return {
        "claim": words,
        "source": "measured with the codecs' own libraries before gencomm had them",
        "target": f"at least {target:g}",
        "value": round(value, 2),
        "low": round(low, 2),
        "high": round(high, 2),
        "verdict": verdict,
    }


def read(path: Path) -> list[dict]:
    if not path.is_file():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def write(path: Path, rows: list[dict], fields) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, fields, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--claims", action="store_true", help="from results.csv, without measuring")
    parser.add_argument("--judge", type=int, default=0, metavar="N", help="faces for the judges")
    args = parser.parse_args()
    path = HERE / "results.csv"
    rows = read(path)
    if not args.claims:
        items = list(Packed("${GENCOMM_DATA}/faces64.npz", split="test", limit=COUNT))
        done = {r["codec"] for r in rows}
        for spec in POINTS:
            if spec not in done:
                rows += measure(spec, items)
                rows.sort(key=lambda r: (POINTS.index(r["codec"]), float(r["ber"])))
                write(path, rows, FIELDS)
        if args.judge:
            judged = read(HERE / "judges.csv")
            seen = {r["codec"] for r in judged}
            for spec in (one for one in JUDGED if one not in seen):
                judged += judge(spec, items[: args.judge])
                write(HERE / "judges.csv", judged, judged[0])
    (HERE / "claims.json").write_text(json.dumps(claims(read(path)), indent=2) + "\n")


if __name__ == "__main__":
    main()

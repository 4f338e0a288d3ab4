"""Faces through a codec and a channel: what is shared by figures without and with judges."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from channels.link import Link
from channels.noise import NoiseStream
from channels.spec import parse_spec
from gencomm.codecs.contract import Encoded, Received
from gencomm.isolation import CodecProcess, Limits
from gencomm.items import Item, image_item
from gencomm.metrics import make_metric
from gencomm.policy import Policy, clean_received, from_wire, link_ber, settle, to_wire

SEED, RESAMPLES = 1, 2000
POLICY = Policy(header="protected")
#: What isn't ours has a flat grey picture's bits taken off for its payload: containers, tables,
#: frame headers. Of our own codecs the header alone is granted.
FOREIGN = ("jpeg", "jpeg2000", "webp", "avif")

FIELDS = (
    "codec", "ber", "faces", "file_bits", "header_bits", "payload_bits",
    "psnr", "psnr_low", "psnr_high", "ssim", "ssim_low", "ssim_high", "outage",
)  # fmt: skip


def family(spec: str) -> str:
    """A codec's name without its operating point."""
    return parse_spec(spec).name


def received_faces(spec: str, items: list[Item], bers: tuple[float, ...]) -> Iterator[Any]:
    """Send every face at every error rate: first what was encoded, then rate, values, statuses."""
    with CodecProcess(spec, Limits(seconds=60, memory=2**31)) as process:
        encoded = [process.encode(item).encoded for item in items]
        wires = [to_wire(one, POLICY) for one in encoded]
        yield encoded
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


def payload_bits(spec: str, encoded: list[Encoded]) -> float:
    """Mean bits with the header granted free; see `FOREIGN`."""
    total = float(np.mean([one.total_bits for one in encoded]))
    if family(spec) not in FOREIGN:
        return total - float(np.mean([one.header_bits for one in encoded]))
    with CodecProcess(spec) as process:
        grey = image_item("grey", np.full((64, 64, 3), 128, np.uint8))
        return total - process.encode(grey).encoded.total_bits


def measure(spec: str, items: list[Item], bers: tuple[float, ...]) -> list[dict]:
    """Lines of results.csv for one operating point."""
    runs = received_faces(spec, items, bers)
    encoded = next(runs)
    sizes = {
        "file_bits": np.mean([one.total_bits for one in encoded]),
        "header_bits": np.mean([one.header_bits for one in encoded]),
        "payload_bits": payload_bits(spec, encoded),
    }
    sizes = {name: round(float(value), 1) for name, value in sizes.items()}
    metrics = {name: make_metric(name) for name in ("psnr", "ssim")}
    states = {n: [m.prepare(item.value) for item in items] for n, m in metrics.items()}
    rows = []
    for ber, values, statuses in runs:
        row = {"codec": spec, "ber": ber, "faces": len(items), **sizes}
        row["outage"] = round(float(np.mean([s.outage for s in statuses])), 4)
        for name, metric in metrics.items():
            scores = [
                metric.measure(state, value[None])[0]
                for state, value in zip(states[name], values, strict=True)
            ]
            row |= {f"{name}{k}": v for k, v in interval(np.array(scores)).items()}
        rows.append(row)
        print(spec, ber, row["payload_bits"], row["psnr"], row["ssim"], flush=True)
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

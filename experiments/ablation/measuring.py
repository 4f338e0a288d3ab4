"""Faces through codecs and links; scores of every face are kept, for paired differences."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from channels.link import Link
from channels.noise import NoiseStream
from gencomm.codecs.contract import Encoded, decode_all
from gencomm.codecs.registry import make_codec
from gencomm.isolation import CodecProcess, Limits
from gencomm.items import Item
from gencomm.metrics import make_metric
from gencomm.policy import Policy, clean_received, from_wire, link_ber, settle, to_wire

SEED, RESAMPLES = 1, 4000
#: Headers are granted free: what is asked is what becomes of the rest.
POLICY = Policy(header="protected")
METRICS = ("psnr", "ssim")
#: Ours decode in this process, in batches; another's decoder is not to be trusted with damage.
OURS = ("block_dct", "klt", "ncode_joint")

Scores = dict[tuple[str, str, str], np.ndarray]


def measure(codec: str, links: list[str], items: list[Item]) -> Iterator[tuple[str, dict]]:
    """Scores of faces sent once over each link: link, and by metric (n,) and ``bits``.

    All codecs meet the same noise: it is keyed by link and face.
    """
    states = {name: [make_metric(name).prepare(i.value) for i in items] for name in METRICS}
    for link, encoded, values in received(codec, links, items):
        found = {"bits": float(np.mean([e.bits.n_bits - e.header_bits for e in encoded]))}
        for name in METRICS:
            metric = make_metric(name)
            pairs = zip(states[name], values, strict=True)
            found[name] = np.array([float(metric.measure(s, v[None])[0]) for s, v in pairs])
        yield link, found


def received(
    codec: str, links: list[str], items: list[Item]
) -> Iterator[tuple[str, list[Encoded], list[np.ndarray]]]:
    """What comes out of each link; ``clean`` is none."""
    if codec.split("(")[0] in OURS:
        made = make_codec(codec)
        batch = getattr(made, "encode_batch", None)
        encoded = batch(items) if batch else [made.encode(item) for item in items]
        for link in links:
            streams = sent(link, encoded, items, made.wants)
            decoded = decode_all(made, streams)
            pairs = zip(decoded, items, strict=True)
            yield link, encoded, [settle(d, item, POLICY)[1] for d, item in pairs]
        return
    with CodecProcess(codec, Limits(seconds=20, memory=2**30)) as process:
        encoded = [process.encode(item).encoded for item in items]
        for link in links:
            streams = sent(link, encoded, items, process.wants)
            values = []
            for at in range(0, len(items), 50):
                part = items[at : at + 50]
                outcomes = process.decode(streams[at : at + 50], part[0].value.shape)
                pairs = zip(outcomes, part, strict=True)
                values += [settle(o.decoded, item, POLICY)[1] for o, item in pairs]
            yield link, encoded, values


def sent(link: str, encoded: list[Encoded], items: list[Item], wants: frozenset[str]) -> list:
    """One draw of noise for each face."""
    wires = [to_wire(one, POLICY) for one in encoded]
    if link == "clean":
        return [clean_received(wire, POLICY) for wire in wires]
    chain = Link.parse(link, wants)
    found = []
    for item, wire in zip(items, wires, strict=True):
        stream = NoiseStream(SEED, link, item.hash)
        batch = chain.transmit(wire.payload, range(1), stream, wire.classes)
        found.append(from_wire(wire, batch, 0, POLICY, wants, link_ber(chain)))
    return found


def interval(scores: np.ndarray) -> tuple[float, float, float]:
    """Mean, and its 95 % bootstrap interval over faces."""
    low, high = np.quantile(resampled(scores).mean(1), [0.025, 0.975])
    return float(scores.mean()), float(low), float(high)


def resampled(scores: np.ndarray) -> np.ndarray:
    """(n,) or (m, n) -> (RESAMPLES, n) or (m, RESAMPLES, n): the same faces in all rows."""
    n = scores.shape[-1]
    return scores[..., np.random.default_rng(SEED).integers(0, n, (RESAMPLES, n))]


def read(path: Path) -> Scores:
    """Scores by codec, link and metric."""
    if not path.is_file():
        return {}
    with path.open(newline="") as file:
        return {
            (row[0], row[1], row[2]): np.array(row[3].split(), float)
            for row in list(csv.reader(file))[1:]
        }


def write(path: Path, scores: Scores) -> None:
    """Write what `read` reads, three digits behind the point."""
    temporary = path.with_suffix(".tmp")
    with temporary.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["codec", "link", "metric", "faces"])
        for (codec, link, metric), values in sorted(scores.items()):
            writer.writerow([codec, link, metric, " ".join(f"{v:.3f}" for v in values)])
    temporary.replace(path)

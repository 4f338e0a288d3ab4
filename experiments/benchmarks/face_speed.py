"""How many faces of 64x64 pixels codes of fixed length take a second, in batches."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
from codec_speed import seconds

from gencomm.codecs.contract import Received
from gencomm.codecs.registry import make_codec
from gencomm.items import image_item
from gencomm.sources.registry import make_source
from gencomm.weights import index

CODECS = ("klt", "ncode_joint(search=0)", "ncode_joint", "ncode_joint(search=4)", "ncode")
#: Pictures of a batch, and a second that are aimed at, each way, on two cores.
BATCH, TARGET = 64, 300
CORES = 2


def missing() -> list[str]:
    """What can't be measured here."""
    return [name for name in ("torch",) if find_spec(name) is None]


def measure_all(repeat: int) -> list[dict]:
    """One row a way: ``case``, ``unit``, ``target`` and ``speeds`` by codec, on one core."""
    face, rng = make_source("face")[0].value.astype(int), np.random.default_rng(0)
    items = [
        image_item(f"face{k}", np.clip(face + rng.integers(-40, 41), 0, 255).astype(np.uint8))
        for k in range(BATCH)
    ]
    if not missing():
        import torch

        torch.set_num_threads(1)
    ways: dict[str, dict[str, dict]] = {"encode": {}, "decode": {}}
    for spec in CODECS:
        name = spec.split("(")[0]
        if name not in index() or (name != "klt" and missing()):
            continue
        codec = make_codec(spec)
        sent = codec.encode_batch(items)
        streams = [Received(one.bits, ber=0.01) for one in sent]
        runs = max(3, repeat // 2)
        found = {
            "encode": seconds(lambda c=codec: c.encode_batch(items), runs),
            "decode": seconds(lambda c=codec, s=streams: c.decode_batch(s), runs),
        }
        for way, times in found.items():
            ways[way][spec] = {clock: BATCH / spent for clock, spent in times.items()}
    return [
        {
            "case": f"{way} faces in batches of {BATCH}, one core (target: {TARGET} on {CORES})",
            "unit": "pictures/s",
            "target": TARGET / CORES,
            "speeds": speeds,
        }
        for way, speeds in ways.items()
    ]

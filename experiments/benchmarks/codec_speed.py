"""How long codecs take over a picture of 768x512, and how much memory over one of 6000x4000."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from statistics import median

import numpy as np
from PIL import Image

from gencomm.codecs.contract import Received
from gencomm.codecs.registry import make_codec
from gencomm.items import Item, image_item
from gencomm.sources import SOURCES
from gencomm.weights import index

#: Learned codecs first, at about 0.5 bits per pixel; each at one thread and at two.
LEARNED = (
    "generative(bpp=0.15)",
    "cae(quality=60)", "cae(quality=60,slices=8)",
    "hyperprior(quality=60)", "hyperprior(quality=60,slices=8)",
)  # fmt: skip
CLASSICAL = ("jpeg(quality=28)", "jpeg2000(bpp=0.5)", "webp(quality=32)", "avif(quality=46)")
#: Seconds each way that are aimed at, on two cores; bytes over the large picture.
TARGET, TARGET_MEMORY = 0.5, 4e9
SIZE, LARGE = (768, 512), (6000, 4000)


def missing() -> list[str]:
    """What can't be measured here."""
    return [name for name in ("torch",) if find_spec(name) is None]


def picture(width: int, height: int) -> Item:
    """scikit-image's cup of coffee at another size, with the grain that enlarging takes away."""
    source = SOURCES.create("photos")
    items = [source.read(k) for k in range(len(source))]
    coffee = next(item for item in items if "coffee" in item.id)
    large = Image.fromarray(coffee.value).resize((width, height), Image.Resampling.BICUBIC)
    rng = np.random.default_rng(0)
    grain = rng.normal(0, 4, (height, width, 1)).astype(np.float32)
    return image_item("coffee", np.clip(np.asarray(large) + grain, 0, 255).astype(np.uint8))


def seconds(function: Callable[[], object], repeat: int) -> dict:
    """Medians of wall and processor time."""
    function()
    wall, cpu = [], []
    for _ in range(repeat):
        started, worked = time.perf_counter(), time.process_time()
        function()
        wall.append(time.perf_counter() - started)
        cpu.append(time.process_time() - worked)
    return {"cpu": median(cpu), "wall": median(wall), "slowest_cpu": max(cpu)}


def learned() -> list[str]:
    """Those whose weights are there."""
    return [spec for spec in LEARNED if spec.split("(")[0] in index() and not missing()]


def clocks(threads: int) -> list[tuple[str, str]]:
    """Which clocks a case is told by, and in which words.

    Wall time of two threads is what a target for two cores is about, but says nothing where other
    processes hold the cores; their sum of processor time stands beside it.
    """
    if threads == 1:
        return [("cpu", "processor time")]
    load, cores = os.getloadavg()[0], os.cpu_count() or 1
    busy = f" (busy machine: load {load:.0f} on {cores} cores)" if load > cores else ""
    return [("cpu", "processor time of both"), ("wall", f"wall time{busy}")]


def measure_all(repeat: int) -> list[dict]:
    """One row a case: ``case``, ``unit``, ``target`` (or None) and ``speeds`` by codec."""
    item, repeat = picture(*SIZE), max(3, repeat // 2)
    size = f"{SIZE[0]}x{SIZE[1]}"
    rows = []
    for threads in (1, 2):
        found: dict[str, dict[str, dict]] = {"encode": {}, "decode": {}}
        if not missing():
            import torch

            torch.set_num_threads(threads)
        for spec in [*learned(), *(CLASSICAL if threads == 1 else ())]:
            codec = make_codec(spec)
            sent = codec.encode(item)
            received = Received(sent.bits, sent.side)
            found["encode"][spec] = seconds(lambda codec=codec: codec.encode(item), repeat)
            found["decode"][spec] = seconds(lambda c=codec, r=received: c.decode(r), repeat)
        for way, speeds in found.items():
            for shown, clock in clocks(threads):
                many = "s" if threads > 1 else ""
                rows.append(
                    {
                        "case": f"{way} {size}, {threads} thread{many}, {clock}",
                        "unit": "s",
                        "target": TARGET,
                        "shown": shown,
                        "speeds": speeds,
                    }
                )
    peaks = {spec: {"cpu": peak(spec) / 1e9} for spec in learned() if "slices" not in spec}
    large = f"{LARGE[0]}x{LARGE[1]}"
    return [
        *rows,
        {
            "case": f"{large} there and back, peak memory of the process",
            "unit": "GB",
            "target": TARGET_MEMORY / 1e9,
            "speeds": peaks,
        },
    ]


def peak(spec: str) -> int:
    """Largest resident memory, in bytes, of a process that codes the large picture."""
    words = [sys.executable, __file__, spec]
    done = subprocess.run(words, capture_output=True, text=True, check=True, env=dict(os.environ))
    return int(done.stdout)


def code_large(spec: str) -> None:
    """Code the large picture and print the peak of this process' memory, in bytes."""
    item, codec = picture(*LARGE), make_codec(spec)
    sent = codec.encode(item)
    decoded = codec.decode(Received(sent.bits, sent.side))
    if decoded.value is None or decoded.value.shape != item.value.shape:
        raise RuntimeError(f"{spec} did not give the picture back: {decoded.detail}")
    unit = 1 if sys.platform == "darwin" else 1024
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit)


if __name__ == "__main__":
    code_large(sys.argv[1])

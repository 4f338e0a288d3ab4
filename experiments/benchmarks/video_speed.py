"""What a clip costs beyond its codec: time of ten seconds at CIF, memory of five minutes.

Codecs take what they take; measured is everything else: reading the file, the processes that codecs
run in, the channel, the metrics (PSNR, SSIM and MS-SSIM of what came, and of what would have come
without errors), and the side-by-side video.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from fractions import Fraction
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from statistics import median

import numpy as np

CODEC, CHANNEL = "h264(crf=30)", "bsc(1e-5)"
SECONDS, TARGET = 10, 5.0
#: The long clip; its codec is quick, for memory is what counts.
MINUTES, LONG_CODEC, TARGET_MEMORY = 5, "h264(crf=30,preset=ultrafast)", 2e9
RATE, CIF = 30, (352, 288)
#: How often memory is looked at, in seconds.
LOOK = 0.1
_MARK = "GENCOMM_BENCHMARK"


def missing() -> list[str]:
    """What can't be measured here."""
    return [name for name in ("av",) if find_spec(name) is None]


def frames() -> tuple[str, Iterator[np.ndarray]]:
    """Name and frames of what is looped: foreman, or a camera path where the data aren't there."""
    from gencomm.sources import make_source

    path = Path(os.environ.get("GENCOMM_DATA", "")) / "clips" / "foreman_cif.mkv"
    if path.is_file():
        source, name = make_source(f"clip('{path}')"), "foreman"
    else:
        width, height = CIF
        spec = f"camera_path(names=[coffee],width={width},height={height},frames=150)"
        source, name = make_source(spec), "camera path"
    return name, (frame for frame in source.read(0).value)


def write(path: Path, seconds: float) -> str:
    """A file of that length: 150 frames coded once, their packets again and again.

    Returns
    -------
    str
        What it shows.
    """
    import av

    from gencomm.video.colour import frames as to_frames

    name, pictures = frames()
    value = np.stack(list(islice(pictures, 150)))
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = value.shape[2], value.shape[1], "yuv420p"
        stream.options = {"crf": "12", "preset": "veryfast", "bf": "0", "threads": "1"}
        packets = []
        for index, frame in enumerate(to_frames(value)):
            frame.pts, frame.time_base = index, Fraction(1, RATE)
            packets += stream.encode(frame)
        packets += stream.encode(None)
        data = [(bytes(one), one.is_keyframe) for one in packets]
        for count in range(round(seconds * RATE)):
            payload, key = data[count % len(data)]
            packet = av.Packet(payload)
            packet.stream, packet.is_keyframe = stream, key
            packet.time_base, packet.pts, packet.dts = Fraction(1, RATE), count, count
            container.mux(packet)
    return name


def measure_all(repeat: int) -> list[dict]:
    """One row a case: ``case``, ``unit``, ``target`` and ``speeds``."""
    if missing():
        return []
    with tempfile.TemporaryDirectory() as folder:
        short, long = Path(folder) / "short.mkv", Path(folder) / "long.mkv"
        name = write(short, SECONDS)
        write(long, 60 * MINUTES)
        once(short, None)  # kernels compiled, libraries read from disk
        # two codecs' runs of a busy machine say little: more than three cost minutes
        runs = [once(short, None) for _ in range(max(3, repeat // 3))]
        shown = [once(short, Path(folder) / "shown.mp4") for _ in range(max(3, repeat // 3))]
        memory = peak(long, Path(folder) / "long.mp4")
    what = f"{name}, 352x288, {CODEC} over {CHANNEL}"
    return [
        {
            "case": f"{SECONDS} s of {what}: wall time less the codec's own",
            "unit": "s",
            "target": TARGET,
            "shown": "wall",
            "speeds": {"gencomm": _medians(runs), "gencomm, MP4 written": _medians(shown)},
        },
        {
            "case": f"{MINUTES} minutes of {name}, 352x288, {LONG_CODEC} over {CHANNEL}: "
            "peak memory of all processes, MP4 written",
            "unit": "GB",
            "target": TARGET_MEMORY / 1e9,
            "shown": "cpu",
            "speeds": {"gencomm": {"cpu": memory / 1e9}},
        },
    ]


def _medians(runs: list[dict]) -> dict:
    found = {key: median(run[key] for run in runs) for key in runs[0]}
    return {**found, "slowest": max(run["wall"] for run in runs)}


def once(path: Path, video: Path | None) -> dict:
    """Send a file: seconds by the clock less the codec's, processor time here, the codec's.

    The codec runs in another process, on one thread: its own time is the processor time of its
    encoder and of both decodes, of what came and of what was sent.
    """
    from gencomm.sending_clips import send_clip

    started, worked = time.perf_counter(), time.process_time()
    sent = send_clip(path, CODEC, CHANNEL, video=video)
    wall, cpu = time.perf_counter() - started, time.process_time() - worked
    return {"wall": wall - sent.codec_seconds, "cpu": cpu, "codec": sent.codec_seconds}


def peak(path: Path, video: Path) -> int:
    """Largest memory, in bytes, of ``gencomm send`` and all its processes at one moment.

    Resident memory of each process (what they share counts for each of them: an upper bound), and
    the nameless files in memory by which they exchange samples.
    """
    mark = uuid.uuid4().hex
    verb = "from gencomm.cli import main; raise SystemExit(main())"
    words = [sys.executable, "-c", verb, "send", str(path), "--out", str(video)]
    words += ["--codec", LONG_CODEC, "--channel", CHANNEL]
    child = subprocess.Popen(
        words, env={**os.environ, _MARK: mark}, stdout=subprocess.DEVNULL, cwd=video.parent
    )
    most = 0
    while child.poll() is None:
        most = max(most, resident(mark))
        time.sleep(LOOK)
    if child.returncode:
        raise RuntimeError(f"{' '.join(words)} ended with {child.returncode}")
    return most


def resident(mark: str) -> int:
    """Memory of all processes that carry a mark in their environment, in bytes."""
    total, files = 0, {}
    page, text = os.sysconf("SC_PAGE_SIZE"), f"{_MARK}={mark}".encode()
    for process in Path("/proc").iterdir():
        try:
            if not process.name.isdigit() or text not in (process / "environ").read_bytes():
                continue
            total += page * int((process / "statm").read_text().split()[1])
            for descriptor in (process / "fd").iterdir():
                if "memfd:" in os.readlink(descriptor):
                    about = descriptor.stat()
                    files[about.st_ino] = 512 * about.st_blocks
        except OSError:  # it has ended meanwhile, or is somebody else's
            continue
    return total + sum(files.values())

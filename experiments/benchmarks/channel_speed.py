"""How fast uncoded channels are, beside commpy, Sionna and plain numpy doing the same."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from importlib.util import find_spec
from statistics import median

import numpy as np

from channels import Link, PackedBits
from channels.stage import Batch

#: Payload bits of a run: about those of a raw Kodak picture.
N_BITS = 9_600_000
#: Slow peers get fewer bits; rates are per bit.
FEW_BITS = 240_000
ESNO_DB = {"qpsk": 9.0, "qam64": 18.0, "qam1024": 30.0}


def missing() -> list[str]:
    """Peers that can't be measured here."""
    return [name for name in ("commpy", "sionna") if find_spec(name) is None]


def speed(function: Callable[[], object], n_bits: int, unit: float, repeat: int) -> dict:
    """Median rates by processor and by wall time, in bits per second over `unit`."""
    function()
    wall, cpu = [], []
    for _ in range(repeat):
        started, worked = time.perf_counter(), time.process_time()
        function()
        wall.append(time.perf_counter() - started)
        cpu.append(time.process_time() - worked)
    return {
        "cpu": n_bits / median(cpu) / unit,
        "wall": n_bits / median(wall) / unit,
        "slowest_cpu": n_bits / max(cpu) / unit,
    }


def measure_all(repeat: int) -> list[dict]:
    """One row a case: ``case``, ``unit``, ``target`` (or None) and ``speeds`` by competitor."""
    rng = np.random.default_rng(0)
    payload = PackedBits(rng.integers(0, 256, N_BITS // 8, np.uint8), N_BITS)
    rows = []
    for p, target in ((1e-2, 3.0), (1e-4, 30.0)):
        runs = {
            "gencomm": (medium(f"bsc({p})", payload), N_BITS),
            "gencomm, errors counted": (transmission(f"bsc({p})", (), payload), N_BITS),
            "plain numpy": (plain_bsc(payload, p), N_BITS),
        }
        runs |= commpy_bsc(payload, p) | sionna_bsc(payload, p)
        rows.append(row(f"BSC, p = {p:g}, packed bytes", runs, 1e9, target, repeat))
    for name, wants, target, case in (
        ("qpsk", (), 60.0, "QPSK, AWGN, hard decisions"),
        ("qam64", ("llr",), 60.0, "64-QAM, AWGN, max-log LLRs"),
        ("qam1024", ("llr",), None, "1024-QAM, AWGN, max-log LLRs"),
    ):
        link = f"{name}|awgn(esno_db={ESNO_DB[name]})"
        runs = {"gencomm, errors counted": (transmission(link, wants, payload), N_BITS)}
        runs |= commpy_awgn(payload, name, bool(wants)) | sionna_awgn(payload, name, bool(wants))
        rows.append(row(case, runs, 1e6, target, repeat))
    for link, wants, case in (
        ("qam64(llr=exact)|awgn(esno_db=18)", ("llr",), "64-QAM, AWGN, exact LLRs"),
        ("bpsk|awgn(esno_db=7)", (), "BPSK, AWGN, hard decisions"),
        ("bec(0.01)", (), "BEC, p = 0.01"),
        ("gilbert_elliott(0.01, 100)", (), "Gilbert-Elliott, 1 % bad, bursts of 100"),
    ):
        runs = {"gencomm, errors counted": (transmission(link, wants, payload), N_BITS)}
        rows.append(row(case, runs, 1e6, None, repeat))
    return rows


def row(case: str, runs: dict, unit: float, target: float | None, repeat: int) -> dict:
    """Measure the competitors of one case one after the other."""
    speeds = {who: speed(run, n_bits, unit, repeat) for who, (run, n_bits) in runs.items()}
    name = "Gbit/s" if unit == 1e9 else "Mbit/s"
    return {"case": case, "unit": name, "target": target, "speeds": speeds}


def transmission(text: str, wants: tuple[str, ...], payload: PackedBits) -> Callable:
    """Everything a caller waits for: mapping, noise, decisions, and the count of bit errors."""
    link = Link.parse(text, wants)
    return lambda: link.transmit(payload)


def medium(text: str, payload: PackedBits) -> Callable:
    """The medium alone: packed bytes in, damaged copy out."""
    (stage,) = Link.parse(text).stages
    batch = Batch(payload.n_bits, bits=payload.data[None])
    rng = [np.random.Generator(np.random.Philox(1))]
    return lambda: stage.forward(batch, rng)


def plain_bsc(payload: PackedBits, p: float) -> Callable:
    """One uniform number a bit, as most simulators do."""
    rng = np.random.default_rng(1)
    return lambda: payload.data ^ np.packbits(rng.random(payload.n_bits, np.float32) < p)


def commpy_bsc(payload: PackedBits, p: float) -> dict:
    """commpy takes one bit an array element."""
    if find_spec("commpy") is None:
        return {}
    from commpy import Channels

    bits, rng = payload.unpack(), np.random.default_rng(1)
    return {"commpy": (lambda: Channels.bsc(bits, p, rng), payload.n_bits)}


def commpy_awgn(payload: PackedBits, name: str, soft: bool) -> dict:
    """Square QAM of commpy; its distances to all points want few symbols at once."""
    if find_spec("commpy") is None:
        return {}
    from commpy import Channels, MQAMModulator

    sizes = {"qpsk": 4, "qam64": 64, "qam1024": 1024}
    modulator, rng = MQAMModulator(sizes[name]), np.random.default_rng(1)
    bits = payload.unpack()[: FEW_BITS if name != "qam1024" else FEW_BITS // 8]
    esno_db = ESNO_DB[name]

    def run() -> object:
        received = Channels.awgn(modulator.modulate(bits), esno_db, rng)
        if soft:
            return modulator.soft_demodulate(received, 10 ** (-esno_db / 10))
        return modulator.demodulate(received)

    return {"commpy": (run, bits.size)}


def sionna_bsc(payload: PackedBits, p: float) -> dict:
    """Sionna's binary symmetric channel on float tensors."""
    if find_spec("sionna") is None:
        return {}
    import torch
    from sionna.phy.channel import BinarySymmetricChannel

    torch.set_num_threads(1)
    channel = BinarySymmetricChannel()
    bits = torch.from_numpy(payload.unpack()[: 10 * FEW_BITS].astype(np.float32))
    return {"sionna": (lambda: channel(bits, p), bits.numel())}


def sionna_awgn(payload: PackedBits, name: str, soft: bool) -> dict:
    """Sionna's mapper, AWGN and max-log demapper on torch tensors."""
    if find_spec("sionna") is None:
        return {}
    import torch
    from sionna.phy.channel import AWGN
    from sionna.phy.mapping import Demapper, Mapper

    torch.set_num_threads(1)
    per_symbol = {"qpsk": 2, "qam64": 6, "qam1024": 10}[name]
    mapper, channel = Mapper("qam", per_symbol), AWGN()
    demapper = Demapper("maxlog", "qam", per_symbol, hard_out=not soft)
    n0 = torch.tensor(math.pow(10, -ESNO_DB[name] / 10))
    few = FEW_BITS if name != "qam1024" else FEW_BITS // 8
    bits = torch.from_numpy(payload.unpack()[:few].astype(np.float32))[None]
    return {"sionna": (lambda: demapper(channel(mapper(bits), n0), n0), bits.numel())}

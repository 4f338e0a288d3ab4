"""From a training run's weights to the file that the codec reads: networks and integer tables.

``python -m gencomm.codecs.cae.export RUN/weights.safetensors OUT.safetensors ["what went before"]``
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from safetensors import safe_open
from safetensors.numpy import save_file

from gencomm.bitstream import context as bits
from gencomm.bitstream.tables import Tables
from gencomm.codecs.cae.faces import FACE_LAMBDAS, NAME, SIDE
from gencomm.codecs.cae.network import CompressiveAutoencoder
from gencomm.codecs.cae.recipe import LAMBDAS
from gencomm.nn.gains import interpolation

#: Gains and bases are stored for so many rates in equal steps over the trained range; between
#: them the nearest serves. Neighbours differ by 5 % in gain, which costs next to nothing.
LEVELS = 41

#: Channels after which a face's stream has a check, besides its end. Those of larger streams would
#: take a seventh of 512 bits.
FACE_CHECKS = (4, 16, 64)

Network = TypeVar("Network", bound=CompressiveAutoencoder)

#: Octaves of scale above a channel's largest base that it has tables for.
OCTAVES = 5


def context_arrays(network: CompressiveAutoencoder) -> dict[str, np.ndarray]:
    """The arrays of `gencomm.bitstream.context.ContextTables`, from trained parameters."""
    rates = len(network.lambdas)
    weight = interpolation(torch.linspace(0, rates - 1, LEVELS), rates)
    context = network.context
    gain = network.gains(weight)[0].double().numpy()
    base = (weight @ context.log_base).exp().double().numpy()
    same, near, own = (fixed(w, bits.WEIGHT_BITS, bits.MAX_WEIGHT) for w in context.weights())
    unit = 1 / (gain * context.typical.double().numpy())
    low, high = (base * gain).min(0), (base * gain).max(0) * 2**OCTAVES
    first = np.array([bits.scale_index(value) for value in low])
    count = np.array([bits.scale_index(value) for value in high]) - first + 1
    rows = []
    for k in range(count.max()):
        scales = [bits.index_scale(f + min(k, n - 1)) for f, n in zip(first, count, strict=True)]
        rows.append(network.prior.probabilities(torch.tensor(scales)))
    in_order = [rows[k][c].numpy() for c, n in enumerate(count) for k in range(n)]
    tables = Tables.build(in_order)
    lowest, highest = int(first.min()), int((first + count).max())
    edges = 2.0 ** (np.arange(lowest, highest) / bits.PER_OCTAVE + bits.SCALE_BITS)
    arrays = {
        "same": same.astype(np.uint32),
        "near": near.astype(np.uint32),
        "own": own.astype(np.uint32),
        "mean": fixed(context.mean, bits.MEAN_BITS, 2**20).astype(np.int32),
        "base": fixed(base, bits.WEIGHT_BITS + bits.UNIT_BITS, 2**31).astype(np.uint32),
        "unit": fixed(unit, bits.UNIT_BITS, bits.MAX_UNITS).astype(np.uint32),
        "gain": fixed(gain, bits.GAIN_BITS, bits.MAX_GAIN).astype(np.uint32),
        "first": first.astype(np.int16),
        "count": count.astype(np.int16),
        "thresholds": np.rint(edges).astype(np.int64),
        "lowest": np.array([lowest], np.int16),
        "frequencies": tables.frequencies,
        "reach": tables.reach,
    }
    if network.places is not None:
        for name, scale in zip(("coarse", "fine"), network.places.scales, strict=True):
            whole = fixed(scale, bits.WEIGHT_BITS + bits.UNIT_BITS, 2**31)
            arrays[f"places.{name}"] = whole.astype(np.uint32)
        arrays["checks"] = np.array(FACE_CHECKS, np.int16)
    return arrays


def fixed(values: torch.Tensor | np.ndarray, places: int, largest: int) -> np.ndarray:
    """Fixed-point integers with so many fractional bits, magnitudes clipped."""
    return np.clip(np.rint(np.asarray(values, np.float64) * 2**places), -largest, largest)


def pack(
    network: CompressiveAutoencoder,
    state: dict[str, Any],
    out: Path,
    arrays: Callable[[Any], dict[str, np.ndarray]] = context_arrays,
) -> None:
    """Write networks (half precision) and what the entropy coder needs to one file.

    Parameters
    ----------
    network : CompressiveAutoencoder
        Its parameters are rounded to what the file holds.
    state : dict
        Goes into the file's metadata: steps, seconds.
    out : Path
    arrays : function
        What the entropy coder needs, from the rounded network.
    """
    half = {name: tensor.half() for name, tensor in network.state_dict().items()}
    network.load_state_dict({name: tensor.float() for name, tensor in half.items()})
    # The codec has no use for those parameters that the integer tables stand for; training has,
    # where it goes on from this file.
    whole = {f"network.{name}": tensor.numpy() for name, tensor in half.items()}
    with torch.no_grad():
        whole |= {f"context.{name}": array for name, array in arrays(network).items()}
    state = state | {"lambdas": network.lambdas, "shape": asdict(network.shape)}
    if network.side:
        state |= {"side": network.side}
    save_file(
        {name: np.ascontiguousarray(array) for name, array in whole.items()},
        out,
        {"state": json.dumps(state)},
    )


def export(run: Path, out: Path, history: str = "") -> None:
    """Write the file that the codec reads from what `gencomm.training` wrote.

    Parameters
    ----------
    run : Path
        Averaged weights.
    out : Path
    history : str
        What went before this run, for the card.
    """
    faces = read_safetensors(run)[1].get("recipe") == NAME
    fresh = CompressiveAutoencoder(FACE_LAMBDAS, side=SIDE) if faces else None
    network, state = load_run(fresh or CompressiveAutoencoder(LAMBDAS), run, history)
    if faces:
        state |= {"recipe_spec": "cae(domain=faces)"}
    pack(network, state, out)


def load_run(network: Network, run: Path, history: str) -> tuple[Network, dict[str, Any]]:
    """A network with a run's averaged weights, and the run's state with its history."""
    tensors, state = read_safetensors(run)
    network.load_state_dict({name: tensor.float() for name, tensor in tensors.items()})
    return network, state | ({"history": history} if history else {})


def read_safetensors(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Tensors and the JSON state of a file."""
    with safe_open(path, "pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        return tensors, json.loads(file.metadata()["state"])


if __name__ == "__main__":
    export(Path(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:4])

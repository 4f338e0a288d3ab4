"""From a training run's weights to the file that the codec reads: networks and integer tables.

``python -m gencomm.codecs.cae.export RUN/weights.safetensors OUT.safetensors``
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from safetensors.numpy import save_file

from gencomm.bitstream.tables import Tables
from gencomm.codecs.cae.network import CompressiveAutoencoder
from gencomm.codecs.cae.recipe import LAMBDAS
from gencomm.nn.gains import interpolation

#: Tables are stored for so many rates in equal steps over the trained range; between them the
#: nearest serves. Neighbours differ by a few per cent in scale, which costs next to nothing.
LEVELS = 41


def pack(network: CompressiveAutoencoder, state: dict[str, Any], out: Path) -> None:
    """Write networks (half precision), tables and the order of channels to one file.

    Parameters
    ----------
    network : CompressiveAutoencoder
    state : dict
        Goes into the file's metadata: steps, seconds.
    out : Path
    """
    arrays = {name: tensor.half() for name, tensor in network.state_dict().items()}
    # The tables must fit the gains that the codec reads, which are the rounded ones.
    network.load_state_dict({name: tensor.float() for name, tensor in arrays.items()})
    rates = len(network.lambdas)
    with torch.no_grad():
        gains, _ = network.gains(interpolation(torch.linspace(0, rates - 1, LEVELS), rates))
    levels = [[row.numpy() for row in network.prior.probabilities(gain)] for gain in gains]
    tables = Tables.build([row for level in levels for row in level])
    # Channels go in order of their energy at the middle rate: what damage cuts off is the least.
    middle = levels[LEVELS // 2]
    energy = np.array([2 * row @ np.arange(row.size) ** 2 for row in middle])
    whole = {f"network.{name}": tensor.numpy() for name, tensor in arrays.items()}
    whole["tables.frequencies"], whole["tables.reach"] = tables.frequencies, tables.reach
    whole["tables.order"] = np.argsort(-energy, kind="stable").astype(np.uint16)
    shape = network.shape
    state = state | {"lambdas": network.lambdas, "shape": asdict(shape), "fine": shape.fine}
    save_file(
        {name: np.ascontiguousarray(array) for name, array in whole.items()},
        out,
        {"state": json.dumps(state)},
    )


def export(run: Path, out: Path) -> None:
    """Write the file that the codec reads from what `gencomm.training` wrote."""
    tensors, state = read_safetensors(run)
    network = CompressiveAutoencoder(LAMBDAS)
    network.load_state_dict({name: tensor.float() for name, tensor in tensors.items()})
    pack(network, state, out)


def read_safetensors(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Tensors and the JSON state of a file."""
    with safe_open(path, "pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        return tensors, json.loads(file.metadata()["state"])


if __name__ == "__main__":
    export(Path(sys.argv[1]), Path(sys.argv[2]))

"""From a training run's weights to the file that the codec reads: networks and the code's tables.

``python -m gencomm.codecs.generative.export RUN/weights.safetensors OUT.safetensors``, optionally
followed by what went before, in words for the card.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.numpy import save_file

from gencomm.codecs.cae.export import read_safetensors
from gencomm.codecs.generative.allocation import MOST, VALUES, WIDEST
from gencomm.codecs.generative.network import GenerativeCode
from gencomm.codecs.generative.recipe import sizes
from gencomm.nn.product import FLOOR, bounded_levels

#: Pictures of one cell's neighbourhood worked on at a time.
BATCH = 23


@torch.no_grad()
def importance(network: GenerativeCode, side: int = 3, step: float = 0.5) -> np.ndarray:
    """Squared change of a picture for a unit step of each value, in 8-bit units.

    Parameters
    ----------
    network : GenerativeCode
    side : int
        Cells of the picture, a grey one, whose middle cell is moved.
    step : float

    Returns
    -------
    float64 (VALUES,)
        Sum over pixels and colours, at the highest rate.
    """
    middle, found = side // 2, []
    before = network.synthesise(torch.zeros(1, VALUES, side, side), MOST, torch.zeros(1))
    for values in torch.arange(VALUES).split(BATCH):
        moved = torch.zeros(len(values), VALUES, side, side)
        moved[torch.arange(len(values)), values, middle, middle] = step
        change = network.synthesise(moved, MOST, torch.zeros(len(values))) - before
        found.append(change.double().square().sum((1, 2, 3)) / step**2)
    return torch.cat(found).numpy()


def code_arrays(network: GenerativeCode) -> dict[str, np.ndarray]:
    """What encodes and estimates without torch: levels, thresholds, probabilities, importance."""
    arrays: dict[str, np.ndarray] = {"importance": importance(network).astype(np.float32)}
    for width in range(1, WIDEST + 1):
        levels, thresholds = bounded_levels(width)
        prior = getattr(network.quantiser, f"prior{width}").clamp_min(FLOOR)
        arrays[f"levels{width}"] = levels.astype(np.float32)
        arrays[f"thresholds{width}"] = thresholds.astype(np.float32)
        arrays[f"prior{width}"] = prior.cpu().float().numpy()
    return arrays


def pack(network: GenerativeCode, state: dict[str, Any], out: Path) -> None:
    """Write networks (half precision) and the code's tables to one file.

    Parameters
    ----------
    network : GenerativeCode
        Its parameters are rounded to what the file holds.
    state : dict
        Goes into the file's metadata: steps, seconds.
    out : Path
    """
    arrays = {name: tensor.half() for name, tensor in network.state_dict().items()}
    network.load_state_dict({name: tensor.float() for name, tensor in arrays.items()})
    network.eval()
    whole = {f"network.{name}": tensor.numpy() for name, tensor in arrays.items()}
    whole |= {f"code.{name}": array for name, array in code_arrays(network).items()}
    save_file(
        {name: np.ascontiguousarray(array) for name, array in whole.items()},
        out,
        {"state": json.dumps(state | {"sizes": network.sizes.to_dict()})},
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
    tensors, state = read_safetensors(run)
    state |= {"history": history} if history else {}
    network = GenerativeCode(sizes(state["recipe"]))
    start = "code."  # beside it lies the discriminator, which is not needed any more
    code = {n[len(start) :]: t.float() for n, t in tensors.items() if n.startswith(start)}
    network.load_state_dict(code)
    pack(network, state, out)


if __name__ == "__main__":
    export(Path(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:4])

"""From a training run's weights to the file that the codec reads.

``python -m gencomm.codecs.ncode.export RUN/weights.safetensors OUT.safetensors``, optionally
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
from gencomm.codecs.ncode.encoder import NCode
from gencomm.codecs.ncode.generator import Sizes
from gencomm.codecs.ncode.points import LATENTS
from gencomm.codecs.ncode.recipe import draw

#: Random pictures that the latents' importance is measured at, and by how much a latent is moved.
EXAMPLES, MOVED = 4, 0.25


@torch.no_grad()
def importance(network: NCode, examples: int = EXAMPLES) -> np.ndarray:
    """Squared change of a picture for a unit step of each latent, in 8-bit units.

    Parameters
    ----------
    network : NCode
    examples : int
        Random faces to move from.

    Returns
    -------
    float64 (LATENTS,)
        Sum over pixels and colours, mean over the examples.
    """
    generator = torch.Generator().manual_seed(0)
    total = torch.zeros(LATENTS, dtype=torch.float64)
    for start in draw(examples, network.law, generator, torch.device("cpu")).split(1):
        before = network.generator(start)
        for part in (MOVED * torch.eye(LATENTS)).split(50):
            change = (network.generator(start + part) - before) / MOVED
            total[part.nonzero()[:, 1]] += change.double().square().sum((1, 2, 3)) / examples
    return total.numpy()


def pack(network: NCode, state: dict[str, Any], out: Path) -> None:
    """Write networks in half precision, and the importance of latents, to one file.

    Parameters
    ----------
    network : NCode
        Its parameters are rounded to what the file holds.
    state : dict
        Goes into the file's metadata: steps, seconds.
    out : Path
    """
    arrays = {name: tensor.half() for name, tensor in network.state_dict().items()}
    network.load_state_dict({name: tensor.float() for name, tensor in arrays.items()})
    network.eval()
    whole = {f"network.{n}": np.ascontiguousarray(t.numpy()) for n, t in arrays.items()}
    whole["importance"] = importance(network).astype(np.float32)
    save_file(whole, out, {"state": json.dumps(state | {"sizes": network.sizes.to_dict()})})


def export(run: Path, out: Path, history: str = "") -> None:
    """Write the file that the codec reads from what `gencomm.training` wrote.

    After the first stage alone the encoder is the linear part's, which is a working code.

    Parameters
    ----------
    run : Path
        Averaged weights of either stage.
    out : Path
    history : str
        What went before this run, for the card.
    """
    tensors, state = read_safetensors(run)
    kind = "dcgan" if "dcgan" in state["recipe"] else "eigenfaces"
    state["recipe_spec"] = f"ncode(stage=encoder, generator={kind})"
    state |= {"history": history} if history else {}
    network = NCode(Sizes(kind))
    network.load_state_dict({name: tensor.float() for name, tensor in tensors.items()})
    pack(network, state, out)


if __name__ == "__main__":
    export(Path(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:4])

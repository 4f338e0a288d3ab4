"""From a training run's weights to the file that the codec reads.

``python -m gencomm.codecs.ncode_joint.export RUN/weights.safetensors OUT.safetensors``, optionally
followed by what went before, in words for the card.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save_file

from gencomm.codecs.cae.export import read_safetensors
from gencomm.codecs.ncode_joint.network import CHANNELS, JointCode


def export(run: Path, out: Path, history: str = "") -> None:
    """Write network, principal components and vectors in half precision.

    Parameters
    ----------
    run : Path
        Averaged weights, as `gencomm.training` wrote them.
    out : Path
    history : str
        What went before this run, for the card.
    """
    tensors, state = read_safetensors(run)
    own = strip(tensors)
    network = JointCode()
    network.load_state_dict(own)
    phase = "perceptual" if state["recipe"].endswith("perceptual") else "distortion"
    state |= {"channels": CHANNELS, "recipe_spec": f"ncode_joint(phase={phase})"}
    state |= {"history": history} if history else {}
    arrays = {f"network.{n}": np.ascontiguousarray(t.half().numpy()) for n, t in own.items()}
    save_file(arrays, out, {"state": json.dumps(state)})


def strip(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The code's own tensors, in single precision, without those of a discriminator beside it."""
    start = "code."
    if any(name.startswith(start) for name in tensors):
        tensors = {n[len(start) :]: t for n, t in tensors.items() if n.startswith(start)}
    return {name: tensor.float() for name, tensor in tensors.items()}


if __name__ == "__main__":
    export(Path(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:4])

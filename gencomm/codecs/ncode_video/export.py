"""From a training run's weights to the file that the codec reads.

``python -m gencomm.codecs.ncode_video.export RUN/weights.safetensors OUT.safetensors``, optionally
followed by what went before, in words for the card.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from safetensors.numpy import save_file

from gencomm.codecs.cae.export import read_safetensors
from gencomm.codecs.ncode_joint.network import CHANNELS
from gencomm.codecs.ncode_video.inference import packed
from gencomm.codecs.ncode_video.network import VideoCode
from gencomm.codecs.ncode_video.points import SETS


def export(run: Path, out: Path, history: str = "") -> None:
    """Write network and vectors in half precision, principal components in 8 bits.

    Parameters
    ----------
    run : Path
        Averaged weights, as `gencomm.training` wrote them.
    out : Path
    history : str
        What went before this run, for the card.

    Raises
    ------
    ValueError
        They are those of another recipe.
    """
    tensors, state = read_safetensors(run)
    prefix, _, domain = state["recipe"].rpartition("_")
    chosen = [name for name in SETS if name.removesuffix("64") == domain]
    if prefix != "ncode_video" or not chosen:
        raise ValueError(f"{run} holds weights of {state['recipe']}, not of ncode_video")
    own = {name: tensor.float() for name, tensor in tensors.items()}
    VideoCode().load_state_dict(own)
    state |= {"channels": CHANNELS, "recipe_spec": f"ncode_video(set={chosen[0]})"}
    state |= {"history": history} if history else {}
    arrays = {f"network.{name}": array for name, array in packed(own).items()}
    save_file(arrays, out, {"state": json.dumps(state)})


if __name__ == "__main__":
    export(Path(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:4])

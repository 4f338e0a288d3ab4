"""From a training run's weights to the file that the codec reads: networks and integer tables.

``python -m gencomm.codecs.cae.export RUN/weights.safetensors OUT.safetensors``
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from safetensors.numpy import save_file

from gencomm.bitstream.tables import Tables
from gencomm.codecs.cae.network import CompressiveAutoencoder, Shape
from gencomm.codecs.cae.recipe import LAMBDAS
from gencomm.nn.gains import interpolation

#: Tables are stored for so many rates in equal steps over the trained range; between them the
#: nearest serves. Neighbours differ by a few per cent in scale, which costs next to nothing.
LEVELS = 41

#: Magnitudes that tables are worked out for.
LARGEST_TABLED = 1023


def export(run: Path, out: Path) -> None:
    """Write networks (half precision), tables and the order of channels to one file.

    Parameters
    ----------
    run : Path
        What `gencomm.training` wrote: averaged weights.
    out : Path
    """
    with safe_open(run, "np") as file:
        state = json.loads(file.metadata()["state"])
        arrays = {name: file.get_tensor(name).astype(np.float16) for name in file.keys()}  # noqa: SIM118
    network = CompressiveAutoencoder(LAMBDAS)
    network.load_state_dict({n: torch.from_numpy(a.astype(np.float32)) for n, a in arrays.items()})
    positions = torch.linspace(0, len(LAMBDAS) - 1, LEVELS)
    with torch.no_grad():
        gains, _ = network.gains(interpolation(positions, len(LAMBDAS)))
        both = [network.prior.probabilities(gain, LARGEST_TABLED) for gain in gains]
    rows = [probabilities[:, LARGEST_TABLED:] for probabilities in both]
    tables = Tables.build(torch.cat(rows).numpy())
    # Channels go in order of their energy at the middle rate: what damage cuts off is the least.
    middle = rows[LEVELS // 2].numpy()
    energy = 2 * middle @ np.arange(middle.shape[1]) ** 2
    whole = {f"network.{name}": array for name, array in arrays.items()}
    whole["tables.frequencies"], whole["tables.reach"] = tables.frequencies, tables.reach
    whole["tables.order"] = np.argsort(-energy, kind="stable").astype(np.uint16)
    state |= {"lambdas": LAMBDAS, "shape": asdict(Shape()), "fine": Shape().fine}
    save_file(whole, out, {"state": json.dumps(state)})


if __name__ == "__main__":
    export(Path(sys.argv[1]), Path(sys.argv[2]))

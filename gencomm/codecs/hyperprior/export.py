"""From a training run's weights to the file that the codec reads.

``python -m gencomm.codecs.hyperprior.export RUN/weights.safetensors OUT.safetensors ["history"]``
"""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch

from gencomm.bitstream import conditional as bits
from gencomm.bitstream.exact import fixed_bias
from gencomm.bitstream.tables import Tables
from gencomm.codecs.cae.export import fixed, load_run, pack
from gencomm.codecs.cae.network import DEVIATION
from gencomm.codecs.cae.recipe import LAMBDAS
from gencomm.codecs.hyperprior.network import Hyperprior
from gencomm.nn.gains import interpolation

#: Units, spans and bases are stored for so many rates in equal steps over the trained range; the
#: nearest serves: neighbours differ by 3 % in gain.
LEVELS = 61

#: Octaves of scale that a channel has tables for, below its smallest base and above its largest.
BELOW, ABOVE = 4, 7

#: What a bit saved counts when an encoder rounds a symbol, of a whole one: the networks were
#: trained with plain rounding, and later symbols' means and scales suffer from more. From 0.1 to
#: 0.2 it lowers rate + lambda x error by 0.6 % on pictures of validation, at all rates.
SAVING = 0.12

#: Tables of smaller scales than give zero this probability are left out: they save nothing.
CERTAIN = 1 - 2.0**-12


def conditional_arrays(network: Hyperprior) -> dict[str, np.ndarray]:
    """The integers of `gencomm.bitstream.conditional.ConditionalTables`, from trained parameters.

    The networks' weights are not among them: their integers are made of the half-precision
    numbers in the file, which is exact.
    """
    model, rates = network.context, len(network.lambdas)
    weight = interpolation(torch.linspace(0, rates - 1, LEVELS), rates).double()
    gain = network.gains(weight.float())[0].double().numpy()
    span = gain * model.typical.double().numpy()
    scale = np.exp((weight @ model.log_base.double()).numpy()) * gain
    position = bits.PER_OCTAVE * np.log2(scale)
    first = np.floor(position.min(0)).astype(int) - BELOW * bits.PER_OCTAVE
    last = np.floor(position.max(0)).astype(int) + ABOVE * bits.PER_OCTAVE
    rows = _rows(network, first, last)
    for channel, found in enumerate(rows):
        certain = sum(1 for row in found[:-1] if row[0] > CERTAIN)
        rows[channel], first[channel] = found[certain:], first[channel] + certain
    tables = Tables.build([row for found in rows for row in found])
    arrays = {
        "unit": fixed(1 / span, bits.UNIT_BITS, bits.MAX_UNIT).astype(np.uint32),
        "span": fixed(span, bits.SPAN_BITS, bits.MAX_SPAN).astype(np.uint32),
        "base": fixed(position, bits.STEP_BITS, 2**40).astype(np.int64),
        "worth": _worth(network, weight).astype(np.float32),
        "first": first.astype(np.int16),
        "count": np.array([len(found) for found in rows], np.int16),
        "frequencies": tables.frequencies,
        "reach": tables.reach,
    }
    for kind, groups in (("coarse", model.coarse), ("fine", model.fine)):
        for number, group in enumerate(groups):
            added = weight @ group.head.rate.weight.double().T
            arrays[f"rate.{kind}.{number}"] = fixed_bias(added.numpy()).astype(np.int32)
    for number, group in enumerate(model.coarse):
        linear = fixed(group.linear.double(), bits.LINEAR_BITS, bits.MAX_LINEAR)
        arrays[f"linear.coarse.{number}"] = linear.astype(np.int32)
    return arrays


def _worth(network: Hyperprior, weight: torch.Tensor) -> np.ndarray:
    """What an encoder gives for less error: bits a squared step, (levels, channels)."""
    inverse = network.gains(weight.float())[1].double().numpy()
    lambdas = np.exp(weight.numpy() @ np.log(network.lambdas))
    # The transforms are nearly orthonormal: a squared error of one in a latent is about one in
    # the sum over the picture's three planes.
    return lambdas[:, None] * (DEVIATION * inverse) ** 2 / 3 / SAVING


def _rows(network: Hyperprior, first: np.ndarray, last: np.ndarray) -> list[list[np.ndarray]]:
    """Probabilities of each channel at each step of scale from first to last."""
    steps = [[] for _ in first]
    for k in range(int((last - first).max()) + 1):
        middle = np.minimum(first + k, last) + 0.5
        scales = torch.tensor(2 ** (middle / bits.PER_OCTAVE))
        found = network.prior.probabilities(scales)
        for channel, row in enumerate(found):
            if first[channel] + k <= last[channel]:
                steps[channel].append(row.numpy())
    return steps


def pack_hyperprior(network: Hyperprior, state: dict, out: Path) -> None:
    """Write a trained network as the file that the codec reads."""
    pack(network, state | {"groups": asdict(network.groups)}, out, conditional_arrays)


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
    pack_hyperprior(*load_run(Hyperprior(LAMBDAS), run, history), out)


if __name__ == "__main__":
    export(Path(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:4])

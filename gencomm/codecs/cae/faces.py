"""The same autoencoder for aligned faces of 64x64 pixels, at lower rates.

Networks and entropy model are those of `gencomm.codecs.cae.network`; that faces are aligned is used
once: every latent has a mean and a scale of its own at each place (`gencomm.nn.context.Places`).
Training begins from the weights for photographs that come with the package.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from gencomm.codecs.cae.network import CompressiveAutoencoder
from gencomm.codecs.cae.recipe import LAMBDAS, CAERecipe
from gencomm.nn.gains import interpolation
from gencomm.nn.losses import squared_error
from gencomm.weights import load_weights

SIDE = 64

#: Of the recipe and of its weights.
NAME = "cae_faces64"

#: As `LAMBDAS`, for 300 to 1,700 bits a face.
FACE_LAMBDAS = tuple(float(value) for value in np.geomspace(0.0002, 0.0036, 4).round(7))

#: Faces that an evaluation codes at a time.
PART = 50

CARD = """
The compressive autoencoder `cae` for aligned faces of 64x64 pixels, at 300 to 1,700 bits each: the
entropy-coded counterpart of `ncode_joint`. Networks and entropy model are those for photographs;
each latent also has a mean and a scale at each place. Trained on rate + lambda x mean squared
error. The file holds encoder, decoder and gains in half precision, and the entropy coder's tables
in integers.

## Data and terms
23,802 faces of 5,720 persons from CelebA (Liu, Luo, Wang and Tang 2015), reduced to 64x64, none of
them in the validation and test sets. CelebA is for non-commercial research only: use these weights
so, too. Training began from the weights for photographs; see their card.
"""


class FaceRecipe(CAERecipe):
    """Rate + lambda x mean squared error on aligned faces."""

    train_set, validation_set, monitor_set = "faces64.npz", "faces64.npz", ""
    train_split, validation_split = "train", "validation"
    validation_count, start_crops = 200, 512
    card = CARD
    #: For the card: entropy-coded streams are measured without errors.
    measured = tuple(f"cae(quality={q},weights={NAME})" for q in (0, 25, 50, 75, 100))
    measured_bers = (0.0,)
    names = (NAME,)
    learning_rate, warmup, ema = 1e-3, 100, 0.999

    def __init__(self) -> None:
        super().__init__()
        self.lambdas, self.side, self.batch = FACE_LAMBDAS, SIDE, 24

    def network(self) -> CompressiveAutoencoder:
        """A fresh network."""
        return CompressiveAutoencoder(FACE_LAMBDAS, side=SIDE)

    def start(self, network: nn.Module, crops: Tensor) -> None:
        """Take the weights for photographs, and means and scales of places from faces."""
        assert isinstance(network, CompressiveAutoencoder)
        from_photographs(network)
        calibrate(network, crops.float())

    def group_of(self, name: str, dimensions: int) -> str:
        """Means of places move like the linear path that they belong to, scales like the rate."""
        parts = name.split(".")
        if parts[0] == "places":
            return "linear" if parts[1].startswith("mean") else "rate"
        return super().group_of(name, dimensions)

    @torch.no_grad()
    def evaluate(self, network: nn.Module, pictures: list[np.ndarray]) -> dict[str, Any]:
        """Estimated bits per pixel and PSNR at each rate; the score is the mean log of the loss."""
        device = next(network.parameters()).device
        points = []
        for position, value in enumerate(self.lambdas):
            rates, errors = [], []
            for at in range(0, len(pictures), PART):
                x = torch.from_numpy(np.stack(pictures[at : at + PART])).float().to(device)
                with torch.autocast(device.type, torch.bfloat16):
                    out, bits = network(x, torch.full((len(x),), float(position), device=device))
                rates.append(bits / (SIDE * SIDE))
                errors.append(squared_error(out, x))
            bpp, error = torch.cat(rates), torch.cat(errors)
            psnr = (10 * (255**2 / error).log10()).mean().item()
            loss = (bpp + value * error).mean().item()
            points.append({"bpp": bpp.mean().item(), "psnr": psnr, "loss": loss})
        score = float(np.mean([math.log(point["loss"]) for point in points]))
        return {"score": score, "points": points}


@torch.no_grad()
def from_photographs(network: CompressiveAutoencoder) -> None:
    """Load the weights for photographs; what belongs to a rate is inter- or extrapolated."""
    arrays = load_weights("cae").part("network")
    state = {name: torch.from_numpy(array.astype(np.float32)) for name, array in arrays.items()}
    span = math.log(LAMBDAS[-1] / LAMBDAS[0]) / (len(LAMBDAS) - 1)
    position = torch.tensor([math.log(v / LAMBDAS[0]) / span for v in network.lambdas])
    inside = interpolation(position, len(LAMBDAS))
    beyond = torch.minimum(position, torch.zeros(()))[:, None]
    for name, value in state.items():
        if name.startswith("gains.") or name == "context.log_base":
            # Logarithms go on below the lowest rate as they do from the second to it.
            state[name] = inside @ value + beyond * (value[1] - value[0])
        elif name.endswith(".rate.weight"):
            state[name] = value @ inside.T
    places = {n: v for n, v in network.state_dict().items() if n.startswith("places.")}
    network.load_state_dict(state | places)


@torch.no_grad()
def calibrate(network: CompressiveAutoencoder, x: Tensor) -> None:
    """Take means and scales of places from faces, float (batch, 3, SIDE, SIDE), 0 to 255.

    The entropy model goes on from where it was: its typical magnitudes become those of what the
    means leave, and it gives up the share of the scale that places now bring.
    """
    assert network.places is not None
    left = network.places.calibrate(*network.encoder(network.normalise(x)))
    context, before = network.context, network.context.typical.clone()
    context.calibrate(*left)
    network.prior.log_scale += (context.typical / before).log()[:, None]
    kept = math.log(1 - network.places.SHARE)
    for weights in (context.log_base, context.log_same, context.log_near, context.log_own):
        weights += kept

"""How the compressive autoencoder is trained."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from gencomm.codecs.cae.network import STRIDE, CompressiveAutoencoder
from gencomm.nn.losses import LEAST_SIDE, ms_ssim, squared_error

#: Weights of the mean squared error (8-bit units) against bits per pixel, ascending.
LAMBDAS = tuple(float(value) for value in np.geomspace(0.0009, 0.045, 6).round(6))

#: Weights of 1 - MS-SSIM that lead to about the same rates.
MS_SSIM_LAMBDAS = tuple(float(value) for value in np.geomspace(2, 160, 6).round(3))


#: Channels in use at the start of incremental training (Theis et al. 2017, section 3.2).
FIRST_CHANNELS = 2

#: What learned codecs are trained on here, for their cards.
DATA = """
## Data and terms
2,744 photographs (182 Mpixel), each reduced from its source: ImageNet (one a class), Flickr8k,
PASCAL VOC and BSDS500 train and val. Their terms allow research use (Flickr8k and PASCAL VOC also
under Flickr's, non-commercial; BSDS500 non-commercial research and education), so use these
weights for research. Validated on 40 photographs of BSDS500 test. The Kodak pictures were never
trained on nor selected by; a picture hash found no near-copies of them in the training set.
"""

CARD = f"""
A compressive autoencoder after Theis, Shi, Cunningham and Huszar (2017), with an overlapped linear
transform beside the residual blocks, latents at 1/8 and 1/16 of the resolution, one network for
all rates, and a Gaussian scale mixture whose scale follows from magnitudes decoded before. Trained
on rate + lambda x mean squared error. The file holds encoder, decoder and gains in half precision,
and the entropy coder's tables in integers.
{DATA}"""


class CAERecipe:
    """Rate + lambda x distortion, all rates in one network.

    Each crop of a batch draws its rate uniformly on a logarithmic scale of lambda. Its loss is
    divided by the square root of lambda: the optimum of rate + lambda x error grows about as
    fast, and without the division the high rates would take nearly all of the gradient.

    Parameters
    ----------
    distortion : str
        "mse", the mean squared error, or "ms_ssim", 1 - MS-SSIM.
    incremental : int
        Steps after which one more channel of latents is enabled, lowest frequencies first, until
        all are (Theis et al. 2017, section 3.2); the others are zero till then, and cost nothing.
        The paper enables the next when improvement slows down; a fixed number of steps makes a
        resumed run the same as an uninterrupted one. 0, the default, has all from the start: the
        linear path starts as a working transform, so that there is no order to be found first.
    """

    train_set, validation_set, monitor_set = "photos.npz", "photos_val.npz", "kodak.npz"
    card = CARD
    #: Of runs with either distortion.
    names = ("cae", "cae_ms_ssim")
    learning_rate, warmup, clip_norm, ema = 1e-3, 200, 1.0, 0.9995
    #: The linear path starts near its optimum and feels a large step most; the rate model and
    #: the gains are few, far from theirs, and have gradients of their own scale.
    factors = {"linear": 0.2, "rate": 5.0}  # noqa: RUF012

    def __init__(self, distortion: str = "mse", incremental: int = 0):
        if incremental < 0:
            raise ValueError(f"incremental must be 0 or more steps, got {incremental}")
        self.incremental = incremental
        if distortion not in ("mse", "ms_ssim"):
            raise ValueError(f"distortion is mse or ms_ssim, not {distortion!r}")
        self.distortion = distortion
        if distortion == "mse":
            self.name, self.lambdas, self.side, self.batch = self.names[0], LAMBDAS, 128, 8
        else:  # five scales need larger crops
            self.name, self.lambdas, self.side, self.batch = self.names[1], MS_SSIM_LAMBDAS, 176, 4

    def network(self) -> CompressiveAutoencoder:
        """A fresh network."""
        return CompressiveAutoencoder(LAMBDAS)

    def start(self, network: nn.Module, crops: Tensor) -> None:
        """Measure the latents' deviations for the rate model."""
        assert isinstance(network, CompressiveAutoencoder)
        network.calibrate(crops.float())

    def groups(self, network: nn.Module) -> list[dict[str, Any]]:
        """Parameters by `group_of`, matrices marked."""
        # Checkpoints number the optimiser's state in this order.
        order = ("linear", "rate", "matrices", "rest")
        groups: dict[str, list[nn.Parameter]] = {name: [] for name in order}
        for name, parameter in network.named_parameters():
            groups.setdefault(self.group_of(name, parameter.ndim), []).append(parameter)
        return [
            {
                "params": members,
                "factor": self.factors.get(name, 1.0),
                "matrices": name in ("matrices", "context"),
            }
            for name, members in groups.items()
        ]

    def group_of(self, name: str, dimensions: int) -> str:
        """The linear path, the rate model with the gains, other convolutions, or the rest."""
        parts = name.split(".")
        if parts[0] in ("gains", "prior", "context"):
            return "rate"
        if parts[1] in ("linear", "split", "merge"):
            return "linear"
        return "matrices" if dimensions == 4 else "rest"

    def before_step(self, network: nn.Module, step: int) -> None:
        """Enable the channels that are in use at a step."""
        if self.incremental:
            assert isinstance(network, CompressiveAutoencoder)
            whole = network.shape.coarse + network.shape.fine
            network.enabled = min(FIRST_CHANNELS + step // self.incremental, whole)

    def loss(
        self, network: nn.Module, crops: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, dict[str, float]]:
        """Weighted mean of rate + lambda x distortion over a batch."""
        lambdas = self.lambdas
        top = len(lambdas) - 1
        position = torch.rand(len(crops), generator=generator, device=crops.device) * top
        weight = math.log(lambdas[0]) + position / top * math.log(lambdas[-1] / lambdas[0])
        weight = weight.exp()
        x = crops.float()
        with torch.autocast(x.device.type, torch.bfloat16):
            out, bits = network(x, position, generator)
        error = self._error(out, x)
        bpp = bits / (x.shape[2] * x.shape[3])
        loss = ((bpp + weight * error) * (weight / lambdas[len(lambdas) // 2]).rsqrt()).mean()
        with torch.no_grad():
            psnr = 10 * torch.log10(255**2 / squared_error(out, x).clamp_min(1e-4)).mean()
        shown = {"loss": loss, "bpp": bpp.mean(), self.distortion: error.mean(), "psnr": psnr}
        return loss, {name: value.item() for name, value in shown.items()}

    def _error(self, out: Tensor, x: Tensor) -> Tensor:
        return squared_error(out, x) if self.distortion == "mse" else 1 - ms_ssim(out, x)

    @torch.no_grad()
    def evaluate(self, network: nn.Module, pictures: list[np.ndarray]) -> dict[str, Any]:
        """Estimated bits per pixel, PSNR and MS-SSIM at each rate; the score is the mean log of
        the loss. MS-SSIM is left out where a picture is too small for it.
        """
        points = []
        large = min(min(picture.shape[1:]) for picture in pictures) // STRIDE * STRIDE >= LEAST_SIDE
        for position, value in enumerate(self.lambdas):
            rows = []
            for picture in pictures:
                x, out, bits = _code(network, picture, position)
                bpp = bits.item() / (x.shape[2] * x.shape[3])
                row = {"bpp": bpp, "psnr": 10 * math.log10(255**2 / squared_error(out, x).item())}
                if large:
                    row["ms_ssim"] = ms_ssim(out, x).item()
                rows.append(row | {"loss": bpp + value * self._error(out, x).item()})
            points.append({name: float(np.mean([r[name] for r in rows])) for name in rows[0]})
        score = float(np.mean([math.log(point["loss"]) for point in points]))
        return {"score": score, "points": points}

    @torch.no_grad()
    def sheet(self, network: nn.Module, pictures: list[np.ndarray]) -> np.ndarray:
        """Pictures in rows: the original, then the lowest, a middle and the highest rate."""
        rows = []
        for picture in pictures:
            tiles = [picture]
            for position in (0, 2, len(network.lambdas) - 1):
                out = _code(network, picture, position)[1]
                tiles.append(out[0].round().byte().cpu().numpy())
            rows.append(np.concatenate(tiles, 2))
        return np.concatenate(rows, 1).transpose(1, 2, 0)


def _code(network: nn.Module, picture: np.ndarray, position: int) -> tuple[Tensor, Tensor, Tensor]:
    """Crop to a multiple of the stride and code: original, reconstruction, bits."""
    device = next(network.parameters()).device
    height, width = (side // STRIDE * STRIDE for side in picture.shape[1:])
    x = torch.from_numpy(np.ascontiguousarray(picture[None, :, :height, :width])).float().to(device)
    with torch.autocast(device.type, torch.bfloat16):
        out, bits = network(x, torch.full((1,), float(position), device=device))
    return x, out, bits


def recipe(distortion: str = "mse", domain: str = "photographs", incremental: int = 0) -> CAERecipe:
    """The recipe for photographs, or for aligned faces.

    Parameters
    ----------
    distortion : {"mse", "ms_ssim"}
    domain : {"photographs", "faces"}
    incremental : int
        Of `CAERecipe`.

    Raises
    ------
    ValueError
        No such distortion or domain, or one that the others can't go with.
    """
    if domain == "photographs":
        return CAERecipe(distortion, incremental)
    if domain != "faces":
        raise ValueError(f"domain is photographs or faces, not {domain!r}")
    if distortion != "mse":
        raise ValueError("faces of 64x64 pixels are too small for MS-SSIM: distortion is mse")
    if incremental:
        raise ValueError("faces begin from weights of photographs: incremental is for those")
    from gencomm.codecs.cae.faces import FaceRecipe

    return FaceRecipe()

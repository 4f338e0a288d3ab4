"""How the generative code is trained."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from gencomm.codecs.generative.allocation import CELL, LEAST, MOST
from gencomm.codecs.generative.network import GenerativeCode, Sizes
from gencomm.nn.adversarial import PatchDiscriminator, adversarial_losses
from gencomm.nn.conditions import random_ber
from gencomm.nn.losses import ms_ssim, squared_error
from gencomm.nn.perceptual import LPIPS
from gencomm.weights import load_weights

CARD = """
A fixed-length code for photographs: a convolutional transform, one vector for each 32x32 pixels
whose values have fixed numbers of bits (finite scalar quantisation, Gray labels; leading bits of
the largest values are sent three times), and a decoder that is told the rate and the bit error
rate. One network for all rates from 0.05 to 0.5 bits per
pixel; the transform began from the weights of `cae`.

## Data and terms
2,744 photographs (182 Mpixel), each reduced from its source: ImageNet (one a class), Flickr8k,
PASCAL VOC and BSDS500 train and val. Their terms allow research use (Flickr8k and PASCAL VOC also
under Flickr's, non-commercial; BSDS500 non-commercial research and education), so use these
weights for research. Validated on 40 photographs of BSDS500 test. The Kodak pictures were never
trained on nor selected by; a picture hash found no near-copies of them in the training set.
"""

#: What validation measures: bits of a cell, for about 0.05, 0.15, 0.25 and 0.5 bits per pixel, and
#: the bit error rate; and on how many pictures.
POINTS = ((48, 0.0), (152, 0.0), (152, 1e-2), (152, 5e-2), (253, 0.0), (510, 0.0), (510, 5e-2))
PICTURES = 10

#: Where this network's rates lie on the axis of cae's.
CAE_RATES = (0.0, 0.0, 0.7, 1.8, 3.0)

#: Weights of the losses. Root mean squared error counts in 8-bit units: its derivative is the
#: same at each rate where errors are large as where they are small.
ERROR_WEIGHT, SIMILARITY_WEIGHT = 0.1, 4.0

#: In the perceptual phase.
PERCEPTUAL_WEIGHT, ADVERSARIAL_WEIGHT, DISCRIMINATOR_WEIGHT = 2.0, 0.03, 0.1


#: At the end of the names of runs that never met an error, whose bits are laid out for none.
PLAIN = "_plain"


def sizes(name: str) -> Sizes:
    """Of the network that a run of that name trains."""
    return Sizes(design_ber=0.0) if name.endswith(PLAIN) else Sizes()


class _Training(nn.Module):
    """The code, and in the perceptual phase the discriminator beside it."""

    def __init__(self, sizes: Sizes, adversarial: bool):
        super().__init__()
        self.code = GenerativeCode(sizes)
        self.discriminator = PatchDiscriminator() if adversarial else None

    def load_state_dict(self, state_dict: Mapping[str, Tensor], *args: Any, **keywords: Any) -> Any:
        """Also from the code's weights alone, a phase's before or a shipped file's."""
        if not any(name.startswith("code.") for name in state_dict):
            state_dict = {f"code.{name}": value for name, value in state_dict.items()}
        if not any(name.startswith("discriminator.") for name in state_dict):
            own = self.state_dict().items()
            fresh = {name: value for name, value in own if name.startswith("discriminator.")}
            state_dict = {**state_dict, **fresh}
        return super().load_state_dict(state_dict, *args, **keywords)


class GenerativeRecipe:
    """Distortion first, then distortion, perceptual and adversarial loss together.

    Each step draws one budget of bits, uniform on a logarithmic scale, and each picture a bit
    error rate; one picture in eight comes to a decoder that is not told.

    Parameters
    ----------
    phase : str
        "distortion", or "perceptual", which goes on from the weights of the former.
    aware : str
        "yes", or "no": no bit is ever flipped in training, and none is sent more than once.
    start : str
        "cae": the transform begins from trained weights; "dct": from a block DCT.
    """

    train_set, validation_set, monitor_set = "photos.npz", "photos_val.npz", "kodak.npz"
    card = CARD
    #: What the card measures.
    measured = tuple(f"generative(bpp={bpp:g})" for bpp in (0.05, 0.1, 0.15, 0.25, 0.4, 0.5))
    side, batch = 192, 4
    learning_rate, warmup, clip_norm, ema = 5e-4, 100, 1.0, 0.9995
    #: The transform's linear path is near its optimum; gains have gradients of their own scale.
    factors = {"linear": 0.2, "gains": 2.0, "discriminator": 0.3}  # noqa: RUF012

    def __init__(self, phase: str = "distortion", aware: str = "yes", start: str = "cae"):
        for name, value, choices in (
            ("phase", phase, ("distortion", "perceptual")),
            ("aware", aware, ("yes", "no")),
            ("start", start, ("cae", "dct")),
        ):
            if value not in choices:
                raise ValueError(f"{name} is {' or '.join(choices)}, not {value!r}")
        self.adversarial, self.aware, self.begin = phase == "perceptual", aware == "yes", start
        self.name = f"generative{'_perceptual' * self.adversarial}{PLAIN * (not self.aware)}"
        self.lpips = LPIPS() if self.adversarial else None

    def network(self) -> nn.Module:
        """A fresh network."""
        return _Training(sizes(self.name), self.adversarial)

    def start(self, network: nn.Module, crops: Tensor) -> None:
        """Begin from a working transform, and let cells carry its strongest latents."""
        code = network.code
        importance = None
        if self.begin == "cae":
            importance = code.adopt(load_weights("cae").part("network"), CAE_RATES)
        code.calibrate(crops.float(), importance)

    def groups(self, network: nn.Module) -> list[dict[str, Any]]:
        """The linear paths, the gains, other convolutions, the discriminator, and the rest."""
        groups: dict[str, list[nn.Parameter]] = {
            name: [] for name in ("linear", "gains", "matrices", "discriminator", "rest")
        }
        for name, parameter in network.named_parameters():
            parts = name.split(".")
            if parts[0] == "discriminator":
                groups["discriminator"].append(parameter)
            elif parts[1] == "gains":
                groups["gains"].append(parameter)
            elif parts[2] in ("linear", "split", "merge"):
                groups["linear"].append(parameter)
            else:
                groups["matrices" if parameter.ndim == 4 else "rest"].append(parameter)
        return [
            {
                "params": members,
                "factor": self.factors.get(name, 1.0),
                "matrices": name == "matrices",
            }
            for name, members in groups.items()
            if members
        ]

    def loss(
        self, network: nn.Module, crops: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, dict[str, float]]:
        """Weighted sum of the losses over a batch."""
        x = crops.float()
        device, count = x.device, len(x)
        draw = torch.rand((), generator=generator, device=device).item()
        budget = round(LEAST * (MOST / LEAST) ** draw)
        if self.aware:
            ber = random_ber(count, generator, device)
            told = torch.rand(count, generator=generator, device=device) >= 0.125
        else:
            ber = torch.zeros(count, device=device)
            told = torch.ones(count, dtype=torch.bool, device=device)
        with torch.autocast(device.type, torch.bfloat16):
            out = network.code(x, budget, ber, told, generator)
        error = squared_error(out, x)
        similarity = ms_ssim(out, x)
        loss = (ERROR_WEIGHT * (error + 1).sqrt() + SIMILARITY_WEIGHT * (1 - similarity)).mean()
        shown = {"rmse": error.sqrt().mean(), "ms_ssim": similarity.mean()}
        if self.adversarial:
            with torch.autocast(device.type, torch.bfloat16):
                seen = self.lpips(out, x).mean()
                pair = network.code.normalise(x), network.code.normalise(out)
                deceive, tell = adversarial_losses(network.discriminator, *pair)
            loss = loss + PERCEPTUAL_WEIGHT * seen + ADVERSARIAL_WEIGHT * deceive
            shown |= {"lpips": seen, "deceive": deceive, "tell": tell}
            loss = loss + DISCRIMINATOR_WEIGHT * tell
        shown["loss"] = loss
        return loss, {name: value.item() for name, value in shown.items()}

    @torch.no_grad()
    def evaluate(self, network: nn.Module, pictures: list[np.ndarray]) -> dict[str, Any]:
        """PSNR and MS-SSIM at each budget and bit error rate; the score is the distortion loss.

        Errors are drawn from a generator of their own: the same in each evaluation.
        """
        points = []
        for budget, rate in POINTS if self.aware else [p for p in POINTS if not p[1]]:
            generator = torch.Generator(next(network.parameters()).device).manual_seed(0)
            rows = []
            for picture in pictures[:PICTURES]:
                x, out = _send(network.code, picture, budget, rate, generator)
                error, similarity = squared_error(out, x).item(), ms_ssim(out, x).item()
                loss = ERROR_WEIGHT * math.sqrt(error + 1) + SIMILARITY_WEIGHT * (1 - similarity)
                rows.append((10 * math.log10(255**2 / max(error, 1e-9)), similarity, loss))
            means = np.mean(rows, 0).tolist()
            point = dict(zip(("psnr", "ms_ssim", "loss"), means, strict=True))
            points.append({"bpp": budget / CELL**2, "ber": rate, **point})
        return {"score": float(np.mean([point["loss"] for point in points])), "points": points}

    @torch.no_grad()
    def sheet(self, network: nn.Module, pictures: list[np.ndarray]) -> np.ndarray:
        """Pictures in rows: the original, three rates clean, and the middle one at 5e-2."""
        rows = []
        for picture in pictures:
            generator = torch.Generator(next(network.parameters()).device).manual_seed(0)
            tiles = []
            for budget, rate in ((48, 0.0), (152, 0.0), (510, 0.0), (152, 5e-2)):
                x, out = _send(network.code, picture, budget, rate, generator)
                if not tiles:
                    tiles.append(x[0].byte().cpu().numpy())
                tiles.append(out[0].round().byte().cpu().numpy())
            rows.append(np.concatenate(tiles, 2))
        return np.concatenate(rows, 1).transpose(1, 2, 0)


def _send(
    code: GenerativeCode, picture: np.ndarray, budget: int, rate: float, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Crop to whole cells and send: original, what arrives."""
    device = next(code.parameters()).device
    height, width = (side // CELL * CELL for side in picture.shape[1:])
    x = torch.from_numpy(np.ascontiguousarray(picture[None, :, :height, :width])).float().to(device)
    with torch.autocast(device.type, torch.bfloat16):
        out = code(x, budget, torch.full((1,), rate, device=device), generator=generator)
    return x, out


recipe = GenerativeRecipe

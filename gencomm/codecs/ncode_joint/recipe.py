"""How the joint code is trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gencomm.codecs.faces import SIDE
from gencomm.codecs.ncode_joint.network import JointCode
from gencomm.codecs.ncode_joint.points import DESIGNS, RATES
from gencomm.codecs.ncode_joint.start import begin
from gencomm.nn.adversarial import PatchDiscriminator, adversarial_losses
from gencomm.nn.losses import squared_error
from gencomm.nn.perceptual import LPIPS

CARD = """
A fixed-length code for aligned faces of 64x64 pixels, 256, 512 or 1024 bits each: principal
values, dealt to groups of a few; 256 vectors for each group, one byte; the posterior mean of the
values given the bytes that arrived and the bit error rate; a picture made of it by the same
principal components; and a convolutional network that corrects the picture, told the rate, the
error rate, what the code was designed for, and where in the face it is. Vectors were found by
Lloyd's method through a channel that flips bits, then trained together with the network.

## Data and terms
23,802 faces of 5,720 persons from CelebA (Liu, Luo, Wang and Tang 2015), reduced to 64x64, none of
them in the validation and test sets. CelebA is for non-commercial research only: use these weights
so, too. No picture can be had from the file; its principal components are statistics of faces.

## What was tried
Equal minutes on one core, PSNR without errors on 400 validation faces at 512 bits. Principal values
with scalar quantisers and Gray labels: 23.26. With vectors of a byte for groups of five values,
designed from a noisy channel down: 23.67. Then, after 150 s: the correction network, 96 channels,
24.12, and with a larger learning rate 24.23; 160 channels 23.80; orthogonalised steps 23.77; dense
layers before and behind the code nothing; a convolutional encoder with gradients passed straight
through the quantiser nothing. Vectors of 12 bits gained nothing within their time. The encoder's
search gains 0.15 to 0.25 dB without training; trained with it in all pictures, the code diverges.
Labels that training led to are no better than natural ones for the code designed without errors.
"""

#: Weights of the perceptual phase's losses beside the logarithm of the error.
PERCEPTUAL_WEIGHT, ADVERSARIAL_WEIGHT = 4.0, 0.05

#: What validation measures: bits, design, bit error rate.
POINTS = (
    (512, 0.0, 0.0),
    (512, 0.0, 1e-2),
    (512, 0.01, 0.0),
    (512, 0.01, 1e-2),
    (512, 0.05, 0.0),
    (512, 0.05, 1e-2),
    (512, 0.05, 5e-2),
    (512, 0.05, 1e-1),
    (256, 0.0, 0.0),
    (1024, 0.0, 0.0),
)

#: What the card measures: bits, design, and further options.
MEASURED = (
    (256, 0.0, ""),
    (512, 0.0, ""),
    (1024, 0.0, ""),
    (512, 0.01, ""),
    (256, 0.05, ""),
    (512, 0.05, ""),
    (1024, 0.05, ""),
    (512, 0.0, ", search=0"),
    (512, 0.0, ", search=4"),
    (512, 0.01, ", search=4"),
    (512, 0.05, ", search=4"),
    (512, 0.0, ", know_ber=false"),
    (512, 0.0, ", labels=gray"),
    (512, 0.0, ", labels=natural"),
)

#: Shares of the rates in training.
SHARES = (0.2, 0.5, 0.3)

#: A batch is cut into so many parts, each with a rate, a design and an error rate of its own.
PARTS = 4

#: Share of parts without errors, by design, and the range of error rates of the others.
CLEAN, LOWEST, HIGHEST = {0.0: 0.6, 0.01: 0.3, 0.05: 0.2}, 1e-3, 0.15

#: Share of parts whose decoder is not told the error rate.
UNTOLD = 0.1

#: Standard deviations of the changes that training pictures undergo: turning (radians), scale,
#: shift (of half a side), and brightness as a whole and of each colour. Seven in ten are moved.
TURN, SCALE, SHIFT, LIGHT, TINT, MOVED = 0.02, 0.015, 0.012, 0.05, 0.03, 0.7


class JointTraining(nn.Module):
    """The code, and the discriminator beside it."""

    def __init__(self) -> None:
        super().__init__()
        self.code, self.discriminator = JointCode(), PatchDiscriminator()

    def load_state_dict(self, state_dict: Mapping[str, Tensor], *args: Any, **keywords: Any) -> Any:
        """Also from the code's weights alone, as the distortion phase leaves them."""
        if not any(name.startswith("code.") for name in state_dict):
            own = self.discriminator.state_dict()
            state_dict = {f"code.{name}": value for name, value in state_dict.items()}
            state_dict |= {f"discriminator.{name}": value for name, value in own.items()}
        return super().load_state_dict(state_dict, *args, **keywords)


class JointRecipe:
    """Distortion first; then distortion, perceptual and adversarial loss together.

    Distortion is the logarithm of each picture's mean squared error, whose mean is what a mean
    PSNR measures.

    Parameters
    ----------
    phase : str
        "distortion", or "perceptual", which goes on from the weights of the former.
    encoder : str
        "linear": principal values are quantised as they are; "mixed": for half of the parts of a
        batch the encoder allows for what the decoder will add. For all of them it can't: whatever
        the decoder added, the encoder would subtract, and nothing would hold either (tried: the
        correction grew tenfold in 500 steps).
    """

    train_set = validation_set = "faces64.npz"
    train_split, validation_split = "train", "validation"
    monitor_set = ""
    card = CARD
    side, batch = SIDE, 64
    #: Pictures that the start is found from, and how many validation measures.
    start_crops, validation_count = 23802, 200
    learning_rate, warmup, clip_norm, ema = 2e-3, 100, 1.0, 0.998
    factors = {  # noqa: RUF012
        "codes": 0.3,
        "decoder": 1.0,
        "discriminator": 1.0,
    }

    def __init__(self, phase: str = "distortion", encoder: str = "linear"):
        for name, value, choices in (
            ("phase", phase, ("distortion", "perceptual")),
            ("encoder", encoder, ("linear", "mixed")),
        ):
            if value not in choices:
                raise ValueError(f"{name} is {' or '.join(choices)}, not {value!r}")
        self.mixed, self.adversarial = encoder == "mixed", phase == "perceptual"
        self.name = "ncode_joint_perceptual" if self.adversarial else "ncode_joint"
        weights = f", weights={self.name}" if self.adversarial else ""
        #: What the card measures.
        self.measured = [
            f"ncode_joint(bits={bits}, design_ber={design:g}{more}{weights})"
            for bits, design, more in MEASURED
        ]
        if self.adversarial:
            self.learning_rate = 5e-4
        self.lpips = LPIPS() if self.adversarial else None

    def network(self) -> nn.Module:
        """A fresh network."""
        return JointTraining() if self.adversarial else JointCode()

    def start(self, network: nn.Module, crops: Tensor) -> None:
        """Find principal components and vectors."""
        begin(_code(network), crops)

    def groups(self, network: nn.Module) -> list[dict[str, Any]]:
        """Vectors, the decoder, and the discriminator, if there is one."""
        groups: dict[str, list[nn.Parameter]] = {name: [] for name in self.factors}
        for name, parameter in network.named_parameters():
            kind = name.removeprefix("code.").partition(".")[0]
            groups[kind].append(parameter)
        return [
            {"params": members, "factor": self.factors[name]}
            for name, members in groups.items()
            if members
        ]

    def loss(
        self, network: nn.Module, crops: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, dict[str, float]]:
        """Mean logarithm of the error over a batch."""
        code, x = _code(network), augment(crops.float(), generator)
        values = code.basis.analyse(x)
        draws = [self._draw(generator, x.device) for _ in range(PARTS)]
        if self.mixed:
            half = PARTS // 2
            points = [(bits, design) for bits, design, _, _ in draws[:half]]
            first, rest = values.chunk(2)
            values = torch.cat([*aim(code, first.chunk(half), points), rest])
        parts = list(zip(values.chunk(PARTS), draws, strict=True))
        arrived = [
            code.code(bits, design)(part, ber, generator, told)
            for part, (bits, design, ber, told) in parts
        ]
        known = [
            code.conditions(len(part), bits, design, ber if told else None)
            for part, (bits, design, ber, told) in parts
        ]
        with torch.autocast(x.device.type, torch.bfloat16):
            out = code.synthesise(torch.cat(arrived), torch.cat(known))
        error = squared_error(out, x)
        loss = error.log().mean()
        shown = {"log_error": loss, "rmse": error.mean().sqrt()}
        if self.lpips is not None:
            with torch.autocast(x.device.type, torch.bfloat16):
                seen = self.lpips.to(x.device)(out, x).mean()
                pair = x / 127.5 - 1, out / 127.5 - 1
                deceive, tell = adversarial_losses(network.discriminator, *pair)
            loss = loss + PERCEPTUAL_WEIGHT * seen + ADVERSARIAL_WEIGHT * deceive + tell
            shown |= {"lpips": seen, "deceive": deceive, "tell": tell}
        return loss, {name: value.item() for name, value in shown.items()}

    def _draw(
        self, generator: torch.Generator, device: torch.device
    ) -> tuple[int, float, float, bool]:
        """A rate, a design, an error rate, and whether the decoder is told."""
        draws = torch.rand(5, generator=generator, device=device).tolist()
        bits = RATES[int(np.searchsorted(np.cumsum(SHARES)[:-1], draws[0], side="right"))]
        design = DESIGNS[int(draws[1] * len(DESIGNS))]
        ber = LOWEST * (HIGHEST / LOWEST) ** draws[3] if draws[2] >= CLEAN[design] else 0.0
        return bits, design, ber, draws[4] >= UNTOLD

    @torch.no_grad()
    def evaluate(self, network: nn.Module, pictures: list[np.ndarray]) -> dict[str, Any]:
        """Mean PSNR over pictures at each of `POINTS`; the score is minus their mean.

        Errors come from a generator of their own: the same in each evaluation.
        """
        x = torch.from_numpy(np.stack(pictures)).to(next(network.parameters()).device)
        points = []
        for bits, design, ber in POINTS:
            generator = torch.Generator(x.device).manual_seed(0)
            error = torch.cat(
                [
                    squared_error(send(network, part, bits, design, ber, generator), part.float())
                    for part in x.split(100)
                ]
            )
            psnr = (10 * (255**2 / error).log10()).mean().item()
            points.append({"bits": bits, "design": design, "ber": ber, "psnr": psnr})
        return {"score": -float(np.mean([point["psnr"] for point in points])), "points": points}

    @torch.no_grad()
    def sheet(self, network: nn.Module, pictures: list[np.ndarray]) -> np.ndarray:
        """Pictures in rows: the original, 512 bits at three error rates, 256 and 1024 clean."""
        x = torch.from_numpy(np.stack(pictures)).to(next(network.parameters()).device)
        columns = [x]
        for bits, design, ber in (
            (512, 0.0, 0.0),
            (512, 0.01, 1e-2),
            (512, 0.05, 5e-2),
            (256, 0.0, 0.0),
            (1024, 0.0, 0.0),
        ):
            generator = torch.Generator(x.device).manual_seed(0)
            columns.append(send(network, x, bits, design, ber, generator).byte())
        rows = torch.cat(columns, 3).cpu().numpy()
        return np.concatenate(list(rows), 1).transpose(1, 2, 0).repeat(2, 0).repeat(2, 1)


def augment(x: Tensor, generator: torch.Generator) -> Tensor:
    """Turn, scale, shift and light pictures a little, (batch, 3, side, side), 0 to 255."""
    count, device = len(x), x.device
    normal = torch.randn(8, count, generator=generator, device=device)
    turn, scale = TURN * normal[0], 1 + SCALE * normal[1]
    cos, sin = scale * turn.cos(), scale * turn.sin()
    rows = [
        torch.stack([cos, -sin, SHIFT * normal[2]], 1),
        torch.stack([sin, cos, SHIFT * normal[3]], 1),
    ]
    moved = torch.rand(count, generator=generator, device=device) < MOVED
    grid = F.affine_grid(torch.stack(rows, 1)[moved], list(x[moved].shape), align_corners=False)
    x = x.clone()
    x[moved] = F.grid_sample(x[moved], grid, "bicubic", "reflection", align_corners=False)
    light = (1 + LIGHT * normal[4]) * (1 + TINT * normal[5:8])
    return (x * light.T[:, :, None, None]).clamp(0, 255)


def aim(
    code: JointCode, values: Sequence[Tensor], points: Sequence[tuple[int, float]]
) -> list[Tensor]:
    """One step of the encoder's search, without a gradient: see `JointCode.aim`.

    Parameters
    ----------
    code : JointCode
    values : list of float32 (batch, COUNT)
        In parts, each of a point.
    points : list of (bits, design)

    Returns
    -------
    Parts as they came, to be quantised.
    """
    sent, known = [], []
    for part, (bits, design) in zip(values, points, strict=True):
        one = code.code(bits, design)
        with torch.no_grad():
            sent.append(one.look_up(one.choose(part), design, part.shape[1]))
        known.append(code.conditions(len(part), bits, design, design))
    whole = torch.cat(list(values))
    with torch.autocast(whole.device.type, torch.bfloat16):
        aimed = code.aim(whole, torch.cat(sent), torch.cat(known))
    return list(aimed.split([len(part) for part in values]))


def send(
    network: nn.Module,
    pictures: Tensor,
    bits: int,
    design: float,
    ber: float,
    generator: torch.Generator,
) -> Tensor:
    """What arrives of uint8 pictures, rounded, float32."""
    code, x = _code(network), pictures.float()
    (values,) = aim(code, [code.basis.analyse(x)], [(bits, design)])
    values = code.code(bits, design)(values, ber, generator)
    known = code.conditions(len(x), bits, design, ber)
    with torch.autocast(x.device.type, torch.bfloat16):
        out = code.synthesise(values, known)
    return out.clamp(0, 255).round()


def _code(network: nn.Module) -> JointCode:
    """The code alone, of a network of either phase."""
    code = network.code if isinstance(network, JointTraining) else network
    assert isinstance(code, JointCode)
    return code


recipe = JointRecipe

"""How generator and encoder are trained, one after the other."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from gencomm.bitstream.labelling import Labels
from gencomm.codecs.faces import SIDE
from gencomm.codecs.ncode.card import CARD
from gencomm.codecs.ncode.discriminator import FeatureHeads, make_discriminator
from gencomm.codecs.ncode.encoder import NCode, transmit
from gencomm.codecs.ncode.generator import GENERATORS, Eigenfaces, Sizes, make_generator
from gencomm.codecs.ncode.points import LATENTS, POINTS
from gencomm.codecs.ncode_joint.recipe import PERCEPTUAL_WEIGHT
from gencomm.codecs.ncode_joint.start import fit_basis
from gencomm.nn.adversarial import gradient_penalty, non_saturating_loss
from gencomm.nn.conditions import random_ber
from gencomm.nn.kernel import kernel_distance
from gencomm.nn.losses import squared_error
from gencomm.nn.perceptual import LPIPS

#: Weight of the gradient penalty (gamma / 2), and of how many real pictures of a batch it is found.
PENALTY, PENALISED = 0.5, 4

#: Weight of the heads on features beside the discriminator of pixels.
FEATURES = 0.5

#: Share of a batch whose latents are those of training faces as the linear part has them; those of
#: the others are drawn from the law. Both are to become faces.
OWN = 0.5

#: Shares of the numbers of latents that are not at their mean, in the order of `POINTS`.
SHARES = (0.1, 0.1, 0.15, 0.25, 0.4)

#: In the encoder's stage a batch is cut into so many parts, each with a point of its own.
PARTS = 4

#: What validation of the encoder measures: bits and bit error rate.
MEASURED = ((512, 0.0), (512, 1e-2), (512, 5e-2), (100, 0.0), (500, 0.0), (1000, 0.0))


class AdversarialTraining(nn.Module):
    """A generator and who judges it."""

    def __init__(self, sizes: Sizes):
        super().__init__()
        self.generator = make_generator(sizes)
        self.discriminator = make_discriminator(sizes.generator, sizes.dcgan)
        if sizes.generator == "eigenfaces":
            self.heads = FeatureHeads()


class NCodeRecipe:
    """A generator by an adversarial game; then, with it frozen, the encoder.

    Parameters
    ----------
    stage : str
        "generator", or "encoder", which goes on from the generator's weights.
    generator : str
        "eigenfaces" or "dcgan", the paper's.
    aware : str
        "yes" or "no": whether bits are flipped at random rates while the encoder learns.
    labels : str
        "gray" or "natural": what is flipped then.
    """

    train_set = validation_set = "faces64.npz"
    train_split, validation_split = "train", "validation"
    monitor_set = ""
    card = CARD
    side, batch = SIDE, 32
    start_crops, validation_count = 23802, 200
    warmup, clip_norm, ema = 100, 100.0, 0.998
    #: Seconds between sheets.
    sheet_seconds = 400.0

    def __init__(
        self,
        stage: str = "generator",
        generator: str = "eigenfaces",
        aware: str = "no",
        labels: Labels = "gray",
    ):
        for name, value, choices in (
            ("stage", stage, ("generator", "encoder")),
            ("generator", generator, GENERATORS),
            ("aware", aware, ("yes", "no")),
            ("labels", labels, ("gray", "natural")),
        ):
            if value not in choices:
                raise ValueError(f"{name} is {' or '.join(choices)}, not {value!r}")
        self.encodes, self.aware, self.labels = stage == "encoder", aware == "yes", labels
        self.sizes = Sizes(generator)
        kind = "" if generator == "eigenfaces" else f"_{generator}"
        self.name = f"ncode{kind}{'_aware' * self.aware}{'_generator' * (not self.encodes)}"
        self.learning_rate = 1e-3 if self.encodes else 8e-4
        #: What the card measures.
        self.measured = [f"ncode(bits={bits})" for bits in POINTS] + [
            "ncode(bits=512, labels=natural)",
            "ncode(bits=512, know_ber=false)",
            "ncode(bits=512, search=0)",
        ]
        self.eyes = LPIPS()

    def network(self) -> nn.Module:
        """A fresh network."""
        return NCode(self.sizes) if self.encodes else AdversarialTraining(self.sizes)

    def start(self, network: nn.Module, crops: Tensor) -> None:
        """Find principal components, where the generator has them.

        Raises
        ------
        ValueError
            The encoder's stage has no generator to encode for.
        """
        if self.encodes:
            raise ValueError(
                "stage=encoder goes on from a generator: give the weights that stage=generator "
                "left (--weights RUN/weights.safetensors)"
            )
        if isinstance(network.generator, Eigenfaces):
            fit_basis(network.generator.basis, crops)

    def groups(self, network: nn.Module) -> list[dict[str, Any]]:
        """All that learns; in the game with little momentum (Radford et al. 2016, section 4)."""
        learning = [p for p in network.parameters() if p.requires_grad]
        return [{"params": learning} | ({} if self.encodes else {"betas": (0.5, 0.99)})]

    def loss(
        self, network: nn.Module, crops: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, dict[str, float]]:
        """Of the stage; see `Recipe`."""
        kind = self._encoder_loss if self.encodes else self._generator_loss
        loss, numbers = kind(network, crops.float(), generator)
        return loss, {name: float(value) for name, value in numbers.items()}

    def _generator_loss(
        self, network: nn.Module, x: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, dict[str, Any]]:
        made_from = self._latents(network.generator, x, generator)
        real = x / 127.5 - 1
        with torch.autocast(x.device.type, torch.bfloat16):
            made = network.generator(made_from)
            loss, of_real, of_made = non_saturating_loss(
                network.discriminator, real, made / 127.5 - 1
            )
            penalty = gradient_penalty(network.discriminator, real[:PENALISED])
            loss = loss + PENALTY * penalty
            numbers = {"real": of_real.mean(), "made": of_made.mean(), "slope": penalty.detach()}
            if isinstance(network.generator, Eigenfaces):
                deceive, tell = network.heads.losses(self.eyes.to(x.device), x, made, generator)
                loss = loss + FEATURES * (deceive + tell)
                numbers |= {"deceive": deceive.detach(), "tell": tell.detach()}
        return loss, numbers

    def _latents(self, network: nn.Module, x: Tensor, generator: torch.Generator) -> Tensor:
        """As many as pictures; of some only the first few are not at their mean."""
        count, device = len(x), x.device
        drawn = draw(count, network.law, generator, device)
        if isinstance(network, Eigenfaces):
            own = int(OWN * count)
            drawn = torch.cat([network.values(x[:own]), drawn[own:]])
        numbers = torch.tensor([n for n, _ in POINTS.values()], device=device)
        place = torch.rand(count, generator=generator, device=device)
        chosen = torch.bucketize(place, torch.tensor(SHARES, device=device).cumsum(0)[:-1])
        return drawn * (torch.arange(LATENTS, device=device) < numbers[chosen][:, None])

    def _encoder_loss(
        self, network: nn.Module, x: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, dict[str, Any]]:
        draws = torch.rand(PARTS, generator=generator, device=x.device).tolist()
        rates = random_ber(PARTS, generator, x.device).tolist() if self.aware else [0.0] * PARTS
        shares, points = np.cumsum(SHARES)[:-1], list(POINTS)
        with torch.autocast(x.device.type, torch.bfloat16):
            latents = network.encode(x)
            arrived = [
                transmit(
                    part,
                    points[int(np.searchsorted(shares, draw))],
                    network.law,
                    self.labels,
                    ber,
                    generator,
                )
                for part, draw, ber in zip(latents.chunk(PARTS), draws, rates, strict=True)
            ]
            out = network.generator(torch.cat(arrived))
            seen = self.eyes.to(x.device)(out, x).mean()
        error = squared_error(out, x)
        loss = error.log().mean() + PERCEPTUAL_WEIGHT * seen
        return loss, {"rmse": error.detach().mean().sqrt(), "lpips": seen.detach()}

    @torch.no_grad()
    def evaluate(self, network: nn.Module, pictures: list[np.ndarray]) -> dict[str, Any]:
        """The kernel distance of made faces; of the encoder, quality at each of `MEASURED`.

        The distance is between mean features of a layer of AlexNet: a proxy, biased towards what
        the heads looked at.
        """
        x = torch.from_numpy(np.stack(pictures)).to(next(network.parameters()).device).float()
        if not self.encodes:
            generator = torch.Generator(x.device).manual_seed(0)
            drawn = draw(2 * len(x), network.generator.law, generator, x.device)
            made = [make(network.generator, part) for part in drawn.split(100)]
            distance = kernel_distance(self._features(torch.cat(made)), self._features(x)).item()
            point = {"kernel_distance": distance}
            if isinstance(network.generator, Eigenfaces):
                latents = [network.generator.values(part) for part in x.split(100)]
                point |= self._quality(x, latents, network.generator, 512, 0.0)
            return {"score": distance, "points": [point]}
        latents = [network.encode(part) for part in x.split(100)]
        points = [
            {"bits": bits, "ber": ber} | self._quality(x, latents, network.generator, bits, ber)
            for bits, ber in MEASURED
        ]
        return {"score": float(np.mean([point["lpips"] for point in points])), "points": points}

    def _features(self, x: Tensor) -> Tensor:
        found = [list(self.eyes.to(x.device).features(part))[2] for part in x.split(100)]
        return torch.cat([part.mean((2, 3)) * part.shape[1] ** 0.5 for part in found])

    def _quality(
        self, x: Tensor, latents: list[Tensor], network: nn.Module, bits: int, ber: float
    ) -> dict[str, float]:
        generator = torch.Generator(x.device).manual_seed(0)
        errors, seen = [], []
        for part, own in zip(x.split(100), latents, strict=True):
            out = make(network, transmit(own, bits, network.law, self.labels, ber, generator))
            errors.append(squared_error(out, part))
            seen.append(self.eyes.to(x.device)(out, part))
        psnr = 10 * (255**2 / torch.cat(errors)).log10()
        return {"psnr": psnr.mean().item(), "lpips": torch.cat(seen).mean().item()}

    @torch.no_grad()
    def sheet(self, network: nn.Module, pictures: list[np.ndarray]) -> np.ndarray:
        """Random faces of 200, 128 and 25 latents; below, pictures and what is made of them."""
        x = torch.from_numpy(np.stack(pictures)).to(next(network.parameters()).device).float()
        law, made = network.generator.law, []
        drawn = draw(48, law, torch.Generator(x.device).manual_seed(0), x.device)
        for first, count in ((0, LATENTS), (24, POINTS[512][0]), (36, POINTS[100][0])):
            drawn[first:, count:] = 0
        made = list(make(network.generator, drawn))
        if self.encodes:
            rows = self._sent(network, x)
        elif isinstance(network.generator, Eigenfaces):
            values = network.generator.values(x)
            made_of = make(network.generator, values)
            rows = [x, network.generator.rough(values).clamp(0, 255).round(), made_of]
        else:
            rows = [x]
        below = [picture for row in rows for picture in row]
        below += [torch.zeros_like(x[0])] * (-len(below) % 12)
        tiles = torch.stack(made + below).byte().cpu().numpy().transpose(0, 2, 3, 1)
        lines = [np.concatenate(list(tiles[k : k + 12]), 1) for k in range(0, len(tiles), 12)]
        return np.concatenate(lines).repeat(2, 0).repeat(2, 1)

    def _sent(self, network: NCode, x: Tensor) -> list[Tensor]:
        """Pictures, and what arrives at a few points."""
        latents, rows = network.encode(x), [x]
        for bits, ber in ((100, 0.0), (512, 0.0), (1000, 0.0), (512, 1e-2), (512, 5e-2)):
            generator = torch.Generator(x.device).manual_seed(0)
            arrived = transmit(latents, bits, network.law, self.labels, ber, generator)
            rows.append(make(network.generator, arrived))
        return rows


def draw(count: int, law: str, generator: torch.Generator, device: torch.device) -> Tensor:
    """Latents of a law, float32 (count, LATENTS)."""
    if law == "uniform":
        return 2 * torch.rand(count, LATENTS, generator=generator, device=device) - 1
    return torch.randn(count, LATENTS, generator=generator, device=device)


def make(network: nn.Module, latents: Tensor) -> Tensor:
    """Pictures of latents, clipped and rounded."""
    with torch.autocast(latents.device.type, torch.bfloat16):
        return network(latents).clamp(0, 255).round()


recipe = NCodeRecipe

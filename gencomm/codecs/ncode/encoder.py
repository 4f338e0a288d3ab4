"""From pictures to latents of a generator that is not touched any more, through its quantiser."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gencomm.bitstream.labelling import Labels
from gencomm.codecs.faces import SIDE
from gencomm.codecs.ncode.generator import DCGAN, Eigenfaces, Sizes, make_generator
from gencomm.codecs.ncode.points import LATENTS, POINTS, Law, quantiser
from gencomm.nn.layers import Stack, leaky

#: Beyond so much latents of the normal law get little gradient: their outermost levels are 1.97
#: (4 bits) and 2.25 (5 bits).
LIMIT = {"normal": 2.5, "uniform": 1.0}


class Encoder(nn.Module):
    """What a convolutional network adds to the latents that the linear part asks for.

    Of a generator without a linear part the latents are the network's alone.

    Parameters
    ----------
    sizes : Sizes
        Widths are those of the generator at 1/4 and 1/8.
    """

    def __init__(self, sizes: Sizes):
        super().__init__()
        w16, w8 = sizes.width16, sizes.width8
        self.enter = nn.Conv2d(48, w16, 3, padding=1)
        self.place = nn.Parameter(0.02 * torch.randn(1, w16, SIDE // 4, SIDE // 4))
        self.before = Stack(1, w16)
        self.down = nn.Conv2d(w16, w8, 2, stride=2)
        self.deep = Stack(2, w8)
        self.again = nn.Conv2d(w8, w8, 2, stride=2)
        self.latents = nn.Linear(16 * w8, LATENTS)
        if sizes.generator == "eigenfaces":
            nn.init.zeros_(self.latents.weight)
            nn.init.zeros_(self.latents.bias)

    def forward(self, pictures: Tensor) -> Tensor:
        """float (batch, 3, 64, 64), samples 0 to 255 -> float32 (batch, LATENTS)."""
        x = F.pixel_unshuffle(pictures / 64 - 2, 4).contiguous(memory_format=torch.channels_last)
        x = self.before(self.enter(x) + self.place)
        x = self.deep(self.down(leaky(x)))
        return self.latents(leaky(self.again(leaky(x))).flatten(1)).float()


class NCode(nn.Module):
    """The frozen generator and its encoder.

    Parameters
    ----------
    sizes : Sizes
    """

    def __init__(self, sizes: Sizes):
        super().__init__()
        self.sizes = sizes
        self.generator: Eigenfaces | DCGAN = make_generator(sizes).eval().requires_grad_(False)
        self.encoder = Encoder(sizes)

    @property
    def law(self) -> Law:
        """Of the latents."""
        return self.generator.law

    def train(self, mode: bool = True) -> NCode:
        """The encoder alone learns: statistics of the generator's batches stay as they are, too."""
        super().train(mode)
        self.generator.eval()
        return self

    def encode(self, pictures: Tensor) -> Tensor:
        """Latents of pictures, samples 0 to 255, before they are quantised."""
        x = pictures.float()
        found = self.encoder(x)
        if isinstance(self.generator, Eigenfaces):
            return found + self.generator.values(x)
        return torch.tanh(found)

    def load_state_dict(self, state_dict: Mapping[str, Tensor], *args: Any, **keywords: Any) -> Any:
        """Also from the adversarial stage: its generator, and an encoder as it begins."""
        if not any(name.startswith("encoder.") for name in state_dict):
            own = self.encoder.state_dict()
            kept = {n: t for n, t in state_dict.items() if n.startswith("generator.")}
            state_dict = kept | {f"encoder.{name}": value for name, value in own.items()}
        return super().load_state_dict(state_dict, *args, **keywords)


def transmit(
    latents: Tensor,
    bits: int,
    law: Law,
    labels: Labels = "gray",
    ber: float = 0.0,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Quantise latents, flip bits, and estimate what was sent; the gradient passes by.

    Parameters
    ----------
    latents : float32 (batch, LATENTS)
    bits : int
        One of `POINTS`.
    law, labels :
        Of the quantiser.
    ber : float
        Of the channel; the receiver knows it.
    generator : torch.Generator, optional
        Of the errors.

    Returns
    -------
    float32 (batch, LATENTS)
        0, the mean, where nothing is sent.
    """
    count, width = POINTS[bits]
    sent, device = latents[:, :count], latents.device
    one = quantiser(width, law, labels)
    with torch.no_grad():
        cells = np.searchsorted(one.thresholds, sent.float().cpu().numpy())
        label = torch.from_numpy(one.label[cells]).to(device)
        if ber > 0:
            for k in range(width):
                hit = torch.rand(label.shape, generator=generator, device=device) < ber
                label = label ^ (hit.long() << k)
        table = torch.from_numpy(one.estimates(ber)).float().to(device)
        arrived = table[label]
    limit = LIMIT[law]
    through = limit * torch.tanh(sent.float() / limit) if law == "normal" else sent.float()
    estimate = arrived + (1 - 2 * ber) * (through - through.detach())
    return F.pad(estimate, (0, latents.shape[1] - count))

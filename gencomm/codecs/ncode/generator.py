"""Two generators: one that begins as principal components of faces, and the paper's DCGAN."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gencomm.codecs.faces import SIDE
from gencomm.codecs.ncode.points import LATENTS, Law
from gencomm.codecs.ncode_joint.network import Basis
from gencomm.nn.layers import Stack, leaky, silence

GENERATORS = ("eigenfaces", "dcgan")


@dataclass(frozen=True)
class Sizes:
    """Of the networks.

    Attributes
    ----------
    generator : str
        One of `GENERATORS`.
    width32, width16, width8 : int
        Channels at 32, 16 and 8 places a side; even.
    blocks32, blocks16, blocks8 : int
        Bottlenecks there.
    style : int
        Numbers that latents become before they steer the bottlenecks.
    dcgan : int
        Channels of the DCGAN at 32 places a side.
    """

    generator: str = "eigenfaces"
    width32: int = 48
    width16: int = 96
    width8: int = 192
    blocks32: int = 1
    blocks16: int = 2
    blocks8: int = 2
    style: int = 256
    dcgan: int = 32

    def to_dict(self) -> dict[str, Any]:
        """For a file's metadata."""
        return asdict(self)


class Eigenfaces(nn.Module):
    """Principal components with normal values, and a convolutional network that refines them.

    The linear part has the faces' mean and covariance from the start and is not trained: its
    samples are ghosts of faces, of which the network learns to make faces. Nothing is thrown
    away on the way from latents to picture, so that encoding has somewhere to begin, and latents
    stand in the order of the variance they explain.

    The network works at 1/4, 1/8 and 1/2 of the resolution, knows where in the face a place lies
    (a learnt map), and is steered by the latents in each of its blocks. It adds nothing at the
    start.
    """

    law: Law = "normal"

    def __init__(self, sizes: Sizes):
        super().__init__()
        w32, w16, w8 = sizes.width32, sizes.width16, sizes.width8
        self.basis = Basis(LATENTS)
        self.style = nn.Sequential(
            nn.Linear(LATENTS, sizes.style), nn.LeakyReLU(0.2), nn.Linear(sizes.style, sizes.style)
        )
        self.enter = nn.Conv2d(48, w16, 3, padding=1)
        self.place = nn.Parameter(0.02 * torch.randn(1, w16, SIDE // 4, SIDE // 4))
        self.down = nn.Conv2d(w16, w8, 2, stride=2)
        self.deep = Stack(sizes.blocks8, w8, sizes.style)
        self.up = silence(nn.Conv2d(w8, 4 * w16, 1))
        self.middle = Stack(sizes.blocks16, w16, sizes.style)
        self.fine = nn.Conv2d(w16, 4 * w32, 1)
        self.last = Stack(sizes.blocks32, w32, sizes.style)
        self.leave = silence(nn.Conv2d(w32, 12, 3, padding=1))

    def rough(self, latents: Tensor) -> Tensor:
        """The linear part alone."""
        return self.basis.synthesise(latents.float() * self.basis.deviation)

    def values(self, pictures: Tensor) -> Tensor:
        """Latents whose linear part comes nearest to pictures, (batch, LATENTS)."""
        return self.basis.analyse(pictures) / self.basis.deviation

    def forward(self, latents: Tensor) -> Tensor:
        """(batch, LATENTS) of deviation 1 -> float32 (batch, 3, 64, 64), about 0 to 255."""
        rough, style = self.rough(latents), leaky(self.style(latents))
        x = F.pixel_unshuffle(rough / 64 - 2, 4).contiguous(memory_format=torch.channels_last)
        x = self.enter(x) + self.place
        deep = self.deep(self.down(leaky(x)), style)
        x = self.middle(x + F.pixel_shuffle(self.up(leaky(deep)), 2), style)
        x = self.last(F.pixel_shuffle(self.fine(leaky(x)), 2), style)
        return rough + 64 * F.pixel_shuffle(self.leave(leaky(x)), 2).float()


class DCGAN(nn.Module):
    """Four fractionally strided convolutions (Radford, Metz and Chintala 2016), as in the paper.

    Batch normalisation and rectifiers between them, tanh at the end, deviation 0.02 at the start.
    """

    law: Law = "uniform"

    def __init__(self, sizes: Sizes):
        super().__init__()
        widths = [8 * sizes.dcgan, 4 * sizes.dcgan, 2 * sizes.dcgan, sizes.dcgan]
        layers: list[nn.Module] = [nn.ConvTranspose2d(LATENTS, widths[0], 4, bias=False)]
        for before, after in pairwise(widths):
            layers += [BatchNorm(before), nn.ReLU()]
            layers.append(nn.ConvTranspose2d(before, after, 4, stride=2, padding=1, bias=False))
        layers += [BatchNorm(widths[-1]), nn.ReLU()]
        layers.append(nn.ConvTranspose2d(widths[-1], 3, 4, stride=2, padding=1))
        self.layers = nn.Sequential(*layers)
        begin_small(self)

    def forward(self, latents: Tensor) -> Tensor:
        """(batch, LATENTS) in [-1, 1] -> float32 (batch, 3, 64, 64), 0 to 255."""
        x = latents[:, :, None, None].contiguous(memory_format=torch.channels_last)
        return 127.5 * (1 + torch.tanh(self.layers(x).float()))


def make_generator(sizes: Sizes) -> Eigenfaces | DCGAN:
    """The generator of these sizes.

    Raises
    ------
    ValueError
        There is none of that name.
    """
    if sizes.generator not in GENERATORS:
        raise ValueError(f"generator is {' or '.join(GENERATORS)}, not {sizes.generator!r}")
    return Eigenfaces(sizes) if sizes.generator == "eigenfaces" else DCGAN(sizes)


class BatchNorm(nn.Module):
    """Batch normalisation (Ioffe and Szegedy 2015) that counts no batches.

    A moving average of the weights can follow `torch.nn.BatchNorm2d` in all but its counter.
    """

    def __init__(self, channels: int):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("variance", torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        """By the batch's statistics in training, by their moving average else."""
        return F.batch_norm(x, self.mean, self.variance, self.weight, self.bias, self.training)


def begin_small(network: nn.Module) -> None:
    """Normal weights of deviation 0.02 for convolutions (Radford et al. 2016, section 4)."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(layer.weight, 0, 0.02)

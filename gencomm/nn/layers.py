"""Layers that several networks share."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

#: Slope of the leaky rectifiers on the negative side.
SLOPE = 0.1


def leaky(x: Tensor) -> Tensor:
    """Leaky rectifier."""
    return F.leaky_relu(x, SLOPE)


def silence(conv: nn.Conv2d) -> nn.Conv2d:
    """Set a convolution to zero, so that the branch it ends adds nothing at the start."""
    nn.init.zeros_(conv.weight)
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)
    return conv


class Bottleneck(nn.Module):
    """Residual block of 1x1, 3x3 and 1x1 convolutions, the 3x3 at half the channels.

    A quarter of the multiplications of two 3x3 convolutions at full width. The block starts as
    the identity.

    Parameters
    ----------
    channels : int
        Even.
    rates : int
        When positive, a vector per rate is added to the narrow part, so that a decoder knows how
        coarsely its latents were rounded.
    """

    def __init__(self, channels: int, rates: int = 0):
        super().__init__()
        narrow = channels // 2
        self.reduce = nn.Conv2d(channels, narrow, 1)
        self.spatial = nn.Conv2d(narrow, narrow, 3, padding=1)
        self.expand = silence(nn.Conv2d(narrow, channels, 1))
        self.rate = nn.Linear(rates, narrow, bias=False) if rates else None
        if self.rate is not None:
            nn.init.zeros_(self.rate.weight)

    def forward(self, x: Tensor, weight: Tensor | None = None) -> Tensor:
        """Map (batch, channels, h, w) to the same; `weight` are the rate's (batch, rates)."""
        h = self.reduce(x)
        if self.rate is not None and weight is not None:
            h = h + self.rate(weight)[:, :, None, None].to(h.dtype)
        return x + self.expand(leaky(self.spatial(leaky(h))))


class Stack(nn.ModuleList):
    """Bottlenecks one after the other."""

    def __init__(self, blocks: int, channels: int, rates: int = 0):
        super().__init__(Bottleneck(channels, rates) for _ in range(blocks))

    def forward(self, x: Tensor, weight: Tensor | None = None) -> Tensor:
        for block in self:
            x = block(x, weight)
        return x


class SubPixel(nn.Module):
    """Sub-pixel upsampling: a 1x1 convolution to factor^2 as many channels, depth to space."""

    def __init__(self, channels_in: int, channels_out: int, factor: int = 2):
        super().__init__()
        self.factor = factor
        self.conv = nn.Conv2d(channels_in, channels_out * factor**2, 1)

    def forward(self, x: Tensor) -> Tensor:
        return F.pixel_shuffle(self.conv(x), self.factor)

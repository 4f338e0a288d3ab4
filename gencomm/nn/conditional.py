"""Means and scales of latents from those decoded before, by small networks.

Two planes of latents, coarse and fine, are cut into groups of channels that are decoded one after
the other (Minnen and Singh 2020, "Channel-wise autoregressive entropy models"); a coarse group
comes in four passes over a grid of places, so that later passes see neighbours on all sides (He et
al. 2022, "ELIC", uneven groups with a spatial context inside each). Each network reads magnitudes
and signs of everything known and gives a mean and the logarithm of a scale for each latent.

Every operation here has an exact counterpart in integers (`gencomm.bitstream.conditional`):
convolutions, leaky rectifiers with a slope of 1/8, and a square root. That is what lets a stream
decode to the same symbols everywhere, whatever the machine does with floating point.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gencomm.nn.context import PASSES
from gencomm.nn.quantise import round_identity

#: Slope of the rectifiers on the negative side: a shift by three bits.
SLOPE = 0.125


@dataclass(frozen=True)
class Groups:
    """How channels are grouped, and how wide the networks are.

    Attributes
    ----------
    coarse, fine : tuple of int
        Channels of each group, in decoding order.
    width : int
        Of the networks' hidden layers.
    bridge : int
        Channels that the coarse plane is summed up in for each fine latent.
    """

    coarse: tuple[int, ...] = (4, 12, 16, 32)
    fine: tuple[int, ...] = (16, 16, 32, 64)
    width: int = 96
    bridge: int = 64


class Group(NamedTuple):
    """What the rate needs of a group: noise-free residual before rounding, scale, and place."""

    residual: Tensor
    log_scale: Tensor
    first: int


def rectify(x: Tensor) -> Tensor:
    """Leaky rectifier of `SLOPE`."""
    return F.leaky_relu(x, SLOPE)


def compand(units: Tensor) -> Tensor:
    """(sqrt(1 + 4 |u|) - 1) / 2: like |u| near zero, like its root far out."""
    return ((1 + 4 * units.abs()).sqrt() - 1) / 2


def both(units: Tensor) -> Tensor:
    """Companded values with their sign, then without; (batch, 2 c, h, w)."""
    size = compand(units)
    return torch.cat([units.sign() * size, size], 1)


class Head(nn.Module):
    """From hidden features to means and logarithms of scales of one group.

    Parameters
    ----------
    width, channels, rates : int
        Of hidden features, of the group, and points of the rate.
    """

    def __init__(self, width: int, channels: int, rates: int):
        super().__init__()
        self.rate = nn.Linear(rates, width, bias=False)
        self.mid = nn.Conv2d(width, width, 1)
        self.out = nn.Conv2d(width, 2 * channels, 1)
        for layer in (self.rate, self.out):
            nn.init.zeros_(layer.weight)
        nn.init.zeros_(self.out.bias)  # type: ignore[arg-type]

    def forward(self, hidden: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Hidden (batch, width, h, w), `interpolation` weights (batch, rates) -> mean, in typical
        magnitudes, and log scale, each float32 (batch, channels, h, w).
        """
        h = rectify(hidden + self.rate(weight)[:, :, None, None].to(hidden.dtype))
        mean, log_scale = self.out(rectify(self.mid(h))).float().chunk(2, 1)
        return mean, log_scale


class CoarseGroup(nn.Module):
    """Network of a coarse group: one convolution over earlier groups, and one for each pass but
    the first over the group's own latents; and a linear prediction from these.
    """

    def __init__(self, before: int, channels: int, width: int, rates: int):
        super().__init__()
        # Without anything before it, the hidden features are what the rate adds.
        self.before = nn.Conv2d(2 * before, width, 3, padding=1) if before else None
        self.own = nn.ModuleList(nn.Conv2d(2 * channels, width, 3) for _ in PASSES[1:])
        self.linear = nn.Parameter(torch.zeros(len(PASSES) - 1, channels, 3, 3))
        self.head = Head(width, channels, rates)


class FineGroup(nn.Module):
    """Network of a fine group: earlier groups' magnitudes around each place, and what is at it."""

    def __init__(self, bridge: int, before: int, channels: int, width: int, rates: int):
        super().__init__()
        self.here = nn.Conv2d(bridge + before, width, 1)
        self.around = nn.Conv2d(before, width, 3, padding=1, bias=False) if before else None
        self.head = Head(width, channels, rates)


class ConditionalModel(nn.Module):
    """Means and scales of all latents.

    Parameters
    ----------
    groups : Groups
    rates : int
        Points that rates are interpolated between.
    """

    def __init__(self, groups: Groups, rates: int):
        super().__init__()
        self.groups = groups
        coarse, fine, width = sum(groups.coarse), sum(groups.fine), groups.width
        self.register_buffer("typical", torch.ones(coarse + fine))
        self.log_base = nn.Parameter(torch.zeros(rates, coarse + fine))
        self.coarse, self.fine = nn.ModuleList(), nn.ModuleList()
        done = 0
        for channels in groups.coarse:
            self.coarse.append(CoarseGroup(done, channels, width, rates))
            done += channels
        self.bridge = nn.Conv2d(2 * coarse, width, 3, padding=1)
        self.spread = nn.Conv2d(width, 4 * groups.bridge, 1)
        done = 0
        for channels in groups.fine:
            self.fine.append(FineGroup(groups.bridge, done, channels, width, rates))
            done += channels

    @torch.no_grad()
    def calibrate(self, coarse: Tensor, fine: Tensor) -> None:
        """Take typical magnitudes from latents (batch, channels, h, w)."""
        sizes = [y.abs().mean((0, 2, 3)) for y in (coarse, fine)]
        self.typical.copy_(torch.cat(sizes).clamp_min(1e-3))

    def forward(
        self, coarse: Tensor, fine: Tensor, gain: Tensor, weight: Tensor
    ) -> tuple[Tensor, Tensor, list[Group]]:
        """Quantise latents around their means.

        Parameters
        ----------
        coarse, fine : float32 (batch, c, h, w), (batch, f, 2h, 2w)
            Scaled by their gain.
        gain : float32 (batch, c + f)
        weight : float32 (batch, rates)
            `interpolation` weights of the rate.

        Returns
        -------
        coarse, fine : float32, the same shapes
            Rounded at whole distances from the means; the gradient is the identity's.
        groups : list of Group
            Log scales are those of the residuals, in steps of rounding.
        """
        unit = (gain * self.typical)[:, :, None, None]
        base = (weight @ self.log_base + gain.log())[:, :, None, None]
        out: list[Group] = []
        planes: list[list[Tensor]] = [[], []]
        known: list[Tensor] = []
        first = 0
        for network, y in zip(self.coarse, coarse.split(self.groups.coarse, 1), strict=True):
            part = slice(first, first + y.shape[1])
            q, group = self._coarse(network, y, known, unit[:, part], weight)
            out.append(Group(group[0], group[1] + base[:, part], first))
            planes[0].append(q)
            known.append(both(q / unit[:, part]))
            first = part.stop
        bridge = F.pixel_shuffle(self.spread(rectify(self.bridge(torch.cat(known, 1)))), 2)
        here, around = [rectify(bridge)], []
        for network, y in zip(self.fine, fine.split(self.groups.fine, 1), strict=True):
            part = slice(first, first + y.shape[1])
            hidden = network.here(torch.cat(here, 1))
            if network.around is not None:
                hidden = hidden + network.around(torch.cat(around, 1))
            mean, log_scale = network.head(hidden, weight)
            mean = mean * unit[:, part]
            q = round_identity(y - mean) + mean
            out.append(Group(y - mean, log_scale + base[:, part], first))
            planes[1].append(q)
            units = q / unit[:, part]
            size = compand(units)
            here.append(units.sign() * size)
            around.append(size)
            first = part.stop
        return torch.cat(planes[0], 1), torch.cat(planes[1], 1), out

    def _coarse(
        self, network: CoarseGroup, y: Tensor, known: list[Tensor], unit: Tensor, weight: Tensor
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Quantise a coarse group in passes."""
        shared = None if network.before is None else network.before(torch.cat(known, 1))
        q = torch.zeros_like(y)
        residual, log_scale = torch.zeros_like(y), torch.zeros_like(y)
        for k, (row, column) in enumerate(PASSES):
            here = (..., slice(row, None, 2), slice(column, None, 2))
            sub = y[here]
            if sub.numel() == 0:
                continue
            hidden = (
                y.new_zeros(len(y), network.head.mid.in_channels, *sub.shape[2:])
                if shared is None
                else shared[here]
            )
            linear = 0.0
            if k:
                hidden = hidden + _strided(network.own[k - 1], both(q / unit), row, column)
                window = F.pad(q, (1, 1, 1, 1))[:, :, row:, column:]
                own = network.linear[k - 1][:, None]
                # Large low frequencies at high gains need more digits than bfloat16 has.
                with torch.autocast(q.device.type, enabled=False):
                    linear = F.conv2d(window, own, stride=2, groups=q.shape[1])
            mean, scale = network.head(hidden, weight)
            mean = mean * unit + linear
            q = q.clone()
            q[here] = round_identity(sub - mean) + mean
            residual[here], log_scale[here] = sub - mean, scale
        return q, (residual, log_scale)


def _strided(conv: nn.Module, x: Tensor, row: int, column: int) -> Tensor:
    """A 3x3 convolution at every second place from (row, column) on."""
    padded = F.pad(x, (1, 1, 1, 1))[:, :, row:, column:]
    return F.conv2d(padded, conv.weight, conv.bias, stride=2)  # type: ignore[arg-type]

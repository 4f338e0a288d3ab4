"""How large a latent will be, from the magnitudes of those that were decoded before it.

A factorised prior charges a busy corner of a picture what it charges the sky. Magnitudes of
different channels at one place rise and fall together, so each channel's scale is made a weighted
sum of magnitudes already known: an old idea of wavelet coding (Buccigrossi and
Simoncelli 1999, "Image compression via joint statistical characterization in the wavelet
domain", section III). It needs no network and no side information, and it can be worked out in
integers (`gencomm.bitstream.context`).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

#: Coarse latents of one channel come in four passes, by the parity of row and column: each pass
#: sees neighbours of the passes before it. The last two have neighbours on all sides.
PASSES = ((0, 0), (1, 1), (0, 1), (1, 0))


class MagnitudeContext(nn.Module):
    """Scales of two planes of latents, and means of the coarse one, from what precedes them.

    The order is: coarse channels, each in four passes, then fine channels. A channel's scale, in
    units of its own typical one, is

        base + sum_j same_j |y_j| / d_j + sum_j near_j N|y_j| / d_j   (+ own, for coarse ones)

    over all channels j before it, with d_j a typical magnitude and N the sum over the eight
    neighbours. Weights are positive. Coarse latents also have a mean: a weighted sum of their
    channel's neighbours, rounded, in passes before.

    Parameters
    ----------
    coarse, fine : int
        Channels at half the resolution of the fine latents, and of the fine ones.
    rates : int
        Points that the base is interpolated between.
    """

    def __init__(self, coarse: int, fine: int, rates: int):
        super().__init__()
        self.coarse, self.fine = coarse, fine
        channels = coarse + fine
        before = torch.ones(channels, channels).tril(-1)
        # At the start half of a scale is the base, and the other half is shared out evenly.
        share = -(4 * before.sum(1, keepdim=True).clamp_min(1)).log()
        self.log_base = nn.Parameter(torch.full((rates, channels), 0.5).log())
        self.log_same = nn.Parameter(share.repeat(1, channels))
        self.log_near = nn.Parameter(share.repeat(1, channels) - torch.tensor(8.0).log())
        self.log_own = nn.Parameter(torch.full((len(PASSES), coarse, 3, 3), -4.0))
        self.mean = nn.Parameter(torch.zeros(len(PASSES), coarse, 3, 3))
        self.register_buffer("typical", torch.ones(channels))
        self.register_buffer("before", before, persistent=False)

    @torch.no_grad()
    def calibrate(self, coarse: Tensor, fine: Tensor) -> None:
        """Take typical magnitudes from latents (batch, channels, h, w)."""
        both = [y.abs().mean((0, 2, 3)) for y in (coarse, fine)]
        self.typical.copy_(torch.cat(both).clamp_min(1e-3))

    def weights(self) -> tuple[Tensor, Tensor, Tensor]:
        """Positive weights: same and near, (C, C), zero unless the second channel comes before the
        first; and of a coarse channel's own neighbours, (passes, coarse, 3, 3).
        """
        before = self.before
        return self.log_same.exp() * before, self.log_near.exp() * before, self.log_own.exp()

    def forward(
        self,
        coarse: Tensor,
        fine: Tensor,
        gain: Tensor,
        weight: Tensor,
        least: tuple[Tensor, Tensor] | None = None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Scales of both planes and means of the coarse one.

        Parameters
        ----------
        coarse, fine : float32 (batch, coarse, h, w), (batch, fine, 2h, 2w)
            Symbols.
        gain : float32 (batch, coarse + fine)
            That they were scaled by.
        weight : float32 (batch, rates)
            `interpolation` weights of the rate.
        least : tuple of float32 (coarse, h, w) and (fine, 2h, 2w), optional
            Added to scales at each place, in units of the channel's typical one: `Places.scales`.

        Returns
        -------
        mean : float32 (batch, coarse, h, w)
            In units of symbols, not rounded.
        scale_coarse : float32 (batch, coarse, h, w)
        scale_fine : float32 (batch, fine, 2h, 2w)
        """
        same, near, own = self.weights()
        base = (weight @ self.log_base).exp()[:, :, None, None]
        unit = (1 / (gain * self.typical))[:, :, None, None]
        known = coarse.abs() * unit[:, : self.coarse]
        around = neighbours(known)
        mean, extra = self._passes(coarse, known, own)
        k = self.coarse
        scale_coarse = base[:, :k] + extra
        scale_coarse = scale_coarse + _mix(same[:k, :k], known) + _mix(near[:k, :k], around)
        if least is not None:
            scale_coarse = scale_coarse + least[0]
        up = F.interpolate(torch.cat([known, around], 1), scale_factor=2, mode="nearest")
        finer = fine.abs() * unit[:, k:]
        scale_fine = base[:, k:] + _mix(same[k:, :k], up[:, :k]) + _mix(near[k:, :k], up[:, k:])
        scale_fine = scale_fine + _mix(same[k:, k:], finer) + _mix(near[k:, k:], neighbours(finer))
        if least is not None:
            scale_fine = scale_fine + least[1]
        return mean, scale_coarse, scale_fine

    def _passes(self, coarse: Tensor, known: Tensor, own: Tensor) -> tuple[Tensor, Tensor]:
        """Means, and what own neighbours add to scales, of a plane in passes."""
        height, width = coarse.shape[2:]
        row = torch.arange(height, device=coarse.device)[:, None] % 2
        column = torch.arange(width, device=coarse.device)[None] % 2
        done = torch.zeros(height, width, device=coarse.device)
        mean, extra = torch.zeros_like(coarse), torch.zeros_like(coarse)
        for k, (y, x) in enumerate(PASSES):
            now = ((row == y) & (column == x)).to(coarse.dtype)
            if k:
                mean = mean + now * _depthwise(coarse * done, self.mean[k])
                extra = extra + now * _depthwise(known * done, own[k])
            done = done + now
        return mean, extra


class Places(nn.Module):
    """A mean and a part of the scale for every latent, where pictures are aligned and of one size.

    An eye is always in the same place of an aligned face: its latents' means and spreads are known
    before anything is sent.

    Parameters
    ----------
    coarse, fine : int
        Channels.
    rows : int
        Of the coarse plane, which is square.
    """

    #: What of a place's mean magnitude goes into its scale at the start; the rest is left to the
    #: context.
    SHARE = 0.4

    def __init__(self, coarse: int, fine: int, rows: int):
        super().__init__()
        planes = (coarse, rows, rows), (fine, 2 * rows, 2 * rows)
        self.mean_coarse, self.mean_fine = (nn.Parameter(torch.zeros(shape)) for shape in planes)
        self.log_coarse, self.log_fine = (
            nn.Parameter(torch.full(shape, self.SHARE).log()) for shape in planes
        )

    @property
    def means(self) -> tuple[Tensor, Tensor]:
        """Of the latents before their gain, (coarse, rows, rows) and (fine, 2 rows, 2 rows)."""
        return self.mean_coarse, self.mean_fine

    @property
    def scales(self) -> tuple[Tensor, Tensor]:
        """Added to the scales, in units of the channel's typical one; positive."""
        return self.log_coarse.exp(), self.log_fine.exp()

    @torch.no_grad()
    def calibrate(self, coarse: Tensor, fine: Tensor) -> tuple[Tensor, Tensor]:
        """Take means and magnitudes from latents (batch, channels, h, w); what is left of them."""
        left = []
        for y, mean, log in (
            (coarse, self.mean_coarse, self.log_coarse),
            (fine, self.mean_fine, self.log_fine),
        ):
            mean.copy_(y.mean(0))
            rest = y - mean
            size = rest.abs().mean(0)
            relative = size / size.mean((1, 2), keepdim=True).clamp_min(1e-6)
            log.copy_((self.SHARE * relative).clamp_min(1e-3).log())
            left.append(rest)
        return left[0], left[1]


def neighbours(x: Tensor) -> Tensor:
    """Sum over the eight neighbours of each place, zeros beyond the edge; x (batch, c, h, w)."""
    return 9 * F.avg_pool2d(x, 3, 1, 1) - x


def _mix(weight: Tensor, x: Tensor) -> Tensor:
    """A 1x1 convolution with weight (out, in)."""
    return F.conv2d(x, weight[:, :, None, None])


def _depthwise(x: Tensor, weight: Tensor) -> Tensor:
    """A 3x3 convolution of each channel with its own weight, (channels, 3, 3)."""
    return F.conv2d(x, weight[:, None], padding=1, groups=len(weight))

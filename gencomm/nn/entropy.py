"""The Gaussian scale mixture that models what a latent channel costs."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

#: Mixture components per channel (Theis et al. 2017, section 3.1: six scales).
SCALES = 6

#: The least probability that a symbol is charged, 2^-30: keeps the logarithm finite.
LEAST_PROBABILITY = 2.0**-30


#: How far tables of probabilities reach, in deviations of a mixture's widest component: beyond lie
#: 2 x 10^-5 of it. And the farthest that any reaches.
REACH = 4.3
FARTHEST = 1023

#: Numbers worked on at a time in `_MixtureBits`, so that they stay in the processor's cache.
CHUNK = 1 << 16


class _MixtureBits(torch.autograd.Function):
    """Bits of latents under per-channel mixtures, with the derivatives taken in the same pass.

    Each picture's sum has one scale factor in the gradient, so the derivatives need nothing from
    the backward pass but that. Doing all in one pass over cache-sized pieces takes a fifth of the
    time that autograd takes over tensors K times the size of the latents.
    """

    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any, z: Tensor, scale: Tensor, sigma: Tensor, weight: Tensor
    ) -> Tensor:
        """z and scale (batch, c, n), sigma and weight (c, k) -> bits (batch,)."""
        batch, channels, n = z.shape
        step = max(1, CHUNK // (n * sigma.shape[-1])) if z.device.type == "cpu" else channels
        bits = z.new_zeros(batch)
        dz, dscale = torch.empty_like(z), torch.empty_like(z)
        dsigma, dweight = z.new_empty(batch, *sigma.shape), z.new_empty(batch, *sigma.shape)
        for b in range(batch):
            for c in range(0, channels, step):
                part = slice(c, c + step)
                inputs = (z[b, part], scale[b, part], sigma[part], weight[part])
                bits[b], derivatives = _mixture_piece(*inputs, bits[b])
                outs = (dz[b, part], dscale[b, part], dsigma[b, part], dweight[b, part])
                for out, value in zip(outs, derivatives, strict=True):
                    out.copy_(value)
        ctx.save_for_backward(dz, dscale, dsigma, dweight)
        return bits

    @staticmethod
    def backward(  # type: ignore[override]
        ctx: Any, grad: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        dz, dscale, dsigma, dweight = ctx.saved_tensors
        by_picture = grad[:, None, None]
        summed = (torch.einsum("b,bck->ck", grad, d) for d in (dsigma, dweight))
        return dz * by_picture, dscale * by_picture, *summed


def _mixture_piece(
    z: Tensor, scale: Tensor, sigma: Tensor, weight: Tensor, so_far: Tensor
) -> tuple[Tensor, tuple[Tensor, Tensor, Tensor, Tensor]]:
    """Bits so far and of z (c, n) under scale (c, n), sigma (c, k), weight (c, k); derivatives."""
    unit = math.sqrt(0.5) / (sigma[:, :, None] * scale[:, None])
    # By symmetry both edges lie on the positive side, where erfc keeps its digits far out.
    distance = z.abs()[:, None]
    low, high = (distance - 0.5) * unit, (distance + 0.5) * unit
    mass = torch.erfc(low) - torch.erfc(high)
    probability = 0.5 * torch.bmm(weight[:, None], mass).clamp_min_(2 * LEAST_PROBABILITY)
    # d bits / d probability; then through erfc, whose derivative is -2 / sqrt(pi) exp(-x^2).
    outer = -1 / (math.log(2) * probability)
    slope = -outer / math.sqrt(math.pi)
    near, far = low.square().neg_().exp_(), high.square().neg_().exp_()
    dz = (slope * torch.bmm(weight[:, None], unit * (near - far)))[:, 0] * z.sign()
    # d / d log unit, which is minus d / d log scale and d / d log sigma
    spread = (near.mul_(low).sub_(far.mul_(high))).mul_(slope)
    dscale = -torch.bmm(weight[:, None], spread)[:, 0] / scale
    dsigma = -weight * spread.sum(2) / sigma
    dweight = 0.5 * torch.bmm(mass, outer.mT)[..., 0]
    return so_far - probability.log2().sum(), (dz, dscale, dsigma, dweight)


class GaussianScaleMixture(nn.Module):
    """A zero-mean mixture of Gaussians of one density per channel.

    p(y) = sum_k w_k N(y; 0, s_k^2), with w and s learned per channel. A latent enters the rate
    after its gain g and after rounding, or the uniform noise that stands for it; the probability
    of an integer n is then the mass of the mixture scaled by g on [n - 1/2, n + 1/2]. One density
    serves all rates this way, as in the scale fine-tuning of Theis et al. 2017 (section 2.3).

    Parameters
    ----------
    channels : int
        Number of latent channels C.
    scales : int
        Mixture components per channel K.
    """

    #: Scales, relative to a channel's standard deviation, from which learning starts: latents of
    #: pictures are peaked at zero with heavy tails.
    SPREAD = (0.03, 0.1, 0.3, 0.7, 1.5, 3.0)

    def __init__(self, channels: int, scales: int = SCALES):
        super().__init__()
        spread = torch.tensor(self.SPREAD).log()
        if scales != SCALES:
            spread = torch.linspace(float(spread[0]), float(spread[-1]), scales)
        self.log_scale = nn.Parameter(spread.repeat(channels, 1))
        self.logit = nn.Parameter(torch.zeros(channels, scales))

    @torch.no_grad()
    def calibrate(self, deviation: Tensor) -> None:
        """Start from measured standard deviations, float (C,), one a channel."""
        spread = torch.tensor(self.SPREAD).log().to(self.log_scale)
        self.log_scale.copy_(deviation.clamp_min(1e-3).log()[:, None] + spread)
        self.logit.zero_()

    def bits(self, z: Tensor, scale: Tensor, first: int = 0) -> Tensor:
        """Information content of scaled latents, in bits.

        Parameters
        ----------
        z : float32 (batch, c, height, width)
            Latents times their gain, rounded or with uniform noise.
        scale : float32 (batch, c, height, width), or (batch, c, 1, 1)
            What the mixture is scaled by at each place.
        first : int
            Channel of the mixture that z's channel 0 belongs to.

        Returns
        -------
        float32 (batch,)
            Sum over channels and positions.
        """
        part = slice(first, first + z.shape[1])
        # Autocast would take the matrix products in bfloat16: a rate in steps of half a per cent.
        exact = torch.promote_types(z.dtype, torch.float32)
        with torch.autocast(z.device.type, enabled=False):
            return _MixtureBits.apply(
                z.to(exact).flatten(2),
                scale.to(exact).expand(z.shape).flatten(2),
                self.log_scale[part].exp(),
                self.logit[part].softmax(-1),
            )

    @torch.no_grad()
    def probabilities(self, gain: Tensor) -> list[Tensor]:
        """Probabilities of the magnitudes 0, 1, ... after scaling by a gain.

        Parameters
        ----------
        gain : float (C,)

        Returns
        -------
        list of float64 (n,), one a channel
            A magnitude above zero stands for one of its two signs. Each reaches out to `REACH`
            deviations of the widest component, but not beyond `FARTHEST`.
        """
        scale = self.log_scale.double().exp() * gain.double()[:, None]
        weight = self.logit.double().softmax(-1)
        reach = (REACH * scale.amax(1)).ceil().clamp(1, FARTHEST).long().tolist()
        rows: list[Tensor] = [weight] * len(scale)
        # Channels of like reach are worked out together.
        for size in {value.bit_length() for value in reach}:
            alike = [c for c, value in enumerate(reach) if value.bit_length() == size]
            longest = max(reach[c] for c in alike)
            unit = math.sqrt(0.5) / scale[alike, None, :]
            distance = torch.arange(longest + 1, dtype=torch.float64, device=scale.device)[:, None]
            mass = torch.erfc((distance - 0.5) * unit) - torch.erfc((distance + 0.5) * unit)
            found = 0.5 * (mass * weight[alike, None, :]).sum(-1)
            for c, row in zip(alike, found, strict=True):
                rows[c] = row[: reach[c] + 1]
        return rows

"""A patch discriminator, and both sides' losses in one backward pass: hinge, or non-saturating."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from gencomm.nn.layers import leaky


class PatchDiscriminator(nn.Module):
    """Real or made, for each place at 1/8 of the resolution.

    After Isola et al. 2017 ("Image-to-image translation with conditional adversarial networks",
    section 3.2.2), with spectral normalisation (Miyato et al. 2018) in place of batch
    statistics, which small batches don't have. A value sees about 50 pixels.

    Parameters
    ----------
    width : int
        Channels at half the resolution; twice and three times as many below.
    """

    def __init__(self, width: int = 48):
        super().__init__()
        self.layers = nn.ModuleList(
            spectral_norm(layer)
            for layer in (
                nn.Conv2d(12, width, 3, padding=1),
                nn.Conv2d(width, 2 * width, 4, stride=2, padding=1),
                nn.Conv2d(2 * width, 3 * width, 4, stride=2, padding=1),
                nn.Conv2d(3 * width, 3 * width, 3, padding=1),
            )
        )
        self.score = spectral_norm(nn.Conv2d(3 * width, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Normalised pictures (batch, 3, h, w) -> float32 (batch, 1, h/8, w/8), h, w even."""
        x = F.pixel_unshuffle(x, 2).contiguous(memory_format=torch.channels_last)
        for layer in self.layers:
            x = leaky(layer(x))
        return self.score(x).float()


def adversarial_losses(
    discriminator: nn.Module, real: Tensor, made: Tensor
) -> tuple[Tensor, Tensor]:
    """Losses of the generator and of the discriminator, which don't touch each other's weights.

    Hinge loss (Lim and Ye 2017, "Geometric GAN"). The generator's gradient goes through a frozen
    discriminator, the discriminator's stops at the pictures: their sum can be followed at once.

    Parameters
    ----------
    discriminator : module
    real, made : float (batch, 3, h, w)
        As the discriminator takes them.

    Returns
    -------
    generator, discriminator : float32 scalars
    """
    discriminator.requires_grad_(False)
    deceive = -discriminator(made).mean()
    discriminator.requires_grad_(True)
    scores = discriminator(torch.cat([real, made.detach()]))
    of_real, of_made = scores.chunk(2)
    return deceive, F.relu(1 - of_real).mean() + F.relu(1 + of_made).mean()


class _Turned(torch.autograd.Function):
    """The identity, with a gradient that is multiplied by a factor for each picture.

    The factors stand in a list, because they are known only after the forward pass.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, factors: list[Tensor]) -> Tensor:  # type: ignore[override]
        ctx.factors = factors
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:  # type: ignore[override]
        (factor,) = ctx.factors
        return grad * factor.view(-1, 1, 1, 1).to(grad.dtype), None


def non_saturating_loss(
    discriminator: nn.Module, real: Tensor, made: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """One loss whose gradient is each side's own: the discriminator's weights fall, `made` rises.

    The non-saturating game (Goodfellow et al. 2014, section 3): the discriminator follows
    softplus(-s_real) + softplus(s_made), the generator softplus(-s_made). Of a made picture's
    score s the two have the slopes sigmoid(s) and -sigmoid(-s), whose ratio is -exp(-s). So one
    pass through the discriminator serves both: the gradient that leaves it for a picture is
    multiplied by that ratio. `tests` compare with two passes.

    Parameters
    ----------
    discriminator : module
        Gives a score for each picture, (batch,), that depends on no other picture: no batch
        statistics.
    real, made : float (batch, 3, h, w)

    Returns
    -------
    loss : float32 scalar
        The discriminator's.
    of_real, of_made : float32 (batch,)
        Scores, without gradient.
    """
    factors: list[Tensor] = []
    scores = discriminator(torch.cat([real, _Turned.apply(made, factors)]))
    of_real, of_made = scores.chunk(2)
    factors.append(-(-of_made.detach()).clamp(-40, 40).exp())
    loss = F.softplus(-of_real).mean() + F.softplus(of_made).mean()
    return loss, of_real.detach(), of_made.detach()


def gradient_penalty(discriminator: nn.Module, real: Tensor) -> Tensor:
    """Mean squared norm of a score's gradient at real pictures, which keeps the game stable.

    R1 of Mescheder, Geiger and Nowozin 2018 ("Which training methods for GANs do actually
    converge?", equation 9), less the factor gamma / 2. Of a few pictures of a batch it is an
    estimate without bias, and costs as much as all of them every so many steps.
    """
    x = real.detach().requires_grad_()
    (slope,) = torch.autograd.grad(discriminator(x).sum(), x, create_graph=True)
    return slope.float().square().sum((1, 2, 3)).mean()

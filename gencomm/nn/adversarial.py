"""A patch discriminator, and both sides' losses in one backward pass."""

from __future__ import annotations

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

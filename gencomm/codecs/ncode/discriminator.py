"""Who tells faces from made ones: by pixels, and by a few features of a network for photographs."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from gencomm.codecs.ncode.generator import begin_small
from gencomm.nn.adversarial import adversarial_losses
from gencomm.nn.layers import leaky
from gencomm.nn.perceptual import LAYERS, LPIPS

#: Layers of AlexNet that are looked at, and their channels: 15, 7 and 3 places a side.
SEEN = {0: 64, 1: 192, 4: 256}

#: Pixels between places of the first layer.
STRIDE = LAYERS[0][0]


class FaceDiscriminator(nn.Module):
    """One score of a whole aligned face; without normalisation, for the gradient penalty.

    Parameters
    ----------
    width : int
        Channels at half the resolution; two, four and five times as many below.
    """

    def __init__(self, width: int = 48):
        super().__init__()
        self.enter = nn.Conv2d(12, width, 3, padding=1)
        self.layers = nn.ModuleList(
            nn.Conv2d(width * a, width * b, 4, stride=2, padding=1)
            for a, b in ((1, 2), (2, 4), (4, 5))
        )
        self.whole = nn.Linear(16 * 5 * width, 4 * width)
        self.score = nn.Linear(4 * width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, 3, 64, 64), samples -1 to 1 -> float32 (batch,)."""
        x = F.pixel_unshuffle(x, 2).contiguous(memory_format=torch.channels_last)
        x = leaky(self.enter(x))
        for layer in self.layers:
            x = leaky(layer(x))
        return self.score(leaky(self.whole(x.flatten(1))))[:, 0].float()


class DCGANDiscriminator(nn.Module):
    """Four strided convolutions (Radford et al. 2016).

    Without their batch normalisation, which the gradient penalty doesn't go with: a picture's
    gradient must not depend on other pictures (Gulrajani et al. 2017, section 4).
    """

    def __init__(self, width: int = 32):
        super().__init__()
        steps = [(3, width), (width, 2 * width), (2 * width, 4 * width), (4 * width, 8 * width)]
        self.layers = nn.ModuleList(nn.Conv2d(a, b, 4, stride=2, padding=1) for a, b in steps)
        self.score = nn.Conv2d(8 * width, 1, 4)
        begin_small(self)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, 3, 64, 64), samples -1 to 1 -> float32 (batch,)."""
        x = x.contiguous(memory_format=torch.channels_last)
        for layer in self.layers:
            x = F.leaky_relu(layer(x), 0.2)
        return self.score(x)[:, 0, 0, 0].float()


class FeatureHeads(nn.Module):
    """Discriminators on features of a frozen network, which know about pictures from the start.

    After Sauer, Chitta, Mueller and Geiger 2021 ("Projected GANs converge faster"), with the
    features of `LPIPS`, which the encoder's loss uses too: no judge sees through them.
    """

    def __init__(self, width: int = 64):
        super().__init__()
        self.heads = nn.ModuleList(
            nn.Sequential(
                spectral_norm(nn.Conv2d(channels, width, 1)),
                nn.LeakyReLU(0.2),
                spectral_norm(nn.Conv2d(width, width, 3, padding=1)),
                nn.LeakyReLU(0.2),
                spectral_norm(nn.Conv2d(width, 1, 1)),
            )
            for channels in SEEN.values()
        )

    def losses(
        self, eyes: LPIPS, real: Tensor, made: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Mean losses of generator and heads; samples 0 to 255.

        Pictures are seen from a random corner: the network's first layer looks at every fourth
        pixel only, and from always the same ones the generator learns a grid.
        """
        corner = torch.randint(STRIDE, (2,), generator=generator, device=real.device).tolist()
        rows, columns = (slice(first, first + real.shape[2] - STRIDE + 1) for first in corner)
        real, made = real[:, :, rows, columns], made[:, :, rows, columns]
        with torch.no_grad():
            of_real = list(eyes.features(real))
        of_made = list(eyes.features(made))
        pairs = [
            adversarial_losses(head, scale * of_real[k], scale * of_made[k])
            for head, (k, scale) in zip(
                self.heads, ((k, c**0.5) for k, c in SEEN.items()), strict=True
            )
        ]
        deceive, tell = (torch.stack(part).mean() for part in zip(*pairs, strict=True))
        return deceive, tell


def make_discriminator(generator: str, dcgan: int) -> FaceDiscriminator | DCGANDiscriminator:
    """The opponent of a generator."""
    return DCGANDiscriminator(dcgan) if generator == "dcgan" else FaceDiscriminator()

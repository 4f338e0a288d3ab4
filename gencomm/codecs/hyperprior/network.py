"""The networks of the hyperprior: the transforms of `cae`, and a learned conditional model.

Balle et al. 2018 and Minnen et al. 2018 send side information from which a network computes the
mean and the scale of each latent. Here the coarse plane of latents, at 1/16 of the resolution,
does that for the fine one at 1/8, as in Hu et al. 2020 ("Coarse-to-fine hyper-prior modeling"),
and within each plane groups of channels inform those after them. Side information of its own for
the coarse plane (12 channels at 1/32) was tried: it took more bits than it saved.
"""

from __future__ import annotations

import torch
from torch import Tensor

from gencomm.codecs.cae.network import CompressiveAutoencoder, Shape
from gencomm.nn.conditional import ConditionalModel, Groups
from gencomm.nn.gains import interpolation
from gencomm.nn.quantise import clip_identity, uniform_noise

#: Bounds of log scales, in steps of rounding: keep the rate finite whatever a network says.
LOG_SCALE = (-12.0, 12.0)


class Hyperprior(CompressiveAutoencoder):
    """Encoder, gains, conditional model and decoder; learned with the noise and rounding of `cae`.

    Parameters
    ----------
    lambdas : sequence of float
        As of `CompressiveAutoencoder`.
    shape : Shape
    groups : Groups
        Must divide the latent channels of the shape.
    """

    def __init__(
        self,
        lambdas: tuple[float, ...],
        shape: Shape = Shape(),  # noqa: B008
        groups: Groups = Groups(),  # noqa: B008
    ):
        super().__init__(lambdas, shape)
        if (sum(groups.coarse), sum(groups.fine)) != (shape.coarse, shape.fine):
            raise ValueError(f"{groups} don't divide {shape.coarse} and {shape.fine} channels")
        self.groups = groups
        self.context = ConditionalModel(groups, len(lambdas))

    def forward(
        self, x: Tensor, position: Tensor, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor]:
        """Code pictures and estimate the rate, as `CompressiveAutoencoder.forward` does.

        Latents are rounded at whole distances from their means; in training the rate sees uniform
        noise in place of the rounding, the decoder the rounded values.
        """
        weight = interpolation(position, len(self.lambdas))
        gain, inverse = self.gains(weight)
        coarse, fine = self.encoder(self.normalise(x))
        k = self.shape.coarse
        wide, wide_inverse = gain[:, :, None, None], inverse[:, :, None, None]
        scaled = coarse * wide[:, :k], fine * wide[:, k:]
        coarse, fine, groups = self.context(*scaled, gain, weight)
        bits = torch.zeros(len(x), device=x.device)
        for residual, log_scale, first in groups:
            noisy = uniform_noise(residual, generator) if self.training else residual.round()
            bits = bits + self.prior.bits(noisy, log_scale.clamp(*LOG_SCALE).exp(), first=first)
        out = self.decoder(coarse * wide_inverse[:, :k], fine * wide_inverse[:, k:], weight)
        return clip_identity(self.denormalise(out), 0, 255), bits

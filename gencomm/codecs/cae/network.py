"""The networks of the compressive autoencoder.

Theis et al. 2017 (figure 2): mirror padding, fixed normalisation, strided convolutions down to
1/8 of the resolution, residual blocks, rounding, and a decoder of residual blocks and sub-pixel
convolutions. Four things differ, each because hours of training are scarce here:

- A linear path runs beside the residual blocks on both sides: an overlapped 16x16 transform with
  a stride of 8, and 3x3 blocks of 8x8 basis functions back. It starts as a block DCT, so that
  training begins at a working transform codec instead of at a grey picture.
- The lowest frequencies are split once more, to 1/16 of the resolution: their latents would
  otherwise be much alike from one position to the next, which a factorised prior pays for.
- The first stage goes to 1/4 of the resolution at once (a 12x12 window with a stride of 4):
  convolutions at full and half resolution would cost most of the time and buy little.
- All rates are learned together, by gain vectors.

And one that the rate needs: the mixture's scale at each place follows from the magnitudes of
latents decoded before it (`gencomm.nn.context`). With the factorised prior of the paper, the same
latents cost a quarter more.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gencomm.nn.context import MagnitudeContext, Places
from gencomm.nn.entropy import GaussianScaleMixture
from gencomm.nn.gains import Gains, interpolation
from gencomm.nn.layers import Stack, SubPixel, leaky
from gencomm.nn.quantise import clip_identity, round_identity, uniform_noise
from gencomm.nn.transforms import HAAR, colour_dct

#: Sides of pictures are padded to a multiple of this.
STRIDE = 16

#: Fixed normalisation: mean of red, green and blue, and deviation, over the training photographs.
MEAN = (117.0, 112.0, 102.0)
DEVIATION = 60.0


@dataclass(frozen=True)
class Shape:
    """Sizes of the network.

    Attributes
    ----------
    luma, chroma : int
        How many basis functions of the block DCT the linear path starts from.
    split : int
        How many of them, lowest first, go on to 1/16 of the resolution.
    width4, width8, width16 : int
        Channels of the residual blocks at 1/4, 1/8 and 1/16.
    blocks4, blocks8, blocks16 : int
        Their numbers, on each side.
    """

    luma: int = 64
    chroma: int = 40
    split: int = 16
    width4: int = 96
    width8: int = 192
    width16: int = 256
    blocks4: int = 1
    blocks8: int = 3
    blocks16: int = 3

    @property
    def coefficients(self) -> int:
        """Channels of the linear path at 1/8."""
        return self.luma + 2 * self.chroma

    @property
    def fine(self) -> int:
        """Latent channels at 1/8."""
        return self.coefficients - self.split

    @property
    def coarse(self) -> int:
        """Latent channels at 1/16."""
        return 4 * self.split


class Encoder(nn.Module):
    """Picture -> latents at 1/16 and at 1/8."""

    def __init__(self, shape: Shape):
        super().__init__()
        s = self.shape = shape
        self.linear = nn.Conv2d(48, s.coefficients, 4, stride=2)
        self.stem = nn.Conv2d(48, s.width4, 3)
        self.stage4 = Stack(s.blocks4, s.width4)
        self.down8 = nn.Conv2d(s.width4, s.width8, 3, stride=2, padding=1)
        self.stage8 = Stack(s.blocks8, s.width8)
        self.out8 = nn.Conv2d(s.width8, s.coefficients, 3, padding=1)
        self.down16 = nn.Conv2d(s.width8, s.width16, 3, stride=2, padding=1)
        self.stage16 = Stack(s.blocks16, s.width16)
        self.split = nn.Conv2d(s.coarse, s.coarse, 1, bias=False)
        self.out16 = nn.Conv2d(s.width16, s.coarse, 3, padding=1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Normalised picture (batch, 3, h, w) -> float32 (batch, coarse, h/16, w/16) and
        (batch, fine, h/8, w/8); h and w multiples of 16.
        """
        padded = F.pad(x, (4, 4, 4, 4), mode="reflect")
        cells = F.pixel_unshuffle(padded, 4).contiguous(memory_format=torch.channels_last)
        f = self.stage4(leaky(self.stem(cells)))
        f = self.stage8(self.down8(f))
        nonlinear8 = self.out8(f).float()
        nonlinear16 = self.out16(self.stage16(leaky(self.down16(f)))).float()
        # Large low frequencies at high gains need more digits than bfloat16 has.
        with torch.autocast(x.device.type, enabled=False):
            coefficients = nonlinear8 + self.linear(cells.float())
            low, fine = coefficients.split([self.shape.split, self.shape.fine], 1)
            coarse = nonlinear16 + self.split(F.pixel_unshuffle(low, 2))
        return coarse, fine


class Decoder(nn.Module):
    """Latents at 1/16 and 1/8 -> picture."""

    def __init__(self, shape: Shape, rates: int):
        super().__init__()
        s = self.shape = shape
        self.merge = nn.Conv2d(s.coarse, s.coarse, 1, bias=False)
        self.in16 = nn.Conv2d(s.coarse, s.width16, 3, padding=1)
        self.stage16 = Stack(s.blocks16, s.width16, rates)
        self.up8 = SubPixel(s.width16, s.width8)
        self.in8 = nn.Conv2d(s.coefficients, s.width8, 3, padding=1)
        self.stage8 = Stack(s.blocks8, s.width8, rates)
        self.up4 = SubPixel(s.width8, s.width4)
        self.stage4 = Stack(s.blocks4, s.width4, rates)
        self.out = nn.Conv2d(s.width4, 48, 3, padding=1)
        self.linear = nn.Conv2d(s.coefficients, 192, 3, padding=1)

    def forward(self, coarse: Tensor, fine: Tensor, weight: Tensor) -> Tensor:
        """Latents and `interpolation` weights (batch, rates) -> normalised picture, float32."""
        low = F.pixel_shuffle(self.merge(coarse), 2)
        coefficients = torch.cat([low, fine.to(low.dtype)], 1)
        coefficients = coefficients.contiguous(memory_format=torch.channels_last)
        f = self.up8(self.stage16(self.in16(coarse), weight)) + self.in8(coefficients)
        f = leaky(self.up4(self.stage8(f, weight)))
        f = self.out(self.stage4(f, weight))
        return F.pixel_shuffle(f.float(), 4) + F.pixel_shuffle(self.linear(coefficients).float(), 8)


class CompressiveAutoencoder(nn.Module):
    """Encoder, gains, rate model and decoder.

    Parameters
    ----------
    lambdas : sequence of float
        Weight of the mean squared error (8-bit units) against bits per pixel at each rate,
        ascending.
    shape : Shape
    side : int
        When positive, a multiple of `STRIDE`: of aligned pictures of this side alone, whose latents
        have a mean and a scale of their own at each place. Encoder and decoder are the same.
    """

    def __init__(self, lambdas: tuple[float, ...], shape: Shape = Shape(), side: int = 0):
        super().__init__()
        self.shape, self.lambdas, self.side = shape, lambdas, side
        self.encoder = Encoder(shape)
        self.decoder = Decoder(shape, len(lambdas))
        # A rounded orthonormal transform of step d has an error of d^2 / 12 a sample and gains
        # 1 / ln 2 bits for each e-fold of d, three samples a pixel: lambda d^2 = 18 / ln 2.
        start = [DEVIATION * float(np.sqrt(value * np.log(2) / 18)) for value in lambdas]
        self.gains = Gains(shape.coarse + shape.fine, start)
        self.prior = GaussianScaleMixture(shape.coarse + shape.fine)
        self.context = MagnitudeContext(shape.coarse, shape.fine, len(lambdas))
        self.places = Places(shape.coarse, shape.fine, side // STRIDE) if side else None
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1), persistent=False)
        #: Channels of latents in use, in order; fewer than all in incremental training alone.
        self.enabled = shape.coarse + shape.fine
        self._start_linear()

    @torch.no_grad()
    def _start_linear(self) -> None:
        """Make the linear path a block DCT with a Haar split, and silence the other."""
        s = self.shape
        basis = torch.tensor(colour_dct(s.luma, s.chroma), dtype=torch.float32)
        window = torch.zeros(s.coefficients, 3, 16, 16)
        window[:, :, 4:12, 4:12] = basis
        # Channels of space-to-depth are (colour, row, column) within a cell of 4x4.
        cells = window.view(s.coefficients, 3, 4, 4, 4, 4).permute(0, 1, 3, 5, 2, 4)
        self.encoder.linear.weight.copy_(cells.reshape(s.coefficients, 48, 4, 4))
        self.decoder.linear.weight.zero_()
        self.decoder.linear.weight[:, :, 1, 1] = basis.reshape(s.coefficients, 192).T
        haar = torch.block_diag(*[torch.tensor(HAAR, dtype=torch.float32)] * s.split)
        self.encoder.split.weight.copy_(haar[:, :, None, None])
        self.decoder.merge.weight.copy_(haar.T[:, :, None, None])
        silent = (self.encoder.out8, self.encoder.out16, self.decoder.out)
        for layer in silent:
            nn.init.zeros_(layer.weight)
        for layer in (*silent, self.encoder.linear, self.decoder.linear):
            nn.init.zeros_(layer.bias)

    def normalise(self, x: Tensor) -> Tensor:
        """8-bit units to about zero mean and unit deviation."""
        return (x - self.mean) / DEVIATION

    def denormalise(self, x: Tensor) -> Tensor:
        """The inverse of `normalise`."""
        return x * DEVIATION + self.mean

    @torch.no_grad()
    def calibrate(self, x: Tensor) -> None:
        """Start the rate model from the latents of pictures, float (batch, 3, h, w), 0 to 255."""
        latents = self.encoder(self.normalise(x))
        if self.places is not None:
            latents = self.places.calibrate(*latents)
        self.prior.calibrate(torch.cat([y.std((0, 2, 3)) for y in latents]))
        self.context.calibrate(*latents)

    def forward(
        self, x: Tensor, position: Tensor, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor]:
        """Code pictures and estimate the rate.

        Parameters
        ----------
        x : float32 (batch, 3, h, w)
            0 to 255; h and w multiples of 16.
        position : float (batch,)
            Rate of each picture, from 0 to ``len(lambdas) - 1``.
        generator : torch.Generator, optional
            Of the noise in training. In evaluation mode the latents are rounded.

        Returns
        -------
        reconstruction : float32 (batch, 3, h, w)
            Clipped to 0 .. 255.
        bits : float32 (batch,)
            Of each picture.
        """
        weight = interpolation(position, len(self.lambdas))
        gain, inverse = self.gains(weight)
        coarse, fine = self.encoder(self.normalise(x))
        if self.places is not None:
            coarse, fine = coarse - self.places.mean_coarse, fine - self.places.mean_fine
        split = [self.shape.coarse, self.shape.fine]
        gain_coarse, gain_fine = gain[:, :, None, None].split(split, 1)
        inverse_coarse, inverse_fine = inverse[:, :, None, None].split(split, 1)
        coarse, fine = coarse * gain_coarse, fine * gain_fine
        near, far = min(self.enabled, split[0]), max(self.enabled - split[0], 0)
        if far < split[1]:  # the mask of Theis et al. 2017, section 3.2
            coarse, fine = _first(coarse, near), _first(fine, far)
        symbols = round_identity(coarse), round_identity(fine)
        with torch.autocast(x.device.type, enabled=False):
            least = None if self.places is None else self.places.scales
            mean, scale_coarse, scale_fine = self.context(*symbols, gain, weight, least)
        if self.training:
            coarse, fine = uniform_noise(coarse, generator), uniform_noise(fine, generator)
        else:
            coarse, fine = symbols
        distance, scale_coarse = coarse - round_identity(mean), scale_coarse * gain_coarse
        bits = self.prior.bits(distance[:, :near], scale_coarse[:, :near])
        if far:
            scale_fine = (scale_fine * gain_fine)[:, :far]
            bits = bits + self.prior.bits(fine[:, :far], scale_fine, first=self.shape.coarse)
        latents = symbols[0] * inverse_coarse, symbols[1] * inverse_fine
        if self.places is not None:
            latents = latents[0] + self.places.mean_coarse, latents[1] + self.places.mean_fine
        out = self.denormalise(self.decoder(*latents, weight))
        return clip_identity(out, 0, 255), bits


def _first(planes: Tensor, count: int) -> Tensor:
    """Planes (batch, channels, h, w) with zeros behind the first channels."""
    mask = torch.arange(planes.shape[1], device=planes.device) < count
    return planes * mask[:, None, None]

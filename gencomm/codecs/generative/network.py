"""The networks of the generative code.

Picture -> latents at 1/8 and 1/16 of the resolution (the transform of `gencomm.codecs.cae`, from
whose weights training can start) -> one vector for each cell of 32x32 pixels, whose values have
fixed numbers of bits -> channel -> mean of what was sent given what arrived -> latents ->
picture. Packing and unpacking have a linear path, which starts as a Haar transform that picks the
latents of largest variance, gated and corrected by residual blocks that start silent: training
begins at a working transform code.

The decoder is told the rate and the bit error rate; the encoder the rate alone.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gencomm.codecs.cae.network import DEVIATION, MEAN, Decoder, Encoder, Shape
from gencomm.codecs.generative.allocation import VALUES, WIDEST, layout, rate_position
from gencomm.nn.conditions import BER_POINTS, ber_weights
from gencomm.nn.gains import Gains, interpolation
from gencomm.nn.layers import Stack, leaky, silence
from gencomm.nn.product import ProductQuantiser
from gencomm.nn.quantise import clip_identity
from gencomm.nn.transforms import HAAR, colour_dct

#: Rates between which gains and biases are interpolated, log-equidistant from LEAST to MOST.
RATE_POINTS = 5

CONDITIONS = RATE_POINTS + BER_POINTS

#: Bound on the logarithm of a gate: a factor of up to 20 up or down.
LOUDEST = 3.0

#: Latents of less deviation than this are not amplified further; as half precision can hold.
QUIET = 1e-3


@dataclass(frozen=True)
class Sizes:
    """Sizes of the networks.

    Attributes
    ----------
    encoder, decoder : Shape
        Of the transforms; with the same latents.
    width32, blocks32 : int
        Channels and number of residual blocks at 1/32, on each side.
    design_ber : float
        Bit error rate that the bits of a cell are laid out for.
    """

    encoder: Shape = field(default_factory=lambda: Shape(24, 12, 16, blocks16=4))
    decoder: Shape = field(default_factory=lambda: Shape(24, 12, 16, blocks4=2, blocks16=4))
    width32: int = 320
    blocks32: int = 2
    design_ber: float = 0.03

    @property
    def gathered(self) -> int:
        """Latents of a cell."""
        return 4 * self.encoder.coarse + 16 * self.encoder.fine

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, for a file's metadata."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Sizes:
        """The inverse of `to_dict`."""
        shapes = {name: Shape(**values[name]) for name in ("encoder", "decoder")}
        return cls(**(values | shapes))


def _gated(linear: Tensor, f: Tensor) -> Tensor:
    """Linear path, turned up or down and corrected by the other, which has twice the channels.

    With gates a cell's contrast can go into a few values and be divided out of the others.
    """
    gate, offset = f.float().chunk(2, 1)
    return linear * (LOUDEST * torch.tanh(gate / LOUDEST)).exp() + offset


class Pack(nn.Module):
    """Latents -> values of cells."""

    def __init__(self, sizes: Sizes):
        super().__init__()
        self.linear = nn.Conv2d(sizes.gathered, VALUES, 1)
        # Low frequencies are a hundred times as large as high ones: the blocks get them levelled.
        self.register_buffer("middle", torch.zeros(1, sizes.gathered, 1, 1))
        self.register_buffer("level", torch.ones(1, sizes.gathered, 1, 1))
        self.enter = nn.Conv2d(sizes.gathered, sizes.width32, 1)
        self.stage32 = Stack(sizes.blocks32, sizes.width32, RATE_POINTS)
        self.leave = silence(nn.Conv2d(sizes.width32, 2 * VALUES, 1))

    def forward(self, coarse: Tensor, fine: Tensor, rate: Tensor) -> Tensor:
        """Latents and rate weights (batch, RATE_POINTS) -> float32 (batch, VALUES, h/32, w/32)."""
        latents = torch.cat([F.pixel_unshuffle(coarse, 2), F.pixel_unshuffle(fine, 4)], 1)
        f = self.enter((latents - self.middle) * self.level)
        f = self.leave(leaky(self.stage32(f, rate)))
        with torch.autocast(latents.device.type, enabled=False):
            return _gated(self.linear(latents.float()), f)


class Unpack(nn.Module):
    """Values of cells -> latents."""

    def __init__(self, sizes: Sizes):
        super().__init__()
        self.split = [4 * sizes.decoder.coarse, 16 * sizes.decoder.fine]
        self.linear = nn.Conv2d(VALUES, sizes.gathered, 1)
        self.enter = nn.Conv2d(VALUES, sizes.width32, 1)
        self.stage32 = Stack(sizes.blocks32, sizes.width32, CONDITIONS)
        self.leave = silence(nn.Conv2d(sizes.width32, 2 * sizes.gathered, 1))

    def forward(self, values: Tensor, conditions: Tensor) -> tuple[Tensor, Tensor]:
        """Values and conditions (batch, CONDITIONS) -> latents at 1/16 and 1/8, float32."""
        f = self.leave(leaky(self.stage32(self.enter(values), conditions)))
        with torch.autocast(values.device.type, enabled=False):
            coarse, fine = _gated(self.linear(values), f).split(self.split, 1)
        return F.pixel_shuffle(coarse, 2), F.pixel_shuffle(fine, 4)


class GenerativeCode(nn.Module):
    """Encoder, fixed-length quantiser and decoder.

    Parameters
    ----------
    sizes : Sizes
    """

    def __init__(self, sizes: Sizes = Sizes()):
        super().__init__()
        self.sizes = sizes
        self.encoder, self.pack = Encoder(sizes.encoder), Pack(sizes)
        self.gains = Gains(VALUES, [1.0] * RATE_POINTS)
        self.quantiser = ProductQuantiser(VALUES, WIDEST)
        self.unpack, self.decoder = Unpack(sizes), Decoder(sizes.decoder, CONDITIONS)
        mean = torch.tensor(MEAN).view(1, 3, 1, 1)
        self.register_buffer("mean", mean, persistent=False)
        self._start_as_dct()

    @torch.no_grad()
    def _start_as_dct(self) -> None:
        """The transform's linear path is a block DCT, its other path silent."""
        s = self.sizes.encoder
        basis = torch.tensor(colour_dct(s.luma, s.chroma), dtype=torch.float32)
        window = torch.zeros(s.coefficients, 3, 16, 16)
        window[:, :, 4:12, 4:12] = basis
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

    @torch.no_grad()
    def adopt(self, arrays: dict[str, np.ndarray], rates: tuple[float, ...]) -> np.ndarray:
        """Take over the transforms of a trained `cae`, as far as sizes allow.

        Parameters
        ----------
        arrays : dict
            ``encoder.*``, ``decoder.*`` and ``gains.log_gain`` of its weights.
        rates : tuple of float, one for each of this network's rates
            Where on the axis of its rates the decoder's biases are taken from.

        Returns
        -------
        float32 (coarse + fine,)
            How much an error in each latent matters: its gain at a middle rate.
        """
        s = self.sizes.encoder
        own = self.state_dict()
        gain = torch.from_numpy(np.float32(arrays["gains.log_gain"]))
        columns = interpolation(torch.tensor(rates), len(gain))
        for name, array in arrays.items():
            if name not in own or not name.startswith(("encoder.", "decoder.")):
                continue
            value, target = torch.from_numpy(np.float32(array)), own[name]
            if name.endswith(".rate.weight"):
                target.zero_()
                target[:, :RATE_POINTS] = value @ columns.T
            else:  # fewer latents: the first of each kind
                target.copy_(value[tuple(slice(n) for n in target.shape)])
        return np.exp(gain[2].numpy())[: s.coarse + s.fine]

    @torch.no_grad()
    def calibrate(self, x: Tensor, importance: np.ndarray | None = None) -> None:
        """Let the linear path pick the latents of largest variance, scaled to deviation one.

        Parameters
        ----------
        x : float (batch, 3, h, w)
            Pictures, 0 to 255; sides multiples of 32.
        importance : array (coarse + fine,), optional
            How much an error in each latent matters; all alike by default.
        """
        s = self.sizes.encoder
        coarse, fine = self.encoder(self.normalise(x))
        gathered = torch.cat([F.pixel_unshuffle(coarse, 2), F.pixel_unshuffle(fine, 4)], 1)
        haar = torch.tensor(HAAR, dtype=torch.float32, device=x.device)
        low, count = 4 * s.coarse, self.sizes.gathered
        turn = torch.eye(count, device=x.device)
        turn[:low, :low] = torch.block_diag(*[haar] * s.coarse)
        self.pack.middle.copy_(gathered.mean((0, 2, 3), keepdim=True))
        self.pack.level.copy_(1 / gathered.std((0, 2, 3), keepdim=True).clamp_min(QUIET))
        rows = torch.einsum("ij,bjyx->bixy", turn, gathered).permute(0, 2, 3, 1).reshape(-1, count)
        mean, deviation = rows.mean(0), rows.std(0)
        matter = np.ones(s.coarse + s.fine) if importance is None else importance
        repeat = np.repeat(matter, [4] * s.coarse + [16] * s.fine)
        weighted = deviation * torch.from_numpy(np.float32(repeat)).to(x.device)
        chosen = weighted.argsort(descending=True)[:VALUES]
        unit = deviation[chosen].clamp_min(1e-6)
        into, back = turn[chosen] / unit[:, None], turn[chosen].T * unit
        self.pack.linear.weight.copy_(into[:, :, None, None])
        self.pack.linear.bias.copy_(-mean[chosen] / unit)
        self.unpack.linear.weight.copy_(back[:, :, None, None])
        self.unpack.linear.bias.copy_(turn.T @ mean)

    def normalise(self, x: Tensor) -> Tensor:
        """8-bit units to about zero mean and unit deviation."""
        return (x - self.mean) / DEVIATION

    def denormalise(self, x: Tensor) -> Tensor:
        """The inverse of `normalise`."""
        return x * DEVIATION + self.mean

    def analyse(self, x: Tensor, budget: int) -> Tensor:
        """Values of cells before they are quantised, float32 (batch, VALUES, h/32, w/32).

        Parameters
        ----------
        x : float32 (batch, 3, h, w)
            0 to 255; sides multiples of 32.
        budget : int
            Bits of a cell.
        """
        rate = self._rate(budget, len(x), x.device)
        values = self.pack(*self.encoder(self.normalise(x)), rate)
        return values * self.gains(rate)[0][:, :, None, None]

    def synthesise(
        self, values: Tensor, budget: int, ber: Tensor, told: Tensor | None = None
    ) -> Tensor:
        """Picture, float32 (batch, 3, h, w), not clipped.

        Parameters
        ----------
        values : float32 (batch, VALUES, h/32, w/32)
            Estimates of what was sent.
        budget : int
        ber : float (batch,)
            Bit error rate that the values came through.
        told : bool (batch,), optional
            Whether the decoder is told; it is by default.
        """
        rate = self._rate(budget, len(values), values.device)
        conditions = torch.cat([rate, ber_weights(ber, told)], 1)
        values = values * self.gains(rate)[1][:, :, None, None]
        return self.denormalise(self.decoder(*self.unpack(values, conditions), conditions))

    @staticmethod
    def _rate(budget: int, count: int, device: torch.device) -> Tensor:
        position = rate_position(budget, RATE_POINTS)
        return interpolation(torch.full((count,), position, device=device), RATE_POINTS)

    def forward(
        self,
        x: Tensor,
        budget: int,
        ber: Tensor | None = None,
        told: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Send pictures over a binary symmetric channel.

        Parameters
        ----------
        x : float32 (batch, 3, h, w)
            0 to 255; sides multiples of 32.
        budget : int
            Bits of a cell.
        ber : float (batch,), optional
            Probability that a bit is flipped; 0 by default.
        told : bool (batch,), optional
            Whether the decoder knows it, or takes bits at their word.
        generator : torch.Generator, optional
            Of the errors.

        Returns
        -------
        float32 (batch, 3, h, w), clipped to 0 .. 255
        """
        ber = torch.zeros(len(x), device=x.device) if ber is None else ber
        believed = ber if told is None else ber * told
        values = self.analyse(x, budget)
        copies = layout(budget, self.sizes.design_ber).copies
        sent = self.quantiser(values.float(), copies, ber, believed, generator)
        return clip_identity(self.synthesise(sent, budget, ber, told), 0, 255)

"""Values with fixed numbers of bits, as a layer: quantised, sent through a bit-flipping channel.

Finite scalar quantisation (Mentzer, Minnen, Agustsson, Tschannen 2023, "Finite scalar
quantization: VQ-VAE made simple"): a value is bounded by tanh and put into one of 2**w equal
cells of the bounded range. There is no codebook that could collapse and no entropy code. What the
decoder gets is, for each value, the mean of what was sent given what arrived, in closed form
(`gencomm.bitstream.product_code`): with LLRs L_k of a cell's Gray label b_i,

    E[x | L] = sum_i P_i y_i q_i / sum_i P_i q_i,      q_i = exp(-sum_k b_ik L_k).

A bit may be sent more than once: LLRs of its copies add up. P_i is measured while training.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

#: Scale of the tanh, in deviations of a value: with it the levels of 1 to 4 bits lie close to
#: those of the best quantisers of a Gaussian variable (Max 1960, table I).
SPREAD = 1.5

#: Probability of a cell that nothing fell into, so that every received label means something.
FLOOR = 1e-4

#: A receiver that is not told of errors, or told of none, still weighs copies against each other.
LEAST_BER = 1e-6


def bounded_levels(width: int) -> tuple[np.ndarray, np.ndarray]:
    """Levels and thresholds of 2**width cells that are equal after tanh(x / SPREAD).

    Returns
    -------
    levels : float64 (2**width,)
    thresholds : float64 (2**width - 1,)
    """
    count = 1 << width
    middles = (2 * np.arange(count) + 1) / count - 1
    edges = 2 * np.arange(1, count) / count - 1
    return SPREAD * np.arctanh(middles), SPREAD * np.arctanh(edges)


def gray_bits(width: int) -> np.ndarray:
    """Gray labels of 2**width cells, most significant bit first; int64 (2**width, width)."""
    level = np.arange(1 << width)
    label = level ^ (level >> 1)
    return (label[:, None] >> np.arange(width - 1, -1, -1)) & 1


class ProductQuantiser(nn.Module):
    """Quantise channels with given numbers of bits, flip bits, and estimate what was sent.

    Parameters
    ----------
    channels : int
    most : int
        Largest number of bits of one value.
    momentum : float
        Weight of the past in the measured probabilities of cells.
    """

    def __init__(self, channels: int, most: int, momentum: float = 0.99):
        super().__init__()
        self.channels, self.most, self.momentum = channels, most, momentum
        for width in range(1, most + 1):
            levels, thresholds = bounded_levels(width)
            cumulated = 0.5 * (1 + torch.erf(torch.tensor(thresholds) / 2**0.5))
            ends = torch.tensor([0.0, 1.0], dtype=cumulated.dtype)
            share = torch.cat([ends[:1], cumulated, ends[1:]]).diff().float()
            self.register_buffer(f"prior{width}", share.repeat(channels, 1))
            kept = {"levels": torch.tensor(levels, dtype=torch.float32)}
            kept["bits"] = torch.tensor(gray_bits(width), dtype=torch.float32)
            for name, value in kept.items():
                self.register_buffer(f"{name}{width}", value, persistent=False)

    def forward(
        self,
        x: Tensor,
        copies: np.ndarray,
        flip: Tensor | None = None,
        believed: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Send values and get estimates of them; the gradient passes by (straight-through).

        Parameters
        ----------
        x : float32 (batch, channels, h, w)
            Of about unit deviation.
        copies : int (channels, most)
            How often each bit of a value is sent, most significant first. Of values that have
            none the estimate is 0.
        flip : float (batch,), optional
            Probability that a bit arrives wrong; none by default.
        believed : float (batch,), optional
            What the receiver takes it for; LEAST_BER by default and at least.
        generator : torch.Generator, optional
            Of the errors.

        Returns
        -------
        float32, the same shape
        """
        none = torch.zeros(len(x), device=x.device)
        flip = none if flip is None else flip
        believed = none if believed is None else believed
        # The slope falls where values leave the range of the levels, or they would drift away.
        through = 2 * SPREAD * torch.tanh(x / (2 * SPREAD))
        through = through * (1 - 2 * flip)[:, None, None, None]
        estimate = torch.zeros_like(x)
        kept = torch.zeros_like(x)
        widths = (copies > 0).sum(1)
        with torch.no_grad(), torch.autocast(x.device.type, enabled=False):
            for width in range(1, self.most + 1):
                chosen = np.flatnonzero(widths == width)
                if len(chosen):
                    members = torch.from_numpy(chosen).to(x.device)
                    times = torch.from_numpy(copies[chosen, :width].T.copy()).to(x.device)
                    bits = self._label(x[:, members], width, members)
                    llr = _receive(bits, times, flip, believed, generator)
                    estimate[:, members] = self.estimate(llr, width, members)
                    kept[:, members] = 1.0
        return estimate + (through - through.detach()) * kept

    def _label(self, x: Tensor, width: int, members: Tensor) -> Tensor:
        """Bits of values, float32 (width, batch, members, h, w); counts cells in training."""
        count = 1 << width
        cell = (torch.tanh(x / SPREAD) + 1) * (count / 2)
        cell = cell.floor().clamp(0, count - 1).long()
        if self.training:
            prior = getattr(self, f"prior{width}")
            number = cell + count * torch.arange(len(members), device=x.device)[:, None, None]
            found = torch.bincount(number.flatten(), minlength=count * len(members)).view(-1, count)
            share = found / found.sum(1, keepdim=True)
            prior[members] = prior[members].lerp(share, 1 - self.momentum)
        return getattr(self, f"bits{width}")[cell].movedim(-1, 0)

    def estimate(self, llr: Tensor, width: int, members: Tensor) -> Tensor:
        """What was sent on average, given LLRs (width, batch, members, h, w)."""
        levels, bits = getattr(self, f"levels{width}"), getattr(self, f"bits{width}")
        share = getattr(self, f"prior{width}")[members].clamp_min(FLOOR)
        exponent = share.log()[:, None, None] - torch.einsum("kbmyx,ik->bmyxi", llr, bits)
        return exponent.softmax(-1) @ levels


def _receive(
    bits: Tensor, times: Tensor, flip: Tensor, believed: Tensor, generator: torch.Generator | None
) -> Tensor:
    """LLRs of bits that were sent so many times each, (width, members), through the channel."""
    wrong = torch.zeros_like(bits)
    wide = times[:, None, :, None, None]
    if bool((flip > 0).any()):
        for copy in range(int(times.max())):
            hit = torch.rand(bits.shape, generator=generator, device=bits.device)
            wrong += (hit < flip[:, None, None, None]) & (wide > copy)
    p = believed.clamp(LEAST_BER, 0.5)[:, None, None, None]
    return (1 - 2 * bits) * (wide - 2 * wrong) * ((1 - p) / p).log()

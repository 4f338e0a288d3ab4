"""Values with fixed numbers of bits, as a layer: quantised, sent through a bit-flipping channel.

Finite scalar quantisation (Mentzer, Minnen, Agustsson, Tschannen 2023, "Finite scalar
quantization: VQ-VAE made simple"): a value is bounded by tanh and put into one of 2**w equal
cells of the bounded range. There is no codebook that could collapse and no entropy code. What the
decoder gets is, for each value, the mean of what was sent given what arrived
(`gencomm.bitstream.product_code`): with Gray labels, received label j and a channel that flips
bits with probability p,

    E[x | j] = sum_i P_i y_i T_ij / sum_i P_i T_ij,      T_ij = p**d_ij (1 - p)**(w - d_ij),

d_ij the number of bits in which labels differ. P_i is measured while training.
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


def gray_distances(width: int) -> np.ndarray:
    """Number of bits in which the Gray labels of two cells differ, int64 (2**width, 2**width)."""
    level = np.arange(1 << width)
    label = level ^ (level >> 1)
    return np.bitwise_count(label[:, None] ^ label[None]).astype(np.int64)


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
            kept["distances"] = torch.tensor(gray_distances(width))
            kept["label"] = torch.tensor([k ^ (k >> 1) for k in range(1 << width)])
            for name, value in kept.items():
                self.register_buffer(f"{name}{width}", value, persistent=False)

    def forward(
        self,
        x: Tensor,
        widths: np.ndarray,
        flip: Tensor | None = None,
        believed: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Send values and get estimates of them; the gradient passes by (straight-through).

        Parameters
        ----------
        x : float32 (batch, channels, h, w)
            Of about unit deviation.
        widths : int (channels,)
            Bits of each; of those with none the estimate is 0.
        flip : float (batch,), optional
            Probability that a bit arrives wrong; none by default.
        believed : float (batch,), optional
            What the receiver takes it for; 0 by default, which takes bits at their word.
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
        with torch.no_grad():
            for width in range(1, self.most + 1):
                members = torch.from_numpy(np.flatnonzero(widths == width)).to(x.device)
                if len(members):
                    part = self._send(x[:, members], width, members, flip, believed, generator)
                    estimate[:, members], kept[:, members] = part, 1.0
        return estimate + (through - through.detach()) * kept

    def _send(
        self,
        x: Tensor,
        width: int,
        members: Tensor,
        flip: Tensor,
        believed: Tensor,
        generator: torch.Generator | None,
    ) -> Tensor:
        count = 1 << width
        cell = (torch.tanh(x / SPREAD) + 1) * (count / 2)
        cell = cell.floor().clamp(0, count - 1).long()
        prior = getattr(self, f"prior{width}")
        if self.training:
            number = cell + count * torch.arange(len(members), device=x.device)[:, None, None]
            found = torch.bincount(number.flatten(), minlength=count * len(members)).view(-1, count)
            share = found / found.sum(1, keepdim=True)
            prior[members] = prior[members].lerp(share, 1 - self.momentum)
        label = getattr(self, f"label{width}")[cell]
        if bool((flip > 0).any()):
            for k in range(width):
                hit = torch.rand(x.shape, generator=generator, device=x.device)
                label = label ^ ((hit < flip[:, None, None, None]).long() << k)
        table = self.estimates(width, members, believed)
        flat = label.flatten(2)
        return table.gather(2, flat).view(x.shape)

    def estimates(self, width: int, members: Tensor, believed: Tensor) -> Tensor:
        """By received label, what was sent on average; float32 (batch, members, 2**width)."""
        distance = getattr(self, f"distances{width}").float()
        levels = getattr(self, f"levels{width}")
        p = believed.clamp(0, 0.5)[:, None, None]
        arrive = p**distance * (1 - p) ** (width - distance)  # (batch, sent cell, arrived cell)
        share = getattr(self, f"prior{width}")[members].clamp_min(FLOOR)
        total = torch.einsum("ki,bij->bkj", share, arrive)
        found = torch.einsum("ki,bij->bkj", share * levels, arrive) / total
        cell_of = torch.argsort(getattr(self, f"label{width}"))
        return found[:, :, cell_of]

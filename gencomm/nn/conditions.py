"""What a decoder is told besides its latents: how likely bits are to be wrong."""

from __future__ import annotations

import torch
from torch import Tensor

from gencomm.nn.gains import interpolation

#: Error rates between which a decoder's knowledge is interpolated, on a logarithmic scale:
#: 1e-3 and less, 10**-2.5, ... 10**-0.5.
BER_POINTS = 6
_LOWEST, _PER_DECADE = -3.0, 2.0


def ber_weights(ber: Tensor, told: Tensor | None = None) -> Tensor:
    """Interpolation weights of an error rate; all zero where the decoder is not told.

    Parameters
    ----------
    ber : float (batch,)
    told : bool (batch,), optional
        By default everyone is.

    Returns
    -------
    float (batch, BER_POINTS)
    """
    position = (ber.clamp_min(1e-9).log10() - _LOWEST) * _PER_DECADE
    weight = interpolation(position, BER_POINTS)
    return weight if told is None else weight * told[:, None].to(weight.dtype)


def random_ber(
    count: int,
    generator: torch.Generator,
    device: torch.device | str = "cpu",
    clean: float = 0.4,
    low: float = 1e-3,
    high: float = 0.15,
) -> Tensor:
    """Error rates to train with: 0 for a share of the pictures, else log-uniform.

    Returns
    -------
    float (count,)
    """
    draw = torch.rand(2, count, generator=generator, device=device)
    rate = low * (high / low) ** draw[1]
    return torch.where(draw[0] < clean, torch.zeros_like(rate), rate)

"""One network, many rates: vectors per rate, interpolated between."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def interpolation(position: Tensor, points: int) -> Tensor:
    """Weights of linear interpolation between `points` equidistant points.

    Parameters
    ----------
    position : float (batch,)
        0 at the first point, points - 1 at the last; clipped to that range.
    points : int
        At least 2.

    Returns
    -------
    float (batch, points)
        Each row sums to 1 and has at most two entries besides zero.
    """
    position = position.clamp(0, points - 1)
    index = torch.arange(points, device=position.device, dtype=position.dtype)
    return (1 - (position[:, None] - index).abs()).clamp_min(0)


class Gains(nn.Module):
    """Learned per-channel gains for a row of rates, and the inverse gains of the decoder.

    Scale fine-tuning (Theis et al. 2017, section 2.3) multiplies latents by a vector of scales
    before rounding, one vector a rate. Here all rates are learned together; between them the
    logarithms are interpolated, so that any rate in the range has its gain. The inverse is a
    vector of its own: the best reconstruction lies nearer to zero than the middle of the cell.

    Parameters
    ----------
    channels : int
    start : sequence of float
        The gain of every channel that learning starts from, one a rate, ascending.
    """

    def __init__(self, channels: int, start: list[float]):
        super().__init__()
        log = torch.tensor(start).log()[:, None].repeat(1, channels)
        self.log_gain = nn.Parameter(log.clone())
        self.log_inverse = nn.Parameter(-log)

    def forward(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Gain and inverse gain, each float32 (batch, channels), for `interpolation` weights."""
        return (weight @ self.log_gain).exp(), (weight @ self.log_inverse).exp()

"""Quantisation and clipping with the identity as gradient.

Rounding and clipping have a derivative of zero almost everywhere, which would stop learning.
Theis et al. 2017 (section 2.1 and 2.2) keep the true function forward and replace its derivative
by that of the identity.
"""

from __future__ import annotations

import torch
from torch import Tensor


def round_identity(x: Tensor) -> Tensor:
    """Round to the nearest integer; the gradient passes as if nothing had happened.

    Theis et al. 2017, equation 5.
    """
    return x + (x.round() - x).detach()


def clip_identity(x: Tensor, low: float, high: float) -> Tensor:
    """Clip to [low, high]; the gradient passes also where the value was clipped.

    Theis et al. 2017, section 2.1: with the true derivative a pixel pushed out of range would
    never be pulled back.
    """
    return x + (x.clamp(low, high) - x).detach()


def uniform_noise(x: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Add noise uniform on [-1/2, 1/2).

    The density of the sum at an integer equals the probability of rounding to it, and has a
    derivative everywhere. Theis et al. 2017 (section 2.2) sample the noise inside the logarithm's
    argument, which bounds the rate by Jensen's inequality; `GaussianScaleMixture.bits` takes the
    integral over the cell in closed form instead, at the noisy place.
    """
    noise = torch.rand(x.shape, generator=generator, device=x.device, dtype=x.dtype)
    return x + (noise - 0.5)

"""Where training begins: principal components, and codes of key frames and of residuals."""

from __future__ import annotations

import torch
from torch import Tensor

from gencomm.codecs.ncode_joint.points import DESIGNS
from gencomm.codecs.ncode_joint.start import design as design_code
from gencomm.codecs.ncode_video.network import VideoCode, follow, planes
from gencomm.codecs.ncode_video.points import BITS, MOST_KEPT, RESIDUAL_VALUES

#: Rounds of a code's design, and examples in each.
ROUNDS, DRAWN = 24, 4000
#: Further directions and rounds of the search for principal components (Halko, Martinsson and
#: Tropp 2011, "Finding structure with randomness", section 4.5).
OVERSAMPLING, POWER_ROUNDS = 20, 3
#: Deviations of values are no less.
LEAST = 1e-3
#: Residuals depend on what the code before left of the frame before: so they are designed so often.
CLOSED_ROUNDS = 3


@torch.no_grad()
def fit_basis(network: VideoCode, frames: Tensor) -> None:
    """Principal components of frames, float (n, 3, 64, 64); of few frames there are few."""
    basis = network.basis
    samples = torch.cat([planes(part) for part in frames.split(500)])
    basis.mean.copy_(samples.mean(0))
    samples -= basis.mean
    count = len(basis.deviation)
    generator = torch.Generator().manual_seed(0)
    axes = torch.randn(samples.shape[1], count + OVERSAMPLING, generator=generator)
    for _ in range(POWER_ROUNDS):
        axes = torch.linalg.qr(samples.T @ (samples @ axes))[0]
    _, sizes, directions = torch.linalg.svd(samples @ axes, full_matrices=False)
    found = (axes @ directions.T)[:, :count].T
    basis.components.zero_()[: len(found)] = found
    basis.deviation.fill_(LEAST)[: len(found)] = sizes[:count] / len(samples) ** 0.5
    basis.deviation.clamp_(min=LEAST)


@torch.no_grad()
def fit_keys(network: VideoCode, values: Tensor, rounds: int = ROUNDS, drawn: int = DRAWN) -> None:
    """Codes of key frames, from values of frames, float (n, values)."""
    generator = torch.Generator().manual_seed(0)
    for rate in DESIGNS:
        code = network.key_code(BITS, rate)
        design_code(code, values, network.basis.deviation, generator, rounds, drawn)


@torch.no_grad()
def fit_residuals(
    network: VideoCode, values: Tensor, rounds: int = ROUNDS, drawn: int = DRAWN
) -> None:
    """The predictor, and codes of what it leaves.

    Parameters
    ----------
    network : VideoCode
        With codes of key frames.
    values : float (n, frames, values)
        Of frames that follow each other.
    rounds, drawn : int
        Of each design.
    """
    steps = values.unbind(1)
    now, before = values[:, 1:].flatten(0, 1), values[:, :-1].flatten(0, 1)
    kept = (now * before).mean(0) / before.square().mean(0).clamp_min(1e-6)
    network.basis.kept.copy_(kept.clamp(0, MOST_KEPT))
    kept = network.basis.kept
    generator = torch.Generator().manual_seed(0)
    for rate in DESIGNS:
        key = network.key_code(BITS, rate).eval()
        code = network.residual_code(rate).eval()
        sent = [key.look_up(key.choose(step), rate, step.shape[1]) for step in steps]
        states = sent  # at first as if the frame before were a key frame
        for _ in range(CLOSED_ROUNDS):
            pairs = zip(steps[1:], states[:-1], strict=True)
            left = torch.cat([step - kept * state for step, state in pairs])
            spread = left[:, :RESIDUAL_VALUES].square().mean(0).sqrt().clamp_min(LEAST)
            design_code(code, left, spread, generator, rounds, drawn)
            _, shown = follow(network, rate, (sent[0], sent[0]), steps[1:])
            states = [sent[0], *shown]

"""Adam for vectors and thin layers; orthogonalised momentum for the matrices in between."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

#: Coefficients of the odd quintic whose iteration drives singular values towards 1 (Jordan et al.
#: 2024, "Muon: an optimizer for hidden layers"): steep at zero, within 0.7 .. 1.2 after five.
QUINTIC = (3.4445, -4.7750, 2.0315)
ITERATIONS = 5

#: Scale at which an orthogonalised step has the root mean square of a typical Adam step, so that
#: both take one learning rate (Liu et al. 2025, "Muon is scalable for LLM training", section 2.2).
MATCH_ADAM = 0.2


def orthogonalise(matrices: Tensor) -> Tensor:
    """Replace the singular values of each matrix by about 1.

    The iteration X <- (a + b X X' + c (X X')^2) X multiplies X by polynomials of its Gram matrix
    alone. It is therefore run on the Gram matrix, which is small where a convolution's window
    makes X wide, and X is multiplied once at the end.

    Parameters
    ----------
    matrices : float32 (n, rows, columns)

    Returns
    -------
    float32, the same shape
    """
    a, b, c = QUINTIC
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.mT if tall else matrices
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    gram = x @ x.mT
    one = torch.eye(gram.shape[1], device=x.device)
    product = one
    for k in range(ITERATIONS):
        factor = a * one + torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
        product = factor @ product if k else factor
        if k < ITERATIONS - 1:
            gram = factor @ gram @ factor
    x = product @ x
    return x.mT if tall else x


def _outputs_first(p: Tensor) -> Tensor:
    """A view with outputs, window, inputs in order: as channels_last has a convolution."""
    return p.permute(0, 2, 3, 1) if p.ndim == 4 else p


class Muon(torch.optim.Optimizer):
    """Muon for parameter groups marked ``matrices``, Adam for the others.

    Muon keeps one momentum, takes the nearest semi-orthogonal matrix to it and steps by that:
    directions with small gradients move as far as those with large ones. Convolutions count as
    matrices of outputs by inputs x window.

    Parameters
    ----------
    groups : list of dict
        Each with ``params``, and ``matrices`` (bool, default False).
    lr : float
    betas : (float, float)
        Adam's.
    momentum : float
        Muon's.
    """

    def __init__(
        self,
        groups: list[dict[str, Any]],
        lr: float,
        betas: tuple[float, float] = (0.9, 0.98),
        momentum: float = 0.95,
        eps: float = 1e-8,
    ):
        super().__init__(
            groups,
            {"lr": lr, "betas": betas, "momentum": momentum, "eps": eps, "matrices": False},
        )

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]
        """Take one step."""
        if closure is not None:
            raise ValueError("this optimiser evaluates nothing")
        for group in self.param_groups:
            members = [p for p in group["params"] if p.grad is not None]
            (self._matrices if group["matrices"] else self._adam)(group, members)

    def _matrices(self, group: dict[str, Any], members: list[Tensor]) -> None:
        alike: dict[tuple[int, int], list[tuple[Tensor, Tensor]]] = {}
        for p in members:
            state = self.state[p]
            if not state:
                state["momentum"] = torch.zeros_like(p)
            state["momentum"].lerp_(p.grad, 1 - group["momentum"])
            ahead = p.grad.lerp(state["momentum"], group["momentum"])
            ahead = _outputs_first(ahead).reshape(p.shape[0], -1)
            alike.setdefault((ahead.shape[0], ahead.shape[1]), []).append((p, ahead))
        for (rows, columns), pairs in alike.items():
            step = orthogonalise(torch.stack([ahead for _, ahead in pairs]))
            scale = -group["lr"] * MATCH_ADAM * max(rows, columns) ** 0.5
            for (p, _), one in zip(pairs, step, strict=True):
                view = _outputs_first(p)
                view.add_(one.view(view.shape), alpha=scale)

    def _adam(self, group: dict[str, Any], members: list[Tensor]) -> None:
        first, second = group["betas"]
        for p in members:
            state = self.state[p]
            if not state:
                state["step"] = torch.zeros(())
                state["mean"] = torch.zeros_like(p)
                state["square"] = torch.zeros_like(p)
            state["step"] += 1
            count = float(state["step"])
            state["mean"].lerp_(p.grad, 1 - first)
            state["square"].mul_(second).addcmul_(p.grad, p.grad, value=1 - second)
            spread = (state["square"] / (1 - second**count)).sqrt_().add_(group["eps"])
            p.addcdiv_(state["mean"], spread, value=-group["lr"] / (1 - first**count))

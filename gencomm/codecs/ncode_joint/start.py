"""Where training begins: principal components and vector quantisers, found without a gradient."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from gencomm.codecs.ncode_joint.network import HALF, Basis, JointCode, fold
from gencomm.codecs.ncode_joint.points import VALUES
from gencomm.nn.vector_code import COUNT as VECTORS
from gencomm.nn.vector_code import WIDTH, VectorCode, spread

#: Rounds of design, and the error rate that they come down from: a channel that is noisy at first
#: puts vectors with close numbers close together (noisy channel relaxation, Gadkari and Rose 1999).
ROUNDS, SETTLE, NOISY = 40, 8, 0.1
#: The least error rate on the way down.
QUIET = 1e-3
#: Pictures drawn for a round; values are drawn one by one, which makes many of few.
DRAWN = 12000
#: How many times a vector counts besides those that chose it: none dies out.
PRIOR = 0.02
#: Vectors are stored in this unit times the deviation of their value, so that one learning rate
#: suits all.
UNIT = 0.1


@torch.no_grad()
def begin(network: JointCode, pictures: Tensor, rounds: int = ROUNDS, drawn: int = DRAWN) -> None:
    """Fit basis and codes.

    Parameters
    ----------
    network : JointCode
    pictures : uint8 (n, 3, 64, 64)
        Each counts twice, as it is and mirrored.
    rounds, drawn : int
        Of the design of codes.
    """
    values = fit_basis(network.basis, pictures)
    odd = network.basis.odd > 0
    values = torch.cat([values, torch.where(odd, -values, values)])
    generator = torch.Generator().manual_seed(0)
    for code in network.codes.values():
        assert isinstance(code, VectorCode)
        used = network.basis.deviation[: VALUES[code.n_bits]]
        design(code, values, used, generator, rounds, drawn)


@torch.no_grad()
def fit_basis(basis: Basis, pictures: Tensor) -> Tensor:
    """Principal components of pictures and their mirror images; their values, (n, count)."""
    total, squares, count = torch.zeros(HALF), torch.zeros(2, HALF, HALF), len(pictures)
    for part in pictures.split(1000):
        total += fold(part.float())[0].sum(0)
    mean = total / count
    for part in pictures.split(1000):
        even, odd = fold(part.float())
        squares[0].addmm_((even - mean).T, even - mean)
        squares[1].addmm_(odd.T, odd)
    found = [torch.linalg.eigh(square / count) for square in squares]
    power = torch.cat([f.eigenvalues for f in found])
    order = power.argsort(descending=True)[: len(basis.components)]
    vectors = torch.cat([f.eigenvectors for f in found], 1)
    basis.mean.copy_(mean)
    basis.components.copy_(vectors[:, order].T)
    basis.odd.copy_(order >= HALF)
    basis.deviation.copy_(power[order].clamp_min(1e-6).sqrt())
    return torch.cat([basis.analyse(part.float()) for part in pictures.split(1000)])


def ideal_bits(power: np.ndarray, bits: float) -> np.ndarray:
    """Bits of each value of a Gaussian vector at its rate-distortion bound.

    Reverse water-filling (Cover and Thomas, theorem 10.3.3): 1/2 log2(power / level) where that
    is positive, the level such that they sum to `bits`.
    """
    low, high = 1e-9 * power.max(), power.max()
    for _ in range(100):
        level = (low * high) ** 0.5
        share = 0.5 * np.log2(np.maximum(power / level, 1))
        low, high = (level, high) if share.sum() > bits else (low, level)
    return share


def deal(power: np.ndarray, groups: int, size: int) -> np.ndarray:
    """Deal values to groups such that each needs about as many bits.

    Parameters
    ----------
    power : float (n,)
        Variance of each value, falling.

    Returns
    -------
    int (groups, size)
        -1 where a group has less than its size.
    """
    members = np.full((groups, size), -1)
    load, filled = np.zeros(groups), np.zeros(groups, int)
    for k, bits in enumerate(ideal_bits(power, WIDTH * groups)):
        chosen = int(np.where(filled < size, load, np.inf).argmin())
        members[chosen, filled[chosen]] = k
        load[chosen] += bits
        filled[chosen] += 1
    return members


@torch.no_grad()
def design(
    code: VectorCode,
    values: Tensor,
    deviation: Tensor,
    generator: torch.Generator,
    rounds: int,
    drawn: int,
) -> None:
    """Vectors for a channel, by Lloyd's method with the channel's transition probabilities.

    Values of a group are drawn independently of each other: principal values are uncorrelated,
    and so a few thousand pictures make as many examples as one likes.

    Parameters
    ----------
    code : VectorCode
    values : float (n, COUNT)
    deviation : float (m,)
        Of the first m values, among which the bits are shared out.
    generator : torch.Generator
    rounds, drawn : int
        Rounds of design, and examples in each.
    """
    groups, size = code.members.shape
    members = deal(deviation.double().square().numpy(), groups, size)
    code.members.copy_(torch.from_numpy(members))
    table = total = _product(members, values, deviation)
    seen = torch.ones(groups, VECTORS, 1)
    steps = np.geomspace(max(NOISY, code.design_ber), max(code.design_ber, QUIET), rounds)
    rates = [*steps[: rounds - SETTLE].tolist(), *[code.design_ber] * min(SETTLE, rounds)]
    for rate in rates:
        drawn_values = _draw(members, values, drawn, generator)
        chosen = _choose(table, drawn_values, rate)
        seen = torch.full((groups, VECTORS, 1), PRIOR)
        seen.scatter_add_(1, chosen[..., None], torch.ones(groups, drawn, 1))
        total = PRIOR * table
        total.scatter_add_(1, chosen[..., None].expand(-1, -1, size), drawn_values)
        table = spread(total, rate) / spread(seen, rate)
    index = torch.from_numpy(members).clamp_min(0)
    code.scale.copy_(UNIT * deviation[index][:, None])
    code.vectors.copy_(total / seen / code.scale)
    code.probability.copy_(seen[..., 0] / seen.sum((1, 2))[:, None])


def _product(members: np.ndarray, values: Tensor, deviation: Tensor) -> Tensor:
    """Products of scalar quantisers with Gray labels, to begin from."""
    table = torch.zeros(len(members), VECTORS, members.shape[1])
    number = torch.arange(VECTORS)
    for g, group in enumerate(members):
        there = [j for j, k in enumerate(group) if k >= 0]
        error = {j: float(deviation[group[j]]) ** 2 for j in there}
        widths = dict.fromkeys(there, 0)
        for _ in range(WIDTH):
            j = max(error, key=lambda one: error[one])
            # a first bit takes a Gaussian variable's error down by 2.75, further ones by about 4
            error[j] /= 4 if widths[j] else 2.75
            widths[j] += 1
        low = 0
        for j in there:
            levels = 1 << widths[j]
            points = (torch.arange(levels) + 0.5) / levels
            sample = values[:8000, group[j]]
            level = torch.quantile(sample, points)
            label = (number >> low) & (levels - 1)
            table[g, :, j] = level[_from_gray(label)]
            low += widths[j]
    return table


def _from_gray(label: Tensor) -> Tensor:
    """The number that a Gray label stands for."""
    number = label.clone()
    for shift in range(1, WIDTH):
        number ^= label >> shift
    return number


def _draw(members: np.ndarray, values: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Examples of each group, (groups, count, size)."""
    found = torch.zeros(*members.shape, count)
    for g, group in enumerate(members):
        for j, k in enumerate(group):
            if k >= 0:
                rows = torch.randint(len(values), (count,), generator=generator)
                found[g, j] = values[rows, int(k)]
    return found.transpose(1, 2).contiguous()


def _choose(table: Tensor, drawn: Tensor, rate: float) -> Tensor:
    """As `VectorCode.choose`, in parts that fit a processor's cache."""
    linear = spread(table, rate)
    square = -0.5 * spread(table.square().sum(2, keepdim=True), rate)[..., 0]
    rows = [
        torch.cat([torch.addmm(s, part, m.T).argmax(1) for part in d.split(500)])
        for s, d, m in zip(square, drawn, linear, strict=True)
    ]
    return torch.stack(rows)

"""A product of vector quantisers with one byte each, and what a noisy channel makes of it.

The values of a picture are dealt to groups of a few; each group has 256 vectors of its own, whose
numbers are the bits that are sent. So every pattern of bits is a code, and a byte means the same
in all of them. Vectors are numbered such that those whose numbers differ in one bit lie close
together: not by a rule, but because they were trained through a channel that flips bits
(Farvardin 1990, "A study of vector quantization for noisy channels").

Let a byte i be sent with probability P_i and stand for c_i. If bits are hit independently, byte j
arrives with probability T_ij = p**d (1 - p)**(8 - d), d bits apart, and the mean of what was sent
is

    m_j = sum_i T_ij P_i c_i / sum_i T_ij P_i .

T is a Kronecker product of eight 2x2 matrices: it is applied in eight steps of butterflies instead
of as a matrix (`spread`).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

#: Bits of a group, and vectors.
WIDTH = 8
COUNT = 1 << WIDTH

#: Probability of a vector that was never used.
FLOOR = 1e-5


def spread(table: Tensor, ber: float) -> Tensor:
    """Sum over bytes i of T_ij times row i: (groups, 256, n) -> (groups, 256, n)."""
    if ber <= 0:
        return table
    shape = table.shape
    for k in range(WIDTH):
        pairs = table.view(shape[0], COUNT >> (k + 1), 2, 1 << k, shape[2])
        table = ((1 - ber) * pairs + ber * pairs.flip(2)).reshape(shape)
    return table


def flip(bytes_: Tensor, ber: float, generator: torch.Generator | None = None) -> Tensor:
    """Send bytes (int64, any shape) through a binary symmetric channel."""
    if ber <= 0:
        return bytes_
    hit = torch.rand((*bytes_.shape, WIDTH), generator=generator, device=bytes_.device) < ber
    return bytes_ ^ (hit * (1 << torch.arange(WIDTH, device=bytes_.device))).sum(-1)


class VectorCode(nn.Module):
    """Groups of values, each with 256 vectors.

    Parameters
    ----------
    groups, size : int
        How many, and values of one group. The code has 8 bits a group.
    design_ber : float
        Bit error rate that bytes are chosen for.
    """

    def __init__(self, groups: int, size: int, design_ber: float = 0.0):
        super().__init__()
        self.design_ber = design_ber
        #: Which value stands where (groups, size); -1 for none. Floats, so that averages of
        #: weights and files in half precision hold them.
        self.register_buffer("members", torch.full((groups, size), -1.0))
        self.register_buffer("scale", torch.ones(groups, 1, size))
        self.register_buffer("probability", torch.full((groups, COUNT), 1 / COUNT))
        self.vectors = nn.Parameter(torch.zeros(groups, COUNT, size))

    @property
    def n_bits(self) -> int:
        """Bits of a picture."""
        return WIDTH * len(self.members)

    def take(self, values: Tensor) -> Tensor:
        """Values (batch, n) in groups: (groups, batch, size)."""
        index = self.members.long()
        taken = values[:, index.clamp_min(0)] * (index >= 0)
        return taken.transpose(0, 1)

    def put(self, taken: Tensor, count: int) -> Tensor:
        """The inverse of `take`; values that belong to no group are zero."""
        index = self.members.long().flatten()
        there = index >= 0
        flat = taken.transpose(0, 1).flatten(1)[:, there]
        return flat.new_zeros(len(flat), count).index_copy(1, index[there], flat)

    def table(self, ber: float) -> Tensor:
        """Mean of what was sent for each byte that arrives, (groups, 256, size)."""
        vectors = self.vectors * self.scale
        if ber <= 0:
            return vectors
        share = self.probability[..., None].clamp_min(FLOOR)
        return spread(vectors * share, ber) / spread(share, ber)

    @torch.no_grad()
    def choose(self, values: Tensor, learn: bool = False) -> Tensor:
        """Bytes with the least expected error at the error rate designed for.

        The nearest-neighbour condition of Farvardin and Vaishampayan (1987) for vectors:
        sum_j T_ij |x - m_j|**2 = |x|**2 - 2 x . sum_j T_ij m_j + sum_j T_ij |m_j|**2.

        Parameters
        ----------
        values : float (batch, n)
        learn : bool
            Let the probabilities follow what is chosen.

        Returns
        -------
        int64 (groups, batch)
        """
        table = self.table(self.design_ber)
        linear = spread(table, self.design_ber)
        square = spread(table.square().sum(2, keepdim=True), self.design_ber)
        taken = self.take(values)
        distance = torch.baddbmm(square.mT, taken, linear.mT, alpha=-2)
        chosen = distance.min(2)[1]
        if learn:
            ones = torch.ones_like(chosen, dtype=self.probability.dtype)
            seen = torch.zeros_like(self.probability).scatter_add_(1, chosen, ones)
            self.probability.lerp_(seen / chosen.shape[1], 0.01)
        return chosen

    def look_up(self, arrived: Tensor, ber: float, count: int) -> Tensor:
        """Values of bytes (groups, batch) that arrived at an error rate: (batch, count)."""
        table = self.table(ber)
        index = arrived[..., None].expand(-1, -1, table.shape[2])
        return self.put(table.gather(1, index), count)

    def forward(
        self,
        values: Tensor,
        ber: float = 0.0,
        generator: torch.Generator | None = None,
        told: bool = True,
    ) -> Tensor:
        """Choose bytes, send them, and take the mean of what was sent.

        The gradient passes to the values as if nothing had happened, and to the vectors as it is.
        A receiver that isn't told the error rate assumes the one designed for.
        """
        arrived = flip(self.choose(values, self.training), ber, generator)
        found = self.look_up(arrived, ber if told else self.design_ber, values.shape[1])
        used = self.put(self.take(values), values.shape[1])
        return found + used - used.detach()

    def soft(self, llr: Tensor, count: int) -> Tensor:
        """Values of LLRs ln(P(0) / P(1)), (batch, n_bits): (batch, count).

        The most significant bit of a byte comes first. The posterior probability of byte i is
        P_i exp(-sum over the ones in i of their LLR), normalised.
        """
        parts = llr.view(len(llr), -1, WIDTH).transpose(0, 1)
        shifts = torch.arange(WIDTH - 1, -1, -1, device=llr.device)
        bits = ((torch.arange(COUNT, device=llr.device)[:, None] >> shifts) & 1).to(llr.dtype)
        log = self.probability.clamp_min(FLOOR).log()[:, None] - parts @ bits.T
        return self.put(log.softmax(2) @ (self.vectors * self.scale), count)

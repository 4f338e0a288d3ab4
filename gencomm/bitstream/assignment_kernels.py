"""Inner loops of the search for labels, compiled by numba."""

from __future__ import annotations

import numpy as np

from channels.jit import Kernel


@Kernel
def anneal(
    cell: np.ndarray, cost: np.ndarray, pairs: np.ndarray, luck: np.ndarray, heat: np.ndarray
) -> None:
    """Exchange labels, always when that helps, by luck when it doesn't; changes `cell`.

    Parameters
    ----------
    cell : int64 (count,)
        Which cell has each label.
    cost : float64 (count, count)
        Symmetric: what an error between two cells costs.
    pairs : int64 (n, 2)
        Labels to exchange, differing.
    luck : float64 (n,)
        Uniform in [0, 1).
    heat : float64 (n,)
        Temperature at each step; 0 for none.
    """
    count = cell.size
    for n in range(len(pairs)):
        a, b = pairs[n, 0], pairs[n, 1]
        x, y = cell[a], cell[b]
        change = 0.0
        bit = 1
        while bit < count:
            near_a, near_b = a ^ bit, b ^ bit
            if near_a != b:  # the pair itself stays a pair
                change += cost[y, cell[near_a]] - cost[x, cell[near_a]]
                change += cost[x, cell[near_b]] - cost[y, cell[near_b]]
            bit *= 2
        if change < 0 or (heat[n] > 0 and luck[n] < np.exp(-change / heat[n])):
            cell[a], cell[b] = y, x


@Kernel
def descend(cell: np.ndarray, cost: np.ndarray, rounds: int) -> None:
    """Try all exchanges in turn and keep those that help, until none does; changes `cell`."""
    count = cell.size
    scale = 1e-12 * np.abs(cost).max()
    for _ in range(rounds):
        better = False
        for a in range(count):
            for b in range(a + 1, count):
                x, y = cell[a], cell[b]
                change = 0.0
                bit = 1
                while bit < count:
                    near_a, near_b = a ^ bit, b ^ bit
                    if near_a != b:
                        change += cost[y, cell[near_a]] - cost[x, cell[near_a]]
                        change += cost[x, cell[near_b]] - cost[y, cell[near_b]]
                    bit *= 2
                if change < -scale:
                    cell[a], cell[b] = y, x
                    better = True
        if not better:
            break

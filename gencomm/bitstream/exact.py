"""Small convolutional networks in integers, with results that are the same on every machine.

Balle, Johnston and Minnen 2019 ("Integer networks for data compression with latent-variable
models") train networks for integer arithmetic, because a float convolution depends on the order
of its sums, and a decoder that finds another scale than the encoder had reads rubbish. Here weights
and activations are integers of 18 and 19 bits held in 64-bit floating point: products and sums
stay below 2^53 and are exact in any order, so that a fast matrix product serves, on any number of
threads. At that precision a network trained in floating point needs no other training.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

#: Fractional bits of weights, of activations, and of what the last layer gives.
WEIGHT_BITS, ACTIVATION_BITS, OUTPUT_BITS = 15, 10, 16

#: Largest magnitude of a weight, of an activation, and of an output, with their fractional bits.
MAX_WEIGHT, MAX_ACTIVATION, MAX_OUTPUT = 2**18, 2**19, 2**26

#: Sums must stay below this.
EXACT = 2**53

#: The rectifiers' slope on the negative side is one over this.
LEAK = 8

#: Places worked on at a time, so that memory doesn't grow with a picture.
CHUNK = 1 << 14


def fixed_weights(weights: np.ndarray) -> np.ndarray:
    """Trained weights as integers; half precision is exact up to the rounding here.

    Raises
    ------
    ValueError
        Not finite, or beyond MAX_WEIGHT.
    """
    whole = np.rint(weights.astype(np.float64) * 2**WEIGHT_BITS)
    if not np.isfinite(whole).all() or np.abs(whole).max(initial=0) > MAX_WEIGHT:
        raise ValueError(f"a weight is beyond {MAX_WEIGHT / 2**WEIGHT_BITS:g}")
    return whole


def fixed_bias(bias: np.ndarray) -> np.ndarray:
    """A bias in units of the sum that it joins."""
    return np.rint(bias.astype(np.float64) * 2 ** (WEIGHT_BITS + ACTIVATION_BITS))


class Convolution:
    """A convolution of 1x1 or 3x3, whose sums are kept whole.

    Parameters
    ----------
    weights : float (outputs, inputs, k, k)
        As trained; k is 1 or 3.
    bias : float (outputs,), optional
    """

    def __init__(self, weights: np.ndarray, bias: np.ndarray | None = None):
        whole = fixed_weights(weights)
        self.side = whole.shape[2]
        #: (outputs, window x inputs), places of the window first
        self.matrix = np.ascontiguousarray(whole.transpose(0, 2, 3, 1).reshape(len(whole), -1))
        self.bias = np.zeros(len(whole)) if bias is None else fixed_bias(bias)
        #: the largest magnitude that a sum can have
        self.bound = float(np.abs(self.matrix).sum(1).max() * MAX_ACTIVATION)
        self.bound += float(np.abs(self.bias).max())

    def __call__(
        self, planes: np.ndarray, rows: slice, start: tuple[int, int] = (0, 0), step: int = 1
    ) -> np.ndarray:
        """Sums at some places.

        Parameters
        ----------
        planes : (inputs, ..., height + 2, width + 2) where the window is 3x3, else (inputs, ...,
            height, width)
            Integers of up to MAX_ACTIVATION, with a border of zeros for a window.
        rows : slice
            Which rows of the places, counting in steps.
        start : (int, int)
            First row and column.
        step : int
            Distance between places.

        Returns
        -------
        float64 (outputs, ..., n_rows, n_columns)
        """
        border = self.side - 1
        first = start[0] + rows.start * step
        windows = []
        for y in range(self.side):
            for x in range(self.side):
                down = slice(first + y, first + y + (rows.stop - rows.start - 1) * step + 1, step)
                across = slice(start[1] + x, planes.shape[-1] - border + x, step)
                windows.append(planes[..., down, across])
        flat = np.concatenate(windows).astype(np.float64)
        sums = self.matrix @ flat.reshape(len(flat), -1)
        sums += self.bias[:, None]
        return sums.reshape(len(sums), *flat.shape[1:])


def check_bounds(*together: Convolution, rest: float = 0.0) -> None:
    """Make sure that what is added up stays exact.

    Parameters
    ----------
    together : Convolution
        Their sums are added.
    rest : float
        Magnitude of what else is added.

    Raises
    ------
    ValueError
        It may not.
    """
    if sum(one.bound for one in together) + rest >= EXACT:
        raise ValueError("the weights are too large for exact sums")


def activate(sums: np.ndarray) -> np.ndarray:
    """Sums to activations: drop the weights' fractional bits, clip, and rectify."""
    whole = np.floor(sums / 2**WEIGHT_BITS)
    np.clip(whole, -MAX_ACTIVATION, MAX_ACTIVATION, out=whole)
    return np.maximum(whole, np.floor(whole / LEAK))


def output(sums: np.ndarray) -> np.ndarray:
    """Sums of the last layer, with OUTPUT_BITS fractional bits, clipped."""
    whole = np.floor(sums / 2 ** (WEIGHT_BITS + ACTIVATION_BITS - OUTPUT_BITS))
    return np.clip(whole, -MAX_OUTPUT, MAX_OUTPUT, out=whole)


def strips(rows: int, columns: int) -> Iterator[slice]:
    """Cut rows, with so many places each, into strips of about CHUNK places."""
    height = max(1, CHUNK // max(columns, 1))
    for first in range(0, rows, height):
        yield slice(first, min(first + height, rows))

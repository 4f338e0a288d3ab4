"""The trained networks at work on pictures of any size, in pieces where these are large."""

from __future__ import annotations

import numpy as np
import torch

from gencomm.codecs.generative.allocation import CELL, VALUES
from gencomm.codecs.generative.network import GenerativeCode, Sizes
from gencomm.nn.tiling import windows
from gencomm.weights import Weights

#: Largest part of a picture worked on at a time, and what it overlaps the next by, in cells.
#: Neither network reaches further than the margin of 256 pixels. Encoder: 16 at full resolution,
#: blocks and strided convolutions of 4 + 8 at 1/4, 24 + 16 at 1/8, 64 + 16 at 1/16, 64 at 1/32.
TILE, MARGIN = 22, 8


class Networks:
    """Encoder and decoder with trained weights, in 32-bit floating point.

    Parameters
    ----------
    weights : Weights
        ``network.*`` arrays.

    Raises
    ------
    ValueError
        The weights are of another network.
    """

    def __init__(self, weights: Weights):
        try:
            self.network = GenerativeCode(Sizes.from_dict(weights.state["sizes"]))
            arrays = weights.part("network").items()
            tensors = {name: torch.from_numpy(array.astype(np.float32)) for name, array in arrays}
            self.network.load_state_dict(tensors)
        except (KeyError, TypeError, RuntimeError) as error:
            raise ValueError(f"{weights.name} holds no weights of generative: {error}") from error
        self.network.eval()
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @torch.no_grad()
    def analyse(self, picture: np.ndarray, budget: int) -> np.ndarray:
        """Values of cells before they are quantised.

        Parameters
        ----------
        picture : uint8 (height, width, 3) or (height, width)
        budget : int
            Bits of a cell.

        Returns
        -------
        float32 (rows * columns, VALUES)
            Of cells of 32x32 pixels row by row, counting begun ones.
        """
        if picture.ndim == 2:
            picture = np.repeat(picture[..., None], 3, 2)
        height, width = picture.shape[:2]
        padding = [(0, -height % CELL), (0, -width % CELL), (0, 0)]
        whole = np.pad(picture, padding, mode="reflect")
        rows, columns = whole.shape[0] // CELL, whole.shape[1] // CELL
        values = np.empty((rows, columns, VALUES), np.float32)
        for y in windows(rows, TILE, MARGIN):
            for x in windows(columns, TILE, MARGIN):
                tile = whole[_pixels(y.outer), _pixels(x.outer)].transpose(2, 0, 1)
                tensor = torch.from_numpy(np.ascontiguousarray(tile)[None]).float()
                found = self.network.analyse(tensor, budget)[0].numpy().transpose(1, 2, 0)
                values[y.inner, x.inner] = found[y.kept, x.kept]
        return values.reshape(-1, VALUES)

    @torch.no_grad()
    def synthesise(
        self, values: np.ndarray, budget: int, ber: float | None, size: tuple[int, int]
    ) -> np.ndarray:
        """The picture of estimated values, uint8 (height, width, 3).

        Parameters
        ----------
        values : float (rows, columns, VALUES)
        budget : int
            Bits of a cell.
        ber : float or None
            The bit error rate; None where it is not known.
        size : (int, int)
            Height and width.
        """
        rows, columns = values.shape[:2]
        rate = torch.tensor([0.0 if ber is None else float(ber)])
        told = torch.tensor([ber is not None])
        whole = np.empty((rows * CELL, columns * CELL, 3), np.uint8)
        for y in windows(rows, TILE, MARGIN):
            for x in windows(columns, TILE, MARGIN):
                part = values[y.outer, x.outer].transpose(2, 0, 1).astype(np.float32)
                tensor = torch.from_numpy(np.ascontiguousarray(part)[None])
                out = self.network.synthesise(tensor, budget, rate, told)[0]
                found = out.clamp(0, 255).round().byte().permute(1, 2, 0).numpy()
                kept = found[_pixels(y.kept), _pixels(x.kept)]
                whole[_pixels(y.inner), _pixels(x.inner)] = kept
        return np.ascontiguousarray(whole[: size[0], : size[1]])


def _pixels(part: slice) -> slice:
    return slice(part.start * CELL, part.stop * CELL)

"""The trained networks at work on pictures of any size, in pieces where these are large."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from gencomm.codecs.cae.network import STRIDE, CompressiveAutoencoder, Shape
from gencomm.nn.gains import interpolation
from gencomm.nn.tiling import Window, windows
from gencomm.weights import Weights

#: Largest part of a picture worked on at a time, and what it overlaps the next by, in coarse
#: rows or columns (16 pixels). Neither network reaches further than the margin: encoder 4 +
#: blocks at 1/4 (4 each) + 4 + blocks at 1/8 (8 each) + 8 + blocks at 1/16 (16 each) + 16 pixels.
TILE, MARGIN = 80, 8


class Networks:
    """Encoder and decoder with trained weights, in 32-bit floating point.

    Parameters
    ----------
    weights : Weights
        ``network.*`` arrays; ``lambdas`` and ``shape`` in the state.

    Raises
    ------
    ValueError
        The weights are of another network.
    """

    #: The codec whose weights these are.
    of = "cae"

    def __init__(self, weights: Weights):
        try:
            self.network = self.build(weights.state)
            arrays = weights.part("network").items()
            tensors = {name: torch.from_numpy(array.astype(np.float32)) for name, array in arrays}
            self.network.load_state_dict(tensors)
        except (KeyError, TypeError, RuntimeError) as error:
            raise ValueError(f"{weights.name} holds no weights of {self.of}: {error}") from error
        self.network.eval()
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def build(self, state: dict[str, Any]) -> CompressiveAutoencoder:
        """The network that a file's state describes, untrained."""
        side = state.get("side", 0)
        return CompressiveAutoencoder(tuple(state["lambdas"]), Shape(**state["shape"]), side)

    @torch.no_grad()
    def analyse(self, picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Latents of a picture before their gain, less the means of their places.

        Parameters
        ----------
        picture : uint8 (height, width, 3) or (height, width)

        Returns
        -------
        coarse : float32 (channels, rows, columns)
        fine : float32 (channels, 2 rows, 2 columns)
            Rows and columns are those of squares of 16 pixels, counting begun ones.
        """
        if picture.ndim == 2:
            picture = np.repeat(picture[..., None], 3, 2)
        height, width = picture.shape[:2]
        padding = [(0, -height % STRIDE), (0, -width % STRIDE), (0, 0)]
        whole = np.pad(picture, padding, mode="reflect")
        rows, columns = whole.shape[0] // STRIDE, whole.shape[1] // STRIDE
        shape = self.network.shape
        fine = np.empty((shape.fine, 2 * rows, 2 * columns), np.float32)
        coarse = np.empty((shape.coarse, rows, columns), np.float32)
        for y in windows(rows, TILE, MARGIN):
            for x in windows(columns, TILE, MARGIN):
                tile = whole[_scaled(y.outer, STRIDE), _scaled(x.outer, STRIDE)]
                parts = self.network.encoder(self.network.normalise(_tensor(tile)))
                for plane, part, scale in zip((coarse, fine), parts, (1, 2), strict=True):
                    _put(plane, part[0].numpy(), y, x, scale)
        places = self.network.places
        if places is not None:
            coarse -= places.mean_coarse.numpy()
            fine -= places.mean_fine.numpy()
        return coarse, fine

    @torch.no_grad()
    def synthesise(
        self,
        symbols: tuple[np.ndarray, np.ndarray],
        inverse: np.ndarray,
        position: float,
        size: tuple[int, int],
    ) -> np.ndarray:
        """The picture of symbols, uint8 (height, width, 3).

        Parameters
        ----------
        symbols : int32 (coarse, rows, columns), int32 (fine, 2 rows, 2 columns)
            In whatever unit the inverse gains are meant for.
        inverse : float32 (channels,)
            Inverse gains, coarse channels first.
        position : float
            On the axis of the trained rates.
        size : (int, int)
            Height and width.
        """
        coarse, fine = symbols
        rows, columns = coarse.shape[1:]
        places = self.network.places
        means = (None, None) if places is None else places.means
        weight = interpolation(torch.tensor([position]), len(self.network.lambdas))
        whole = np.empty((3, rows * STRIDE, columns * STRIDE), np.uint8)
        for y in windows(rows, TILE, MARGIN):
            for x in windows(columns, TILE, MARGIN):
                parts = []
                for plane, scale, part, mean in (
                    (coarse, 1, inverse[: len(coarse)], means[0]),
                    (fine, 2, inverse[len(coarse) :], means[1]),
                ):
                    cut = plane[:, _scaled(y.outer, scale), _scaled(x.outer, scale)]
                    latent = torch.from_numpy(cut.astype(np.float32) * part[:, None, None])
                    parts.append((latent if mean is None else latent + mean)[None])
                out = self.network.denormalise(self.network.decoder(*parts, weight))[0]
                _put(whole, out.clamp(0, 255).round().byte().numpy(), y, x, STRIDE)
        return np.ascontiguousarray(whole[:, : size[0], : size[1]].transpose(1, 2, 0))


def _scaled(part: slice, scale: int) -> slice:
    return slice(part.start * scale, part.stop * scale)


def _put(plane: np.ndarray, piece: np.ndarray, y: Window, x: Window, scale: int) -> None:
    """Write the kept part of a piece (channels, h, w) to its place."""
    kept = piece[:, _scaled(y.kept, scale), _scaled(x.kept, scale)]
    plane[:, _scaled(y.inner, scale), _scaled(x.inner, scale)] = kept


def _tensor(picture: np.ndarray) -> Tensor:
    """uint8 (h, w, 3) -> float32 (1, 3, h, w)."""
    return torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1))[None]).float()

"""The trained networks at work, in batches."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from gencomm.bitstream.product_code import ProductCode
from gencomm.codecs.ncode.encoder import NCode
from gencomm.codecs.ncode.generator import Sizes
from gencomm.codecs.ncode.points import LATENTS, Law
from gencomm.codecs.ncode_joint.inference import batches
from gencomm.weights import Weights

#: How far a step of the search goes towards the minimum along each latent.
STEP = 0.25


class Networks:
    """Encoder and generator with trained weights.

    Parameters
    ----------
    weights : Weights
        ``network.*`` arrays and ``importance``, and in the state the ``sizes``.

    Raises
    ------
    ValueError
        The weights are of another network.
    """

    def __init__(self, weights: Weights):
        try:
            self.network = NCode(Sizes(**weights.state["sizes"]))
            arrays = weights.part("network").items()
            tensors = {name: torch.from_numpy(array.astype(np.float32)) for name, array in arrays}
            self.network.load_state_dict(tensors)
            curvature = torch.from_numpy(weights.arrays["importance"].astype(np.float32))
            if curvature.shape != (LATENTS,):
                raise ValueError(f"importance has shape {tuple(curvature.shape)}")
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise ValueError(f"{weights.name} holds no weights of ncode: {error}") from error
        self.network.eval().requires_grad_(False)
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.curvature = curvature.clamp_min(1e-3 * curvature.max())

    @property
    def law(self) -> Law:
        """Of the latents."""
        return self.network.law

    def encode(self, pictures: np.ndarray, code: ProductCode, search: int) -> np.ndarray:
        """Bits of pictures.

        The search moves each latent by a part of Newton's step for it alone, against the gradient
        of the squared error of the picture that its choice makes, and of all that it has seen
        keeps the best.

        Parameters
        ----------
        pictures : uint8 (n, 64, 64, 3)
        code : ProductCode
            Of the latents that are sent.
        search : int
            How many times.

        Returns
        -------
        uint8 (n, code.n_bits)
        """
        found = []
        for part in batches(pictures):
            x = torch.from_numpy(np.ascontiguousarray(part.transpose(0, 3, 1, 2))).float()
            with torch.no_grad():
                aimed = self.network.encode(x)[:, : len(code)]
            best = code.encode(aimed.numpy())
            least = torch.full((len(x),), torch.inf)
            for _ in range(search):
                bits = code.encode(aimed.numpy())
                sent = torch.from_numpy(code.decode(bits)).float().requires_grad_()
                errors = (self._picture(sent) - x).square().sum((1, 2, 3))
                (slope,) = torch.autograd.grad(errors.sum() / 2, sent)
                better = errors.detach() < least
                best[better.numpy()], least[better] = bits[better.numpy()], errors.detach()[better]
                aimed = aimed - STEP * slope / self.curvature[: len(code)]
            if search:
                bits = code.encode(aimed.numpy())
                with torch.no_grad():
                    sent = torch.from_numpy(code.decode(bits)).float()
                    errors = (self._picture(sent) - x).square().sum((1, 2, 3))
                better = (errors < least).numpy()
                best[better] = bits[better]
            found.append(best)
        return np.concatenate(found)[: len(pictures)]

    @torch.no_grad()
    def decode(self, latents: np.ndarray) -> np.ndarray:
        """Pictures of latents, float (n, so many as are sent) -> uint8 (n, 64, 64, 3)."""
        found = []
        for part in batches(latents):
            out = self._picture(torch.from_numpy(part).float())
            found.append(out.clamp(0, 255).round().byte().permute(0, 2, 3, 1).numpy())
        return np.concatenate(found)[: len(latents)]

    def _picture(self, sent: Tensor) -> Tensor:
        return self.network.generator(F.pad(sent, (0, LATENTS - sent.shape[1])))

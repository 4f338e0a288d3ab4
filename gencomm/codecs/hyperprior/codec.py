"""The hyperprior as a codec: as `cae`, with latents under a conditional model in integers."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from gencomm.codecs.cae.codec import CAE, Coder, level, scaled
from gencomm.weights import Weights

if TYPE_CHECKING:
    from gencomm.bitstream.conditional import ConditionalTables
    from gencomm.bitstream.range_coding import Models
    from gencomm.codecs.hyperprior.inference import Networks


class HyperpriorCodec(CAE):
    """Mean and scale of each latent from those before it (Balle 2018, Minnen 2018), with real bits.

    Parameters
    ----------
    quality : float, optional
        0 to 100, in steps of a quarter: the logarithm of the weight of distortion against rate,
        in equal steps. 50 by default.
    bpp : float, optional
        Instead: bits per pixel, header included.
    slices : int
        Into how many bands of rows the latents are cut, each decodable without the others; fewer
        where the picture has fewer than 16 rows of pixels for each. 1 by default.
    weights : str, optional
        A file of weights to use in place of those that come with the package.

    Notes
    -----
    Means and scales are worked out in integers (`gencomm.bitstream.exact`): symbols are the same
    on every machine and any number of threads. The transforms run in 32-bit floating point, so
    that samples may differ by one. Behind damage, latents take their means.
    """

    name = "hyperprior"
    version: ClassVar[int] = 0x20
    #: Values have six fractional bits.
    unit: ClassVar[float] = 2.0**-6

    def _networks(self) -> Networks:
        return _networks(self.weights)

    def _coder(self, step: int) -> Coder:
        from gencomm.bitstream.conditional import ConditionalCoder

        model, models = _model(self.weights)
        return ConditionalCoder(model, models, level(step, len(model.unit)))

    def _scaled(
        self, latents: tuple[np.ndarray, np.ndarray], gain: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        return scaled(latents, gain)  # the coder rounds around its means


@lru_cache(maxsize=2)
def _model(weights: Weights) -> tuple[ConditionalTables, Models]:
    from gencomm.bitstream.conditional import ConditionalTables
    from gencomm.bitstream.range_coding import Models

    networks = {
        name.removeprefix("context."): array
        for name, array in weights.part("network").items()
        if name.startswith("context.")
    }
    model = ConditionalTables.from_arrays(networks, weights.part("context"))
    return model, Models(model.tables)


@lru_cache(maxsize=2)
def _networks(weights: Weights) -> Networks:
    from gencomm.codecs.hyperprior.inference import Networks

    return Networks(weights)

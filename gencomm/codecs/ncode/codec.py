"""Aligned faces in a fixed number of bits: latents of a generator that nothing else was told of."""

from __future__ import annotations

from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from gencomm.bitstream.labelling import Labels
from gencomm.bitstream.product_code import ProductCode
from gencomm.codecs.faces import FaceCode
from gencomm.codecs.fixed_length import check_choice, importance_classes
from gencomm.codecs.ncode.points import POINTS, product_code
from gencomm.weights import Weights, index, load_weights

if TYPE_CHECKING:
    from gencomm.codecs.ncode.inference import Networks

#: Into so many classes of equal size the bits go by importance.
CLASSES = 4

MAX_SEARCH = 64

LABELS = ("gray", "natural", "folded")

HOW_TO_TRAIN = (
    "no weights of ncode come with the package: train a generator with `gencomm train ncode`, then "
    "its encoder with `gencomm train 'ncode(stage=encoder)' --weights "
    "runs/ncode_generator/weights.safetensors`, and name the file: "
    "ncode(weights=runs/ncode/ncode.safetensors)"
)


class NCode(FaceCode):
    """Latents of a frozen generator, quantised uniformly, after Santurkar, Budden and Shavit.

    "Generative Compression" (arXiv 1703.01467): a generator learned to make faces of random
    numbers; an encoder finds the numbers that make a given one; each of them is sent with a fixed
    number of bits, and every bit pattern is a picture.

    Parameters
    ----------
    bits : {100, 256, 500, 512, 1000}
        Of each picture of 64x64 pixels: 25 x 4, 64 x 4, 100 x 5, 128 x 4 or 200 x 5 (latents that
        are sent x bits of each). Latents that are not sent stay at their mean. There is no header.
    labels : {"gray", "natural", "folded"}
        How the levels of a latent become bits.
    decode : {"hard", "soft"}
        Whether the decoder uses LLRs and erasures where the link has them: each latent is then its
        mean given what arrived.
    know_ber : bool
        Whether the decoder may use the link's mean bit error rate, where that is known. Latents
        are their means given bits that are wrong so often; the generator is not told.
    search : int
        How many times the encoder looks at the picture that its choice makes, and moves the
        latents towards less squared error, 0 to 64. Each takes as long as decoding twice.
    weights : str, optional
        A file of weights, or a name of others that come with the package.

    Notes
    -----
    The networks run in 32-bit floating point, so that samples may differ by one between machines.
    """

    name = "ncode"
    libraries: ClassVar[tuple[str, ...]] = ("torch",)
    #: On what is no face at all.
    min_psnr: ClassVar[float] = 8.0

    def __init__(
        self,
        bits: int = 512,
        labels: Labels = "gray",
        decode: Literal["hard", "soft"] = "hard",
        know_ber: bool = True,
        search: int = 0,
        weights: str | None = None,
    ):
        check_choice("bits", bits, tuple(POINTS))
        check_choice("labels", labels, LABELS)
        if not 0 <= search <= MAX_SEARCH:
            raise ValueError(f"search goes from 0 to {MAX_SEARCH}, got {search}")
        super().__init__(bits, 0.0, decode, know_ber, weights)
        self.labels, self.search = labels, search

    @cached_property
    def weights(self) -> Weights:
        """The file of weights, loaded when first needed.

        Raises
        ------
        ValueError
            None was named and none comes with the package, or it is damaged.
        """
        if self.weights_name == self.name and self.name not in index():
            raise ValueError(HOW_TO_TRAIN)
        return load_weights(self.weights_name)

    def _prepare(self) -> None:
        self._importance()

    def _code(self) -> ProductCode:
        return product_code(self.bits, _networks(self.weights).law, self.labels)

    def _send(self, pictures: np.ndarray) -> np.ndarray:
        return np.packbits(
            _networks(self.weights).encode(pictures, self._code(), self.search), axis=1
        )

    def _receive(self, received: np.ndarray, ber: float | None) -> np.ndarray:
        code = self._code()
        if received.dtype == np.uint8:
            latents = code.decode(np.unpackbits(received, axis=1, count=self.bits), ber or 0.0)
        else:
            latents = code.decode_llr(received)
        return _networks(self.weights).decode(latents)

    def _importance(self) -> np.ndarray:
        """By a latent's squared change under a flipped bit, times what its unit is in pictures."""
        moved = self._code().sensitivity().reshape(POINTS[self.bits])
        weight = self.weights.arrays["importance"].astype(float)[: len(moved)]
        return importance_classes((moved * weight[:, None]).ravel(), CLASSES)


@lru_cache(maxsize=2)
def _networks(weights: Weights) -> Networks:
    from gencomm.codecs.ncode.inference import Networks

    return Networks(weights)

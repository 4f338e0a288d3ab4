"""Aligned faces in a fixed number of bits, by a code that was trained with its decoder."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from gencomm.codecs.faces import FaceCode
from gencomm.codecs.fixed_length import check_choice, importance_classes
from gencomm.codecs.ncode_joint.points import DESIGNS, RATES
from gencomm.weights import Weights
from gencomm.weights.sensitivity import sensitivity_map

if TYPE_CHECKING:
    from gencomm.codecs.ncode_joint.inference import Networks

#: Into so many classes of equal size the bits go by importance.
CLASSES = 4

MAX_SEARCH = 16

LABELS = ("learnt", "annealed", "gray", "natural")


class NCodeJoint(FaceCode):
    """Encoder, fixed-length vector quantisers and decoder, trained as one, for aligned faces.

    After Santurkar, Budden and Shavit (arXiv 1703.01467), with their three stages made one.

    Parameters
    ----------
    bits : {256, 512, 1024}
        Of each picture of 64x64 pixels. There is no header.
    design_ber : {0, 0.01, 0.05}
        Bit error rate that vectors and the choice between them are trained for. 0 is best without
        errors.
    labels : {"learnt", "annealed", "gray", "natural"}
        Which byte stands for which vector of a group. ``learnt`` is what training through a noisy
        channel led to, ``annealed`` goes on from there until one wrong bit costs least. ``natural``
        numbers vectors along the principal axis of their group, and ``gray`` takes Gray's code of
        that number: controls that the networks were not trained with.
    decode : {"hard", "soft"}
        Whether the decoder uses LLRs and erasures where the link has them.
    know_ber : bool
        Whether the decoder may use the link's mean bit error rate, where that is known. If not, it
        assumes the rate designed for.
    search : int
        How many times the encoder looks at what the decoder would make of its choice and chooses
        again, 0 to 16. 0 is the plain choice, and ten times as fast as 1; each further step takes
        as long as the first.
    weights : str, optional
        A file of weights, or a name of others that come with the package.

    Notes
    -----
    Trained on CelebA's faces: see the card beside the weights for terms. The networks run in
    32-bit floating point, so that samples may differ by one between machines.
    """

    name = "ncode_joint"
    libraries: ClassVar[tuple[str, ...]] = ("torch",)
    #: On what is no face at all.
    min_psnr: ClassVar[float] = 10.0

    def __init__(
        self,
        bits: int = 512,
        design_ber: float = 0.0,
        labels: Literal["learnt", "annealed", "gray", "natural"] = "learnt",
        decode: Literal["hard", "soft"] = "hard",
        know_ber: bool = True,
        search: int = 1,
        weights: str | None = None,
    ):
        check_choice("bits", bits, RATES)
        check_choice("design_ber", design_ber, DESIGNS)
        check_choice("labels", labels, LABELS)
        if not 0 <= search <= MAX_SEARCH:
            raise ValueError(f"search goes from 0 to {MAX_SEARCH}, got {search}")
        super().__init__(bits, design_ber, decode, know_ber, weights)
        self.search, self.labels = search, labels

    def _prepare(self) -> None:
        self._importance()

    @property
    def _point(self) -> tuple[int, float, str]:
        return self.bits, self.design_ber, self.labels

    def _send(self, pictures: np.ndarray) -> np.ndarray:
        return _networks(self.weights).encode(pictures, *self._point, self.search)

    def _receive(self, received: np.ndarray, ber: float | None) -> np.ndarray:
        return _networks(self.weights).decode(received, *self._point, ber)

    def _importance(self) -> np.ndarray:
        return _classes(self.weights, *self._point)


@lru_cache(maxsize=2)
def _networks(weights: Weights) -> Networks:
    from gencomm.codecs.ncode_joint.inference import Networks

    return Networks(weights)


@lru_cache(maxsize=32)
def _classes(weights: Weights, bits: int, design: float, labels: str) -> np.ndarray:
    """The class of each bit: 0 for the quarter whose errors move a picture most.

    As measured, where the weights have a map of it; else by how far a flipped bit moves values.
    """
    networks = _networks(weights)  # also where a map is there: this is what `load` calls
    importance = sensitivity_map(weights, map_name(bits, design, labels))
    if importance is None:
        importance = networks.importance(bits, design, labels)
    return importance_classes(importance, CLASSES)


def map_name(bits: int, design: float, labels: str) -> str:
    """Under which a measured sensitivity map is kept."""
    return f"bits={bits}, design_ber={design:g}, labels={labels}"

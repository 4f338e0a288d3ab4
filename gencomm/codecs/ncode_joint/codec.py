"""Aligned faces in a fixed number of bits, by a code that was trained with its decoder."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from channels.bits import LLR_CERTAIN, PackedBits
from gencomm.codecs.contract import Decoded, Encoded, Item, Received
from gencomm.codecs.ncode_joint.points import DESIGNS, RATES, SHAPE
from gencomm.weights import Weights, load_weights

if TYPE_CHECKING:
    from gencomm.codecs.ncode_joint.inference import Networks

#: Into so many classes of equal size the bits go by importance.
CLASSES = 4

MAX_SEARCH = 16

LABELS = ("learnt", "gray", "natural")


class NCodeJoint:
    """Encoder, fixed-length vector quantisers and decoder, trained as one, for aligned faces.

    After Santurkar, Budden and Shavit (arXiv 1703.01467), with their three stages made one.

    Parameters
    ----------
    bits : {256, 512, 1024}
        Of each picture of 64x64 pixels. There is no header.
    design_ber : {0, 0.01, 0.05}
        Bit error rate that vectors and the choice between them are trained for. 0 is best without
        errors.
    labels : {"learnt", "gray", "natural"}
        Which byte stands for which vector of a group. ``learnt`` is what training through a noisy
        channel led to. ``natural`` numbers vectors along the principal axis of their group, and
        ``gray`` takes Gray's code of that number: controls that the networks were not trained with.
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
    modality: ClassVar[str] = "image"
    wants: frozenset[str]
    fixed_shape: ClassVar[tuple[int, ...]] = SHAPE
    #: On what is no face at all.
    min_psnr: ClassVar[float] = 10.0

    def __init__(
        self,
        bits: int = 512,
        design_ber: float = 0.0,
        labels: Literal["learnt", "gray", "natural"] = "learnt",
        decode: Literal["hard", "soft"] = "hard",
        know_ber: bool = True,
        search: int = 1,
        weights: str | None = None,
    ):
        for name, value, choices in (
            ("bits", bits, RATES),
            ("design_ber", design_ber, DESIGNS),
            ("labels", labels, LABELS),
            ("decode", decode, ("hard", "soft")),
        ):
            if value not in choices:
                raise ValueError(f"{name} is one of {', '.join(map(str, choices))}, not {value!r}")
        if not 0 <= search <= MAX_SEARCH:
            raise ValueError(f"search goes from 0 to {MAX_SEARCH}, got {search}")
        self.search = search
        self.bits, self.design_ber, self.labels = bits, float(design_ber), labels
        self.soft, self.know_ber = decode == "soft", know_ber
        self.wants = frozenset({"llr", "erasures"} if self.soft else ())
        self.weights_name = weights or self.name

    def __getstate__(self) -> dict[str, Any]:
        state = self.__dict__.copy()
        state.pop("weights", None)  # a worker loads its own
        return state

    @cached_property
    def weights(self) -> Weights:
        """The file of weights, loaded when first needed."""
        return load_weights(self.weights_name)

    def versions(self) -> dict[str, str]:
        """Torch, and the weights' checksum."""
        from importlib.metadata import version

        return {"torch": version("torch"), "weights": self.weights.checksum}

    def load(self) -> None:
        """Import torch and build the networks, with one thread.

        Processes are forked from the one that has loaded; the threads of an OpenMP pool that had
        begun to work there would be missing in them.
        """
        import torch

        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            _classes(self.weights, *self._point)
        finally:
            torch.set_num_threads(threads)

    @property
    def _point(self) -> tuple[int, float, str]:
        return self.bits, self.design_ber, self.labels

    def encode(self, item: Item) -> Encoded:
        """Choose a vector for each group of values.

        Raises
        ------
        ValueError
            The item is not a colour picture of 64 x 64 pixels.
        """
        return self.encode_batch([item])[0]

    def encode_batch(self, items: Sequence[Item]) -> list[Encoded]:
        """The same for a list, several times as fast."""
        for item in items:
            if item.value.dtype != np.uint8 or item.value.shape != SHAPE:
                raise ValueError(
                    f"{self.name} takes aligned faces, uint8 of shape {SHAPE}; {item.id} is "
                    f"{item.value.dtype} of shape {item.value.shape}"
                )
        if not items:
            return []
        pictures = np.stack([item.value for item in items])
        found = _networks(self.weights).encode(pictures, *self._point, self.search)
        classes = _classes(self.weights, *self._point)
        return [
            Encoded(
                PackedBits(row.copy(), self.bits),
                classes=classes,
                meta={"bpp": self.bits / item.pixels},
            )
            for row, item in zip(found, items, strict=True)
        ]

    def decode(self, received: Received) -> Decoded:
        """Every pattern of so many bits is a picture; other lengths are rejected."""
        return self.decode_batch([received])[0]

    def decode_batch(self, received: Sequence[Received]) -> list[Decoded]:
        """The same for a list, several times as fast."""
        out = [
            Decoded.rejected(f"{one.bits.n_bits} bits where {self.bits} belong") for one in received
        ]
        alike: dict[tuple[bool, float | None], list[int]] = {}
        for k, one in enumerate(received):
            if one.bits.n_bits == self.bits:
                alike.setdefault((self._is_soft(one), self._ber(one)), []).append(k)
        for (soft, ber), members in alike.items():
            rows = [self._llr(received[k], ber) if soft else received[k].bits.data for k in members]
            pictures = _networks(self.weights).decode(np.stack(rows), *self._point, ber)
            for k, picture in zip(members, pictures, strict=True):
                out[k] = Decoded(picture)
        return out

    def _is_soft(self, received: Received) -> bool:
        return self.soft and (received.llr is not None or received.erasures is not None)

    def _ber(self, received: Received) -> float | None:
        """The bit error rate as far as the decoder may know it, at most 0.5."""
        if not self.know_ber or received.ber is None or not received.ber >= 0:
            return None
        return min(float(received.ber), 0.5)

    def _llr(self, received: Received, ber: float | None) -> np.ndarray:
        """What is known of each bit, ln(P(0) / P(1))."""
        if received.llr is None:
            rate = self.design_ber if ber is None else ber
            certain = np.log1p(-rate) - np.log(rate) if rate > 0 else LLR_CERTAIN
            llr = certain * (1.0 - 2.0 * received.bits.unpack())
        else:
            llr = np.nan_to_num(received.llr.astype(np.float64))
            llr = np.clip(llr, -LLR_CERTAIN, LLR_CERTAIN)
        return llr if received.erasures is None else np.where(received.erasures, 0.0, llr)


@lru_cache(maxsize=2)
def _networks(weights: Weights) -> Networks:
    from gencomm.codecs.ncode_joint.inference import Networks

    return Networks(weights)


@lru_cache(maxsize=32)
def _classes(weights: Weights, bits: int, design: float, labels: str) -> np.ndarray:
    """The class of each bit: 0 for the quarter whose errors move a picture most."""
    importance = _networks(weights).importance(bits, design, labels)
    rank = np.argsort(np.argsort(-importance, kind="stable"))
    return (CLASSES * rank // bits).astype(np.uint8)

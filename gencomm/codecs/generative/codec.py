"""The generative code as a codec: cells of fixed numbers of bits, and a size that survives."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from channels.bits import PackedBits
from gencomm.bitstream.index_assignment import with_labels
from gencomm.bitstream.labelling import label_table
from gencomm.bitstream.product_code import ProductCode
from gencomm.bitstream.scalar import ScalarQuantiser
from gencomm.codecs.contract import Decoded, Encoded, Item, Received
from gencomm.codecs.fixed_length import (
    HEADER_BITS,
    check_choice,
    check_picture,
    importance_classes,
    read_size,
    reliabilities,
    size_bits,
)
from gencomm.codecs.generative.allocation import CELL, LEAST, MOST, Layout, layout
from gencomm.codecs.pillow import MAX_PIXELS
from gencomm.codecs.rate import check_rate
from gencomm.codecs.weighted import Weighted
from gencomm.weights import Weights
from gencomm.weights.sensitivity import sensitivity_map

if TYPE_CHECKING:
    from gencomm.codecs.generative.inference import Networks

#: Cells whose values are estimated at a time, which takes about 12 kB a cell.
CHUNK = 2048

#: Errors that a receiver reckons with where it is told of none: copies are weighed all the same.
LEAST_BER = 1e-6

#: Into so many classes of equal size the bits of a cell go by importance, behind the header's.
CLASSES = 4

LABELS = ("gray", "natural", "folded", "learnt")


class Generative(Weighted):
    """A learned fixed-length code for photographs, after Santurkar et al. (arXiv 1703.01467).

    Each 32x32 pixels become one vector, each value of which has a fixed number of bits. Every
    bit pattern of the right length is a picture, and each bit means the same in all of them.

    Parameters
    ----------
    bpp : float
        Bits per pixel, header included; what doesn't fill a bit per cell stays unused. A cell has
        48 to 512 bits, 0.047 to 0.5 bits per pixel: of less the smallest code is made.
    labels : {"gray", "natural", "folded", "learnt"}
        How levels become bits. The networks are trained with Gray labels; ``learnt`` ones are found
        by annealing, such that one wrong bit costs least.
    decode : {"soft", "hard"}
        Whether the decoder uses LLRs and erasures where the link has them.
    know_ber : bool
        Whether the decoder may use the link's mean bit error rate, where that is known: values
        are then the mean of what was sent given what arrived, and the network is told the rate.
    weights : str, optional
        A file of weights to use in place of those that come with the package.

    Notes
    -----
    The size goes first, 15 times, as in `block_dct`, and the decoder takes a majority. Streams of
    a length that does not fit the size are rejected, by strict and lenient decoders alike.
    """

    name = "generative"
    modality: ClassVar[str] = "image"
    libraries: ClassVar[tuple[str, ...]] = ("torch",)

    def __init__(
        self,
        bpp: float = 0.25,
        labels: Literal["gray", "natural", "folded", "learnt"] = "gray",
        decode: Literal["soft", "hard"] = "soft",
        know_ber: bool = True,
        weights: str | None = None,
    ):
        super().__init__(weights)
        check_rate(self.name, None, bpp, 0, 0)
        check_choice("labels", labels, LABELS)
        check_choice("decode", decode, ("soft", "hard"))
        self.bpp, self.labels, self.know_ber = bpp, labels, know_ber
        self.wants = frozenset({"llr", "erasures"} if decode == "soft" else ())

    def _prepare(self) -> None:
        _networks(self.weights)

    def cells(self, shape: tuple[int, ...]) -> tuple[int, int, int]:
        """Rows and columns of cells of a picture, and the bits of each."""
        rows, columns = -(-shape[0] // CELL), -(-shape[1] // CELL)
        bits = int(self.bpp * shape[0] * shape[1]) - HEADER_BITS
        return rows, columns, min(max(bits // (rows * columns), LEAST), MOST)

    def encode(self, item: Item) -> Encoded:
        """Size, then cell after cell.

        Raises
        ------
        ValueError
            The item is no uint8 picture, or too large.
        """
        picture = check_picture(item, self.name)
        if item.pixels > MAX_PIXELS:
            raise ValueError(f"{self.name} takes {MAX_PIXELS} pixels; {item.id} has {item.pixels}")
        rows, columns, budget = self.cells(picture.shape)
        values = _networks(self.weights).analyse(picture, budget)
        own = _code(self.weights, budget, self.labels).encode(values.astype(np.float64))
        payload = own[:, _layout(self.weights, budget).source]
        bits = np.concatenate([size_bits(picture.shape), payload.ravel()])
        classes = np.concatenate(
            [np.zeros(HEADER_BITS, np.uint8), np.tile(self._importance(budget), rows * columns)]
        )
        rate = bits.size / item.pixels
        meta = {
            "bpp": rate,
            "bpp_target": self.bpp,
            "bpp_met": rate <= self.bpp,
            "bits_per_cell": budget,
        }
        return Encoded(PackedBits.from_bits(bits), HEADER_BITS, classes=classes, meta=meta)

    def _importance(self, budget: int) -> np.ndarray:
        """Class of each bit of a cell: 1, the fourth that moves pictures most, to 4.

        What an error costs, shared among the copies of a bit: as measured through the decoder,
        where a map of these weights is there; else a value's squared change under a flipped bit,
        times what a unit of it is in a grey picture. The header alone is of class 0.
        """
        plan = _layout(self.weights, budget)
        moved = sensitivity_map(self.weights, map_name(self.labels))
        if moved is None:
            moved = self.changes(budget)[0]
        moved = moved[:budget] / plan.copies[plan.value, plan.plane] ** 2
        return 1 + importance_classes(moved, CLASSES)

    def changes(self, budget: int) -> tuple[np.ndarray, Callable, np.ndarray]:
        """What a wrong bit of a cell does to its values.

        Returns
        -------
        known : float64 (budget,)
            Mean squared change of a grey picture, by all copies of each bit together.
        decoded : callable
            A cell's own bits (n, own) to values, scaled as a grey picture shows them.
        source : int64 (budget,)
            Which of the own bits each sent one is a copy of.
        """
        plan, code = _layout(self.weights, budget), _code(self.weights, budget, self.labels)
        weight = self.weights.arrays["code.importance"].astype(float)
        known = code.sensitivity()[plan.source] * weight[plan.value]
        return known, lambda bits: code.decode(bits) * np.sqrt(weight), plan.source

    def decode(self, received: Received) -> Decoded:
        """Every bit pattern is a picture; only size and length can make it impossible."""
        shape = read_size(received.bits)
        if shape is None:
            return Decoded.rejected(f"{received.bits.n_bits} bits hold no header")
        limit = min(MAX_PIXELS, received.max_pixels or MAX_PIXELS)
        if shape[0] * shape[1] > limit:
            return Decoded.rejected(f"claims {shape[1]} x {shape[0]} pixels, limit {limit}")
        rows, columns, budget = self.cells(shape)
        belong = HEADER_BITS + rows * columns * budget
        if received.bits.n_bits != belong:
            return Decoded.rejected(f"{received.bits.n_bits} bits where {belong} belong")
        values, ber = self._estimate(received, budget)
        value = _networks(self.weights).synthesise(
            values.reshape(rows, columns, -1), budget, ber, (shape[0], shape[1])
        )
        if len(shape) == 2:
            value = np.rint(value.astype(np.float32).mean(2)).astype(np.uint8)
        return Decoded(value)

    def _estimate(self, received: Received, budget: int) -> tuple[np.ndarray, float | None]:
        """Values of cells given what arrived, and the bit error rate as far as it is known."""
        ber = received.ber if self.know_ber else None
        if not self.wants:
            received = Received(received.bits)
        llr = reliabilities(received, min(max(ber or 0.0, LEAST_BER), 0.5))
        llr = llr[HEADER_BITS:].reshape(-1, budget)
        if ber is None and self.know_ber and received.llr is not None:
            ber = float(np.mean(1 / (1 + np.exp(np.abs(llr)))))  # what the LLRs themselves say
        code, plan = _code(self.weights, budget, self.labels), _layout(self.weights, budget)
        gather = np.zeros((budget, code.n_bits))
        gather[np.arange(budget), plan.source] = 1.0  # LLRs of copies add up
        parts = [code.decode_llr(llr[k : k + CHUNK] @ gather) for k in range(0, len(llr), CHUNK)]
        return np.concatenate(parts), ber


def _layout(weights: Weights, budget: int) -> Layout:
    """What the bits of a cell stand for, as the networks were trained for it."""
    return layout(budget, float(weights.state["sizes"]["design_ber"]))


@lru_cache(maxsize=8)
def _code(weights: Weights, budget: int, labels: str) -> ProductCode:
    """The quantisers of a budget, with the probabilities that training measured."""
    part = weights.part("code")
    quantisers = []
    for k, width in enumerate(_layout(weights, budget).widths.tolist()):
        if not width:
            quantisers.append(_nothing())
            continue
        share = part[f"prior{width}"][k].astype(np.float64)
        quantisers.append(
            ScalarQuantiser(
                part[f"levels{width}"].astype(np.float64),
                share / share.sum(),
                part[f"thresholds{width}"].astype(np.float64),
                label_table(width, "natural"),
            )
        )
        quantisers[-1] = with_labels(quantisers[-1], labels)
    return ProductCode(quantisers)


def map_name(labels: str) -> str:
    """Under which a measured sensitivity map is kept: of the bits of the largest cell."""
    return f"cell, labels={labels}"


@lru_cache(maxsize=1)
def _nothing() -> ScalarQuantiser:
    """Of values without bits: always zero."""
    return ScalarQuantiser(np.zeros(1), np.ones(1), np.zeros(0), np.zeros(1, np.int64))


@lru_cache(maxsize=2)
def _networks(weights: Weights) -> Networks:
    from gencomm.codecs.generative.inference import Networks

    return Networks(weights)

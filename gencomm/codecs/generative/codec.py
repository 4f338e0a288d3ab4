"""The generative code as a codec: cells of fixed numbers of bits, and a size that survives."""

from __future__ import annotations

from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from channels.bits import PackedBits
from gencomm.bitstream.labelling import Labels, label_table
from gencomm.bitstream.product_code import ProductCode
from gencomm.bitstream.scalar import ScalarQuantiser
from gencomm.codecs.contract import Decoded, Encoded, Item, Received
from gencomm.codecs.fixed_length import HEADER_BITS, check_picture, read_size, size_bits
from gencomm.codecs.generative.allocation import CELL, LEAST, MOST, Layout, layout
from gencomm.codecs.pillow import MAX_PIXELS
from gencomm.codecs.rate import check_rate
from gencomm.weights import Weights, load_weights

if TYPE_CHECKING:
    from gencomm.codecs.generative.inference import Networks

#: Cells whose values are estimated at a time, which takes about 12 kB a cell.
CHUNK = 2048

#: Errors that a receiver reckons with where it is told of none: copies are weighed all the same.
LEAST_BER = 1e-6

#: Magnitude that LLRs are clipped to.
CERTAIN = 50.0


class Generative:
    """A learned fixed-length code for photographs, after Santurkar et al. (arXiv 1703.01467).

    Each 32x32 pixels become one vector, each value of which has a fixed number of bits. Every
    bit pattern of the right length is a picture, and each bit means the same in all of them.

    Parameters
    ----------
    bpp : float
        Bits per pixel, header included; what doesn't fill a bit per cell stays unused. A cell has
        48 to 512 bits, 0.047 to 0.5 bits per pixel: of less the smallest code is made.
    labels : {"gray", "natural", "folded"}
        How levels become bits. The networks are trained with Gray labels.
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

    def __init__(
        self,
        bpp: float = 0.25,
        labels: Labels = "gray",
        decode: Literal["soft", "hard"] = "soft",
        know_ber: bool = True,
        weights: str | None = None,
    ):
        check_rate(self.name, None, bpp, 0, 0)
        label_table(1, labels)
        if decode not in ("soft", "hard"):
            raise ValueError(f"decode is soft or hard, not {decode!r}")
        self.bpp, self.labels, self.know_ber = bpp, labels, know_ber
        self.wants = frozenset({"llr", "erasures"} if decode == "soft" else ())
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
        """Import torch and build the networks.

        With one thread: processes are forked from the one that has loaded, and the threads of an
        OpenMP pool that had begun to work there would be missing in them.
        """
        import torch

        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            _networks(self.weights)
        finally:
            torch.set_num_threads(threads)

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

        A value's squared change under a flipped bit, times what a unit of it is in the picture,
        as measured when the weights were exported; shared among the copies of a bit. The header
        alone is of class 0.
        """
        code, plan = _code(self.weights, budget, self.labels), _layout(self.weights, budget)
        weight = self.weights.arrays["code.importance"].astype(float)[plan.value]
        moved = code.sensitivity()[plan.source] * weight / plan.copies[plan.value, plan.plane] ** 2
        rank = np.argsort(np.argsort(-moved, kind="stable"))
        return (1 + 4 * rank // budget).astype(np.uint8)

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
        bits = received.bits.unpack()[HEADER_BITS:].reshape(-1, budget)
        if "llr" in self.wants and received.llr is not None:
            seen = received.llr[HEADER_BITS:].reshape(-1, budget).astype(np.float64)
            llr = np.clip(np.nan_to_num(seen), -CERTAIN, CERTAIN)
            if ber is None and self.know_ber:  # what the LLRs themselves say
                ber = float(np.mean(1 / (1 + np.exp(np.abs(llr)))))
        else:
            p = min(max(ber or 0.0, LEAST_BER), 0.5)
            llr = (1.0 - 2.0 * bits) * np.log((1 - p) / p)
        if "erasures" in self.wants and received.erasures is not None:
            llr = np.where(received.erasures[HEADER_BITS:].reshape(-1, budget), 0.0, llr)
        code, plan = _code(self.weights, budget, self.labels), _layout(self.weights, budget)
        gather = np.zeros((budget, code.n_bits))
        gather[np.arange(budget), plan.source] = 1.0  # LLRs of copies add up
        parts = [code.decode_llr(llr[k : k + CHUNK] @ gather) for k in range(0, len(llr), CHUNK)]
        return np.concatenate(parts), ber


def _layout(weights: Weights, budget: int) -> Layout:
    """What the bits of a cell stand for, as the networks were trained for it."""
    return layout(budget, float(weights.state["sizes"]["design_ber"]))


@lru_cache(maxsize=8)
def _code(weights: Weights, budget: int, labels: Labels) -> ProductCode:
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
                label_table(width, labels),
            )
        )
    return ProductCode(quantisers)


@lru_cache(maxsize=1)
def _nothing() -> ScalarQuantiser:
    """Of values without bits: always zero."""
    return ScalarQuantiser(np.zeros(1), np.ones(1), np.zeros(0), np.zeros(1, np.int64))


@lru_cache(maxsize=2)
def _networks(weights: Weights) -> Networks:
    from gencomm.codecs.generative.inference import Networks

    return Networks(weights)

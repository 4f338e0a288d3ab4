"""Principal components with a Lloyd-Max quantiser each: the linear, fixed-length control.

What is owed to fixed length and to knowing the domain alone, without any network? The
Karhunen-Loeve transform of aligned faces, bits given greedily to the component where the next bit
saves most error, and nothing that depends on the picture. With ``design_ber`` quantisers and bits
are those that are best for a channel with errors (Farvardin and Vaishampayan 1987): what a
channel-aware learned code has to beat.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, cached_property, lru_cache
from typing import Any, ClassVar, Literal

import numpy as np

from channels.bits import LLR_CERTAIN, PackedBits
from gencomm.bitstream.labelling import Labels
from gencomm.bitstream.product_code import ProductCode
from gencomm.bitstream.quantiser_design import allocate_bits, channel_optimised
from gencomm.bitstream.scalar import ScalarQuantiser
from gencomm.codecs.contract import Decoded, Encoded, Item, Received
from gencomm.codecs.klt.basis import SHAPE, Basis
from gencomm.codecs.scalar_quantiser import generalised_gaussian, quantiser
from gencomm.weights import Weights, load_weights

#: Exponent of the generalised Gaussian that stands for every component. Kurtosis is 2.5 to 3.8:
#: quantisers designed for each component's own samples gain less than 0.02 dB at 512 bits.
LAW = 2.0
#: Bits of one component at most.
MAX_WIDTH = 9
MAX_BITS = 2048
#: Into so many classes of equal size the bits go by importance.
CLASSES = 4


class KLT:
    """Principal components of aligned faces of 64 x 64 pixels, in a fixed number of bits.

    Parameters
    ----------
    bits : int
        Of each picture, 1 to 2048. There is no header.
    design_ber : float
        Bit error rate that quantisers, their decoder and the bits of each component are designed
        for, 0 to below 0.5. 0 gives Lloyd-Max quantisers.
    labels : {"gray", "natural", "folded"}, optional
        How quantiser cells become bits. By default Gray's without a design for the channel, and
        natural ones with it: cells are then merged until many single errors stay within a
        component's noise, for which natural labels leave the most room (0.3 dB better at a bit
        error rate of 1e-2, 1.6 dB at 5e-2, than Gray's, each designed for).
    decode : {"hard", "soft"}
        ``hard`` takes bits as they come, at the error rate designed for. ``soft`` takes the mean
        of what was sent given the LLRs, or given the link's mean bit error rate where there are
        none.
    weights : str, optional
        A file of weights in place of the one that comes with the package.

    Notes
    -----
    The components are statistics of CelebA's faces: see the card beside the weights for terms.
    Pictures decode to the same samples on every machine.
    """

    name = "klt"
    modality: ClassVar[str] = "image"
    wants: frozenset[str]
    fixed_shape: ClassVar[tuple[int, ...]] = SHAPE
    #: On what is no face at all.
    min_psnr: ClassVar[float] = 12.0

    def __init__(
        self,
        bits: int = 512,
        design_ber: float = 0.0,
        labels: Labels | None = None,
        decode: Literal["hard", "soft"] = "hard",
        weights: str | None = None,
    ):
        if not 1 <= bits <= MAX_BITS:
            raise ValueError(f"bits goes from 1 to {MAX_BITS}, got {bits}")
        if not 0 <= design_ber < 0.5:
            raise ValueError(f"design_ber goes from 0 to below 0.5, got {design_ber}")
        self.bits, self.design_ber, self.soft = bits, design_ber, decode == "soft"
        self.labels: Labels = labels or ("natural" if design_ber else "gray")
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
        """The weights' checksum."""
        return {"weights": self.weights.checksum}

    def load(self) -> None:
        """Read the weights and design the quantisers."""
        _ = self._plan

    @property
    def _plan(self) -> tuple[Basis, ProductCode, np.ndarray]:
        return _planned(self.weights, self.bits, self.design_ber, self.labels)

    def encode(self, item: Item) -> Encoded:
        """Project, quantise, label.

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
                    f"klt takes aligned faces, uint8 of shape {SHAPE}; {item.id} is "
                    f"{item.value.dtype} of shape {item.value.shape}"
                )
        basis, code, classes = self._plan
        bits = code.encode(basis.analyse(np.stack([item.value for item in items])))
        return [
            Encoded(
                PackedBits.from_bits(row), classes=classes, meta={"bpp": self.bits / item.pixels}
            )
            for row, item in zip(bits, items, strict=True)
        ]

    def decode(self, received: Received) -> Decoded:
        """Every pattern of so many bits is a picture; other lengths are rejected."""
        return self.decode_batch([received])[0]

    def decode_batch(self, received: Sequence[Received]) -> list[Decoded]:
        """The same for a list, several times as fast."""
        out = [
            Decoded.rejected(f"{one.bits.n_bits} bits where {self.bits} belong") for one in received
        ]
        whole = [k for k, one in enumerate(received) if one.bits.n_bits == self.bits]
        if not whole:
            return out
        basis, code, _ = self._plan
        if self.soft:
            values = code.decode_llr(np.stack([self._llr(received[k]) for k in whole]))
        else:
            values = code.decode(
                np.stack([received[k].bits.unpack() for k in whole]), self.design_ber
            )
        for k, picture in zip(whole, basis.synthesise(values), strict=True):
            out[k] = Decoded(picture)
        return out

    def _llr(self, received: Received) -> np.ndarray:
        """What is known of each bit: its LLR, or as much as the link's error rate says."""
        if received.llr is not None:
            llr = received.llr.astype(np.float64)
        else:
            ber = self.design_ber if received.ber is None else min(received.ber, 0.5)
            certain = np.log1p(-ber) - np.log(ber) if ber > 0 else LLR_CERTAIN
            llr = certain * (1.0 - 2.0 * received.bits.unpack())
        return llr if received.erasures is None else np.where(received.erasures, 0.0, llr)


@lru_cache(maxsize=64)
def _quantiser(width: int, design_ber: float, labels: Labels) -> ScalarQuantiser:
    start = quantiser(width, LAW, labels)
    return channel_optimised(generalised_gaussian(LAW), width, design_ber, labels, start)


@lru_cache(maxsize=8)
def _planned(
    weights: Weights, bits: int, design_ber: float, labels: Labels
) -> tuple[Basis, ProductCode, np.ndarray]:
    """Components that get bits, their quantisers, and the class of each bit."""
    deviation = weights.arrays["deviation"].astype(np.float64)

    @cache
    def error(width: int) -> float:
        return _quantiser(width, design_ber, labels).mean_squared_error(design_ber)

    widths = allocate_bits(
        lambda k, width: deviation[k] ** 2 * error(width), deviation.size, bits, MAX_WIDTH
    )
    used = np.flatnonzero(widths)
    if widths.sum() < bits:
        raise ValueError(f"bits is {bits}; {weights.name} has components for {widths.sum()}")
    quantisers = [_quantiser(int(widths[k]), design_ber, labels) for k in used]
    code = ProductCode(quantisers, scale=deviation[used])
    rank = np.argsort(np.argsort(-code.sensitivity(), kind="stable"))
    return Basis(weights, used), code, (CLASSES * rank // bits).astype(np.uint8)

"""Principal components with a Lloyd-Max quantiser each: the linear, fixed-length control.

What is owed to fixed length and to knowing the domain alone, without any network? The
Karhunen-Loeve transform of aligned faces, bits given greedily to the component where the next bit
saves most error, and nothing that depends on the picture. With ``design_ber`` quantisers and bits
are those that are best for a channel with errors (Farvardin and Vaishampayan 1987): what a
channel-aware learned code has to beat.
"""

from __future__ import annotations

from functools import cache, lru_cache
from typing import ClassVar, Literal

import numpy as np

from gencomm.bitstream.index_assignment import with_labels
from gencomm.bitstream.product_code import ProductCode
from gencomm.bitstream.quantiser_design import allocate_bits, channel_optimised
from gencomm.bitstream.scalar import ScalarQuantiser
from gencomm.codecs.faces import FaceCode
from gencomm.codecs.fixed_length import check_choice, importance_classes
from gencomm.codecs.klt.basis import Basis
from gencomm.codecs.scalar_quantiser import generalised_gaussian, quantiser
from gencomm.weights import Weights

#: Exponent of the generalised Gaussian that stands for every component. Kurtosis is 2.5 to 3.8:
#: quantisers designed for each component's own samples gain less than 0.02 dB at 512 bits.
LAW = 2.0
#: Bits of one component at most.
MAX_WIDTH = 9
MAX_BITS = 2048
#: Into so many classes of equal size the bits go by importance.
CLASSES = 4
LABELS = ("gray", "natural", "folded", "learnt")


class KLT(FaceCode):
    """Principal components of aligned faces of 64 x 64 pixels, in a fixed number of bits.

    Parameters
    ----------
    bits : int
        Of each picture, 1 to 2048. There is no header.
    design_ber : float
        Bit error rate that quantisers, their decoder and the bits of each component are designed
        for, 0 to below 0.5. 0 gives Lloyd-Max quantisers.
    labels : {"gray", "natural", "folded", "learnt"}, optional
        How quantiser cells become bits. By default Gray's without a design for the channel, and
        natural ones with it: cells are then merged until many single errors stay within a
        component's noise, for which natural labels leave the most room (0.3 dB better at a bit
        error rate of 1e-2, 1.6 dB at 5e-2, than Gray's, each designed for). ``learnt`` labels are
        found by annealing, such that one wrong bit costs least.
    decode : {"hard", "soft"}
        ``hard`` takes bits as they come. ``soft`` takes the mean of what was sent given the LLRs,
        or given the link's mean bit error rate where there are none.
    know_ber : bool
        Whether the hard decoder may use the link's mean bit error rate, where that is known. If
        not, it assumes the rate designed for.
    weights : str, optional
        A file of weights in place of the one that comes with the package.

    Notes
    -----
    The components are statistics of CelebA's faces: see the card beside the weights for terms.
    Pictures decode to the same samples on every machine.
    """

    name = "klt"
    #: On what is no face at all.
    min_psnr: ClassVar[float] = 12.0

    def __init__(
        self,
        bits: int = 512,
        design_ber: float = 0.0,
        labels: Literal["gray", "natural", "folded", "learnt"] | None = None,
        decode: Literal["hard", "soft"] = "hard",
        know_ber: bool = False,
        weights: str | None = None,
    ):
        if not 1 <= bits <= MAX_BITS:
            raise ValueError(f"bits goes from 1 to {MAX_BITS}, got {bits}")
        if not 0 <= design_ber < 0.5:
            raise ValueError(f"design_ber goes from 0 to below 0.5, got {design_ber}")
        # LLRs say as much as the error rate does
        super().__init__(bits, design_ber, decode, know_ber or decode == "soft", weights)
        self.labels = labels or ("natural" if design_ber else "gray")
        check_choice("labels", self.labels, LABELS)

    def _prepare(self) -> None:
        _ = self._plan

    @property
    def _plan(self) -> tuple[Basis, ProductCode, np.ndarray]:
        return _planned(self.weights, self.bits, self.design_ber, self.labels)

    def _send(self, pictures: np.ndarray) -> np.ndarray:
        """Project, quantise, label."""
        basis, code, _ = self._plan
        return np.packbits(code.encode(basis.analyse(pictures)), axis=1)

    def _receive(self, received: np.ndarray, ber: float | None) -> np.ndarray:
        basis, code, _ = self._plan
        if received.dtype == np.uint8:
            bits = np.unpackbits(received, axis=1, count=self.bits)
            values = code.decode(bits, self.design_ber if ber is None else ber)
        else:
            values = code.decode_llr(received)
        return basis.synthesise(values)

    def _importance(self) -> np.ndarray:
        return self._plan[2]


@lru_cache(maxsize=64)
def _quantiser(width: int, design_ber: float, labels: str) -> ScalarQuantiser:
    start = with_labels(quantiser(width, LAW, "natural"), labels)
    return channel_optimised(generalised_gaussian(LAW), width, design_ber, start=start)


@lru_cache(maxsize=8)
def _planned(
    weights: Weights, bits: int, design_ber: float, labels: str
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
    # the components are orthonormal: a value's squared change is that of the picture's samples
    moved = code.sensitivity(design_ber)
    return Basis(weights, used), code, importance_classes(moved, CLASSES)

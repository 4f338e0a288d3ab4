"""What the code is made for: sizes, rates, the law of its latents, and their quantisers."""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

import numpy as np
from scipy.special import ndtri

from gencomm.bitstream.labelling import Labels, label_table
from gencomm.bitstream.product_code import ProductCode
from gencomm.bitstream.scalar import ScalarQuantiser

#: Numbers that the generator takes.
LATENTS = 200

#: Bits of a picture: how many latents are sent, and with how many bits each. The others stay at
#: their mean. The paper's points are of this kind (arXiv 1703.01467, section 4).
POINTS = {100: (25, 4), 256: (64, 4), 500: (100, 5), 512: (128, 4), 1000: (200, 5)}

#: ``uniform`` on [-1, 1], as in the paper, or ``normal``, which is the same variable seen through
#: the inverse of the normal distribution function.
Law = Literal["normal", "uniform"]


@lru_cache(maxsize=32)
def quantiser(width: int, law: Law, labels: Labels = "gray") -> ScalarQuantiser:
    """2**width cells of one probability each, so that every bit pattern is as likely as any other.

    For the uniform law they are equal intervals of [-1, 1]. For the normal law they are the same
    intervals of 2 Phi(x) - 1, and levels are the means over them: the mean of a standard normal
    variable between a and b is (phi(a) - phi(b)) / (Phi(b) - Phi(a)).
    """
    if law == "uniform":
        return ScalarQuantiser.uniform(width, labels=labels)
    count = 1 << width
    edges = ndtri(np.arange(count + 1) / count)
    density = np.exp(-(edges**2) / 2) / np.sqrt(2 * np.pi)
    levels = count * (density[:-1] - density[1:])
    share = np.full(count, 1 / count)
    error = 1 - float(share @ levels**2)  # law of total variance
    return ScalarQuantiser(levels, share, edges[1:-1], label_table(width, labels), error)


@lru_cache(maxsize=32)
def product_code(bits: int, law: Law, labels: Labels = "gray") -> ProductCode:
    """The code of one of `POINTS`."""
    count, width = POINTS[bits]
    return ProductCode([quantiser(width, law, labels)] * count)

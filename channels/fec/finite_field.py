"""The finite fields GF(2^m) as tables of powers and logarithms."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

#: A primitive polynomial for each m, bit i the coefficient of x^i: Lin and Costello, "Error Control
#: Coding", 2nd edition 2004, table 2.7. Those of m = 8 are 0x11D (DVB and most others).
PRIMITIVE_POLYNOMIALS = {
    2: 0x7,
    3: 0xB,
    4: 0x13,
    5: 0x25,
    6: 0x43,
    7: 0x89,
    8: 0x11D,
    9: 0x211,
    10: 0x409,
    11: 0x805,
    12: 0x1053,
    13: 0x201B,
    14: 0x4443,
}


@dataclass(frozen=True, eq=False)
class Field:
    """Tables of GF(2^m) with a root alpha of its polynomial as generator.

    Attributes
    ----------
    order : int
        2^m - 1, the number of powers of alpha.
    powers : int32 array, shape (4 * order,)
        alpha^i; long enough for the sum of four reduced exponents.
    logarithms : int32 array, shape (order + 1,)
        Inverse of `powers`; that of zero stands as 0 and means nothing.
    """

    m: int
    order: int
    powers: np.ndarray
    logarithms: np.ndarray

    def times(self, a: int, b: int) -> int:
        """Product of two elements."""
        if a == 0 or b == 0:
            return 0
        return int(self.powers[self.logarithms[a] + self.logarithms[b]])


@lru_cache(maxsize=16)
def field(m: int, polynomial: int | None = None) -> Field:
    """GF(2^m), with the polynomial of :data:`PRIMITIVE_POLYNOMIALS` unless another is given.

    Raises
    ------
    ValueError
        The polynomial isn't primitive.
    """
    polynomial = PRIMITIVE_POLYNOMIALS[m] if polynomial is None else polynomial
    order = (1 << m) - 1
    powers = np.zeros(order, np.int32)
    element = 1
    for i in range(order):
        powers[i] = element
        element <<= 1
        if element > order:
            element ^= polynomial
    logarithms = np.zeros(order + 1, np.int32)
    logarithms[powers] = np.arange(order)
    if element != 1 or np.unique(powers).size != order:
        raise ValueError(f"{polynomial:#x} is not a primitive polynomial of degree {m}")
    return Field(m, order, np.tile(powers, 4), logarithms)

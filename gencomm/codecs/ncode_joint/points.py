"""What the code is made for: rates and channels."""

from __future__ import annotations

#: Bits of a picture, and how many principal values they are spent on.
RATES = (256, 512, 1024)
VALUES = {256: 192, 512: 320, 1024: 640}

#: Bit error rates that codes are designed for; one set of vectors each.
DESIGNS = (0.0, 0.01, 0.05)

"""No noise: the reference that every curve starts from."""

from __future__ import annotations

from channels.media.binary import BinaryMedium


class Clean(BinaryMedium):
    """Bits arrive as they were sent; for rate-distortion curves and clean references."""

    def damage(self, row, erased, n_bits, rng):
        pass

    def hit_probability(self, n_in):
        return 0.0

    def facts(self):
        return {"ber": 0.0}

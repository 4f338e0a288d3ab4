"""No noise: the reference that every curve starts from."""

from __future__ import annotations

from channels.stage import Stage


class Clean(Stage):
    """Bits arrive as they were sent; for rate-distortion curves and clean references."""

    medium = True

    def facts(self):
        return {"ber": 0.0}

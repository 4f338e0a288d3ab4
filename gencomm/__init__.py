"""gencomm: what is left of compressed data after a noisy channel?

The verbs of the command line are functions here, loaded when first used:

>>> import gencomm
>>> out = gencomm.send("photo.jpg", codec="jpeg2000(bpp=0.5)", channel="bsc(1e-4)")
"""

from __future__ import annotations

from typing import Any

from gencomm.version import __version__

__all__ = [
    "__version__",
    "export",
    "link",
    "load_cells",
    "load_run",
    "record",
    "send",
    "send_clip",
    "sweep",
    "train",
]

_API = frozenset(__all__) - {"__version__"}


def __getattr__(name: str) -> Any:
    if name in _API:
        from gencomm import api

        return getattr(api, name)
    raise AttributeError(f"module 'gencomm' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)

"""Training of learned codecs: one loop, which every recipe fills in. Needs torch when used."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gencomm.training.loop import Intervals, train

__all__ = ["Intervals", "train"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from gencomm.training import loop

        return getattr(loop, name)
    raise AttributeError(f"module 'gencomm.training' has no attribute {name!r}")

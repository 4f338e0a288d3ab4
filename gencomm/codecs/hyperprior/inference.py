"""The transforms of the hyperprior at work; those of its conditional model run in integers."""

from __future__ import annotations

from typing import Any

from gencomm.codecs.cae import inference
from gencomm.codecs.cae.network import Shape
from gencomm.codecs.hyperprior.network import Hyperprior
from gencomm.nn.conditional import Groups


class Networks(inference.Networks):
    """Encoder and decoder with trained weights, in 32-bit floating point."""

    of = "hyperprior"

    def build(self, state: dict[str, Any]) -> Hyperprior:
        """The network that a file's state describes, untrained."""
        groups = {key: tuple(v) if isinstance(v, list) else v for key, v in state["groups"].items()}
        return Hyperprior(tuple(state["lambdas"]), Shape(**state["shape"]), Groups(**groups))

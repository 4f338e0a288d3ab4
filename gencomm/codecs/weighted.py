"""What codecs with trained weights share: a file, loaded late and left behind when they travel."""

from __future__ import annotations

from functools import cached_property
from typing import Any, ClassVar

from gencomm.weights import Weights, load_weights


class Weighted:
    """A codec with a file of weights.

    Parameters
    ----------
    weights : str or None
        A file of weights, or a name of others that come with the package; by default those of the
        codec's own name.
    """

    name: str
    #: Foreign libraries that decide what the codec answers, besides the weights.
    libraries: ClassVar[tuple[str, ...]] = ()

    def __init__(self, weights: str | None):
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
        """Versions of `libraries`, and the weights' checksum."""
        from importlib.metadata import version

        return {name: version(name) for name in self.libraries} | {"weights": self.weights.checksum}

    def load(self) -> None:
        """Read weights and build what is made of them, with one thread.

        Processes are forked from the one that has loaded; the threads of an OpenMP pool that had
        begun to work there would be missing in them.
        """
        if "torch" not in self.libraries:
            return self._prepare()
        import torch

        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            return self._prepare()
        finally:
            torch.set_num_threads(threads)

    def _prepare(self) -> None:
        """Build networks and tables, which later calls find."""
        raise NotImplementedError

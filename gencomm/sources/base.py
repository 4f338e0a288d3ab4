"""What a source is: a sequence of items, each read when asked for."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence

from gencomm.items import Item


class Source(Sequence[Item], ABC):
    """A sequence of items. An item is read when it is asked for, and not kept.

    Sources are cheap to build, to pickle and to ask for their length and ids; a source that is
    empty, or can't find what it names, says so when it is built.

    Parameters
    ----------
    limit : int, optional
        Take only the first so many.
    """

    def __init__(self, limit: int | None = None):
        if limit is not None and limit < 1:
            raise ValueError(f"limit must be at least 1, got {limit}")
        self.limit = limit

    @property
    @abstractmethod
    def ids(self) -> list[str]:
        """Names of the items, in order, each once."""

    @abstractmethod
    def read(self, index: int) -> Item:
        """The item at `index` (0 <= index < len)."""

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index):  # type: ignore[override]
        if isinstance(index, slice):
            return [self.read(i) for i in range(*index.indices(len(self)))]
        at = index + len(self) if index < 0 else index
        if not 0 <= at < len(self):
            raise IndexError(f"item {index} of a source with {len(self)}")
        return self.read(at)

    def __iter__(self) -> Iterator[Item]:
        return (self.read(i) for i in range(len(self)))

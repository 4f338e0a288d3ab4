"""Large pictures in overlapping pieces, so that memory does not grow with their size."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple


class Window(NamedTuple):
    """A piece of an axis: what is worked on, and the part of it that is kept."""

    outer: slice
    #: within the whole
    inner: slice
    #: the same, within `outer`
    kept: slice


def windows(length: int, size: int, margin: int) -> Iterator[Window]:
    """Cut an axis into pieces that overlap by a margin.

    A network whose output at a place depends on no more than `margin` to either side gives the
    same on the pieces as on the whole.

    Parameters
    ----------
    length : int
        Of the axis.
    size : int
        Largest length of the part that is kept. An axis of up to size + 2 margin is one piece.
    margin : int
        How much further a piece reaches on either side, where there is more.
    """
    if length <= size + 2 * margin:
        yield Window(slice(0, length), slice(0, length), slice(0, length))
        return
    for first in range(0, length, size):
        last = min(first + size, length)
        start, stop = max(first - margin, 0), min(last + margin, length)
        yield Window(slice(start, stop), slice(first, last), slice(first - start, last - start))

"""Parts of a set: training, validation and test, by name or number."""

from __future__ import annotations

from channels.spec import suggest

#: What the numbers in a set's array ``split`` mean.
SPLITS = {"train": 0, "validation": 1, "test": 2}


def split_number(split: int | str | None) -> int | None:
    """The number that stands in the array ``split``, from a name or the number itself.

    Raises
    ------
    ValueError
        A name that is none.
    """
    if not isinstance(split, str):
        return split
    if split not in SPLITS:
        raise ValueError(f"split {split!r} is not known{suggest(split, SPLITS)}")
    return SPLITS[split]

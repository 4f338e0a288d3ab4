"""Many pictures in one file: an .npz of encoded pictures end to end."""

from __future__ import annotations

import zipfile
from functools import cached_property
from typing import NamedTuple

import numpy as np

from gencomm.items import Item, image_item
from gencomm.sources.base import Source
from gencomm.sources.paths import expand_path
from gencomm.sources.pictures import check_size, read_picture
from gencomm.sources.splits import split_number

#: The arrays of a set may unpack to this many bytes together.
MAX_BYTES = 4 * 2**30


class _Contents(NamedTuple):
    data: np.ndarray
    offsets: np.ndarray
    names: list[str]
    split: np.ndarray | None


class Packed(Source):
    """A packed set: ``data`` (uint8, encoded pictures end to end), ``offsets`` (n + 1), ``names``.

    Parameters
    ----------
    path : str
        May name environment variables: ``${GENCOMM_DATA}/kodak.npz``.
    limit : int, optional
        Take only the first so many.
    size : int, optional
        Reduce each by area averaging until no side is longer than this many pixels.
    split : str or int, optional
        Of a set with an array ``split``, take only this part: ``train``, ``validation``, ``test``,
        or the number that stands there.

    Notes
    -----
    The file is read without pickles: an array of Python objects in it is an error.
    """

    def __init__(
        self,
        path: str,
        limit: int | None = None,
        size: int | None = None,
        split: int | str | None = None,
    ):
        super().__init__(limit)
        check_size(size)
        self.path, self.size, self.split = expand_path(path), size, split_number(split)
        if not self.path.is_file():
            what = "is a folder" if self.path.is_dir() else "doesn't exist"
            raise ValueError(f"{self.path} {what}; the source 'packed' takes an .npz file")
        if not self.ids:
            parts = self._contents.split
            known = ", ".join(map(str, np.unique(parts).tolist())) if parts is not None else ""
            raise ValueError(
                f"{self.path} holds no pictures of split {split}; its numbers are {known}"
            )

    def __getstate__(self) -> dict:
        state = self.__dict__.copy()
        for name in ("_contents", "_chosen", "_ids"):  # a worker reads the file itself
            state.pop(name, None)
        return state

    @cached_property
    def _contents(self) -> _Contents:
        try:
            with zipfile.ZipFile(self.path) as archive:
                total = sum(entry.file_size for entry in archive.infolist())
            if total > MAX_BYTES:
                raise ValueError(f"its arrays take {total} bytes; the limit is {MAX_BYTES}")
            with np.load(self.path, allow_pickle=False) as arrays:
                missing = {"data", "offsets", "names"} - set(arrays.files)
                if missing:
                    raise ValueError(f"it lacks the arrays {', '.join(sorted(missing))}")
                data, offsets, names = arrays["data"], arrays["offsets"], arrays["names"]
                split = None
                if self.split is not None:
                    if "split" not in arrays.files:
                        raise ValueError("it has no array split; leave the option split out")
                    split = arrays["split"]
        except (zipfile.BadZipFile, ValueError, OSError, EOFError, MemoryError) as error:
            raise ValueError(f"{self.path} is not a packed set of pictures: {error}") from error
        return self._checked(data, offsets, names, split)

    def _checked(
        self, data: np.ndarray, offsets: np.ndarray, names: np.ndarray, split: np.ndarray | None
    ) -> _Contents:
        n = offsets.size - 1
        texts = [str(name) for name in names.ravel()]
        problem = ""
        if data.dtype != np.uint8 or data.ndim != 1:
            problem = f"data is {data.dtype} of shape {data.shape}, not bytes in a row"
        elif offsets.ndim != 1 or offsets.dtype.kind not in "iu" or n < 1:
            problem = f"offsets is {offsets.dtype} of shape {offsets.shape}, not n + 1 integers"
        elif offsets[0] < 0 or offsets[-1] > data.size or (offsets[1:] < offsets[:-1]).any():
            problem = f"offsets don't rise within the {data.size} bytes of data"
        elif len(texts) != n:
            problem = f"{len(texts)} names for {n} pictures"
        elif len(set(texts)) != n:
            problem = "a name stands twice"
        elif split is not None and split.shape != (n,):
            problem = f"split has shape {split.shape} for {n} pictures"
        if problem:
            raise ValueError(f"{self.path} is not a packed set of pictures: {problem}")
        return _Contents(data, offsets, texts, split)

    @cached_property
    def _chosen(self) -> list[int]:
        contents = self._contents
        which = np.arange(len(contents.names))
        if contents.split is not None:
            which = which[contents.split == self.split]
        return which[: self.limit].tolist()

    @property
    def ids(self) -> list[str]:
        return self._ids

    @cached_property
    def _ids(self) -> list[str]:
        return [self._contents.names[i] for i in self._chosen]

    def read(self, index: int) -> Item:
        contents, at = self._contents, self._chosen[index]
        encoded = contents.data[contents.offsets[at] : contents.offsets[at + 1]].tobytes()
        value, meta = read_picture(encoded, f"{self.path}: {contents.names[at]}", self.size)
        return image_item(contents.names[at], value, meta)

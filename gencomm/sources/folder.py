"""The picture files of a folder."""

from __future__ import annotations

from collections import Counter
from functools import cached_property
from pathlib import Path

from PIL import Image

from gencomm.items import Item, image_item
from gencomm.sources.base import Source
from gencomm.sources.paths import expand_path
from gencomm.sources.pictures import check_size, read_picture


class Folder(Source):
    """The picture files of a folder, by name.

    Files whose suffix is no picture's are passed over; a picture that can't be read is an error
    that names it. An item's id is its path below the folder without the suffix (``kodim01``), or
    with it where two files differ in their suffix only.

    Parameters
    ----------
    path : str
        May name environment variables: ``${KODAK}``.
    limit : int, optional
        Take only the first so many.
    size : int, optional
        Reduce each by area averaging until no side is longer than this many pixels.
    pattern : str
        Which files, as a shell writes it: ``*.png``, or ``**/*`` for folders below too.
    """

    def __init__(
        self,
        path: str,
        limit: int | None = None,
        size: int | None = None,
        pattern: str = "*",
    ):
        super().__init__(limit)
        check_size(size)
        self.path, self.size, self.pattern = expand_path(path), size, pattern
        if not self.path.is_dir():
            what = "is a file" if self.path.is_file() else "doesn't exist"
            raise ValueError(f"{self.path} {what}; the source 'folder' takes a folder of pictures")
        if not self.files:
            raise ValueError(
                f"{self.path} holds no picture files that match {pattern!r} "
                f"(suffixes such as {', '.join(['.png', '.jpg', '.webp', '.avif', '.tif'])})"
            )

    @cached_property
    def files(self) -> list[Path]:
        """The picture files, in order."""
        suffixes = Image.registered_extensions()
        found = (p for p in self.path.glob(self.pattern) if p.suffix.lower() in suffixes)
        by_name = sorted((p for p in found if p.is_file()), key=self._name)
        return by_name[: self.limit]

    def _name(self, path: Path) -> str:
        return path.relative_to(self.path).as_posix()

    @property
    def ids(self) -> list[str]:
        return self._ids

    @cached_property
    def _ids(self) -> list[str]:
        short = [Path(self._name(p)).with_suffix("").as_posix() for p in self.files]
        twice = {name for name, n in Counter(short).items() if n > 1}
        return [
            self._name(p) if name in twice else name
            for p, name in zip(self.files, short, strict=True)
        ]

    def read(self, index: int) -> Item:
        path = self.files[index]
        value, meta = read_picture(path, str(path), self.size)
        return image_item(self.ids[index], value, meta)

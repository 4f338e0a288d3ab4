"""One picture file."""

from __future__ import annotations

from gencomm.items import Item, image_item
from gencomm.sources.base import Source
from gencomm.sources.paths import expand_path
from gencomm.sources.pictures import check_size, read_picture


class File(Source):
    """One picture file.

    Parameters
    ----------
    path : str
        May name environment variables: ``${HOME}/photo.jpg``.
    size : int, optional
        Reduce it by area averaging until no side is longer than this many pixels.
    """

    def __init__(self, path: str, size: int | None = None):
        super().__init__()
        check_size(size)
        self.path, self.size = expand_path(path), size
        if not self.path.is_file():
            what = "is a folder" if self.path.is_dir() else "doesn't exist"
            raise ValueError(f"{self.path} {what}; the source 'file' takes a picture file")

    @property
    def ids(self) -> list[str]:
        return [self.path.stem]

    def read(self, index: int) -> Item:
        value, meta = read_picture(self.path, str(self.path), self.size)
        return image_item(self.ids[index], value, meta)

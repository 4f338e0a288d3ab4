"""The photographs that scikit-image brings in its wheel: no download, ever."""

from __future__ import annotations

from importlib import resources
from importlib.metadata import version

from channels.spec import suggest
from gencomm.items import Item, image_item
from gencomm.sources.base import Source
from gencomm.sources.pictures import check_size, read_picture

#: Photographs in the wheel, colour first; the first five are the default.
FILES = {
    "astronaut": "astronaut.png",
    "coffee": "coffee.png",
    "chelsea": "chelsea.png",
    "rocket": "rocket.jpg",
    "motorcycle": "motorcycle_left.png",
    "hubble": "hubble_deep_field.jpg",
    "retina": "retina.jpg",
    "ihc": "ihc.png",
    "camera": "camera.png",
    "moon": "moon.png",
    "coins": "coins.png",
    "brick": "brick.png",
    "grass": "grass.png",
    "gravel": "gravel.png",
}
DEFAULT = ("astronaut", "coffee", "chelsea", "rocket", "motorcycle")


class Photos(Source):
    """scikit-image's bundled photographs.

    The five by default are colour photographs of everyday things: a portrait, a cup, a cat, a
    launch and a workshop. By name there are further ones from astronomy, medicine and grey
    textures: see `FILES`.

    Parameters
    ----------
    limit : int, optional
        Take only the first so many.
    size : int, optional
        Reduce each by area averaging until no side is longer than this many pixels.
    names : list of str, optional
        Which ones, in this order, such as ``[camera,moon]``.
    """

    def __init__(
        self,
        limit: int | None = None,
        size: int | None = None,
        names: tuple | None = None,
    ):
        super().__init__(limit)
        check_size(size)
        self.size = size
        self.names = tuple(str(name) for name in (DEFAULT if names is None else names))
        for name in self.names:
            if name not in FILES:
                raise ValueError(f"no photograph is called {name!r}{suggest(name, FILES)}")
        if not self.names:
            raise ValueError(f"names is empty; there is: {', '.join(FILES)}")
        if len(set(self.names)) < len(self.names):
            raise ValueError(f"a photograph is named twice: {', '.join(self.names)}")

    @property
    def ids(self) -> list[str]:
        return list(self.names[: self.limit])

    def read(self, index: int) -> Item:
        name = self.ids[index]
        found = resources.files("skimage") / "data" / FILES[name]
        if not found.is_file():
            raise FileNotFoundError(
                f"scikit-image {version('scikit-image')} doesn't bring {FILES[name]}; "
                "install scikit-image 0.25 or 0.26 from its wheel, or name other photographs"
            )
        value, meta = read_picture(found.read_bytes(), name, self.size)
        meta["origin"] = f"scikit-image {version('scikit-image')}, data/{FILES[name]}"
        return image_item(name, value, meta)

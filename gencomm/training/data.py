"""Training pictures in memory, and random crops of them.

Pictures are decoded once and lie end to end as uint8: crops cost a copy each, so that one thread
feeds the network without worker processes.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gencomm.sources.folder import Folder
from gencomm.sources.packed import Packed


@dataclass(frozen=True)
class Pictures:
    """Decoded colour pictures end to end.

    Attributes
    ----------
    samples : uint8 (n_bytes,)
    offsets : int64 (n + 1,)
    shapes : int64 (n, 2)
        Height and width of each.
    names : list of str
    """

    samples: np.ndarray
    offsets: np.ndarray
    shapes: np.ndarray
    names: list[str]

    def __len__(self) -> int:
        return len(self.shapes)

    def __getitem__(self, index: int) -> np.ndarray:
        """One picture, uint8 (height, width, 3), not copied."""
        first, last = self.offsets[index], self.offsets[index + 1]
        return self.samples[first:last].reshape(*self.shapes[index], 3)

    @property
    def pixels(self) -> int:
        """Of all pictures together."""
        return int(self.offsets[-1]) // 3

    def at_least(self, side: int) -> Pictures:
        """Only those whose shorter side is at least so many pixels."""
        keep = [i for i in range(len(self)) if self.shapes[i].min() >= side]
        return self if len(keep) == len(self) else _pack([(self.names[i], self[i]) for i in keep])

    def hold_out(self, every: int) -> tuple[Pictures, Pictures]:
        """Every so-manieth picture, at least one, and the rest."""
        out = [i for i in range(len(self)) if i % every == every - 1] or [len(self) - 1]
        kept = [i for i in range(len(self)) if i not in set(out)]
        first, rest = (_pack([(self.names[i], self[i]) for i in part]) for part in (out, kept))
        return first, rest

    def crops(self, rng: np.random.Generator, count: int, side: int) -> np.ndarray:
        """Random square crops, uint8 (count, 3, side, side), half of them mirrored.

        A picture is drawn with a probability in proportion to its area.
        """
        out = np.empty((count, side, side, 3), np.uint8)
        for k, where in enumerate(rng.random(count)):
            pixel = int(where * self.pixels)
            picture = self[int(np.searchsorted(self.offsets, 3 * pixel, side="right")) - 1]
            y = rng.integers(picture.shape[0] - side + 1)
            x = rng.integers(picture.shape[1] - side + 1)
            crop = picture[y : y + side, x : x + side]
            out[k] = crop[:, ::-1] if rng.random() < 0.5 else crop
        return out.transpose(0, 3, 1, 2)

    def centres(self, count: int, side: int) -> np.ndarray:
        """The middles of pictures spread evenly over the set, uint8 (count, 3, side, side).

        A fixed subset for validation. Pictures too small for it are passed over.
        """
        large = [i for i in range(len(self)) if self.shapes[i].min() >= side]
        if not large:
            raise ValueError(f"no picture has both sides of {side} pixels or more")
        chosen = [large[i] for i in np.linspace(0, len(large) - 1, count).round().astype(int)]
        tops = [((self.shapes[i] - side) // 2, self[i]) for i in dict.fromkeys(chosen)]
        cut = [picture[y : y + side, x : x + side] for (y, x), picture in tops]
        return np.stack(cut).transpose(0, 3, 1, 2)


def _pack(pictures: list[tuple[str, np.ndarray]]) -> Pictures:
    shapes = np.array([p.shape[:2] for _, p in pictures], np.int64).reshape(-1, 2)
    offsets = np.concatenate([[0], np.cumsum(3 * shapes.prod(1))]).astype(np.int64)
    samples = np.empty(int(offsets[-1]), np.uint8)
    for i, (_, picture) in enumerate(pictures):
        samples[offsets[i] : offsets[i + 1]] = picture.reshape(-1)
    return Pictures(samples, offsets, shapes, [name for name, _ in pictures])


def load_pictures(
    path: str | Path, split: int | str | None = None, limit: int | None = None
) -> Pictures:
    """Decode a packed set (``.npz``) or a folder of pictures; grey ones become colour.

    Parameters
    ----------
    path : str
        May name environment variables, as ``${GENCOMM_DATA}/photos.npz``.
    split : str or int, optional
        Of a packed set with an array ``split``: take only these.
    limit : int, optional
        Take only the first so many.
    """
    text = str(path)
    source = Packed(text, limit, split=split) if text.endswith(".npz") else Folder(text, limit)
    pictures = []
    for item in source:
        value = item.value if item.value.ndim == 3 else np.repeat(item.value[..., None], 3, 2)
        pictures.append((item.id, value))
    return _pack(pictures)


def data_path(data: str | None, name: str) -> str:
    """Where a named set lies: `data` itself if it is a file or folder of pictures, else inside.

    Parameters
    ----------
    data : str or None
        A packed set, a folder of pictures, or a folder of packed sets; by default the
        environment variable GENCOMM_DATA.
    name : str
        File name of the set, such as ``photos.npz``.

    Raises
    ------
    ValueError
        When neither is given.
    """
    base = data or os.environ.get("GENCOMM_DATA", "")
    if not base:
        raise ValueError("no training data: give --data, or set GENCOMM_DATA to a folder of sets")
    inside = Path(base) / name
    return str(inside) if inside.is_file() else base

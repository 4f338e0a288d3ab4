"""Training clips in memory, and random windows of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gencomm.sources.packed_clips import PackedClips
from gencomm.training.data import Pictures, data_path, load_pictures

#: Clips, and frames of each, that validation measures.
CLIPS, CLIP_FRAMES = 4, 49


@dataclass(frozen=True)
class Windows:
    """Clips, cut into windows of some frames; and pictures, as clips in which nothing moves.

    It stands where `Pictures` does in the training loop: a crop is a window, its frames one after
    the other in the channels.

    Attributes
    ----------
    clips : list of uint8 arrays, shape (frames, height, width, 3)
    frames : int
        Of a window.
    strides : tuple of int
        Windows take each, each second ... frame, with equal probability.
    mirrored : bool
        Mirror half of the windows.
    shift : int
        Move windows by up to so many pixels; edges are repeated.
    pictures : Pictures, optional
        Half of the windows come from them.
    """

    clips: list[np.ndarray]
    frames: int
    strides: tuple[int, ...] = (1,)
    mirrored: bool = False
    shift: int = 0
    pictures: Pictures | None = None

    def __len__(self) -> int:
        return sum(map(len, self.clips)) + (len(self.pictures) if self.pictures else 0)

    @property
    def pixels(self) -> int:
        """Of all frames and pictures together."""
        own = sum(clip.size // 3 for clip in self.clips)
        return own + (self.pictures.pixels if self.pictures else 0)

    def crops(self, rng: np.random.Generator, count: int, side: int) -> np.ndarray:
        """Random windows, uint8 (count, 3 x frames, side, side).

        A clip is drawn with a probability in proportion to its frames. Clips are `side` pixels
        wide and high.
        """
        out = np.empty((count, self.frames, side, side, 3), np.uint8)
        places = np.cumsum([0, *map(len, self.clips)])
        for k in range(count):
            if self.pictures is not None and rng.random() < 0.5:
                window = self.pictures[int(rng.integers(len(self.pictures)))][None]
            else:
                clip = self.clips[
                    int(np.searchsorted(places, rng.integers(places[-1]), "right")) - 1
                ]
                stride = int(rng.choice(self.strides))
                span = 1 + (self.frames - 1) * stride
                if span > len(clip):
                    stride, span = 1, self.frames
                first = int(rng.integers(len(clip) - span + 1))
                window = clip[first : first + span : stride]
            if self.mirrored and rng.random() < 0.5:
                window = window[:, :, ::-1]
            if self.shift:
                window = self._shifted(window, rng)
            out[k] = window
        return out.transpose(0, 1, 4, 2, 3).reshape(count, -1, side, side)

    def _shifted(self, window: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        wide = ((0, 0), (self.shift, self.shift), (self.shift, self.shift), (0, 0))
        y, x = rng.integers(2 * self.shift + 1, size=2)
        height, width = window.shape[1:3]
        return np.pad(window, wide, "edge")[:, y : y + height, x : x + width]


def load_windows(recipe: Any, data: str | None) -> tuple[Windows, list[np.ndarray]]:
    """Training windows and validation clips of a recipe whose `frames` is more than one.

    Parameters
    ----------
    recipe : Recipe
        With `frames`, `strides`, `mirrored` and `shift` for `Windows`, and `picture_set`: the file
        name of a packed set of pictures beside the clips, or empty.
    data : str or None
        A packed set of clips, or a folder of sets.

    Returns
    -------
    windows : Windows
    validation : list of uint8 arrays, shape (frames, 3, side, side)
    """
    path = data_path(data, recipe.train_set)
    beside = Path(path).parent / recipe.picture_set
    pictures = None
    if recipe.picture_set and beside.is_file():
        pictures = load_pictures(beside, recipe.train_split)
    train = Windows(
        load_clips(path, recipe.train_split, recipe.side, recipe.frames),
        recipe.frames,
        recipe.strides,
        recipe.mirrored,
        recipe.shift,
        pictures,
    )
    kept = load_clips(path, recipe.validation_split, recipe.side, recipe.frames)
    chosen = np.linspace(0, len(kept) - 1, min(CLIPS, len(kept))).round().astype(int)
    return train, [kept[k][:CLIP_FRAMES].transpose(0, 3, 1, 2) for k in chosen]


def load_clips(path: str, split: str, side: int, least: int) -> list[np.ndarray]:
    """Clips of a packed set, uint8 (frames, side, side, 3).

    Parameters
    ----------
    path : str
    split : str
    side : int
        Clips of another size are an error.
    least : int
        Shorter clips are left out.

    Raises
    ------
    ValueError
        A clip is of another size, or none is long enough.
    """
    found = []
    for item in PackedClips(path, split=split):
        if item.value.shape[1:3] != (side, side):
            raise ValueError(f"{path}: {item.id} is not of {side} x {side} pixels")
        if len(item.value) >= least:
            found.append(item.value)
    if not found:
        raise ValueError(f"{path} has no clip of {least} frames or more in its part {split}")
    return found

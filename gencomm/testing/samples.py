"""Made-up pictures for the conformance kit: deterministic, without files."""

from __future__ import annotations

import numpy as np

from gencomm.codecs.contract import Item
from gencomm.items import image_item, video_item


def sample_picture(height: int, width: int, channels: int = 0) -> np.ndarray:
    """Something like a photograph: light falling off, an edge, a disc and some texture.

    Returns
    -------
    uint8 array, shape (height, width) or (height, width, channels)
    """
    y, x = np.mgrid[0:height, 0:width] / max(height, width)
    rng = np.random.default_rng(height * 70_001 + width)
    light = 150 - 60 * y + 30 * np.cos(5 * x + 2 * y)
    light = light + 45 * (x + 0.3 * y > 0.5) - 55 * ((x - 0.3) ** 2 + (y - 0.3) ** 2 < 0.03)
    light = light + 6 * np.sin(60 * x) * np.sin(45 * y) + rng.normal(0, 2, light.shape)
    if not channels:
        return np.clip(light, 0, 255).astype(np.uint8)
    tint = [light * (1 + 0.15 * np.cos(3 * x + k)) + 12 * k * (y - 0.3) for k in range(channels)]
    return np.clip(np.stack(tint, axis=-1), 0, 255).astype(np.uint8)


def sample_item(height: int, width: int, channels: int = 0) -> Item:
    """An item that holds `sample_picture`."""
    return image_item(f"sample {width}x{height}", sample_picture(height, width, channels))


def sample_clip(frames: int, height: int, width: int, rate: float = 25) -> Item:
    """A clip: a window that moves over `sample_picture` by some samples a frame."""
    step = max(1, min(height, width) // 32)
    wide = sample_picture(height + step * frames, width + step * frames, 3)
    windows = [wide[step * k :, step * k :][:height, :width] for k in range(frames)]
    return video_item(f"sample {width}x{height}, {frames} frames", np.stack(windows), rate)

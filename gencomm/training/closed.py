"""Recipes with a closed form: one pass over the pictures, no network, no steps."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from gencomm.sources.base import Source
from gencomm.sources.folder import Folder
from gencomm.sources.packed import Packed
from gencomm.training.data import data_path


@runtime_checkable
class Fitted(Protocol):
    """What such a recipe brings.

    Attributes
    ----------
    name : str
    train_set, train_split : str
        A packed set and its part.
    measured_split : str
        The part on which the card's figures are measured; of it the first `measured_count`.
    card : str
        What the card says of the weights, of the data and of their terms, Markdown.
    """

    name: str
    train_set: str
    train_split: str
    measured_split: str
    measured_count: int
    card: str

    def fit(self, pictures: Iterator[np.ndarray], out: Path) -> Path:
        """Write the weights into a folder."""
        ...

    def measure(self, weights: Path, pictures: list[np.ndarray]) -> list[dict[str, Any]]:
        """Lines of the card's table: names and figures."""
        ...


def fit(recipe: Fitted, data: str | None, out: Path) -> tuple[Path, float]:
    """Fit a recipe and write its weights and card.

    Parameters
    ----------
    recipe : Fitted
    data : str, optional
        The recipe's packed set, a folder that holds it, another packed set, or a folder of
        pictures; by default the environment variable GENCOMM_DATA.
    out : Path
        A folder.

    Returns
    -------
    weights : Path
    seconds : float
    """
    start = time.monotonic()
    where = data_path(data, recipe.train_set)
    whole = where.endswith(recipe.train_set)
    train, measured = (
        _source(where, split if whole else None)
        for split in (recipe.train_split, recipe.measured_split)
    )
    print(f"{recipe.name}: {len(train)} pictures of {where}", flush=True)
    path = recipe.fit((item.value for item in train), out)
    seconds = time.monotonic() - start
    count = min(recipe.measured_count, len(measured))
    rows = recipe.measure(path, [measured.read(k).value for k in range(count)])
    what = f"the first {count} pictures of the part {recipe.measured_split}"
    if not whole:
        what = f"the first {count} of the training pictures themselves"
    path.with_suffix(".md").write_text(_card(recipe, path, len(train), what, rows), "utf-8")
    return path, seconds


def _source(where: str, split: str | None) -> Source:
    return Packed(where, split=split) if where.endswith(".npz") else Folder(where)


def _card(recipe: Fitted, weights: Path, count: int, what: str, rows: list[dict[str, Any]]) -> str:
    names = list(rows[0])
    table = [" | ".join(_figure(row[name]) for name in names) for row in rows]
    checksum = hashlib.sha256(weights.read_bytes()).hexdigest()
    return "\n".join(
        [
            f"# Weights of `{recipe.name}`",
            "",
            recipe.card.strip(),
            "",
            "## Fitted",
            f"To {count} pictures, in one pass.",
            "",
            "## Measured",
            f"On {what}: mean PSNR over RGB in dB.",
            "",
            f"| {' | '.join(names)} |",
            f"|{' --- |' * len(names)}",
            *(f"| {line} |" for line in table),
            "",
            f"SHA-256 of the file: `{checksum}`",
            "",
        ]
    )


def _figure(value: Any) -> str:
    return f"{value:.2f}" if isinstance(value, float) else str(value)

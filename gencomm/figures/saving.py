"""Figures become files whole or not at all."""

from __future__ import annotations

import io
from pathlib import Path

from matplotlib.figure import Figure

from channels.spec import suggest
from gencomm.figures.style import styled
from gencomm.files import write_atomically

FORMATS = ("png", "pdf", "svg")


def figure_format(path: str | Path) -> str:
    """The format that a suffix asks for; to be asked before the work that the figure shows.

    Raises
    ------
    ValueError
        The suffix is none of `FORMATS`.
    """
    suffix = Path(path).suffix.lower().lstrip(".")
    if suffix not in FORMATS:
        raise ValueError(
            f"{path}: a figure is written as .png, .pdf or .svg{suggest(suffix, FORMATS)}"
        )
    return suffix


def save(figure: Figure, path: str | Path, dpi: int = 200) -> Path:
    """Write a figure; the suffix says how.

    Parameters
    ----------
    figure : matplotlib Figure
    path : path
        Ends in ``.png``, ``.pdf`` or ``.svg``. Missing folders are made.
    dpi : int
        Of a PNG.

    Returns
    -------
    Path
        Where it lies.

    Raises
    ------
    ValueError
        Another suffix.
    """
    path, suffix = Path(path), figure_format(path)
    # no date inside: the same figure gives the same bytes
    metadata: dict = {"png": {}, "pdf": {"CreationDate": None}, "svg": {"Date": None}}[suffix]
    buffer = io.BytesIO()
    with styled():
        figure.savefig(buffer, format=suffix, dpi=dpi, metadata=metadata, facecolor="white")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, buffer.getvalue())
    return path

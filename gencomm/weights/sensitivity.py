"""Sensitivity maps: what a wrong bit costs, measured, kept beside the weights it was measured with.

``<weights>.sensitivity.json`` holds the checksum of the weights, words on what was measured, and
lists of numbers by name. A map of other weights than those at hand is not used.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

import numpy as np

from gencomm.files import write_atomically
from gencomm.weights import FOLDER, Weights

SUFFIX = ".sensitivity.json"


def map_path(name: str) -> Path:
    """Where the maps of weights lie: beside the file, be it the package's or one's own."""
    path = Path(name) if name.endswith(".safetensors") else FOLDER / name
    return path.with_name(path.name.removesuffix(".safetensors") + SUFFIX)


def sensitivity_map(weights: Weights, name: str) -> np.ndarray | None:
    """Mean squared change of a picture by a flipped bit; float64 (n,), or None if unmeasured.

    Parameters
    ----------
    weights : Weights
    name : str
        Of the operating point, as the codec calls it.

    Raises
    ------
    ValueError
        The file of maps is damaged.
    """
    path = map_path(weights.name)
    if not path.is_file():
        return None
    stat = path.stat()
    checksum, maps = _read(str(path), stat.st_size, stat.st_mtime_ns)
    return maps.get(name) if checksum == weights.checksum else None


def write_maps(weights: Weights, maps: Mapping[str, np.ndarray], words: str) -> Path:
    """Write the maps of weights; replaces those that lay there.

    Parameters
    ----------
    weights : Weights
    maps : mapping of name to float (n,)
        Four digits are kept.
    words : str
        What was measured.
    """
    path = map_path(weights.name)
    rounded = {name: [float(f"{v:.4g}") for v in values] for name, values in maps.items()}
    lines = ",\n".join(f"  {json.dumps(name)}: {json.dumps(v)}" for name, v in rounded.items())
    head = (
        f'{{\n "weights": "{weights.checksum}",\n "measured": {json.dumps(words)},\n "maps": {{\n'
    )
    write_atomically(path, f"{head}{lines}\n }}\n}}\n".encode())
    return path


@lru_cache(maxsize=8)
def _read(path: str, size: int, changed: int) -> tuple[str, dict[str, np.ndarray]]:
    """Read a file; size and time of change tell one state of it from another in the cache."""
    try:
        whole = json.loads(Path(path).read_text(encoding="utf-8"))
        maps = {name: np.array(values, np.float64) for name, values in whole["maps"].items()}
        checksum = str(whole["weights"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} holds no sensitivity maps: {error}; measure them anew") from error
    for values in maps.values():
        if values.ndim != 1 or not np.isfinite(values).all():
            raise ValueError(f"{path} holds numbers that are none; measure them anew")
        values.flags.writeable = False
    return checksum, maps

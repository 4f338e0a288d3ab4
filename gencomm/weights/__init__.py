"""Trained weights that come with the package, and the one loader, which checks every byte.

A file of weights is safetensors: arrays, and a JSON state in its metadata under ``state``. Beside
it lies its card, ``<name>.md``: data and their terms, training, measured quality. ``index.json``
holds the SHA-256 of each. Nothing is ever fetched from elsewhere.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

FOLDER = Path(__file__).parent
INDEX = "index.json"

#: A file may be this large.
MAX_BYTES = 64 * 2**20


@dataclass(frozen=True, eq=False)
class Weights:
    """Arrays of a trained codec.

    Attributes
    ----------
    name : str
        As in the index, or the file's path.
    checksum : str
        SHA-256 of the file, hexadecimal.
    arrays : dict of NumPy arrays
        Not to be written to: they are shared.
    state : dict
        What the file's metadata say: recipe, steps, shape of the network ...
    """

    name: str
    checksum: str
    arrays: dict[str, np.ndarray]
    state: dict[str, Any]

    def part(self, prefix: str) -> dict[str, np.ndarray]:
        """Arrays whose name begins with the prefix and a dot, under the rest of their name."""
        start = prefix + "."
        return {n[len(start) :]: a for n, a in self.arrays.items() if n.startswith(start)}


def index() -> dict[str, dict[str, Any]]:
    """The weights that come with the package: name -> ``file``, ``sha256``, ``bytes``."""
    path = FOLDER / INDEX
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def load_weights(name: str) -> Weights:
    """Load weights by their name in the index, or from a file of one's own.

    Parameters
    ----------
    name : str
        Such as "cae"; anything that ends in ``.safetensors`` is taken as a path.

    Raises
    ------
    ValueError
        There are none of that name, or the file is not what the index says, or no weights at all.
    """
    if name.endswith(".safetensors"):
        path = Path(name)
        if not path.is_file():
            raise ValueError(f"{name} doesn't exist")
        stat = path.stat()
        return _load(name, str(path), "", stat.st_size, stat.st_mtime_ns)
    known = index()
    if name not in known:
        raise ValueError(f"no weights {name!r}; there are {', '.join(sorted(known)) or 'none'}")
    entry = known[name]
    path = FOLDER / entry["file"]
    if not path.is_file():
        raise ValueError(f"the package lacks {entry['file']}, the weights {name!r}")
    return _load(name, str(path), entry["sha256"], path.stat().st_size, 0)


@lru_cache(maxsize=8)
def _load(name: str, path: str, expected: str, size: int, changed: int) -> Weights:
    """Read and check; the arguments tell one state of a file from another in the cache."""
    from safetensors import SafetensorError, safe_open

    if size > MAX_BYTES:
        raise ValueError(f"{path} has {size} bytes; the limit is {MAX_BYTES}")
    checksum = hashlib.sha256(Path(path).read_bytes()).hexdigest()
    if expected and checksum != expected:
        raise ValueError(
            f"the weights {name!r} are damaged: SHA-256 of {path} is {checksum}, not {expected}"
        )
    try:
        with safe_open(path, "np") as file:
            state = json.loads((file.metadata() or {}).get("state", "{}"))
            arrays = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (SafetensorError, json.JSONDecodeError) as error:
        raise ValueError(f"{path} holds no weights: {error}") from error
    for array in arrays.values():
        array.flags.writeable = False
    return Weights(name, checksum, arrays, state)


def write_index() -> dict[str, dict[str, Any]]:
    """Write the index anew from the files that lie here."""
    found = {}
    for path in sorted(FOLDER.glob("*.safetensors")):
        data = path.read_bytes()
        found[path.stem] = {
            "file": path.name,
            "sha256": hashlib.sha256(data).hexdigest(),
            "bytes": len(data),
        }
    (FOLDER / INDEX).write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    return found

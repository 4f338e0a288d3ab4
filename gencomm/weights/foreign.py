"""Networks that other packages bring: found without importing them, checked, read without harm.

Those packages are an optional extra. What they hold is known byte by byte: a file of another
checksum is not read.
"""

from __future__ import annotations

import hashlib
import pickle
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any


class MissingJudge(ValueError):
    """A package that a judge needs is not installed, or not the one that is known."""


@lru_cache(maxsize=16)
def foreign_file(package: str, path: str, sha256: str) -> Path:
    """A file of an installed package.

    Parameters
    ----------
    package : str
        Its name for pip.
    path : str
        Of the file, from the folder that packages are installed into.
    sha256 : str
        Of its contents, hexadecimal.

    Raises
    ------
    MissingJudge
        The package or the file is not there, or is another one.
    """
    hint = "install the judges: pip install 'gencomm[judges]'"
    try:
        found = Path(str(distribution(package).locate_file(path)))
    except PackageNotFoundError:
        raise MissingJudge(f"the package {package} is not installed; {hint}") from None
    if not found.is_file():
        raise MissingJudge(f"the package {package} lacks {path}; {hint}")
    checksum = hashlib.sha256(found.read_bytes()).hexdigest()
    if checksum != sha256:
        raise MissingJudge(
            f"{path} of the package {package} has SHA-256 {checksum}, not {sha256}; {hint}"
        )
    return found


class _ArraysOnly(pickle.Unpickler):
    """Reads containers of NumPy arrays and refuses everything else."""

    def find_class(self, module: str, name: str) -> Any:
        if module in ("numpy.core.multiarray", "numpy._core.multiarray"):
            module = "numpy._core.multiarray"
        allowed = {
            ("numpy._core.multiarray", "_reconstruct"),
            ("numpy", "ndarray"),
            ("numpy", "dtype"),
        }
        if (module, name) not in allowed:
            raise pickle.UnpicklingError(f"{module}.{name} is no NumPy array")
        return super().find_class(module, name)


def read_arrays(file: Path) -> Any:
    """NumPy arrays in dictionaries, from a pickle of nothing else.

    Raises
    ------
    pickle.UnpicklingError
        It names anything but arrays; nothing of it is run.
    """
    with file.open("rb") as stream:
        return _ArraysOnly(stream).load()

"""The folder of a run: configuration, environment, store, and the lock that one sweep holds."""

from __future__ import annotations

import fcntl
import json
import platform
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from channels.link import CHANNELS
from channels.registry import Registry
from gencomm.codecs.registry import CODECS
from gencomm.files import write_atomically
from gencomm.isolation.limits import cores
from gencomm.metrics import METRICS
from gencomm.sources import SOURCES
from gencomm.sweeps.config import SweepConfig, to_yaml
from gencomm.sweeps.store import StoreError

CONFIG_NAME = "config.yaml"
ENVIRONMENT_NAME = "environment.json"
LOCK_NAME = "lock"
#: Packages whose versions a run records.
PACKAGES = ("gencomm", "numpy", "scipy", "numba", "pillow", "scikit-image", "torch", "constriction")


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the folder; the lock goes with the process, however that ends.

    Raises
    ------
    StoreError
        Another sweep is writing there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK_NAME).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StoreError(
                f"another sweep is writing to {folder}; wait or use another folder"
            ) from None
        yield


def is_locked(folder: Path) -> bool:
    """Whether a sweep is writing there now."""
    path = folder / LOCK_NAME
    if not path.exists():
        return False
    with path.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def describe(folder: Path, config: SweepConfig, environment: Mapping[str, Any]) -> None:
    """Write the configuration and the environment beside the store, each in one step."""
    text = to_yaml(config.plain())
    write_atomically(folder / CONFIG_NAME, text.encode())
    text = json.dumps(environment, indent=1) + "\n"
    write_atomically(folder / ENVIRONMENT_NAME, text.encode())


def environment() -> dict[str, Any]:
    """What a run ran on: Python, machine, packages, plug-ins."""
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "machine": platform.machine(),
        "cores": cores(),
        "packages": {name: found for name in PACKAGES if (found := _version(name))},
        "plugins": plugins(),
        "executable": Path(sys.executable).name,
    }


def plugins() -> dict[str, dict[str, str]]:
    """Plug-ins of other packages by group: name -> package and version."""
    return {r.group: found for r in (CODECS, CHANNELS, METRICS, SOURCES) if (found := _foreign(r))}


def _foreign(registry: Registry) -> dict[str, str]:
    origins = {name: registry.entry(name).origin for name in registry.names()}
    return {name: origin for name, origin in origins.items() if origin != "built-in"}


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None

"""Paths as a configuration writes them: with environment variables, so that it names no machine."""

from __future__ import annotations

import os
import re
from pathlib import Path

_VARIABLE = re.compile(r"\$\{([^{}]*)\}")


def expand_path(text: str) -> Path:
    """Replace every ``${NAME}`` by the environment variable NAME, and a leading ``~``.

    Raises
    ------
    ValueError
        A variable that is not set, or is set to nothing.
    """

    def value(match: re.Match[str]) -> str:
        found = os.environ.get(match[1], "")
        if not found:
            raise ValueError(
                f"the environment variable {match[1]} is not set, and {text!r} needs it; "
                f"set it first, for example: export {match[1]}=/a/folder"
            )
        return found

    if not text:
        raise ValueError("the path is empty")
    return Path(_VARIABLE.sub(value, text)).expanduser()

"""What verbs print with: tables of text, and a line that is wrapped nowhere."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any


def table(headers: Sequence[str], lines: Iterable[Sequence[Any]]) -> str:
    """Columns aligned, numbers to the right, two spaces between; no borders."""
    cells = [[_text(value) for value in line] for line in lines]
    right = [
        bool(cells) and all(_is_number(line[i]) for line in cells) for i in range(len(headers))
    ]
    widths = [max(map(len, (name, *(line[i] for line in cells)))) for i, name in enumerate(headers)]

    def join(line: Sequence[str]) -> str:
        fitted = (
            text.rjust(width) if to_right else text.ljust(width)
            for text, width, to_right in zip(line, widths, right, strict=True)
        )
        return "  ".join(fitted).rstrip()

    return "\n".join([join(list(headers)), *map(join, cells)])


def pairs(values: Mapping[str, Any]) -> str:
    """Names and values, aligned."""
    width = max((len(name) for name in values), default=0)
    return "\n".join(f"{name:<{width}}  {_text(value)}" for name, value in values.items())


def dump(value: Any) -> None:
    """Print as JSON."""
    json.dump(value, sys.stdout, indent=1, default=str)
    print()


def _text(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.4g}"
    return str(value)


def _is_number(text: str) -> bool:
    try:
        float(text.rstrip("%"))
    except ValueError:
        return text == "-"
    return True

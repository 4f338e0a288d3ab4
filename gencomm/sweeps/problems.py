"""Mistakes in a configuration: each with its place, all of them in one go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError

from channels.spec import suggest


@dataclass(frozen=True)
class Problem:
    """One mistake: where it stands, such as ``grid.ber.log[2]``, and what is wrong."""

    path: str
    message: str

    def __str__(self) -> str:
        text = f"{self.path}: {self.message}" if self.path else self.message
        return text.replace("\n", "\n  ")


class ConfigError(ValueError):
    """A configuration that can't be used, with every problem found in it.

    Attributes
    ----------
    problems : tuple of Problem
    """

    def __init__(self, name: str, problems: Sequence[Problem]):
        self.name, self.problems = name, tuple(problems)
        count = "1 problem" if len(self.problems) == 1 else f"{len(self.problems)} problems"
        super().__init__("\n".join([f"{name}: {count}", *(f"  {p}" for p in self.problems)]))

    def __reduce__(self):
        return ConfigError, (self.name, self.problems)


def path_text(location: Sequence[str | int]) -> str:
    """``("grid", "ber", "log", 2)`` as ``grid.ber.log[2]``; marks such as ``<list>`` left out."""
    text = ""
    for part in location:
        if isinstance(part, int):
            text += f"[{part}]"
        elif not part.startswith("<"):
            text += f".{part}" if text else part
    return text


def from_pydantic(error: ValidationError, model: type[BaseModel]) -> list[Problem]:
    """A validation error as problems, with a suggestion for every unknown key."""
    found = []
    for line in error.errors():
        location = line["loc"]
        if line["type"] == "extra_forbidden":
            message = f"no such key{suggest(str(location[-1]), _keys(model, location[:-1]))}"
        elif line["type"] == "missing":
            message = "is missing, and needed"
        elif line["type"] == "value_error":
            message = str(line.get("ctx", {}).get("error", line["msg"]))
        else:
            message = line["msg"].replace("Input should", "should")
            message = f"{message[0].lower()}{message[1:]}, got {_short(line['input'])}"
        found.append(Problem(path_text(location), message))
    return found


def _keys(model: type[BaseModel], location: Sequence[str | int]) -> list[str]:
    """The keys that exist at a place of the model."""
    for part in location:
        if isinstance(part, int) or part.startswith("<"):
            continue
        field = model.model_fields.get(part)
        nested = field.annotation if field is not None else None
        if not (isinstance(nested, type) and issubclass(nested, BaseModel)):
            return []
        model = nested
    return list(model.model_fields)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."

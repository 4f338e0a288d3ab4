"""Axes of a sweep: lists of values, and what stands in braces in a link."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any

import numpy as np
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Strict,
    Tag,
)

from channels.spec import format_value, suggest

#: ``{ber}``, but not the ``${NAME}`` of an environment variable.
PLACEHOLDER = re.compile(r"(?<!\$)\{([^{}]*)\}")
#: Points on a logarithmic or linear axis are rounded to so many significant digits, so that every
#: machine's library of mathematics gives the same ones.
DIGITS = 10

Number = Annotated[float, Strict(), Field(allow_inf_nan=False)]
Count = Annotated[int, Strict(), Field(ge=1, le=10_000)]


def _scalar(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise ValueError(f"a value on an axis is a number or a word, got {value!r}")
    if isinstance(value, float) and not np.isfinite(value):
        raise ValueError(f"a value on an axis is finite, got {value!r}")
    return value


class LogAxis(BaseModel):
    """Points spaced evenly in the logarithm: from, to, how many."""

    model_config = ConfigDict(extra="forbid")
    log: tuple[Annotated[Number, Field(gt=0)], Annotated[Number, Field(gt=0)], Count]


class LinearAxis(BaseModel):
    """Points spaced evenly: from, to, how many."""

    model_config = ConfigDict(extra="forbid")
    linear: tuple[Number, Number, Count]


def _form(value: Any) -> str | None:
    if isinstance(value, (list, tuple)):
        return "<list>"
    if isinstance(value, (LogAxis, LinearAxis)):
        return "<log>" if isinstance(value, LogAxis) else "<linear>"
    if isinstance(value, Mapping):
        return {("log",): "<log>", ("linear",): "<linear>"}.get(tuple(value))
    return None


Axis = Annotated[
    Annotated[
        Annotated[list[Annotated[Any, AfterValidator(_scalar)]], Field(min_length=1)],
        Tag("<list>"),
    ]
    | Annotated[LogAxis, Tag("<log>")]
    | Annotated[LinearAxis, Tag("<linear>")],
    Discriminator(
        _form,
        custom_error_type="axis",
        custom_error_message="Input should be a list, {{log: [from, to, count]}} or "
        "{{linear: [from, to, count]}}",
    ),
]


def axis_values(axis: Any) -> list[Any]:
    """The points of a validated axis."""
    if isinstance(axis, LogAxis):
        start, stop, count = axis.log
        return [_rounded(v) for v in np.geomspace(start, stop, count)]
    if isinstance(axis, LinearAxis):
        start, stop, count = axis.linear
        return [_rounded(v) for v in np.linspace(start, stop, count)]
    return list(axis)


def _rounded(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")


def thin(values: Sequence[Any], count: int) -> list[Any]:
    """At most `count` of the values, both ends among them, evenly spread."""
    if len(values) <= count:
        return list(values)
    picked = np.unique(np.linspace(0, len(values) - 1, count).round().astype(int))
    return [values[i] for i in picked]


def placeholders(template: str) -> list[str]:
    """Names in braces, in order, each once."""
    return list(dict.fromkeys(PLACEHOLDER.findall(template)))


def fill(template: str, point: Mapping[str, Any]) -> str:
    """Put a point's values in."""
    return PLACEHOLDER.sub(lambda m: format_value(point[m[1]]), template)


def points(template: str, grid: Mapping[str, Sequence[Any]]) -> Iterator[dict[str, Any]]:
    """All combinations of the values that a template asks for; the last name runs fastest."""
    names = placeholders(template)
    for values in itertools.product(*(grid[name] for name in names)):
        yield dict(zip(names, values, strict=True))


def missing_axis(name: str, grid: Mapping[str, Any]) -> str:
    """The message for a placeholder that has no axis."""
    hint = suggest(name, grid) if grid else "; grid is empty"
    return f"{{{name}}} has no entry in grid{hint}"

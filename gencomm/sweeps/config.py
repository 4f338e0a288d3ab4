"""The configuration of a sweep: what may stand in it. Read by :func:`read_config`.

::

    name: kodak
    seed: 1
    source: {packed: "${GENCOMM_DATA}/kodak.npz", limit: 24}
    codecs: [jpeg(bpp=0.5), raw]
    links: ["bsc({ber})"]
    grid: {ber: {log: [1e-6, 1e-1, 13]}}
    trials: {min: 4, max: 20, half_width: {psnr: 0.1}}
    policy: {header: in_band, decode: lenient, conceal: grey}
    metrics: [psnr, ssim, ms_ssim]
    limits: {seconds: 10, memory: 1GB}
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, Strict, model_validator

from gencomm.sweeps.budget import LADDER, Budget, Ladder
from gencomm.sweeps.grid import Axis, axis_values, thin
from gencomm.sweeps.problems import ConfigError, Problem

_UNITS = {"": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9}
_UNITS |= {"kib": 2**10, "mib": 2**20, "gib": 2**30}
_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([kmg]i?b)?\s*", re.IGNORECASE)

#: What ``--quick`` keeps: this many items, points on an axis, and trials.
QUICK_ITEMS, QUICK_POINTS, QUICK_TRIALS = 2, 5, 4
_CONFIGS = Path(__file__).parent.parent / "configs"
#: The built-in configuration of the main job, and what runs where learned codecs can't.
BUILT_IN, BUILT_IN_CLASSICAL = _CONFIGS / "photos.yaml", _CONFIGS / "photos_classical.yaml"
#: What the extra [learned] brings.
LEARNED = ("torch", "safetensors", "constriction")


def lacking() -> list[str]:
    """Packages of the extra [learned] that are not installed; none of them is imported."""
    return [name for name in LEARNED if find_spec(name) is None]


def built_in() -> Path:
    """The configuration of a sweep that is given none."""
    return BUILT_IN_CLASSICAL if lacking() else BUILT_IN


def _bytes(value: Any) -> Any:
    """``1GB``, ``512 MiB`` or a plain number, in bytes."""
    if not isinstance(value, str):
        return value
    match = _SIZE.fullmatch(value)
    if match is None:
        raise ValueError(f"a size such as 1GB, 512MB or 1GiB is needed, got {value!r}")
    return int(float(match[1]) * _UNITS[(match[2] or "").lower()])


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


Texts = Annotated[list[Annotated[str, Strict()]], BeforeValidator(_as_list), Field(min_length=1)]
Whole = Annotated[int, Strict()]
Positive = Annotated[float, Strict(), Field(gt=0, allow_inf_nan=False)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Trials(_Strict):
    """How many trials a cell gets; see :mod:`gencomm.sweeps.adaptive`.

    Attributes
    ----------
    min, max : int
        At least and at most so many.
    half_width : dict of str to float
        Stop when the 95 % confidence interval of the mean of each metric named is at most this
        wide to either side.
    max_errors : int, optional
        Stop when so many trials ended in an outage.
    skip_clean : bool
        Where fewer than half of the trials would be hit at all, draw only those that are, and give
        their rows the probability of a hit as ``weight``: what the others give is known, it is the
        clean result. Means over all noise are then
        ``(1 - weight) * clean + weight * mean over rows``, as all tables and figures count them,
        with intervals that shrink by the weight. With false every trial is drawn as it comes.
    """

    min: Annotated[Whole, Field(ge=1)] = 4
    max: Annotated[Whole, Field(ge=1, le=1_000_000)] = 20
    half_width: dict[str, Positive] = {}
    max_errors: Annotated[Whole, Field(ge=1)] | None = None
    skip_clean: Annotated[bool, Strict()] = True

    @model_validator(mode="before")
    @classmethod
    def _number(cls, value: Any) -> Any:
        if isinstance(value, int) and not isinstance(value, bool):
            return {"min": value, "max": value}
        if isinstance(value, Mapping) and "min" not in value and isinstance(value.get("max"), int):
            return {"min": min(4, value["max"]), **value}
        return value

    @model_validator(mode="after")
    def _order(self) -> Trials:
        if self.min > self.max:
            raise ValueError(f"min is {self.min}, more than max, which is {self.max}")
        return self


class Limits(_Strict):
    """What one call of a codec may use: wall-clock seconds, and bytes of memory."""

    seconds: Positive = 10.0
    memory: Annotated[Whole, BeforeValidator(_bytes), Field(ge=2**20)] = 10**9


class SweepConfig(_Strict):
    """A configuration whose form is right; :func:`resolve` checks what it names.

    Attributes
    ----------
    name : str
        Of the run; the default folder is ``runs/<name>``.
    seed : int
        Of all noise.
    source : text or mapping
        ``photos``, ``"photos(limit=4)"`` or ``{photos: , limit: 4}``.
    items : int, optional
        Use only the first so many items of the source.
    codecs, links, metrics : list of text
        Specs; a link may hold names of the grid in braces.
    grid : dict
        Values of those names.
    trials, limits
        See :class:`Trials` and :class:`Limits`.
    policy : mapping, or list of mappings
        See :class:`gencomm.policy.Policy`.
    budget : mapping, optional
        Channel uses that every codec may spend; codecs are then listed without their rate. See
        :mod:`gencomm.sweeps.budget`.
    ladder : list of text
        What ``mcs`` in a link stands for.
    pictures : int
        Of the first so many items, what trial 0 gave is kept for contact sheets.
    """

    name: Annotated[str, Strict(), Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")] = "sweep"
    seed: Annotated[Whole, Field(ge=0)] = 1
    source: Any
    items: Annotated[Whole, Field(ge=1)] | None = None
    codecs: Texts
    links: Texts
    grid: dict[str, Axis] = {}
    trials: Trials = Trials()
    policy: Any = {}
    metrics: Texts = ["psnr", "ssim", "ms_ssim"]
    limits: Limits = Limits()
    budget: Budget | None = None
    ladder: Ladder = list(LADDER)
    pictures: Annotated[Whole, Field(ge=0)] = 1

    def values(self) -> dict[str, list[Any]]:
        """The points on every axis of the grid."""
        return {name: axis_values(axis) for name, axis in self.grid.items()}

    def plain(self) -> dict[str, Any]:
        """Plain values that read back to the same configuration; no variable is filled in."""
        return self.model_dump(mode="json", exclude_none=True)

    def quick(self) -> SweepConfig:
        """A small version: first look, not for figures."""
        most = min(self.trials.max, QUICK_TRIALS)
        trials = self.trials.model_copy(update={"min": min(self.trials.min, most), "max": most})
        return self.model_copy(
            update={
                "name": f"{self.name}-quick",
                "items": min(self.items or QUICK_ITEMS, QUICK_ITEMS),
                "grid": {name: thin(v, QUICK_POINTS) for name, v in self.values().items()},
                "trials": trials,
            }
        )


def read_yaml(path: Path) -> Any:
    """The contents of a YAML 1.2 file (``1e-3`` is a number), plain.

    Raises
    ------
    ConfigError
        No such file, not YAML, or a key that stands twice, with line and column.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(str(path), [Problem("", "there is no such file")]) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(str(path), [Problem("", f"can't be read: {error}")]) from error
    reader = YAML(typ="safe", pure=True)
    reader.allow_duplicate_keys = False
    try:
        return reader.load(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark
        place = f"line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        message = (error.problem or "not YAML").split("\n")[0]
        raise ConfigError(str(path), [Problem(place, message)]) from error
    except (YAMLError, ValueError) as error:
        raise ConfigError(str(path), [Problem("", f"not YAML: {error}")]) from error


def to_yaml(value: Mapping[str, Any]) -> str:
    """Plain values as YAML that :func:`read_yaml` reads back."""
    from ruamel.yaml import YAML

    writer = YAML(typ="safe", pure=True)
    writer.default_flow_style = None
    writer.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    text = io.StringIO()
    writer.dump(dict(value), text)
    return text.getvalue()

"""From a configuration's text to the parts it names, with every mistake found at once."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from channels.link import Link
from channels.spec import Spec, SpecError, format_value, parse_chain, parse_spec, suggest
from gencomm.codecs.registry import CODECS
from gencomm.metrics.registry import METRICS
from gencomm.policy import Policy
from gencomm.sources import SOURCES, Source
from gencomm.sweeps.budget import LADDER, Budget, at_budget, has_ladder, rungs
from gencomm.sweeps.config import SweepConfig, built_in, read_yaml
from gencomm.sweeps.grid import Axis, axis_values, fill, missing_axis, placeholders, points
from gencomm.sweeps.problems import ConfigError, Problem, from_pydantic, path_text
from gencomm.sweeps.store import RESERVED

_VARIABLE = re.compile(r"\$\{([^{}]*)\}")


@dataclass(frozen=True)
class CodecPart:
    """A codec of the sweep: its one spec, what it takes and wants, and what decides its answer."""

    spec: str
    modality: str
    wants: frozenset[str]
    identity: dict[str, Any]


@dataclass(frozen=True)
class LinkPart:
    """A link of the sweep: as written, the grid's values in it, and its one spec.

    With a budget of channel uses each link has operating points of its own: `only` names the
    codecs that go over it. `checksums` are of files that the link reads, such as a trace.
    """

    template: str
    point: dict[str, Any]
    spec: str
    only: frozenset[str] | None = None
    checksums: tuple[str, ...] = ()


@dataclass(frozen=True)
class MetricPart:
    """A metric of the sweep: its one spec, and the name of its column."""

    spec: str
    name: str


@dataclass(frozen=True)
class Resolved:
    """A configuration with everything that it names found and built."""

    config: SweepConfig
    source: Source
    codecs: tuple[CodecPart, ...]
    links: tuple[LinkPart, ...]
    policies: tuple[Policy, ...]
    metrics: tuple[MetricPart, ...]
    #: (operating point, link as written, policy) of what is run, where a design picks some
    picked: frozenset[tuple[str, str, Policy]] | None = None


def read_config(config: SweepConfig | Mapping[str, Any] | str | Path | None) -> SweepConfig:
    """Read a configuration and check all of it.

    Parameters
    ----------
    config : path, mapping, or None
        None means the built-in configuration of the main job; without the extra [learned], one
        of classical codecs alone.

    Raises
    ------
    ConfigError
        With every problem, its path and a suggestion.
    """
    return resolve(config).config


def resolve(config: SweepConfig | Mapping[str, Any] | str | Path | None) -> Resolved:
    """The same, with the parts that the configuration names."""
    name, raw = "configuration", config
    if config is None:
        config = built_in()
    if isinstance(config, SweepConfig):
        raw = config.plain()
    elif isinstance(config, (str, Path)):
        name, raw = str(config), read_yaml(Path(config))
    if not isinstance(raw, Mapping):
        message = "a mapping with source, codecs and links is needed, such as 'seed: 1'"
        raise ConfigError(name, [Problem("", message)])
    problems: list[Problem] = []
    model = None
    try:
        model = SweepConfig.model_validate(dict(raw))
    except ValidationError as error:
        problems += from_pydantic(error, SweepConfig)
    parts = _Parts(raw, problems)
    if problems or model is None or parts.source is None:
        raise ConfigError(name, problems)
    return Resolved(
        model,
        parts.source,
        tuple(parts.codecs),
        tuple(parts.links),
        tuple(parts.policies),
        tuple(parts.metrics),
    )


def _texts(value: Any, key: str) -> list[tuple[str, str]]:
    """(path, text) of each text in a list; other things are pydantic's to complain about."""
    if isinstance(value, str):
        return [(key, value)]
    if not isinstance(value, Sequence):
        return []
    return [(f"{key}[{i}]", text) for i, text in enumerate(value) if isinstance(text, str)]


class _Parts:
    """Looks up what the raw configuration names; mistakes are added to `problems`."""

    def __init__(self, raw: Mapping[str, Any], problems: list[Problem]):
        self.raw, self.problems = raw, problems
        self.unset = self._variables(raw, ())
        self.source = self._source(raw.get("source"))
        self.budget = self._budget(raw.get("budget"))
        self.grid = self._grid()
        self.used: set[str] = set()
        self.operating_points = self._operating_points()
        self.codecs: list[CodecPart] = self._each(self.operating_points, codec_part)
        wants = frozenset().union(*(codec.wants for codec in self.codecs))
        self.links = self._links(wants)
        if self.budget is not None:
            self._spend(self.budget)
            self._check_design(self.budget.design)
        default = SweepConfig.model_fields["metrics"].default
        self.metrics: list[MetricPart] = self._each(
            _texts(raw.get("metrics", default), "metrics"), self._metric
        )
        self.policies = self._policies(raw.get("policy", {}))
        self._half_widths()

    def wrong(self, path: str, error: Exception | str) -> None:
        self.problems.append(Problem(path, str(error)))

    def _variables(self, value: Any, location: tuple[str | int, ...]) -> set[str]:
        """Complain of every ``${NAME}`` that isn't set; returns the top keys concerned."""
        if isinstance(value, str):
            names = [n for n in _VARIABLE.findall(value) if not os.environ.get(n)]
            for name in names:
                self.wrong(
                    path_text(location),
                    f"the environment variable {name} is not set; set it first: export {name}=...",
                )
            return {str(location[0])} if names and location else set()
        found: set[str] = set()
        if isinstance(value, Mapping):
            for key, inner in value.items():
                found |= self._variables(inner, (*location, str(key)))
        elif isinstance(value, (list, tuple)):
            for index, inner in enumerate(value):
                found |= self._variables(inner, (*location, index))
        return found

    def _source(self, value: Any) -> Source | None:
        if "source" in self.unset or "source" not in self.raw:
            return None
        try:
            return SOURCES.create(_source_spec(value))
        except (SpecError, OSError) as error:
            self.wrong("source", error)
        return None

    def _operating_points(self) -> list[tuple[str, str]]:
        """(path, codec) with the grid's values in the place of names in braces."""
        found = []
        for path, template in _texts(self.raw.get("codecs"), "codecs"):
            if self._known(path, placeholders(template)):
                found += [(path, fill(template, point)) for point in points(template, self.grid)]
        return found

    def _known(self, path: str, names: list[str]) -> bool:
        """Whether a template's names all have values in the grid; complains of those that lack."""
        self.used |= set(names)
        absent = [name for name in names if name not in self.grid]
        for name in absent:
            self.wrong(path, missing_axis(name, self.grid))
            # a misspelt name is one mistake, not also an axis without use
            self.used |= set(difflib.get_close_matches(name, self.grid, n=1))
        # an axis without values is a bad one, already complained of
        return not absent and all(self.grid[name] for name in names)

    def _each(self, texts: list[tuple[str, str]], build: Callable[[str], Any]) -> list[Any]:
        """Build each text of a list; a second one with the same meaning is refused."""
        found: dict[str, str] = {}
        parts = []
        for path, text in texts:
            try:
                part = build(text)
            except SpecError as error:
                self.wrong(path, f"{error}{_comma_hint(text)}")
                continue
            if part.spec in found:
                first = found[part.spec]
                self.wrong(path, f"{part.spec} stands here a second time; first in {first}")
                continue
            found[part.spec] = path
            parts.append(part)
        return parts

    def _metric(self, text: str) -> MetricPart:
        name = METRICS.create(text).name
        if name.lower() in RESERVED:
            raise SpecError(f"a metric's column can't be called {name!r}")
        return MetricPart(METRICS.canonical(text), name)

    def _budget(self, value: Any) -> Budget | None:
        try:
            return None if value is None else Budget.model_validate(value)
        except ValidationError:  # reported with the whole model
            return None

    def _spend(self, budget: Budget) -> None:
        """Put the operating points that fill the budget in the place of the codecs listed."""
        parts: dict[str, CodecPart] = {}
        links: list[LinkPart] = []
        points: dict[str, frozenset[str]] = {}
        for link in self.links:
            if link.template not in points:
                compiled, specs = Link.parse(link.spec), []
                for path, text in self.operating_points:
                    try:
                        part = codec_part(str(at_budget(text, compiled, budget)))
                    except SpecError as error:
                        if not any(problem.path == path for problem in self.problems):
                            self.wrong(path, error)
                        continue
                    parts.setdefault(part.spec, part)
                    specs.append(part.spec)
                points[link.template] = frozenset(specs)
            links.append(replace(link, only=points[link.template]))
        self.codecs, self.links = list(parts.values()), links

    def _check_design(self, design: Mapping[str, float] | None) -> None:
        """A design point gives every name that a link uses a value, and no other."""
        if design is None or not self.links:  # links that are wrong were complained of
            return
        templates = list(dict.fromkeys(link.template for link in self.links))
        used = list(dict.fromkeys(name for text in templates for name in placeholders(text)))
        for name in design:
            if name not in used:
                hint = suggest(name, used) if used else ": they use no name at all"
                self.wrong(f"budget.design.{name}", f"no link uses {{{name}}}{hint}")
        for name in used:
            if name not in design:
                value = format_value(self.grid[name][0])
                self.wrong("budget.design", f"links use {{{name}}} too: add {name}: {value}")
        if any(name not in design for name in used):
            return
        for template in templates:
            try:
                Link.parse(fill(template, design))
            except SpecError as error:
                self.wrong("budget.design", error)
                return

    def _templates(self) -> list[tuple[str, str]]:
        """(path, link) with every scheme of the ladder in the place of mcs."""
        ladder = self.raw.get("ladder", LADDER)
        found = []
        for path, template in _texts(self.raw.get("links"), "links"):
            if not has_ladder(template):
                found.append((path, template))
            elif self.raw.get("budget") is None:
                self.wrong(
                    path,
                    "mcs compares schemes at equal channel uses and needs a budget, such as "
                    "budget: {uses_per_pixel: 0.25}",
                )
            else:
                schemes = tuple(text for _, text in _texts(ladder, "ladder"))
                found += [(path, link) for link in rungs(template, schemes)]
        return found

    def _links(self, wants: frozenset[str]) -> list[LinkPart]:
        of_codecs = set(self.used)
        found: dict[tuple[str, str], str] = {}
        links = []
        for path, template in self._templates():
            names = placeholders(template)
            both = [name for name in names if name in of_codecs]
            for name in both:
                self.wrong(path, f"{{{name}}} is an axis of codecs; a link needs one of its own")
            if not self._known(path, names) or both:
                continue
            try:
                for point in points(template, self.grid):
                    link = Link.parse(fill(template, point), wants)
                    spec = link.text
                    if (template, spec) in found:
                        raise SpecError(f"{spec} comes twice; first from {found[template, spec]}")
                    found[template, spec] = path
                    sums = tuple(stage.checksum for stage in link.stages if stage.checksum)
                    links.append(LinkPart(template, point, spec, checksums=sums))
            except SpecError as error:
                self.wrong(path, f"{error}{_comma_hint(template)}")
        for name in self.grid:
            if name not in self.used:
                hint = suggest(name, self.used).replace("there is", "they use") if self.used else ""
                self.wrong(f"grid.{name}", f"no codec and no link uses {{{name}}}{hint}")
        return links

    def _grid(self) -> dict[str, list[Any]]:
        """Values of each axis; an empty list for one that is wrong."""
        grid = self.raw.get("grid") or {}
        if not isinstance(grid, Mapping):
            return {}
        adapter, values = TypeAdapter(Axis), {}
        for name, axis in grid.items():
            try:
                values[str(name)] = axis_values(adapter.validate_python(axis))
            except ValidationError:  # reported with the whole model
                values[str(name)] = []
        return values

    def _policies(self, value: Any) -> list[Policy]:
        several = isinstance(value, (list, tuple))
        policies = []
        for index, choices in enumerate(value if several else [value]):
            path = f"policy[{index}]" if several else "policy"
            if not isinstance(choices, Mapping):
                self.wrong(path, "a mapping is needed, such as {decode: strict}")
                continue
            before = len(self.problems)
            for key, choice in choices.items():
                try:
                    Policy.from_mapping({key: choice})
                except ValueError as error:
                    self.wrong(f"{path}.{key}", error)
            if len(self.problems) == before:
                policy = Policy.from_mapping(choices)
                if policy in policies:
                    self.wrong(path, "the same policy stands here a second time")
                policies.append(policy)
        return policies

    def _half_widths(self) -> None:
        trials = self.raw.get("trials")
        widths = trials.get("half_width") if isinstance(trials, Mapping) else None
        known = [metric.name for metric in self.metrics]
        for name in widths if isinstance(widths, Mapping) else ():
            if name not in known:
                message = f"{name} is none of the metrics{suggest(str(name), known)}"
                self.wrong(f"trials.half_width.{name}", message)


def codec_part(text: str) -> CodecPart:
    """An operating point as this machine has it.

    Raises
    ------
    SpecError
        No such codec here, or it can't be built so.
    """
    spec = parse_spec(text)
    codec = CODECS.create(spec)
    versions = getattr(codec, "versions", None)
    origin = CODECS.entry(spec.name).origin
    identity = {"origin": origin, "versions": dict(versions()) if versions else {}}
    return CodecPart(CODECS.canonical(spec), codec.modality, frozenset(codec.wants), identity)


def _source_spec(value: Any) -> Spec | str:
    """A source as text, or as a mapping whose one key is its name and whose others are options."""
    if isinstance(value, str):
        return value
    if not isinstance(value, Mapping):
        raise SpecError("a source such as photos or {folder: path} is needed")
    names = [key for key in value if key in SOURCES]
    if len(names) > 1:
        raise SpecError(f"only one source can be used, not {' and '.join(names)}")
    if not names:
        wrong = str(next(iter(value), ""))
        raise SpecError(f"no source is called {wrong!r}{suggest(wrong, SOURCES.names())}")
    name, main = names[0], value[names[0]]
    options = {str(k): _frozen(v) for k, v in value.items() if k != name}
    if isinstance(main, Mapping):
        options = {str(k): _frozen(v) for k, v in main.items()} | options
        main = None
    return Spec(str(name), () if main is None else (_frozen(main),), tuple(options.items()))


def _frozen(value: Any) -> Any:
    return tuple(map(_frozen, value)) if isinstance(value, (list, tuple)) else value


def _comma_hint(text: str) -> str:
    """YAML cuts an unquoted spec in [...] at its commas; say so where that happened."""
    if text.count("(") == text.count(")"):
        return ""
    try:
        parse_chain(text)
    except SpecError:
        return "\n(inside [...], YAML ends a text at a comma: put the spec into quotes)"
    return ""

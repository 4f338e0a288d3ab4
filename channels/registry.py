"""Names to objects: built-ins and entry points of other packages, none imported until used."""

from __future__ import annotations

import importlib
import inspect
import os
import types
import typing
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from importlib.metadata import entry_points
from typing import Any

from channels.spec import Chain, Spec, SpecError, format_value, parse_chain, parse_spec, suggest

#: Set to "none" to shut out plug-ins of other packages.
PLUGINS_VARIABLE = "GENCOMM_PLUGINS"


@dataclass(frozen=True)
class Entry:
    """Where a name comes from. `origin` is "built-in", "this process" or "package version"."""

    name: str
    target: str
    origin: str


class Registry:
    """A table of factories by name.

    Parameters
    ----------
    group : str
        Entry-point group in which other packages offer theirs, such as ``gencomm.codecs``.
    builtin : dict of str to str
        Name to ``"module:object"``. Nothing is imported until a name is used.
    kind : str
        The word for one of them in messages, such as ``codec``.
    """

    def __init__(self, group: str, builtin: dict[str, str], kind: str):
        self.group, self.kind = group, kind
        self._builtin = dict(builtin)
        self._added: dict[str, Any] = {}
        self._loaded: dict[str, Any] = {}

    @cached_property
    def _plugins(self) -> dict[str, tuple[Entry, Any]]:
        if os.environ.get(PLUGINS_VARIABLE, "").strip().lower() == "none":
            return {}
        found = {}
        for point in entry_points(group=self.group):
            dist = point.dist
            origin = f"{dist.name} {dist.version}" if dist is not None else "unknown package"
            found[point.name] = (Entry(point.name, point.value, origin), point)
        return found

    def names(self) -> list[str]:
        """All names known, built-ins first in their order, then plug-ins, then added ones."""
        return list(dict.fromkeys([*self._builtin, *self._plugins, *self._added]))

    def __contains__(self, name: str) -> bool:
        return name in self.names()

    def entry(self, name: str) -> Entry:
        """Where `name` comes from. Built-ins win over plug-ins of the same name."""
        if name in self._added:
            return Entry(name, repr(self._added[name]), "this process")
        if name in self._builtin:
            return Entry(name, self._builtin[name], "built-in")
        if name in self._plugins:
            return self._plugins[name][0]
        raise SpecError(f"no {self.kind} is called {name!r}{suggest(name, self.names())}")

    def add(self, name: str, factory: Any) -> None:
        """Register an object in this process only (notebooks, tests)."""
        self._added[name] = factory
        self._loaded.pop(name, None)

    def load(self, name: str) -> Any:
        """The factory called `name`, imported now if it wasn't.

        Raises
        ------
        SpecError
            No such name, or its module can't be imported (with the cause).
        """
        if name in self._loaded:
            return self._loaded[name]
        entry = self.entry(name)
        if name in self._added:
            factory = self._added[name]
        else:
            try:
                if name in self._builtin:
                    module, _, attribute = entry.target.partition(":")
                    factory = getattr(importlib.import_module(module), attribute)
                else:
                    factory = self._plugins[name][1].load()
            except Exception as error:
                raise SpecError(
                    f"{self.kind} {name!r} ({entry.origin}, {entry.target}) can't be loaded: "
                    f"{type(error).__name__}: {error}"
                ) from error
        self._loaded[name] = factory
        return factory

    def _at(self, spec: Spec) -> Any:
        try:
            return self.load(spec.name)
        except SpecError as error:
            raise spec.error(error.problem) from error.__cause__

    def bind(self, spec: str | Spec) -> tuple[Any, dict[str, Any]]:
        """Factory and keyword arguments for `spec`, checked against the factory's signature."""
        spec = parse_spec(spec)
        factory = self._at(spec)
        return factory, bind_arguments(factory, spec, f"{self.kind} {spec.name!r}")

    def create(self, spec: str | Spec) -> Any:
        """Build the object that `spec` describes."""
        spec = parse_spec(spec)
        factory, kwargs = self.bind(spec)
        try:
            return _call(factory, kwargs)
        except SpecError as error:
            raise error if error.text else spec.error(error.problem) from error
        except (ValueError, TypeError) as error:
            # kwargs stand in the spec's order; a complaint that starts with one's name is about it
            named = list(kwargs)
            first = str(error).partition(" ")[0]
            index = named.index(first) if first in named else None
            raise spec.error(f"{self.kind} {spec.name!r}: {error}", index) from error

    def canonical(self, spec: str | Spec) -> str:
        """One text for one meaning: named arguments in the signature's order, no defaults."""
        return str(self._canonical(parse_spec(spec)))

    def _canonical(self, spec: Spec) -> Spec:
        factory, kwargs = self.bind(spec)
        args: tuple[Any, ...] = ()
        kept = []
        for name, parameter in _parameters(factory).items():
            if parameter.kind is parameter.VAR_POSITIONAL:
                args = tuple(self._canonical_part(value) for value in kwargs.get(name, ()))
            elif name in kwargs and kwargs[name] != parameter.default:
                kept.append((name, self._canonical_part(kwargs[name])))
        return Spec(spec.name, args, tuple(kept))

    def _canonical_part(self, value: Any) -> Any:
        """A stage or chain among the arguments is of this registry where all its names are."""
        if isinstance(value, Spec) and value.name in self:
            return self._canonical(value)
        if isinstance(value, Chain) and all(spec.name in self for spec in value):
            stages = tuple(self._canonical(spec) for spec in value)
            return stages[0] if len(stages) == 1 else Chain(stages)
        return value


def _signature(factory: Callable) -> inspect.Signature:
    try:
        return inspect.signature(factory, eval_str=True)
    except (NameError, TypeError):
        return inspect.signature(factory)


def _parameters(factory: Callable) -> dict[str, inspect.Parameter]:
    return {
        name: p
        for name, p in _signature(factory).parameters.items()
        if p.kind in (p.POSITIONAL_OR_KEYWORD, p.VAR_POSITIONAL, p.KEYWORD_ONLY)
    }


def _call(factory: Callable, bound: dict[str, Any]) -> Any:
    """Call `factory` with arguments by name; those of a ``*name`` are a tuple."""
    signature = _signature(factory)
    if not any(p.kind is p.VAR_POSITIONAL for p in signature.parameters.values()):
        return factory(**bound)
    ordered = {name: bound[name] for name in signature.parameters if name in bound}
    call = inspect.BoundArguments(signature, ordered)  # type: ignore[arg-type]
    call.apply_defaults()
    return factory(*call.args, **call.kwargs)


def bind_arguments(factory: Callable, spec: Spec, what: str) -> dict[str, Any]:
    """Match a spec's arguments to a signature; every complaint points at the argument.

    What is left of the arguments without a name goes to a parameter ``*name``, as a tuple.
    """
    parameters = _parameters(factory)
    names = [n for n, p in parameters.items() if p.kind is p.POSITIONAL_OR_KEYWORD]
    rest = next((p for p in parameters.values() if p.kind is p.VAR_POSITIONAL), None)
    bound: dict[str, Any] = {}
    for index, value in enumerate(spec.args):
        if index >= len(names) and rest is not None:
            converted = _convert(value, rest, what, spec, index)
            bound[rest.name] = (*bound.get(rest.name, ()), converted)
            continue
        if index >= len(names):
            takes = ", ".join(names) or "none"
            if len(names) < len(parameters):
                by_name = [f"{n}=..." for n in parameters if n not in names]
                takes = f"{takes}, and by name {', '.join(by_name)}"
            raise spec.error(
                f"{what} has too many arguments without a name; it takes {takes}", index
            )
        bound[names[index]] = _convert(value, parameters[names[index]], what, spec, index)
    for offset, (key, value) in enumerate(spec.kwargs):
        index = len(spec.args) + offset
        if rest is not None and key == rest.name:
            raise spec.error(f"{what}: {key} are given without a name", index)
        if key not in parameters:
            hint = suggest(key, parameters) if parameters else "; it takes none"
            raise spec.error(f"{what} has no parameter {key!r}{hint}", index)
        if key in bound:
            raise spec.error(f"{what}: {key!r} is given twice", index)
        bound[key] = _convert(value, parameters[key], what, spec, index)
    missing = [
        n
        for n, p in parameters.items()
        if p.default is p.empty and p is not rest and n not in bound
    ]
    if missing:
        raise spec.error(f"{what} needs {' and '.join(missing)}")
    return bound


def _convert(value: Any, parameter: inspect.Parameter, what: str, spec: Spec, index: int) -> Any:
    """Fit a parsed value to the parameter's annotation, or say what was expected."""
    wanted = parameter.annotation
    if wanted is inspect.Parameter.empty or isinstance(wanted, str) or wanted is Any:
        return value
    options = (
        typing.get_args(wanted)
        if typing.get_origin(wanted) in (typing.Union, types.UnionType)
        else (wanted,)
    )
    if isinstance(value, str) and str not in options and {Spec, Chain} & set(options):
        value = _stage_named(value, spec, index)
    for option in options:
        fits, converted = _fit(value, option)
        if fits:
            return converted
    words = " or ".join(_word(option) for option in options)
    raise spec.error(f"{what}: {parameter.name} must be {words}, got {format_value(value)}", index)


def _stage_named(word: str, spec: Spec, index: int) -> Any:
    """The stage that a bare word stands for where stages are wanted, pointing at the word."""
    try:
        [stage] = parse_chain(word)
    except ValueError:  # no stage, or several in quotes
        return word
    span = spec.spans[index] if index < len(spec.spans) else spec.span
    return Spec(stage.name, stage.args, stage.kwargs, spec.text, span)


def _fit(value: Any, option: Any) -> tuple[bool, Any]:
    if option is type(None):
        return value is None, None
    if typing.get_origin(option) is typing.Literal:
        return value in typing.get_args(option), value
    if option is bool:
        return isinstance(value, bool), value
    if option is int:
        whole = isinstance(value, int) and not isinstance(value, bool)
        whole = whole or (isinstance(value, float) and value.is_integer())
        return whole, int(value) if whole else value
    if option is float:
        number = isinstance(value, (int, float, Fraction)) and not isinstance(value, bool)
        return number, float(value) if number else value
    if option is Fraction:
        number = isinstance(value, (int, Fraction)) and not isinstance(value, bool)
        return number, Fraction(value) if number else value
    if option is str:  # a word such as 5 or 1/2 that reads as a number was meant as text
        plain = isinstance(value, (str, int, float, Fraction)) and not isinstance(value, bool)
        return plain, value if isinstance(value, str) else format_value(value)
    origin = typing.get_origin(option)
    if option in (tuple, list) or origin in (tuple, list):
        return isinstance(value, tuple), value
    if option is Chain and isinstance(value, Spec):
        return True, Chain((value,), value.text)
    return (isinstance(value, option), value) if isinstance(option, type) else (True, value)


_WORDS = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "text",
    Fraction: "a fraction such as 1/2",
    type(None): "none",
    Spec: "a stage",
    Chain: "a chain",
    tuple: "a list [...]",
    list: "a list [...]",
}


def _word(option: Any) -> str:
    if typing.get_origin(option) is typing.Literal:
        return " or ".join(map(str, typing.get_args(option)))
    return _WORDS.get(typing.get_origin(option) or option, getattr(option, "__name__", str(option)))

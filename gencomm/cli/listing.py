"""The verbs `codecs`, `channels`, `metrics` and `sources` share this: list a registry."""

from __future__ import annotations

import argparse
import inspect
from typing import Any

from channels.registry import Registry
from channels.spec import SpecError, format_value
from gencomm.cli import FAILED, output


def arguments(parser: argparse.ArgumentParser, kind: str) -> None:
    """What all of them take."""
    parser.add_argument("name", nargs="?", help=f"say everything about this {kind}")
    parser.add_argument("--json", action="store_true", help="print JSON")


def show(registry: Registry, args: argparse.Namespace) -> int:
    """Print all of a registry, or one of it."""
    if args.name:
        return _one(registry, args)
    lines = [_line(registry, name) for name in registry.names()]
    if args.json:
        output.dump(lines)
        return 0
    print(
        output.table(
            [registry.kind, "written as", "from", "what it is"],
            [[line["name"], line["spec"], line["origin"], line["summary"]] for line in lines],
        )
    )
    broken = [line for line in lines if line["error"]]
    for line in broken:
        print(f"\n{line['name']} can't be used: {line['error']}")
    return 0


def _line(registry: Registry, name: str) -> dict[str, Any]:
    """A name with its parameters and first line, or the error of importing it."""
    entry = registry.entry(name)
    line = {"name": name, "origin": entry.origin, "target": entry.target}
    try:
        factory = registry.load(name)
    except SpecError as error:
        return line | {"spec": name, "summary": "(can't be imported)", "error": error.problem}
    doc = inspect.getdoc(factory) or ""
    return line | {"spec": _spec(name, factory), "summary": doc.split("\n")[0], "error": None}


def _spec(name: str, factory: Any) -> str:
    """How it is written: parameters that are needed by name, others with their defaults."""
    try:
        parameters = inspect.signature(factory).parameters.values()
    except (TypeError, ValueError):
        return name
    parts = [
        p.name if p.default is p.empty else f"{p.name}={_default(p.default)}"
        for p in parameters
        if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)
    ]
    return f"{name}({', '.join(parts)})" if parts else name


def _default(value: Any) -> str:
    plain = isinstance(value, (str, int, float, tuple, list, type(None)))
    return format_value(value) if plain else str(value)


def _one(registry: Registry, args: argparse.Namespace) -> int:
    line = _line(registry, args.name)
    if args.json:
        output.dump(line)
    elif line["error"]:
        print(line["error"])
    else:
        print(f"{line['spec']}\nfrom {line['origin']}: {line['target']}\n")
        print(inspect.getdoc(registry.load(args.name)) or "(it has no description)")
    return FAILED if line["error"] else 0

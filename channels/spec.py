"""The one grammar of gencomm: links, codecs, metrics and sources are all written in it.

::

    chain    := stage ("|" stage)*
    stage    := name [ "(" [argument ("," argument)*] ")" ] | name ":" argument ("," argument)*
    argument := [key "="] value
    value    := number | fraction | "true" | "false" | "none" | word | 'text' | list | chain
    list     := "[" [value ("," value)*] "]"

Examples: ``qam16|awgn(ebno_db=6)``, ``jpeg2000(bpp=0.5)``, ``jpeg2000:bpp=0.5`` (the same, for
shells that dislike parentheses), ``ldpc(rate=1/2)|qpsk|awgn(ebno_db=2)``.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

_TOKEN = re.compile(
    r"""\s*(?:(?P<text>"[^"]*"|'[^']*')|(?P<mark>[()\[\]|,=])|(?P<word>[^\s()\[\]|,="']+))"""
)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*\Z")
_INT = re.compile(r"[+-]?\d+\Z")
_FLOAT = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\Z")
_FRACTION = re.compile(r"(\d+)/(\d+)\Z")
_CONSTANTS = {"true": True, "false": False, "none": None}
#: Deep enough for any link; keeps hostile input from exhausting Python's stack.
MAX_DEPTH = 20
MAX_LENGTH = 10_000
#: Longer numbers are text: they overflow what would be done with them.
MAX_DIGITS = 100


class SpecError(ValueError):
    """A spec that can't be read or built; shows the text with a caret under the wrong token."""

    def __init__(self, problem: str, text: str = "", start: int = 0, end: int | None = None):
        self.problem, self.text = problem, text
        self.start, self.end = start, max(start + 1, start + 1 if end is None else end)
        message = problem
        if text:
            message += f"\n  {text}\n  {' ' * start}{'^' * (self.end - start)}"
        super().__init__(message)

    def __reduce__(self):
        return SpecError, (self.problem, self.text, self.start, self.end)


def suggest(wrong: str, known: Iterable[str]) -> str:
    """``; did you mean 'x'?`` when something close exists, else ``; there is: a, b, c``."""
    known = sorted(known)
    close = difflib.get_close_matches(wrong, known, n=1, cutoff=0.6)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; there is: {', '.join(known)}" if known else ""


@dataclass(frozen=True)
class Spec:
    """One parsed stage: a name with arguments, and where each stood in the text."""

    name: str
    args: tuple[Any, ...] = ()
    kwargs: tuple[tuple[str, Any], ...] = ()
    text: str = field(default="", compare=False, repr=False)
    span: tuple[int, int] = field(default=(0, 0), compare=False, repr=False)
    spans: tuple[tuple[int, int], ...] = field(default=(), compare=False, repr=False)

    def __str__(self) -> str:
        parts = [format_value(v) for v in self.args]
        parts += [f"{k}={format_value(v)}" for k, v in self.kwargs]
        return f"{self.name}({','.join(parts)})" if parts else self.name

    def error(self, problem: str, argument: int | None = None) -> SpecError:
        """An error that points at this stage, or at its argument number `argument`."""
        span = self.span
        if argument is not None and argument < len(self.spans):
            span = self.spans[argument]
        return SpecError(problem, self.text, *span) if self.text else SpecError(problem)


@dataclass(frozen=True)
class Chain:
    """Stages joined by ``|``."""

    stages: tuple[Spec, ...]
    text: str = field(default="", compare=False, repr=False)

    def __str__(self) -> str:
        return "|".join(map(str, self.stages))

    def __iter__(self):
        return iter(self.stages)

    def __len__(self) -> int:
        return len(self.stages)


def format_value(value: Any) -> str:
    """Text that parses back to `value`; one text for each value."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(map(format_value, value)) + "]"
    if isinstance(value, Spec) and not (value.args or value.kwargs):
        return f"{value.name}()"  # the bare name would be read as text
    if isinstance(value, (int, Fraction, Spec, Chain)):
        return str(value)
    if isinstance(value, float):
        if abs(value) == float("inf"):
            return "1e999" if value > 0 else "-1e999"  # "inf" would be read as text
        return repr(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    text = str(value)
    plain = _TOKEN.fullmatch(text)
    if plain and plain["word"] == text and _scalar(text) == text and ":" not in text:
        return text
    quote = "'" if '"' in text else '"'
    return f"{quote}{text}{quote}"


def _scalar(word: str) -> Any:
    if word.lower() in _CONSTANTS:
        return _CONSTANTS[word.lower()]
    if len(word) > MAX_DIGITS:
        return word
    if _INT.match(word):
        return int(word)
    if _FLOAT.match(word):
        return float(word)
    if (m := _FRACTION.match(word)) and int(m[2]) != 0:
        return Fraction(int(m[1]), int(m[2]))
    return word


@dataclass(frozen=True)
class _Token:
    kind: str  # "text", "mark", "word" or "end"
    value: str
    start: int
    end: int


def _tokens(text: str) -> list[_Token]:
    found, at = [], 0
    while text[at:].strip():
        m = _TOKEN.match(text, at)
        if m is None:
            start = at + len(text[at:]) - len(text[at:].lstrip())
            raise SpecError("a quote that is opened is never closed", text, start, len(text))
        kind = str(m.lastgroup)
        found.append(_Token(kind, m[kind], m.start(kind), m.end(kind)))
        at = m.end()
    found.append(_Token("end", "", len(text), len(text) + 1))
    return found


class _Parser:
    def __init__(self, text: str):
        if len(text) > MAX_LENGTH:
            raise SpecError(f"a spec of {len(text)} characters; the limit is {MAX_LENGTH}")
        self.text, self.tokens, self.at, self.depth = text, _tokens(text), 0, 0

    @property
    def token(self) -> _Token:
        return self.tokens[self.at]

    def take(self) -> _Token:
        token = self.token
        self.at += token.kind != "end"
        return token

    def eat(self, mark: str) -> bool:
        if self.token.kind == "mark" and self.token.value == mark:
            self.at += 1
            return True
        return False

    def wrong(self, expected: str) -> SpecError:
        token = self.token
        got = "the text ends" if token.kind == "end" else f"got {token.value!r}"
        return SpecError(f"expected {expected}, {got}", self.text, token.start, token.end)

    def chain(self) -> Chain:
        stages = [self.stage()]
        while self.eat("|"):
            stages.append(self.stage())
        return Chain(tuple(stages), self.text)

    def stage(self) -> Spec:
        token = self.token
        if token.kind != "word":
            raise self.wrong("a name")
        self.take()
        name, colon, rest = token.value.partition(":")
        if not _NAME.match(name):
            raise SpecError(
                f"{name!r} is not a name (letters, digits, '_', '-', '.')",
                self.text,
                token.start,
                token.start + len(name),
            )
        arguments: list[tuple[str | None, Any, tuple[int, int]]] = []
        if colon:
            if rest:  # "jpeg:quality" "=" 5: split the token and go on behind the colon
                start = token.start + len(name) + 1
                self.at -= 1
                self.tokens[self.at] = _Token("word", rest, start, token.end)
            arguments = self.arguments()
        elif self.eat("(") and not self.eat(")"):
            arguments = self.arguments()
            if not self.eat(")"):
                raise self.wrong("',' or ')'")
        args: list[Any] = []
        kwargs: dict[str, Any] = {}
        spans: list[tuple[int, int]] = []
        for key, value, span in arguments:
            if key is None and kwargs:
                raise SpecError("a value without a name follows a named one", self.text, *span)
            if key in kwargs:
                raise SpecError(f"{key!r} is given twice", self.text, *span)
            if key is None:
                args.append(value)
            else:
                kwargs[key] = value
            spans.append(span)
        end = self.tokens[self.at - 1].end
        return Spec(
            name,
            tuple(args),
            tuple(kwargs.items()),
            self.text,
            (token.start, max(end, token.end)),
            tuple(spans),
        )

    def arguments(self) -> list[tuple[str | None, Any, tuple[int, int]]]:
        found = [self.argument()]
        while self.eat(","):
            found.append(self.argument())
        return found

    def argument(self) -> tuple[str | None, Any, tuple[int, int]]:
        first = self.token
        key = None
        after = self.tokens[min(self.at + 1, len(self.tokens) - 1)]
        if first.kind == "word" and after.kind == "mark" and after.value == "=":
            if not _NAME.match(first.value):
                raise SpecError(
                    f"{first.value!r} is not a parameter's name", self.text, first.start, first.end
                )
            key = first.value
            self.at += 2
        value = self.value()
        return key, value, (first.start, self.tokens[self.at - 1].end)

    def value(self) -> Any:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise SpecError(f"nested more than {MAX_DEPTH} deep", self.text, self.token.start)
        try:
            return self._value()
        finally:
            self.depth -= 1

    def _value(self) -> Any:
        token = self.token
        if token.kind == "text":
            self.take()
            return token.value[1:-1]
        if self.eat("["):
            found: list[Any] = []
            if not self.eat("]"):
                found.append(self.value())
                while self.eat(","):
                    found.append(self.value())
                if not self.eat("]"):
                    raise self.wrong("',' or ']'")
            return tuple(found)
        if token.kind != "word":
            raise self.wrong("a value")
        after = self.tokens[min(self.at + 1, len(self.tokens) - 1)]
        if after.kind == "mark" and after.value in "(|":
            chain = self.chain()
            return chain.stages[0] if len(chain) == 1 else chain
        self.take()
        return _scalar(token.value)


def parse_chain(text: str) -> Chain:
    """Parse stages joined by ``|``.

    Raises
    ------
    SpecError
        With the text and a caret under the first token that is wrong.
    """
    if not isinstance(text, str):
        raise SpecError(f"a spec is text, got {type(text).__name__} {text!r}")
    parser = _Parser(text)
    chain = parser.chain()
    if parser.token.kind != "end":
        raise parser.wrong("'|' or the end")
    return chain


def parse_spec(text: str | Spec) -> Spec:
    """Parse a single stage, such as a codec."""
    if isinstance(text, Spec):
        return text
    chain = parse_chain(text)
    if len(chain) > 1:
        raise chain.stages[1].error("one stage was expected here, not a chain")
    return chain.stages[0]

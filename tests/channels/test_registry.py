"""Names to objects: arguments against signatures, plug-ins, one text for one meaning."""

from fractions import Fraction
from importlib.metadata import EntryPoint
from typing import Literal

import pytest

import channels.registry
from channels.registry import Registry
from channels.spec import Chain, SpecError


class Widget:
    def __init__(
        self,
        size: int,
        rate: Fraction = Fraction(1, 2),
        mode: Literal["fast", "slow"] = "fast",
        *,
        label: str | None = None,
        inner: Chain | None = None,
        strict: bool = False,
    ):
        if size < 0:
            raise ValueError(f"size must be 0 or more, got {size}")
        self.arguments = (size, rate, mode, label, inner, strict)


@pytest.fixture
def registry():
    found = Registry("gencomm.nothing", {"lost": "no_such_module_anywhere:Thing"}, "widget")
    found.add("widget", Widget)
    return found


@pytest.mark.parametrize(
    ("text", "arguments"),
    [
        ("widget(3)", (3, Fraction(1, 2), "fast", None, None, False)),
        ("widget:size=3,mode=slow", (3, Fraction(1, 2), "slow", None, None, False)),
        ("widget(3.0, 1, label=1/2)", (3, Fraction(1), "fast", "1/2", None, False)),
        ("widget(3, strict=true, label=none)", (3, Fraction(1, 2), "fast", None, None, True)),
    ],
)
def test_arguments_fit_the_signature(registry, text, arguments):
    assert registry.create(text).arguments == arguments


def test_one_stage_is_a_chain_where_a_chain_is_wanted(registry):
    inner = registry.create("widget(1, inner=a(2))").arguments[4]
    assert isinstance(inner, Chain)
    assert str(inner) == "a(2)"


@pytest.mark.parametrize(
    ("text", "problem", "marked"),
    [
        ("widgit(1)", "did you mean 'widget'", "widgit(1)"),
        ("zzz", "there is: lost, widget", "zzz"),
        ("widget", "needs size", "widget"),
        ("widget(1.5)", "size must be a whole number, got 1.5", "1.5"),
        ("widget(true)", "size must be a whole number", "true"),
        ("widget(1, 0.5)", "rate must be a fraction", "0.5"),
        ("widget(1, mode=quick)", "mode must be fast or slow", "mode=quick"),
        ("widget(1, modes=fast)", "no parameter 'modes'; did you mean 'mode'", "modes=fast"),
        ("widget(1, size=2)", "given twice", "size=2"),
        ("widget(1, 1, fast, x)", "by name label=..., inner=..., strict=...", "x"),
        ("widget(mode=slow, size=-1)", "size must be 0 or more", "size=-1"),
        ("lost", "can't be loaded: ModuleNotFoundError", "lost"),
    ],
)
def test_errors_point_at_the_argument(registry, text, problem, marked):
    with pytest.raises(SpecError) as caught:
        registry.create(text)
    error = caught.value
    assert problem in error.problem
    assert error.text[error.start : error.end] == marked


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("widget(3)", "widget(size=3)"),
        ("widget(mode=slow, size=3.0)", "widget(size=3,mode=slow)"),
        ("widget:3,1/2", "widget(size=3)"),
        ("widget(3, mode=fast, strict=false)", "widget(size=3)"),
    ],
)
def test_one_text_for_one_meaning(registry, text, canonical):
    assert registry.canonical(text) == canonical
    assert registry.canonical(canonical) == canonical


def test_plugins_are_listed_loaded_late_and_can_be_shut_out(monkeypatch):
    points = [
        EntryPoint("good", "fractions:Fraction", "g"),
        EntryPoint("broken", "no_such_module_anywhere:X", "g"),
        EntryPoint("own", "no_such_module_anywhere:X", "g"),
    ]
    monkeypatch.setattr(channels.registry, "entry_points", lambda group: points)
    monkeypatch.delenv(channels.registry.PLUGINS_VARIABLE, raising=False)
    found = Registry("g", {"own": "fractions:Fraction"}, "thing")
    assert found.names() == ["own", "good", "broken"]
    assert found.load("good") is Fraction
    assert found.load("own") is Fraction, "a built-in wins over a plug-in of its name"
    with pytest.raises(SpecError, match="broken.*ModuleNotFoundError"):
        found.load("broken")
    monkeypatch.setenv(channels.registry.PLUGINS_VARIABLE, "none")
    assert Registry("g", {"own": "fractions:Fraction"}, "thing").names() == ["own"]


def several(*parts: Chain | None, size: int = 1):
    return parts, size


def test_parameters_of_any_number(registry):
    registry.add("several", several)
    assert registry.create("several") == ((), 1)
    parts, size = registry.create("several(a(x=1)|b, none, word, size=2)")
    assert [str(part) for part in parts] == ["a(x=1)|b", "None", "word"]
    assert size == 2
    assert isinstance(parts[2], Chain), "where stages are wanted a bare word is one"
    assert registry.canonical("several( a(x=1) |b(),none,size=1)") == "several(a(x=1)|b,none)"
    for same in ("several(word)", "several(word())", "several('word')"):
        assert registry.canonical(same) == registry.canonical("several(word)")
    with pytest.raises(SpecError, match="parts are given without a name"):
        registry.create("several(parts=a)")
    with pytest.raises(SpecError, match="parts must be a chain or none, got true"):
        registry.create("several(a, true)")


def test_arguments_that_are_stages_have_one_text_too(registry):
    registry.add("several", several)
    text = registry.canonical("several(widget(size=3.0, rate=1/2)|widget(4), widget(5,mode=slow))")
    assert text == "several(widget(size=3)|widget(size=4),widget(size=5,mode=slow))"
    assert registry.canonical(text) == text

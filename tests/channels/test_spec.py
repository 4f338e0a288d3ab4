"""The grammar: what parses, what text it goes back to, and where errors point."""

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from channels.spec import MAX_DEPTH, Chain, Spec, SpecError, parse_chain, parse_spec

NAMES = st.sampled_from(["a", "Z_", "bsc", "gilbert-elliott", "x.y", "true", "none2", "e5"])
TEXTS = st.text(max_size=8).filter(lambda t: not ('"' in t and "'" in t))
NUMBERS = (
    st.integers()
    | st.floats(allow_nan=False)
    | st.fractions(min_value=0).filter(lambda f: f.denominator > 1)
)
SCALARS = st.none() | st.booleans() | NUMBERS | TEXTS


def specs(values):
    arguments = st.lists(values, max_size=2).map(tuple)
    keywords = st.dictionaries(NAMES, values, max_size=2).map(lambda d: tuple(d.items()))
    return st.builds(Spec, NAMES, arguments, keywords)


def chains(values, least=1):
    return st.lists(specs(values), min_size=least, max_size=2).map(lambda s: Chain(tuple(s)))


VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3).map(tuple) | specs(inner) | chains(inner, 2),
    max_leaves=4,
)


@given(chains(VALUES))
@settings(max_examples=150, deadline=None)
def test_what_is_printed_parses_back(chain):
    assert parse_chain(str(chain)) == chain
    assert str(parse_chain(str(chain))) == str(chain)


@given(st.text(alphabet="ab1.:|=,()[]'\"-/ e\n\t", max_size=40) | st.text(max_size=40))
@settings(max_examples=300, deadline=None)
def test_any_text_parses_or_is_refused_with_a_place(text):
    try:
        chain = parse_chain(text)
    except SpecError as error:
        assert 0 <= error.start <= len(text)
        return
    assert parse_chain(str(chain)) == chain


@pytest.mark.parametrize(
    ("text", "args", "kwargs"),
    [
        ("x", (), {}),
        ("x()", (), {}),
        ("x(1e-3)", (0.001,), {}),
        ("x(1/2, r=2/3)", (Fraction(1, 2),), {"r": Fraction(2, 3)}),
        ("x:bpp=0.5,q=3", (), {"bpp": 0.5, "q": 3}),
        ("x:5", (5,), {}),
        ("x(true, none, word, 'two words')", (True, None, "word", "two words"), {}),
        ("x([1,2],[])", ((1, 2), ()), {}),
        ("x(link=a|b(1))", (), {"link": Chain((Spec("a"), Spec("b", (1,))))}),
        ("x(1/0)", ("1/0",), {}),
    ],
)
def test_values(text, args, kwargs):
    spec = parse_spec(text)
    assert (spec.name, spec.args, dict(spec.kwargs)) == ("x", args, kwargs)
    assert [type(a) for a in spec.args] == [type(a) for a in args]


@pytest.mark.parametrize(
    ("text", "problem", "marked"),
    [
        ("", "expected a name", ""),
        ("a|", "expected a name", ""),
        ("a||b", "expected a name", "|"),
        ("a(1", "expected ',' or ')'", ""),
        ("a(p=1,p=2)", "given twice", "p=2"),
        ("a(p=1,2)", "without a name", "2"),
        ("a(1=2)", "not a parameter's name", "1"),
        ("a b", "expected '|' or the end", "b"),
        ("a('b)", "never closed", "'b)"),
        ("5(1)", "not a name", "5"),
        ("a(=1)", "expected a value", "="),
        ("a([1)", "expected ',' or ']'", ")"),
    ],
)
def test_errors_point_at_the_wrong_token(text, problem, marked):
    with pytest.raises(SpecError) as caught:
        parse_chain(text)
    error = caught.value
    assert problem in error.problem
    assert text[error.start : error.end] == marked
    if text:
        line, caret = str(error).split("\n")[1:]
        assert line == "  " + text
        assert caret == "  " + " " * error.start + "^" * (error.end - error.start)


@pytest.mark.parametrize(
    "text",
    [
        "a" * 100_000,
        "a(" * 50_000,
        "a([" + "[" * 3000,
        "x(" * 3000 + ")" * 3000,
        "a|" * 4999 + "(",
        "\0" * 9999,
        "a(" + "'" * 9997,
        "a(" + "9" * 9000 + "," + "b" * 900 + "=",
    ],
)
def test_hostile_text_is_refused(text):
    with pytest.raises(SpecError):
        parse_chain(text)


def test_nesting_up_to_the_limit_is_read():
    deep = "x(" * MAX_DEPTH + "1" + ")" * MAX_DEPTH
    assert str(parse_chain(deep)) == deep
    with pytest.raises(SpecError, match="deep"):
        parse_chain("x(" + deep + ")")


def test_endless_numbers_are_text():
    assert parse_spec("x(" + "9" * 5000 + ")").args == ("9" * 5000,)


@pytest.mark.parametrize("value", [None, 3, b"bsc"])
def test_only_text_is_parsed(value):
    with pytest.raises(SpecError, match="a spec is text"):
        parse_chain(value)


def test_one_stage_where_one_is_expected():
    with pytest.raises(SpecError, match="not a chain") as caught:
        parse_spec("a|b(1)")
    assert caught.value.text[caught.value.start : caught.value.end] == "b(1)"

"""BCH codes beside galois, commpy, all code words of small codes, closed forms and AFF3CT."""

import json
from itertools import product
from pathlib import Path

import commpy
import numpy as np
import pytest
from scipy.stats import binom, norm

from channels import Link, SpecError
from channels.conformance import parametrize_channel_checks
from channels.fec.bch import BCHCode
from channels.fec.finite_field import PRIMITIVE_POLYNOMIALS, field
from channels.theory import q_function

REFERENCES = Path(__file__).parents[1] / "references"
VECTORS = json.loads((REFERENCES / "algebraic_codes.json").read_text())["bch"]
CURVES = json.loads((REFERENCES / "aff3ct_algebraic.json").read_text())["curves"]


def as_bits(text):
    return np.array([list(map(int, text))], np.uint8)


def flip(words, count, rng):
    flipped = words.copy()
    for word in flipped:
        word[rng.permutation(word.size)[:count]] ^= 1
    return flipped


@pytest.mark.parametrize("m", PRIMITIVE_POLYNOMIALS)
def test_field_tables(m):
    """Powers of alpha run through all elements; a x (b + c) = a x b + a x c."""
    gf = field(m)
    assert np.array_equal(np.sort(gf.powers[: gf.order]), np.arange(1, gf.order + 1))
    for a, b, c in np.random.default_rng(1).integers(0, gf.order + 1, (50, 3)):
        assert gf.times(a, b ^ c) == gf.times(a, b) ^ gf.times(a, c)


def test_a_polynomial_that_is_not_primitive_is_refused():
    with pytest.raises(ValueError, match="0x11b is not a primitive polynomial of degree 8"):
        field(8, 0x11B)  # irreducible (AES has it), but x has order 51


@pytest.mark.parametrize("vector", VECTORS, ids=lambda v: f"{v['n']}-{v['k']}")
def test_encoder_and_generator_agree_with_galois(vector):
    code = BCHCode(vector["n"], vector["k"])
    assert code.t == vector["t"]
    assert f"{code.generator:x}" == vector["generator"]
    assert np.array_equal(code.encode(as_bits(vector["message"])), as_bits(vector["codeword"]))


@pytest.mark.parametrize(
    ("n", "k"), [(7, 4), (15, 5), (31, 16), (63, 45), (100, 65), (127, 64), (255, 215), (1000, 900)]
)
def test_corrects_t_errors(n, k):
    code, rng = BCHCode(n, k), np.random.default_rng(2)
    bits = rng.integers(0, 2, (40, k), np.uint8)
    coded = code.encode(bits)
    for errors in range(code.t + 1):
        result = code.decode(flip(coded, errors, rng))
        assert result.ok.all()
        assert np.array_equal(result.bits, bits)


def test_failure_leaves_the_word_as_it_came():
    code, rng = BCHCode(127, 64), np.random.default_rng(3)
    received = flip(code.encode(rng.integers(0, 2, (50, 64), np.uint8)), 20, rng)
    result = code.decode(received)
    assert not result.ok.any()
    assert np.array_equal(result.bits, received[:, :64])


@pytest.mark.parametrize(("n", "k"), [(15, 5), (15, 7), (20, 10), (31, 11)])
def test_decoder_finds_what_a_search_of_all_words_finds(n, k):
    """Random words and erasures; without erasures, also where nothing lies near enough."""
    code, rng = BCHCode(n, k), np.random.default_rng(4)
    everything = np.array(list(product((0, 1), repeat=k)), np.uint8)
    words = code.encode(everything)
    least = int(words[1:].sum(axis=1).min())
    assert least >= 2 * code.t + 1
    for spoilt in rng.integers(0, 2 * code.t + 2, 60):
        received = flip(words[rng.integers(len(words))][None], int(spoilt), rng)
        near = np.flatnonzero((words != received).sum(axis=1) <= code.t)
        result = code.decode(received)
        assert result.ok[0] == bool(near.size)
        assert np.array_equal(result.bits[0], everything[near[0]] if near.size else received[0, :k])
    for _ in range(60):
        sent = rng.integers(len(words))
        lost = rng.integers(0, 2 * code.t + 1)
        wrong = rng.integers(0, (2 * code.t - lost) // 2 + 1)
        places = rng.permutation(n)
        received, erased = words[sent].copy(), np.zeros(n, bool)
        received[places[:wrong]] ^= 1
        erased[places[wrong : wrong + lost]] = True
        received[erased] = 0
        result = code.decode(received[None], erased[None])
        assert result.ok[0]
        assert np.array_equal(result.bits[0], everything[sent])


def test_commpy_decodes_what_we_encode():
    ours, theirs = BCHCode(63, 45), commpy.BCHCode(6, 3)
    rng = np.random.default_rng(5)
    bits = rng.integers(0, 2, (4, 45), np.uint8)
    for word, message in zip(flip(ours.encode(bits), 3, rng), bits, strict=True):
        decoded, _, errors = theirs.decode(word[::-1])  # the lowest power first
        assert errors == 3
        assert np.array_equal(decoded[::-1], message)


def bch_curves():
    for curve in CURVES:
        if curve["title"].startswith("BCH"):
            n, k, t = (int(x) for x in curve["title"].removeprefix("BCH (").strip(")").split(","))
            for point in curve["points"]:
                yield pytest.param(n, k, t, point, id=f"{n}-{k}-{point['ebno_db']}dB")


@pytest.mark.parametrize(("n", "k", "t", "point"), list(bch_curves()))
def test_error_rates_beside_aff3ct_and_closed_form(n, k, t, point):
    """A block is lost exactly where more than t bits are wrong."""
    blocks, code, rng = 10_000, BCHCode(n, k), np.random.default_rng(6)
    assert code.t == t
    p = float(q_function(np.sqrt(2 * k / n * 10 ** (point["ebno_db"] / 10))))
    exact = binom.sf(t, n, p)
    published = point["frame_errors"] / point["frames"]
    bits = rng.integers(0, 2, (blocks, k), np.uint8)
    result = code.decode(code.encode(bits) ^ (rng.random((blocks, n)) < p))
    errors = (result.bits != bits).sum(axis=1)
    received_wrong = int((errors > 0).sum())
    low, high = binom.ppf([1e-4, 1 - 1e-4], blocks, exact)
    # where all wrong bits are parity the message is whole though the block isn't
    assert (~result.ok).sum() <= high
    assert low * 0.98 <= received_wrong <= high
    assert published == pytest.approx(
        exact, abs=4 * np.sqrt(exact / point["frames"]) + 0.02 * exact
    )
    spread = errors.std() / np.sqrt(blocks)
    z = (errors.mean() / k - point["ber"]) * k / spread
    assert abs(z) < norm.isf(1e-4) + 0.03 * errors.mean() / spread  # theirs scatters too


@parametrize_channel_checks(
    ["bch(n=127,k=64)|qpsk|awgn(ebno_db=4)", "bch(n=31,t=3)|bsc(0.03)", "bch(15,7)|bec(0.2)"]
)
def test_links_conform(check, spec):
    check(spec)


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("bch(n=127,k=65)", "there is: k=120 (t=1)"),
        ("bch(n=127,k=0)", "no BCH code of n=127 with k=0"),
        ("bch(n=127,k=127)", "no BCH code"),
        ("bch(n=31,t=20)", "no BCH code of n=31 with t=20"),
        ("bch(n=31,t=0)", "no BCH code of n=31 with t=0"),
        ("bch(n=31)", "exactly one of k and t"),
        ("bch(n=31,k=16,t=3)", "exactly one of k and t"),
        ("bch(n=100000,t=2)", "n must lie in 3..16383"),
    ],
)
def test_wrong_parameters_say_what_is_right(spec, says):
    with pytest.raises(SpecError) as caught:
        Link.parse(f"{spec}|bsc(0.01)")
    assert says in str(caught.value)

"""Hamming codes and repetition: all error patterns, commpy, closed forms."""

from itertools import combinations, product

import commpy
import numpy as np
import pytest
from scipy.stats import binom

from channels import Link, PackedBits, SpecError
from channels.conformance import parametrize_channel_checks
from channels.fec.hamming import HammingCode
from channels.fec.repetition import RepetitionCode
from channels.theory import q_function


def all_words(k):
    return np.array(list(product((0, 1), repeat=k)), np.uint8)


def patterns(n, ones):
    return np.array([np.isin(np.arange(n), c) for c in combinations(range(n), ones)], np.uint8)


# --- Hamming -------------------------------------------------------------------------------------


@pytest.mark.parametrize("extended", [False, True])
def test_7_4_corrects_each_error_and_each_erasure_it_should(extended):
    code = HammingCode(3, extended)
    assert (code.n, code.k) == (7 + extended, 4)
    bits = all_words(4)
    words = code.encode(bits)
    distance = 3 + extended
    weights = words.sum(axis=1)
    assert sorted(set(weights)) == ([0, 4, 8] if extended else [0, 3, 4, 7])
    for erasures in range(distance):
        for errors in range((distance - 1 - erasures) // 2 + 1):
            for lost in patterns(code.n, erasures):
                for wrong in patterns(code.n, errors):
                    if (lost & wrong).any():
                        continue
                    received = np.where(lost, 0, words ^ wrong).astype(np.uint8)
                    erased = np.broadcast_to(lost.astype(bool), words.shape) if erasures else None
                    result = code.decode(received, erased)
                    assert result.ok.all()
                    assert np.array_equal(result.bits, bits)


@pytest.mark.parametrize("r", [2, 3, 5, 8])
def test_extended_code_finds_out_two_errors(r):
    code, rng = HammingCode(r, extended=True), np.random.default_rng(1)
    bits = rng.integers(0, 2, (60, code.k), np.uint8)
    received = code.encode(bits)
    for word in received:
        word[rng.permutation(code.n)[:2]] ^= 1
    result = code.decode(received)
    assert not result.ok.any()
    assert np.array_equal(result.bits, received[:, : code.k])


@pytest.mark.parametrize("r", [2, 3, 4, 6, 10])
def test_same_code_as_commpys_but_for_the_order_of_places(r):
    ours, theirs = HammingCode(r), commpy.HammingCode(r)
    bits = np.random.default_rng(2).integers(0, 2, (20, ours.k), np.uint8)
    for message, word in zip(bits, ours.encode(bits), strict=True):
        expected = theirs.encode(message)
        # commpy has each place where its label is, parity at the powers of two
        assert np.array_equal(word, expected[ours.columns - 1])


def test_bit_error_rate_of_7_4_is_its_closed_form():
    """All places of the code are alike, so a word of weight w in error spoils w / 7 of the bits.

    There are 7 words of weight 3, 7 of weight 4 and 1 of weight 7, and the decoder ends at one of
    them from the word itself and from its 7 neighbours. The leading term is 9 p^2.
    """
    p = float(q_function(np.sqrt(2 * 4 / 7 * 10**0.4)))
    q = 1 - p
    exact = sum(
        count * w / 7 * (p**w * q ** (7 - w) + w * p ** (w - 1) * q ** (8 - w))
        + (count * w / 7 * (7 - w) * p ** (w + 1) * q ** (6 - w) if w < 7 else 0)
        for w, count in ((3, 7), (4, 7), (7, 1))
    )
    bits = np.random.default_rng(3).integers(0, 2, 400_000, np.uint8)
    got = Link.parse("hamming|qpsk|awgn(ebno_db=4)").transmit(PackedBits.from_bits(bits))
    wrong = (np.unpackbits(got.bits[0]) != bits).reshape(-1, 4).mean(axis=1)
    z = (wrong.mean() - exact) / (wrong.std() / np.sqrt(wrong.size))
    assert abs(z) < 4


# --- repetition ----------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 2, 3, 5, 8])
def test_majority_over_a_bsc_is_its_closed_form(n):
    p, n_bits = 0.2, 200_000
    payload = PackedBits.from_bits(np.random.default_rng(4).integers(0, 2, n_bits, np.uint8))
    link = Link.parse(f"repetition({n})|bsc({p})")
    wrong = link.transmit(payload).bit_errors[0]
    exact = binom.sf(n / 2, n, p)
    if n % 2 == 0:  # a tie reads 0: wrong for half of the bits
        exact = binom.sf(n // 2, n, p) + 0.5 * binom.pmf(n // 2, n, p)
    low, high = binom.ppf([1e-4, 1 - 1e-4], n_bits, exact)
    assert low <= wrong <= high


def test_soft_combining_costs_nothing_on_awgn():
    """n copies at Es/N0 are one at n times that: BER = Q(sqrt(2 Eb/N0)) whatever n."""
    payload = PackedBits.from_bits(np.random.default_rng(5).integers(0, 2, 300_000, np.uint8))
    exact = float(q_function(np.sqrt(2 * 10**0.4)))
    low, high = binom.ppf([1e-4, 1 - 1e-4], 300_000, exact)
    for n in (1, 2, 5):
        wrong = Link.parse(f"repetition({n})|bpsk|awgn(ebno_db=4)").transmit(payload).bit_errors[0]
        assert low <= wrong <= high


def test_repetition_hands_on_calibrated_llrs_and_erasures():
    payload = PackedBits.from_bits(np.random.default_rng(6).integers(0, 2, 5000, np.uint8))
    got = Link.parse("repetition(3)|qpsk|awgn(ebno_db=2)", ("llr",)).transmit(payload)
    alone = Link.parse("qpsk|awgn(ebno_db=2)", ("llr",)).transmit(payload)
    assert got.llr is not None
    assert alone.llr is not None
    # LLR of an LLR: mean 4 Eb/N0 and variance twice that, with or without repetition
    right = 1 - 2.0 * payload.unpack()
    assert (got.llr * right).mean() == pytest.approx(4 * 10**0.2, rel=0.03)
    assert (got.llr * right).var() == pytest.approx(8 * 10**0.2, rel=0.08)
    erased = Link.parse("repetition(3)|bec(0.5)").transmit(payload).erased
    assert erased is not None
    lost = int(np.bitwise_count(erased).sum())
    low, high = binom.ppf([1e-4, 1 - 1e-4], 5000, 0.125)
    assert low <= lost <= high


def test_contradictions_and_silence_read_zero_and_not_ok():
    code = RepetitionCode(3)
    llr = np.array([[np.inf, -np.inf, -1], [0, 0, 0], [np.nan, -1, 0], [-np.inf, 5, 5]], np.float32)
    result = code.decode(llr)
    assert result.bits[:, 0].tolist() == [0, 0, 1, 1]
    assert result.ok.tolist() == [False, False, True, True]
    hard = np.array([[1, 1, 0], [1, 0, 0]], np.uint8)
    erased = np.array([[False, True, False], [False, True, True]])
    assert code.decode(hard, erased).ok.tolist() == [False, True]


# --- both ----------------------------------------------------------------------------------------


@parametrize_channel_checks(
    [
        "hamming|qpsk|awgn(ebno_db=4)",
        "hamming(r=4,extended=true)|bsc(0.03)",
        "hamming(r=3)|bec(0.2)",
        "repetition(3)|qpsk|awgn(ebno_db=0)",
        "repetition(2)|bec(0.4)",
        "repetition(3)|bsc(0.2)",
    ]
)
def test_links_conform(check, spec):
    check(spec)


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("hamming(r=1)", "r must lie in 2..12"),
        ("hamming(r=40)", "r must lie in 2..12"),
        ("repetition(0)", "n must lie in 1..1000"),
    ],
)
def test_wrong_parameters_say_what_is_right(spec, says):
    with pytest.raises(SpecError) as caught:
        Link.parse(f"{spec}|bsc(0.01)")
    assert says in str(caught.value)

"""Unequal protection: whose bits meet which code, and what each class cost."""

import math

import numpy as np
import pytest

from channels.bits import PackedBits
from channels.link import CHANNELS, Link
from channels.noise import NoiseStream
from channels.spec import SpecError
from channels.stage import Batch, Context


def payload(n_bits, seed=0):
    return PackedBits.from_bits(np.random.default_rng(seed).integers(0, 2, n_bits, np.uint8))


def mixed(n_bits, most=4, seed=1):
    return np.random.default_rng(seed).integers(0, most, n_bits).astype(np.uint8)


def coded(text, bits):
    """Bits through a stage of its own."""
    stage = CHANNELS.create(text)
    stage.configure(Context())
    batch, _ = stage.forward(Batch(bits.size, bits=np.packbits(bits)[None, :]), [])
    return np.unpackbits(batch.bits[0], count=batch.n_bits)


def test_each_class_is_coded_by_itself_and_sent_in_turn():
    sent, classes = payload(5000), mixed(5000)
    bits = sent.unpack()
    stage = CHANNELS.create("unequal(conv, conv(rate=3/4), none)")
    stage.configure(Context())
    batch, _ = stage.forward(Batch(5000, bits=sent.data[None, :], classes=classes), [])
    expected = np.concatenate(
        [
            coded("conv", bits[classes == 0]),
            coded("conv(rate=3/4)", bits[classes == 1]),
            bits[classes >= 2],  # the last code takes all classes behind
        ]
    )
    assert batch.n_bits == expected.size
    np.testing.assert_array_equal(np.unpackbits(batch.bits[0], count=batch.n_bits), expected)
    assert batch.classes is None


@pytest.mark.parametrize("n_bits", [0, 1, 7, 9, 1000])
@pytest.mark.parametrize("most", [1, 2, 5])
@pytest.mark.parametrize("text", ["unequal(conv, rs, none)", "unequal(none, packets(bytes=4))"])
def test_nothing_is_lost_without_noise(n_bits, most, text):
    link, sent, classes = Link.parse(f"{text}|clean"), payload(n_bits), mixed(n_bits, most)
    got = link.transmit(sent, range(3), classes=classes)
    np.testing.assert_array_equal(got.bits, np.repeat(sent.data[None, :], 3, axis=0))
    ledger = link.ledger(n_bits, classes)
    assert ledger.sent_bits == ledger.stages[0].sizes.n_out
    assert [line.n_in for line in ledger.classes] == [
        int((np.minimum(classes, len(ledger.classes) - 1) == i).sum())
        for i in range(len(ledger.classes))
    ]


def test_ledger_by_hand():
    """RS(255, 223) for 1784 bits; a convolutional code of k = 1000 for two blocks and a half."""
    link = Link.parse("unequal(rs, conv(k=1000), none)|qpsk|awgn(esno_db=5)")
    classes = np.repeat(np.array([1, 0, 2, 9], np.uint8), [2500, 1784, 300, 16])
    ledger = link.ledger(4600, classes)
    rows = [
        (line.importance, line.stage, line.n_in, line.sizes.parity, line.sizes.padding)
        for line in ledger.classes
    ]
    assert rows == [
        (0, "rs", 1784, 32 * 8, 0),
        (1, "conv(k=1000)", 2500, 3 * (1000 + 12), 500),
        (2, "none", 316, 0, 0),
    ]
    assert [line.sizes.n_out for line in ledger.classes] == [2040, 6036, 316]
    assert (ledger.payload, ledger.parity, ledger.padding) == (4600, 256 + 3036, 500)
    assert ledger.sent_bits == 2040 + 6036 + 316 == 2 * ledger.channel_uses
    # payload over coded bits, a class's padding not counted
    rate = 4600 / (1784 * 255 / 223 + 2500 * 2012 / 1000 + 316)
    assert ledger.code_rate == pytest.approx(rate)
    assert ledger.facts["ebno_db"] == pytest.approx(5 - 10 * math.log10(2 * rate))
    assert "ber" not in ledger.facts
    plain = ledger.as_dict()["classes"]
    assert [line["class"] for line in plain] == [0, 1, 2]
    assert [line["in"] for line in plain] == [1784, 2500, 316]
    assert plain[2]["rate"] == 1


def test_without_classes_all_bits_are_of_class_0():
    link = Link.parse("unequal(conv, none)|qpsk|awgn(esno_db=5)")
    ledger = link.ledger(3000)
    assert [line.n_in for line in ledger.classes] == [3000, 0]
    assert ledger.code_rate == link.rate == pytest.approx(1024 / 2060)
    alone = Link.parse("conv|qpsk|awgn(esno_db=5)")
    assert ledger.facts["ebno_db"] == pytest.approx(alone.ledger(3000).facts["ebno_db"])
    assert ledger.sent_bits == alone.ledger(3000).sent_bits
    stream = NoiseStream(1, "same")
    sent = payload(3000)
    got, want = (each.transmit(sent, range(3), stream) for each in (link, alone))
    np.testing.assert_array_equal(got.bits, want.bits)


def test_the_important_survive_where_the_others_do_not():
    """At 1.2 dB Es/N0: rate 1/3 is 3 dB above what it needs, rate 3/4 is 2 dB below."""
    link = Link.parse("unequal(ldpc(rate=1/3), ldpc(rate=3/4), none)|qpsk|awgn(esno_db=1.2)")
    n_bits = 12_000
    sent, classes = payload(n_bits), mixed(n_bits, 3)
    got = link.transmit(sent, range(8), classes=classes)
    wrong = np.unpackbits(got.bits ^ sent.data, axis=1, count=n_bits)
    rate = [wrong[:, classes == c].mean() for c in range(3)]
    assert rate[0] == 0
    assert rate[1] > 0.05
    uncoded = 0.5 * math.erfc(math.sqrt(10**0.12 / 2))
    assert rate[2] == pytest.approx(uncoded, rel=0.05)


def test_a_class_fares_as_over_a_link_of_its_own():
    """The errors of the bits of class 1, found where they were put, are those of its code."""
    n_bits = 8 * 1024
    classes = np.tile(np.array([0, 1], np.uint8), n_bits // 2)
    sent = payload(n_bits)
    link = Link.parse("unequal(none, conv)|bsc(0.05)")
    got = link.transmit(sent, range(50), classes=classes)
    wrong = np.unpackbits(got.bits ^ sent.data, axis=1)
    part = PackedBits.from_bits(sent.unpack()[1::2])
    alone = Link.parse("conv|bsc(0.05)").transmit(part, range(50)).bit_errors / part.n_bits
    here = wrong[:, 1::2].mean(axis=1)
    spread = math.sqrt((here.var() + alone.var()) / 50)
    assert abs(here.mean() - alone.mean()) < 5.3 * spread
    assert wrong[:, ::2].mean() == pytest.approx(0.05, rel=0.05)


def test_llrs_and_erasures_find_their_places():
    n_bits = 3001
    sent, classes = payload(n_bits), mixed(n_bits, 2)
    link = Link.parse("unequal(packets(bytes=8, crc=16), none)|bec(2e-3)", ("llr",))
    got = link.transmit(sent, range(20), classes=classes)
    lost = np.unpackbits(got.erased, axis=1, count=n_bits).astype(bool)
    right = 1 - 2.0 * sent.unpack()
    assert (got.llr[lost] == 0).all()
    assert (got.llr * right > 0)[~lost].all()
    share = [lost[:, classes == c].mean() for c in (0, 1)]
    assert share[0] == pytest.approx(1 - 0.998**96, rel=0.3), "of whole packets"
    assert share[1] == pytest.approx(2e-3, rel=0.5)
    # a code that gives no LLRs leaves a half, which is none; a class without bits does no harm
    halves = Link.parse("unequal(conv, none)|bsc(0.1)", ("llr",))
    assert halves.transmit(sent, classes=classes).llr is None
    assert halves.transmit(sent, classes=np.ones(n_bits, np.uint8)).llr is not None


def test_equal_rates_allow_an_energy_per_bit():
    link = Link.parse("unequal(conv, conv(k=1024))|qpsk|awgn(ebno_db=3)")
    ledger = link.ledger(4000, mixed(4000, 2))
    assert ledger.facts["ebno_db"] == pytest.approx(3)
    assert ledger.facts["esno_db"] == pytest.approx(3 + 10 * math.log10(2 * 1024 / 2060))


def test_one_text_for_one_link():
    link = Link.parse("unequal(conv(rate=1/2) , ldpc(k=1024,rate=1/3)|packets(), none)|clean")
    assert link.text == "unequal(conv(),ldpc(rate=1/3)|packets,none)|clean"
    for same in (link.text, link.text.replace("conv()", "conv")):
        assert Link.parse(same).text == link.text


@pytest.mark.parametrize(
    ("text", "problem", "marked"),
    [
        ("unequal(conv, none)|qpsk|awgn(ebno_db=3)", "give esno_db", "ebno_db=3"),
        ("unequal(conv(), none)|qpsk|rayleigh|awgn(ebno_db=3)", "give esno_db", "ebno_db=3"),
        ("rs|unequal(conv, none)|clean", "it comes first", "unequal(conv, none)"),
        ("unequal|clean", "name a code for each class", "unequal"),
        ("unequal(qpsk())|awgn(esno_db=1)", "protects no bits", "qpsk()"),
        ("unequal(conv|bsc(0.1))|clean", "protects no bits", "bsc(0.1)"),
        ("unequal(unequal(conv))|clean", "bits are all alike", "unequal(conv)"),
        ("unequal(conv(rate=1/9), none)|clean", "rate must be one of", "rate=1/9"),
        ("unequal(cnv(), none)|clean", "did you mean 'conv'", "cnv()"),
        ("unequal(none, cnv)|clean", "did you mean 'conv'", "cnv"),
        ("unequal(5)|clean", "codes must be a chain or none, got 5", "5"),
        ("unequal(codes=conv)|clean", "codes are given without a name", "codes=conv"),
    ],
)
def test_what_makes_no_sense(text, problem, marked):
    with pytest.raises(SpecError) as caught:
        Link.parse(text)
    assert problem in caught.value.problem
    assert text[caught.value.start : caught.value.end] == marked


@pytest.mark.parametrize(
    "classes", [np.zeros(99, np.uint8), np.zeros(100), np.zeros((100, 1), np.uint8)]
)
def test_classes_of_another_shape(classes):
    link = Link.parse("unequal(conv, none)|clean")
    with pytest.raises(ValueError, match="classes are uint8, one for each of 100 bits"):
        link.ledger(100, classes)
    with pytest.raises(ValueError, match="classes are uint8, one for each of 100 bits"):
        link.transmit(payload(100), classes=classes)


def test_trials_do_not_depend_on_the_batch():
    link = Link.parse("unequal(conv, none)|qpsk|awgn(esno_db=1)")
    sent, classes = payload(3000), mixed(3000, 2)
    together = link.transmit(sent, range(5), classes=classes)
    for trial in range(5):
        alone = link.transmit(sent, [trial], classes=classes)
        np.testing.assert_array_equal(alone.bits[0], together.bits[trial])

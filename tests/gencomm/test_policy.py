"""Policies: what leaves the noise, what reaches the decoder, what is measured, what is booked."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels.bits import PackedBits
from channels.link import Link, ReceivedBatch
from gencomm.codecs.contract import Decoded, Encoded, Status
from gencomm.policy import (
    CERTAIN_LLR,
    Policy,
    clean_received,
    conceal,
    from_wire,
    is_clean,
    ledger,
    link_ber,
    settle,
    to_wire,
)
from gencomm.sources import image_item

PROTECTED = Policy(header="protected")


def bits(n, seed=0):
    return np.random.default_rng(seed).integers(0, 2, n, dtype=np.uint8)


def picture(shape=(4, 6, 3)):
    return image_item("p", np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8))


def test_choices_are_checked():
    assert Policy.from_mapping(None) == Policy("in_band", "lenient", "grey")
    assert Policy.from_mapping({"decode": "strict"}).as_dict() == {
        "header": "in_band",
        "decode": "strict",
        "conceal": "grey",
    }
    with pytest.raises(ValueError, match="no policy is called 'heder'; did you mean 'header'"):
        Policy.from_mapping({"heder": "protected"})
    with pytest.raises(ValueError, match=r"policy conceal: 'gray' .* did you mean 'grey'"):
        Policy(conceal="gray")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="policy decode: True is not a choice"):
        Policy.from_mapping({"decode": True})


@given(n=st.integers(0, 70), header=st.integers(0, 70), protect=st.booleans())
def test_what_is_split_comes_together_again(n, header, protect):
    header = min(header, n)
    sent = bits(n)
    classes = np.arange(n, dtype=np.uint8)
    encoded = Encoded(PackedBits.from_bits(sent), header, b"abc", classes)
    policy = PROTECTED if protect else Policy()
    wire = to_wire(encoded, policy)
    granted = header if protect else 0
    assert wire.payload.n_bits == n - granted
    np.testing.assert_array_equal(wire.payload.unpack(), sent[granted:])
    np.testing.assert_array_equal(wire.classes, classes[granted:])
    assert wire.side_bits == 24 + granted
    assert clean_received(wire, policy).bits == encoded.bits


@given(n=st.integers(1, 70), header=st.integers(0, 70), seed=st.integers(0, 9))
def test_a_protected_header_arrives_unharmed_and_certain(n, header, seed):
    header = min(header, n)
    sent = bits(n, seed)
    wire = to_wire(Encoded(PackedBits.from_bits(sent), header), PROTECTED)
    flipped = PackedBits.from_bits(1 - sent[header:])
    m = n - header
    llr = np.linspace(-3, 3, m).astype(np.float32)[None]
    erased = np.packbits(np.ones(m, np.uint8))[None]
    batch = ReceivedBatch(m, flipped.data[None], np.array([m]), llr, erased)
    received = from_wire(wire, batch, 0, PROTECTED, frozenset({"llr", "erasures"}), 0.25)
    np.testing.assert_array_equal(received.bits.unpack()[:header], sent[:header])
    np.testing.assert_array_equal(received.bits.unpack()[header:], 1 - sent[header:])
    assert received.llr is not None
    assert received.llr.dtype == np.float32
    np.testing.assert_array_equal(
        received.llr[:header], np.where(sent[:header], -CERTAIN_LLR, CERTAIN_LLR)
    )
    np.testing.assert_array_equal(received.llr[header:], llr[0])
    assert received.erasures is not None
    np.testing.assert_array_equal(received.erasures, np.arange(n) >= header)
    assert received.ber == 0.25
    nothing = from_wire(wire, batch, 0, PROTECTED)
    assert nothing.llr is None
    assert nothing.erasures is None


def test_leniency_reaches_the_decoder():
    wire = to_wire(Encoded(PackedBits.from_bytes(b"xy")), Policy())
    assert clean_received(wire, Policy()).lenient
    assert not clean_received(wire, Policy(decode="strict")).lenient


def test_wrong_headers_and_classes_are_refused():
    for header in (-1, 17):
        with pytest.raises(ValueError, match="a header of"):
            to_wire(Encoded(PackedBits.from_bytes(b"xy"), header), PROTECTED)
    with pytest.raises(ValueError, match="classes of shape"):
        to_wire(Encoded(PackedBits.from_bytes(b"xy"), classes=np.zeros(3, np.uint8)), Policy())


def test_clean_trials():
    batch = ReceivedBatch(8, np.zeros((3, 1), np.uint8), np.array([0, 2, 0]))
    assert is_clean(batch).tolist() == [True, False, True]
    erased = np.array([[0], [0], [4]], np.uint8)
    batch = ReceivedBatch(8, batch.bits, batch.bit_errors, erased=erased)
    assert is_clean(batch).tolist() == [True, False, False]


def test_concealment():
    for shape in ((4, 6, 3), (4, 6)):
        item = picture(shape)
        grey = conceal(Policy(), item)
        assert grey.shape == shape
        assert grey.dtype == np.uint8
        assert np.all(grey == 128)
        mean = conceal(Policy(conceal="mean"), item)
        expected = np.rint(item.value.mean(axis=(0, 1)))
        np.testing.assert_array_equal(mean, np.broadcast_to(expected, shape))


@pytest.mark.parametrize(
    ("decoded", "status"),
    [
        (Decoded(picture().value), Status.OK),
        (Decoded(picture().value, Status.PARTIAL), Status.PARTIAL),
        (Decoded(None), Status.REJECTED),
        (Decoded.rejected("no"), Status.REJECTED),
        (Decoded(None, Status.TIMEOUT), Status.TIMEOUT),
        (Decoded(picture().value, Status.CRASHED), Status.CRASHED),
        (Decoded(picture((4, 5, 3)).value), Status.WRONG_SIZE),
        (Decoded(picture((4, 6)).value), Status.WRONG_SIZE),
        (Decoded(picture().value.astype(np.float32)), Status.WRONG_SIZE),
    ],
)
def test_every_outcome_can_be_measured(decoded, status):
    item = picture()
    found, value = settle(decoded, item, Policy())
    assert found is status
    assert value.shape == item.value.shape
    assert value.dtype == item.value.dtype
    assert np.all(value == 128) == status.outage


def test_strict_rejects_what_is_partial():
    item = picture()
    status, value = settle(Decoded(item.value, Status.PARTIAL), item, Policy(decode="strict"))
    assert status is Status.REJECTED
    assert np.all(value == 128)


def test_ledger_by_hand():
    item = picture((10, 20, 3))  # 200 pixels, 600 samples
    encoded = Encoded(PackedBits.from_bits(bits(300)), 40, b"12345")  # 300 + 40 bits
    link = Link.parse("qpsk|awgn(ebno_db=5)")
    book = ledger(item, encoded, to_wire(encoded, PROTECTED), link)
    assert book.codec_bits == 340
    assert book.header_bits == 40
    assert book.payload_bits == 260
    assert book.side_bits == 80
    assert book.bpp == (260 + 40) / 200
    assert book.bpp_total == 340 / 200
    assert book.link.channel_uses == 130
    assert book.cbr == pytest.approx(130 / 600)
    assert book.uses_per_pixel == pytest.approx(130 / 200)
    assert book.width_height == (20, 10)
    in_band = ledger(item, encoded, to_wire(encoded, Policy()), link)
    assert in_band.bpp == in_band.bpp_total == 340 / 200
    assert in_band.cbr == pytest.approx(150 / 600)
    columns = book.columns()
    assert columns["channel_uses"] == 130
    assert all(isinstance(v, (int, float)) for v in columns.values())
    assert book.as_dict()["link"]["payload"] == 260
    grey = picture((10, 20))
    assert ledger(grey, encoded, to_wire(encoded, Policy()), link).cbr == pytest.approx(150 / 200)


def test_the_links_own_error_rate():
    assert link_ber(Link.parse("bsc(1e-3)")) == pytest.approx(1e-3)
    assert link_ber(Link.parse("clean")) == 0.0

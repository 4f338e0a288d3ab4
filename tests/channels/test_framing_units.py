"""Packets that begin where the payload's units do: sizes by hand, losses by unit."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from channels.bits import PackedBits
from channels.link import Link
from channels.spec import SpecError

UNITS = np.array([8 * n for n in (3, 40, 1, 0, 64, 7)])
N_BITS = int(UNITS.sum())
#: With 32 bytes at most a packet: 3, 32 + 8, 1, 32 + 32, 7.
PIECES = [3, 32, 8, 1, 32, 32, 7]


def payload(seed=0, n_bits=N_BITS):
    return PackedBits.from_bits(np.random.default_rng(seed).integers(0, 2, n_bits, np.uint8))


def test_sizes_are_those_counted_by_hand():
    link = Link.parse("packets(bytes=32,header=40,crc=16,units=true)|clean")
    ledger = link.ledger(N_BITS, units=UNITS)
    assert ledger.framing == 7 * 56
    assert ledger.sent_bits == 8 * sum(PIECES) + 7 * 56
    assert link.ledger(N_BITS).framing == 4 * 56  # without units: 115 bytes in packets of 32
    plain = Link.parse("packets(bytes=32,header=40,crc=16)|clean")
    assert plain.ledger(N_BITS, units=UNITS).framing == 4 * 56


@pytest.mark.parametrize("policy", ["drop", "pass"])
def test_what_is_not_hit_comes_back(policy):
    link = Link.parse(f"packets(bytes=32,units=true,policy={policy})|clean")
    sent = payload()
    got = link.transmit(sent, range(3), units=UNITS)
    assert (got.bits == sent.data).all()
    assert not got.erased.any()


def test_whole_units_are_lost_and_as_often_as_they_should_be():
    link = Link.parse("packets(bytes=32,units=true)|packet_erasure(0.3,bytes=framed)")
    sent, trials = payload(), 4000
    got = link.transmit(sent, range(trials), units=UNITS)
    lost = np.unpackbits(got.erased, axis=1, count=N_BITS).astype(bool)
    edges = 8 * np.cumsum([0, *PIECES])
    for a, b in pairwise(edges):
        part = lost[:, a:b]
        assert (part.all(axis=1) | ~part.any(axis=1)).all(), "a packet is lost in part"
        share = part[:, 0].mean()
        assert abs(share - 0.3) < 5 * np.sqrt(0.21 / trials)
    sent_bits = sent.unpack()
    assert (np.unpackbits(got.bits, axis=1, count=N_BITS) == sent_bits * ~lost).all()


def test_bursts_count_packets():
    """Mean run of lost packets of a two-state chain, where all packets are long."""
    units = np.full(500, 80)
    text = "packets(bytes=32,units=true)|packet_erasure(0.2,bytes=framed,burst=4)"
    got = Link.parse(text).transmit(payload(1, 40000), range(60), units=units)
    lost = np.unpackbits(got.erased, axis=1)[:, ::80].astype(int)
    runs = (np.diff(lost, axis=1, prepend=0) == 1).sum()
    assert lost.mean() == pytest.approx(0.2, abs=0.03)
    assert lost.sum() / runs == pytest.approx(4, rel=0.15)


def test_bit_errors_cost_their_unit_alone():
    link = Link.parse("packets(bytes=32,units=true)|bsc(2e-3)")
    sent = payload()
    got = link.transmit(sent, range(500), units=UNITS)
    lost = np.unpackbits(got.erased, axis=1, count=N_BITS).astype(bool)
    edges = 8 * np.cumsum([0, *PIECES])
    length = 16 + 32
    for size, a in zip(PIECES, edges, strict=False):
        survives = (1 - 2e-3) ** (8 * size + length)
        assert abs(1 - lost[:, a].mean() - survives) < 5 * np.sqrt(0.25 / 500)


def test_fixed_packets_can_be_framed_too():
    fixed = Link.parse("packets(bytes=16,crc=16)|packet_erasure(0.5,bytes=framed)")
    named = Link.parse("packets(bytes=16,crc=16)|packet_erasure(0.5,bytes=20)")
    sent = payload(2, 16 * 8 * 10)
    for link in (fixed, named):
        got = link.transmit(sent, range(50))
        lost = np.unpackbits(got.erased, axis=1).reshape(50, 10, -1)
        assert (lost.all(axis=2) | ~lost.any(axis=2)).all()
        assert lost.mean() == pytest.approx(0.5, abs=0.12)


def test_units_do_not_survive_what_mixes_bits():
    """Behind an interleaver or a code nobody knows where a unit begins: packets are cut evenly."""
    link = Link.parse("repetition(3)|packets(bytes=32,units=true)|clean")
    assert link.ledger(N_BITS, units=UNITS).framing == -(-3 * N_BITS // 256) * 48
    sent = payload()
    assert (link.transmit(sent, units=UNITS).bits == sent.data).all()


@pytest.mark.parametrize("units", [[8, 8], [N_BITS - 4, 4], [-8, N_BITS + 8]])
def test_units_must_add_up(units):
    with pytest.raises(ValueError, match="add up"):
        Link.parse("clean").transmit(payload(), units=np.array(units))


def test_framed_needs_a_frame():
    with pytest.raises(SpecError, match="nothing frames them"):
        Link.parse("packet_erasure(0.1,bytes=framed)")


def test_the_chance_of_a_hit_counts_the_bits_on_the_medium():
    link = Link.parse("packets(bytes=32,units=true,crc=16)|bsc(1e-5)")
    bits = N_BITS + len(PIECES) * 32
    chance = link.hit_probability(N_BITS, None, UNITS)
    assert chance == pytest.approx(1 - (1 - 1e-5) ** bits, rel=1e-9)
    got = link.transmit(payload(), range(20), at_least_one=True, units=UNITS)
    assert got.weight == chance

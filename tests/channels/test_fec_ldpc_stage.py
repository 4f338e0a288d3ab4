"""5G NR LDPC codes as transport blocks and as stages of a link."""

from fractions import Fraction

import numpy as np
import pytest

from channels.bits import PackedBits
from channels.conformance import parametrize_channel_checks
from channels.fec.crc import CRCS
from channels.fec.ldpc import TransportBlock, ldpc, ldpc_code
from channels.fec.ldpc_block import LDPCBlock
from channels.link import Link


def test_transport_blocks_are_segmented_as_in_section_5_2_2():
    # 2 * 8424 - 24 bits fill two blocks of 8448 with their CRCs exactly
    code = TransportBlock(16_824, 40_000)
    assert [b.k for b in code.blocks] == [8448, 8448]
    assert [b.n for b in code.blocks] == [20_000, 20_000]
    assert len(TransportBlock(8424, 12_000).blocks) == 1
    assert [b.k for b in TransportBlock(8425, 12_000).blocks] == [4249, 4249]
    odd = TransportBlock(10_001, 25_003)
    assert [b.n for b in odd.blocks] == [12_501, 12_502]
    assert [b.n for b in TransportBlock(10_000, 25_004, interleave=4).blocks] == [12_500, 12_504]
    bits = np.random.default_rng(12).integers(0, 2, (2, 16_824), np.uint8)
    coded = code.encode(bits)
    whole = CRCS["crc24a"].attach(bits)
    for part in range(2):
        block = CRCS["crc24b"].attach(whole[:, 8424 * part : 8424 * (part + 1)])
        expected = LDPCBlock(8448, 20_000, graph=1).encode(block)
        assert np.array_equal(coded[:, 20_000 * part : 20_000 * (part + 1)], expected)
    short = TransportBlock(100, 300)
    assert [b.k for b in short.blocks] == [116]
    few = np.random.default_rng(13).integers(0, 2, (5, 100), np.uint8)
    expected = LDPCBlock(116, 300, graph=2).encode(CRCS["crc16"].attach(few))
    assert np.array_equal(short.encode(few), expected)


@pytest.mark.parametrize(("k", "n"), [(1, 40), (100, 250), (3825, 5000), (10_001, 20_003)])
def test_transport_blocks_know_whether_they_are_right(k, n):
    code = ldpc_code(k, n=n, crc=True)
    bits = np.random.default_rng(k).integers(0, 2, (3, k), np.uint8)
    llr = (8 - 16.0 * code.encode(bits)).astype(np.float32)
    llr[1] = np.random.default_rng(n).standard_normal(n)
    result = code.decode(llr)
    assert result.ok.tolist() == [True, False, True]
    assert np.array_equal(result.bits[[0, 2]], bits[[0, 2]])
    assert result.iterations.shape == (3,)


def test_long_blocks_become_transport_blocks_by_themselves():
    assert isinstance(ldpc_code(8448, 0.5), LDPCBlock)
    assert isinstance(ldpc_code(8449, 0.5), TransportBlock)
    assert isinstance(ldpc_code(3841, 0.25), TransportBlock)
    assert isinstance(ldpc_code(1024, Fraction(1, 2), crc=True), TransportBlock)
    assert ldpc_code(1000, 0.3).n == 3334


@pytest.mark.parametrize(
    "spec",
    [
        "ldpc(rate=1/2)|qpsk|awgn(ebno_db=3)",
        "ldpc(rate=0.75,k=100)|qam16|awgn(ebno_db=11)",
        "ldpc(rate=0.9,k=none)|qam64|awgn(ebno_db=20)",
        "ldpc(rate=1/3,k=none,decoder=min_sum)|bsc(0.005)",
        "ldpc(k=40,crc=true,rate=1/3)|bpsk|awgn(ebno_db=9)",
    ],
)
def test_as_a_stage_of_a_link(spec):
    link = Link.parse(spec)
    for n_bits in (0, 1, 7, 999, 20_001):
        sent = PackedBits.from_bits(np.random.default_rng(n_bits).integers(0, 2, n_bits, np.uint8))
        got = link.transmit(sent, range(3))
        assert got.bit_errors.tolist() == [0, 0, 0], n_bits
        ledger = link.ledger(n_bits)
        added = ledger.parity + ledger.framing + ledger.padding
        assert ledger.sent_bits == n_bits + added


@parametrize_channel_checks(
    [
        "ldpc(k=100,rate=1/2)|qpsk|awgn(ebno_db=2)",
        "ldpc(rate=3/4,k=none)|qam64|awgn(ebno_db=9)",
        "ldpc(rate=1/3,decoder=min_sum,crc=true)|bsc(0.1)",
    ]
)
def test_conformance(check, spec):
    check(spec)


def test_the_modulation_sets_the_interleaver():
    plain = Link.parse("ldpc(rate=1/2,interleave=false)|qam256|awgn(ebno_db=9)").stages[0]
    mixed = Link.parse("ldpc(rate=1/2)|qam256|awgn(ebno_db=9)").stages[0]
    bits = np.random.default_rng(0).integers(0, 2, (1, 1024), np.uint8)
    a, b = plain.code.encode(bits)[0], mixed.code.encode(bits)[0]
    assert np.array_equal(a.reshape(8, -1).T.ravel(), b)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ldpc_code(100, 0.96), "lies in 0..0.95, got 0.96"),
        (lambda: ldpc_code(100, n=104), "can be recovered from 105 bits on"),
        (lambda: LDPCBlock(100, 117, graph=2), "base graph 2 can do"),
        (lambda: ldpc_code(100, 0), "lies in"),
        (lambda: ldpc_code(0, 0.5), "at least 12 bits"),
        (lambda: ldpc_code(0, 0.5, crc=True), "at least one bit"),
        (lambda: LDPCBlock(4000, 9000, graph=2), "holds 3840 bits, got 4000"),
        (lambda: LDPCBlock(400, 900, graph=3), "base graphs 1 and 2"),
        (lambda: LDPCBlock(400, 900, iterations=0), "iterations must be at least 1"),
        (lambda: LDPCBlock(400, 900, decoder="magic"), "min_star or min_sum or sum_product"),  # type: ignore[arg-type]
        (lambda: ldpc(k=None, crc=False), "k=none sends transport blocks"),
        (lambda: LDPCBlock(40, 90).decode(np.zeros((2, 91), np.float32)), r"\(blocks, 90\)"),
        (lambda: LDPCBlock(40, 90).encode(np.zeros(40, np.uint8)), r"\(blocks, 40\)"),
    ],
)
def test_what_can_not_be_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_numbers_that_might_be_bits_or_llrs_are_refused():
    for code in (ldpc_code(40, 0.5), ldpc_code(40, 0.25, crc=True)):
        with pytest.raises(TypeError, match="hard bits"):
            code.decode(np.zeros((1, code.n), np.int64))

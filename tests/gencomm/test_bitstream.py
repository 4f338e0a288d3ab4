"""Tables, range coding and headers."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gencomm.bitstream.header import HeaderReader, crc16, pack_numbers, seal
from gencomm.bitstream.tables import LARGEST, TOTAL, Tables, integer_frequencies


def laplace(scales, n=400):
    """Probabilities of the magnitudes 0 .. n - 1 of rounded Laplacians."""
    k = np.arange(n)
    rows = []
    for b in scales:
        outside = np.exp(-(k + 0.5) / b) / 2
        inside = np.exp(-np.maximum(k - 0.5, 0) / b) / 2
        rows.append(np.where(k == 0, 1 - 2 * outside, inside - outside))
    return np.array(rows)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=300))
@settings(max_examples=50, deadline=None)
def test_frequencies_are_positive_and_sum_up(p):
    counts = integer_frequencies(np.array(p))
    assert counts.min() >= 1
    assert counts.sum() == TOTAL


def test_frequencies_are_the_nearest():
    p = np.array([0.5, 0.25, 0.125, 0.125])
    assert integer_frequencies(p, 68).tolist() == [33, 17, 9, 9]


@pytest.mark.parametrize("bad", [[-0.1, 1.1], [np.nan], [], np.ones(TOTAL + 1)])
def test_what_are_no_probabilities(bad):
    with pytest.raises(ValueError, match="no probabilities"):
        integer_frequencies(np.array(bad))


def test_tables_are_symmetric_and_whole():
    tables = Tables.build(laplace([0.01, 0.3, 2, 40, 90]))
    assert len(tables) == 5
    for k in range(5):
        row = tables.row(k)
        reach = int(tables.reach[k])
        assert row.size == 2 * reach + 2
        assert row.sum() == TOTAL
        assert np.array_equal(row[:-1], row[:-1][::-1])
    assert tables.reach[0] == 0  # nothing but zero ever happens


def test_tables_waste_little():
    # Kullback-Leibler divergence of the table to what it was made from, in bits a symbol
    p = laplace([0.3, 2.0, 20.0])
    tables = Tables.build(p)
    for k in range(3):
        reach = int(tables.reach[k])
        row = tables.row(k)[reach : 2 * reach + 1] / TOTAL
        both = np.where(np.arange(reach + 1) == 0, 1, 2) * p[k, : reach + 1]
        assert float(both @ np.log2(p[k, : reach + 1] / row)) < 0.003


def test_a_damaged_table_is_refused():
    tables = Tables(np.array([1, 40000], np.uint16), np.array([1], np.uint16))
    with pytest.raises(ValueError, match="damaged"):
        tables.row(0)
    with pytest.raises(ValueError, match="fit"):
        Tables(np.array([1], np.uint16), np.array([1], np.uint16))


@pytest.fixture(scope="module")
def coder():
    pytest.importorskip("constriction")
    from gencomm.bitstream.range_coding import RunCoder

    scales = np.geomspace(0.05, 60, 40)
    return scales, RunCoder(Tables.build(laplace(scales)), range(40), checks=(8, 16, 24, 32))


def drawn(scales, n, seed=0):
    rng = np.random.default_rng(seed)
    return [np.rint(rng.laplace(0, b, n)).astype(np.int64) for b in scales]


def test_runs_come_back(coder):
    scales, coder = coder
    runs = drawn(scales, 300)
    runs[0][5], runs[20][7], runs[39][0] = 400, -99999, LARGEST  # escapes, one clipped
    back, whole = coder.decode(coder.encode(runs), [300] * 40)
    assert whole
    runs[20][7] = -LARGEST
    assert all(np.array_equal(a, b) for a, b in zip(runs, back, strict=True))


def test_the_stream_is_as_long_as_the_tables_say(coder):
    scales, coder = coder
    runs = drawn(scales, 2000)
    assert 8 * len(coder.encode(runs)) == pytest.approx(coder.bits(runs), rel=0.001, abs=64)


def test_the_tables_cost_what_the_source_holds(coder):
    # entropy of the rounded Laplacians that the runs are drawn from, within 1 %
    scales, coder = coder
    p = laplace(scales, 2000)
    two = np.where(np.arange(2000) == 0, 1, 2)
    entropy = -(two * np.where(p > 0, p * np.log2(np.maximum(p, 1e-300)), 0)).sum()
    runs = drawn(scales, 20000)
    assert coder.bits(runs) / 20000 == pytest.approx(entropy, rel=0.01)


def test_runs_of_no_symbols(coder):
    _, coder = coder
    back, whole = coder.decode(coder.encode([np.zeros(0, int)] * 40), [0] * 40)
    assert whole
    assert all(run.size == 0 for run in back)


def test_a_sound_prefix_is_kept(coder):
    scales, coder = coder
    runs = drawn(scales, 300)
    data = bytearray(coder.encode(runs))
    data[-40] ^= 1  # the widest tables take the end of the stream
    back, whole = coder.decode(bytes(data), [300] * 40)
    assert not whole
    assert 24 <= len(back) < 40
    assert all(np.array_equal(a, b) for a, b in zip(runs, back, strict=False))


def test_nothing_raises_on_damage(coder):
    scales, coder = coder
    runs = drawn(scales, 60)
    sent = coder.encode(runs)
    rng = np.random.default_rng(3)
    wrong = 0
    for trial in range(400):
        data = np.frombuffer(sent, np.uint8).copy()
        if trial % 4 == 0:
            data = data[: rng.integers(data.size)]
        elif trial % 4 == 1:
            data = rng.integers(0, 256, rng.integers(200), dtype=np.uint8)
        else:
            flips = rng.random(8 * data.size) < 10 ** rng.uniform(-4, -1)
            data = data ^ np.packbits(flips)
        back, _ = coder.decode(data.tobytes(), [60] * 40)
        assert len(back) % 8 == 0
        same = all(np.array_equal(a, b) for a, b in zip(runs, back, strict=False))
        wrong += not same and len(back) > 0
    # a check of eight bits lets one in 256 pass; 400 x 1/256 = 1.6
    assert wrong <= 12


def test_crc16_of_the_catalogue():
    assert crc16(b"123456789") == 0x29B1


@given(st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=12), st.binary(max_size=5))
@settings(max_examples=50, deadline=None)
def test_header_round_trip(numbers, after):
    reader = HeaderReader(seal(pack_numbers(numbers)) + after)
    assert [reader.number() for _ in numbers] == numbers
    assert reader.check() == after


def test_a_size_takes_two_bytes_a_side():
    assert len(pack_numbers([512, 768])) == 4


def test_every_single_error_in_a_header_is_seen():
    numbers = [16, 512, 768, 200, 1]
    header = seal(pack_numbers(numbers))
    for bit in range(8 * len(header)):
        damaged = bytearray(header)
        damaged[bit // 8] ^= 1 << bit % 8
        reader = HeaderReader(bytes(damaged))

        def read(reader=reader):
            for _ in numbers:
                reader.number()
            reader.check()

        with pytest.raises(ValueError, match="header"):
            read()


@pytest.mark.parametrize("number", [-1, 2**32])
def test_numbers_beyond_the_header(number):
    with pytest.raises(ValueError, match="fit"):
        pack_numbers([number])


def test_a_number_without_an_end():
    with pytest.raises(ValueError, match="breaks off"):
        HeaderReader(b"\xff" * 20).number()


def test_entropy_of_a_fair_table_is_its_size():
    row = integer_frequencies(np.ones(16))
    assert -math.log2(row[0] / TOTAL) == 4

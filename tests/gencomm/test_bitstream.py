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
def models():
    pytest.importorskip("constriction")
    from gencomm.bitstream.range_coding import Models

    return Models(Tables.build(laplace(SCALES)))


SCALES = np.geomspace(0.05, 60, 40)


def drawn(n, seed=0):
    """Symbols of 40 Laplacians, and the table of each, in random order."""
    rng = np.random.default_rng(seed)
    indices = rng.integers(0, 40, n)
    return np.rint(rng.laplace(0, SCALES[indices])).astype(np.int64), indices


def encoded_together(models, symbols, indices, pieces=4):
    """Streams of symbols (streams, n), with as many checks as pieces."""
    from gencomm.bitstream.range_coding import SymbolEncoder

    encoder = SymbolEncoder(models, len(symbols))
    for part in np.array_split(np.arange(symbols.shape[1]), pieces):
        encoder.put(symbols[:, part], indices[:, part])
        encoder.check()
    return encoder.to_bytes()


def decoded_together(models, streams, indices, pieces=4):
    """What each stream gives up to the last check that held."""
    from gencomm.bitstream.range_coding import SymbolDecoder

    decoder = SymbolDecoder(streams, models)
    out = [[np.zeros(0, int)] for _ in streams]
    for which in np.array_split(indices, pieces, axis=1):
        part = decoder.get(which)
        decoder.check()
        for k in np.flatnonzero(decoder.alive):
            out[k].append(part[k])
    return [np.concatenate(one) for one in out]


def encoded(models, symbols, indices, pieces=4):
    return encoded_together(models, symbols[None], indices[None], pieces)[0]


def decoded(models, data, indices, pieces=4):
    return decoded_together(models, [data], indices[None], pieces)[0]


def test_streams_side_by_side_are_those_alone(models):
    several = [drawn(700, seed) for seed in range(5)]
    several[2][0][600] = 900  # an escape in one alone
    symbols, indices = (np.stack(one) for one in zip(*several, strict=True))
    streams = encoded_together(models, symbols, indices)
    assert streams == [encoded(models, *one) for one in several]
    assert np.array_equal(decoded_together(models, streams, indices), symbols)
    # damage in some leaves the others alone
    hit = bytearray(streams[1])
    hit[len(hit) // 2] ^= 8
    back = decoded_together(models, [streams[0], bytes(hit), b"", *streams[3:]], indices)
    for k in (0, 3, 4):
        assert np.array_equal(back[k], symbols[k])
    assert np.array_equal(back[1], symbols[1, : back[1].size])
    assert 175 <= back[1].size < 700
    assert back[2].size == 0


def test_symbols_come_back(models):
    symbols, indices = drawn(5000)
    symbols[5], symbols[20], symbols[39] = 400, -LARGEST, LARGEST  # escapes
    assert np.array_equal(decoded(models, encoded(models, symbols, indices), indices), symbols)


def test_the_stream_is_as_long_as_the_tables_say(models):
    symbols, indices = drawn(20000)
    bits = models.tables.bits(symbols, indices)
    data = encoded(models, symbols, indices)
    assert 8 * len(data) == pytest.approx(bits + 4 * 8, rel=0.0005, abs=64)


def test_the_tables_cost_what_the_source_holds(models):
    # entropy of the rounded Laplacians that the symbols are drawn from, within 1 %
    p = laplace(SCALES, 2000)
    two = np.where(np.arange(2000) == 0, 1, 2)
    entropy = -(two * np.where(p > 0, p * np.log2(np.maximum(p, 1e-300)), 0)).sum(1)
    symbols, indices = drawn(400_000)
    assert models.tables.bits(symbols, indices) == pytest.approx(entropy[indices].sum(), rel=0.01)


def test_an_escape_costs_its_value_too(models):
    row = models.tables.row(3)
    cost = models.tables.bits(np.array([1000]), np.array([3]))
    assert cost == pytest.approx(16 - math.log2(row[-1] / TOTAL))


def test_no_symbols(models):
    none = np.zeros(0, int)
    assert decoded(models, encoded(models, none, none), none).size == 0


def test_a_sound_prefix_is_kept(models):
    symbols, indices = drawn(4000)
    data = bytearray(encoded(models, symbols, indices))
    data[int(0.6 * len(data))] ^= 1
    back = decoded(models, bytes(data), indices)
    assert back.size == 2000
    assert np.array_equal(back, symbols[:2000])


def test_nothing_raises_on_damage(models):
    symbols, indices = drawn(600)
    sent = encoded(models, symbols, indices)
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
        back = decoded(models, data.tobytes(), indices)
        wrong += not np.array_equal(back, symbols[: back.size])
    # a check of eight bits lets one in 256 pass
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

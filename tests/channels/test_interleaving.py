"""Interleavers: beside commpy, how far they spread a burst, and what comes back."""

import commpy
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from channels import Link, PackedBits, SpecError
from channels.conformance import payload
from channels.interleaving import BlockInterleaver, ConvolutionalInterleaver, RandomInterleaver
from channels.stage import Batch

STAGES = {
    "block": BlockInterleaver(5, 7),
    "block of bytes": BlockInterleaver(3, 4, unit=8),
    "random": RandomInterleaver(seed=4),
    "random blocks": RandomInterleaver(seed=4, length=37, unit=3),
    "convolutional": ConvolutionalInterleaver(4, 3, unit=1),
    "DVB": ConvolutionalInterleaver(),
}
SIZES = [0, 1, 7, 8, 9, 34, 35, 36, 70, 111, 1000, 4097]
every_stage = pytest.mark.parametrize("stage", STAGES.values(), ids=STAGES.keys())


def send(stage, bits):
    """Bits in the order in which they are sent, and what `backward` needs."""
    batch, state = stage.forward(Batch(bits.size, bits=np.packbits(bits)[None]), [])
    assert batch.bits is not None
    return np.unpackbits(batch.bits[0], count=batch.n_bits), state


@every_stage
@pytest.mark.parametrize("n_bits", SIZES)
def test_bits_llrs_and_erasures_come_back_in_order(stage, n_bits):
    rng = np.random.default_rng(1)
    bits = rng.integers(0, 2, n_bits, np.uint8)
    sent, state = send(stage, bits)
    assert sent.size == stage.sizes(n_bits).n_out
    assert sent.sum() == bits.sum()
    # mark each place on the medium, for three trials
    llr = np.array([rng.permutation(sent.size) + 0.5 for _ in range(3)], np.float32)
    lost = rng.integers(0, 2, (3, sent.size), np.uint8)
    received = np.broadcast_to(np.packbits(sent), (3, (sent.size + 7) // 8))
    batch = Batch(sent.size, bits=received, llr=llr, erased=np.packbits(lost, axis=1))
    back = stage.backward(batch, state)
    assert back.n_bits == n_bits
    assert back.bits is not None
    assert back.llr is not None
    assert back.erased is not None
    assert np.array_equal(back.bits, np.broadcast_to(np.packbits(bits), back.bits.shape))
    # each bit brings back the LLR and the mark of the place in which it went
    assert np.isin(back.llr, llr).all()
    taken = np.array([np.flatnonzero(llr[0] == value)[0] for value in back.llr[0]], int)
    assert np.unique(taken).size == n_bits
    assert np.array_equal(sent[taken], bits)
    assert np.array_equal(back.llr, llr[:, taken])
    assert np.array_equal(np.unpackbits(back.erased, axis=1, count=n_bits), lost[:, taken])


def order_of(stage, cells):
    """Number of the cell sent in each slot, -1 for a fill cell; from bits alone."""
    n_bits, unit = cells * stage.unit, stage.unit
    number = np.repeat(np.arange(cells), unit)
    digits = [send(stage, (number >> d & 1).astype(np.uint8))[0] for d in range(16)]
    filled, _ = send(stage, np.ones(n_bits, np.uint8))
    found = sum(digit.astype(int) << d for d, digit in enumerate(digits))
    return np.where(filled == 1, found, -1)[::unit]


def test_block_interleaver_is_commpys():
    expected = commpy.BlockInterleaver(5, 7).interleave(np.arange(35))
    assert np.array_equal(order_of(BlockInterleaver(5, 7), 35), expected)
    assert np.array_equal(order_of(BlockInterleaver(5, 7, unit=8), 35), expected)
    two = order_of(BlockInterleaver(5, 7), 70)
    assert np.array_equal(two, np.concatenate([expected, 35 + expected]))


def test_last_block_leaves_empty_places_out():
    full = commpy.BlockInterleaver(5, 7).interleave(np.arange(35))
    assert np.array_equal(order_of(BlockInterleaver(5, 7), 20), full[full < 20])


def test_convolutional_interleaver_is_commpys():
    cells, branches, delay = 300, 6, 4
    theirs = commpy.ConvolutionalInterleaver(branches, delay)
    fill = branches * (branches - 1) * delay
    # whole cells are numbered from 1, so that 0 is what the delay lines held at the start
    expected = theirs.process(np.concatenate([np.arange(1, cells + 1), np.zeros(fill, int)])) - 1
    stage = ConvolutionalInterleaver(branches, delay, unit=1)
    assert stage.sizes(cells).padding == fill
    assert np.array_equal(order_of(stage, cells), expected)


def test_a_burst_is_spread():
    rows, columns = 12, 20
    order = order_of(BlockInterleaver(rows, columns), rows * columns)
    for start in range(order.size - rows):
        assert np.unique(order[start : start + rows] // columns).size >= rows - 1
        inside = np.sort(order[start : start + rows])
        assert np.diff(inside).min() >= columns - 1
    branches, delay = 12, 17
    order = order_of(ConvolutionalInterleaver(branches, delay, unit=1), 3000)
    for start in range(0, order.size - branches, 7):
        burst = order[start : start + branches]
        inside = np.sort(burst[burst >= 0])
        assert inside.size < 2 or np.diff(inside).min() >= branches * delay - 1


def test_random_order_is_fixed_by_its_seed_and_looks_random():
    first, again = (order_of(RandomInterleaver(seed=3), 5000) for _ in range(2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, order_of(RandomInterleaver(seed=4), 5000))
    assert np.array_equal(np.sort(first), np.arange(5000))
    correlation = np.corrcoef(first, np.arange(5000))[0, 1]
    assert abs(correlation) < 5 / np.sqrt(5000)
    assert abs((np.diff(first) == 1).sum() - 1) < 7  # neighbours stay together about once


def test_bits_of_a_cell_stay_together():
    stage, rng = RandomInterleaver(seed=1, unit=8), np.random.default_rng(2)
    data = rng.integers(0, 256, 100, np.uint8)
    sent, _ = send(stage, np.unpackbits(data))
    assert sorted(np.packbits(sent)) == sorted(data)
    # what isn't a whole cell stays at the end
    sent, _ = send(stage, np.concatenate([np.unpackbits(data), [1, 1, 0]]).astype(np.uint8))
    assert sent[-3:].tolist() == [1, 1, 0]


@every_stage
def test_importance_travels_with_the_bits(stage):
    classes = np.arange(100, dtype=np.uint8)
    bits = np.ones(100, np.uint8)
    batch, _ = stage.forward(Batch(100, bits=np.packbits(bits)[None], classes=classes), [])
    assert batch.bits is not None
    assert batch.classes is not None
    assert batch.classes.size == batch.n_bits
    sent = np.unpackbits(batch.bits[0], count=batch.n_bits)
    assert np.array_equal(np.sort(batch.classes[sent == 1]), classes)
    assert (batch.classes[sent == 0] == 255).all()


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 9), st.integers(0, 500))
def test_any_shape_and_payload(a, b, unit, n_bits):
    rng = np.random.default_rng(n_bits)
    bits = rng.integers(0, 2, n_bits, np.uint8)
    for stage in (
        BlockInterleaver(a, b, unit),
        RandomInterleaver(a, b, unit),
        ConvolutionalInterleaver(a, b, unit),
    ):
        sent, state = send(stage, bits)
        back = stage.backward(Batch(sent.size, bits=np.packbits(sent)[None]), state)
        assert back.bits is not None
        assert np.array_equal(back.bits[0], np.packbits(bits))


@pytest.mark.parametrize("interleaver", ["random_interleaver", "convolutional_interleaver(60,1,1)"])
def test_interleaving_saves_a_code_from_bursts(interleaver):
    """Bursts of 10 bits on average at BER 2.5 %: hopeless for the bare code, easy for it spread."""
    sent, medium = payload(40_000), "gilbert_elliott(0.05,10)"
    bare = Link.parse(f"conv(decision=hard)|{medium}").transmit(sent, range(3))
    spread = Link.parse(f"conv(decision=hard)|{interleaver}|{medium}").transmit(sent, range(3))
    assert bare.bit_errors.mean() > 10 * spread.bit_errors.mean()


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("block_interleaver(0,5)", "at least 1"),
        ("block_interleaver(100000,100000)", "16777216"),
        ("block_interleaver(unit=0)", "unit must lie in 1..4096"),
        ("random_interleaver(seed=-1)", "must not be negative"),
        ("random_interleaver(length=0)", "length must lie in"),
        ("convolutional_interleaver(0)", "at least 1"),
        ("convolutional_interleaver(delay=-1)", "at least 0"),
        ("convolutional_interleaver(10000,10000)", "at most"),
    ],
)
def test_wrong_parameters_say_what_is_right(spec, says):
    with pytest.raises(SpecError) as caught:
        Link.parse(f"{spec}|bsc(0.01)")
    assert says in str(caught.value)


def test_ledger_books_fill_cells_as_padding():
    ledger = Link.parse("convolutional_interleaver|bsc(0.01)").ledger(8 * 1000)
    assert ledger.padding == 8 * 12 * 11 * 17
    assert Link.parse("convolutional_interleaver|bsc(0.01)").ledger(0).sent_bits == 0
    empty = PackedBits.from_bits(np.zeros(0, np.uint8))
    assert Link.parse("convolutional_interleaver|bsc(0.01)").transmit(empty).bits.shape == (1, 0)

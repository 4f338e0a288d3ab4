"""Binary media: distributions against their definitions, ranges, what is flagged and where."""

import math

import numpy as np
import pytest
from scipy import stats

from channels.bits import PackedBits, count_errors, count_ones, llr_from_bits
from channels.link import Link
from channels.media.gaps import FEW, _flip, flip_bits, position_blocks, sojourns
from channels.noise import NoiseStream
from channels.spec import SpecError

#: A true statement is refused this often.
LEVEL = 1e-6


def generator(trial=0):
    return NoiseStream(5, "media").generator(trial)


def zeros(n_bits):
    return PackedBits.from_bits(np.zeros(n_bits, np.uint8))


def positions(p, n, trial=0):
    blocks = list(position_blocks(generator(trial), p, n))
    return np.concatenate(blocks) if blocks else np.zeros(0, np.int64)


@pytest.mark.parametrize("p", [1e-4, 1e-3, 0.02, 0.3, 0.5, 0.97])
def test_gaps_between_errors_are_geometric(p):
    found = positions(p, int(20_000 / p))
    gaps = np.diff(found)
    assert gaps.min() >= 1
    # cells of about equal probability, by the exact distribution
    edges = np.unique(stats.geom.ppf(np.linspace(0.05, 0.95, 15), p))
    cells = np.concatenate(([0], edges, [np.inf]))
    probability = np.diff(stats.geom.cdf(cells, p))
    observed = np.histogram(gaps, np.concatenate((cells[:-1] + 0.5, [np.inf])))[0]
    kept = probability > 0
    assert observed[~kept].sum() == 0
    if kept.sum() > 1:
        test = stats.chisquare(observed[kept], gaps.size * probability[kept])
        assert test.pvalue > LEVEL


@pytest.mark.parametrize("p", [1e-5, 1e-2, 0.5])
def test_first_positions_are_as_likely_as_any(p):
    n = int(10 / p) + 10
    first = [int(next(position_blocks(generator(t), p, n), np.array([n]))[0]) for t in range(4000)]
    hit = sum(f < 1 / p for f in first)
    expected = 1 - (1 - p) ** math.ceil(1 / p)
    assert stats.binomtest(hit, 4000, expected).pvalue > LEVEL


def test_count_of_errors_is_binomial():
    n, p = 3000, 0.01
    counts = [positions(p, n, trial).size for trial in range(4000)]
    observed = np.bincount(np.clip(counts, 15, 46))[15:]
    probability = np.diff(stats.binom.cdf(np.concatenate(([-1], np.arange(15, 46), [n])), n, p))
    assert stats.chisquare(observed, 4000 * probability).pvalue > LEVEL


def test_extreme_probabilities():
    assert positions(0.0, 1000).size == 0
    np.testing.assert_array_equal(positions(1.0, 1000), np.arange(1000))
    assert positions(1e-300, 10**9).size == 0
    assert positions(5e-324, 10**9).size == 0
    assert positions(1 - 1e-16, 5).tolist() == [0, 1, 2, 3, 4]
    assert positions(0.3, 0).size == 0


def test_positions_do_not_depend_on_the_length():
    long = positions(0.02, 1_000_000)
    for n in (1, 50, 999, 10_000):
        np.testing.assert_array_equal(positions(0.02, n), long[long < n])


@pytest.mark.parametrize("count", [0, 1, 100, FEW, FEW + 1, 40_000])
def test_flips_are_those_of_single_bits(count):
    rng = np.random.default_rng(count)
    row = rng.integers(0, 256, 6001, np.uint8)
    where = np.sort(rng.permutation(8 * row.size)[:count])
    bits = np.unpackbits(row)
    bits[where] ^= 1
    plain, got = row.copy(), row.copy()
    _flip.plain(plain, where[:500])
    flip_bits(got, where)
    np.testing.assert_array_equal(got, np.packbits(bits))
    fast = row.copy()
    _flip(fast, where[:500])
    np.testing.assert_array_equal(fast, plain)


def test_sojourns_have_their_means_and_do_not_depend_on_the_length():
    p_bad, burst, n = 0.2, 25.0, 4_000_000
    starts, ends = sojourns(generator(), p_bad, burst, n)
    assert (starts[1:] > ends[:-1]).all()
    lengths, pauses = ends - starts, starts[1:] - ends[:-1]
    visits = starts.size
    good = burst * (1 - p_bad) / p_bad
    for found, mean in ((lengths[1:-1], burst), (pauses, good)):
        # a geometric time of mean m has variance m (m - 1)
        error = math.sqrt(mean * (mean - 1) / found.size)
        assert found.mean() == pytest.approx(mean, abs=5 * error)
        assert (
            stats.kstest(found, stats.geom(1 / mean).cdf).statistic
            < 2.7 / math.sqrt(visits) + 1 / mean
        )
    cut_starts, cut_ends = sojourns(generator(), p_bad, burst, 1000)
    np.testing.assert_array_equal(cut_starts, starts[starts < 1000])
    np.testing.assert_array_equal(cut_ends, np.minimum(ends[starts < 1000], 1000))


def test_a_chain_starts_in_its_stationary_state():
    begins = sum(sojourns(generator(t), 0.3, 50, 1)[0].size for t in range(5000))
    assert stats.binomtest(begins, 5000, 0.3).pvalue > LEVEL


def test_gilbert_elliott_against_a_chain_stepped_bit_by_bit():
    """Error rate, and the correlation of errors at a distance, which has a closed form."""
    p_bad, burst, bad, good = 0.1, 20.0, 0.4, 0.01
    n = 2_000_000
    link = Link.parse(f"gilbert_elliott({p_bad}, {burst}, ber_bad={bad}, ber_good={good})")
    got = link.transmit(zeros(n), range(4), NoiseStream(9, "ge"))
    errors = np.unpackbits(got.bits, axis=1, count=n).astype(float)
    mean = p_bad * bad + (1 - p_bad) * good
    # the state forgets by a factor of 1 - P - r a step (Gilbert 1960)
    memory = 1 - p_bad / (burst * (1 - p_bad)) - 1 / burst
    state = p_bad * (1 - p_bad) * (bad - good) ** 2
    for lag in (1, 5, 20, 60):
        products = (errors[:, lag:] - mean) * (errors[:, :-lag] - mean)
        assert products.mean() == pytest.approx(state * memory**lag, abs=3e-4), lag
    # variance of a mean over a chain: independent part and the sum over all lags
    spread = mean * (1 - mean) + 2 * state * memory / (1 - memory)
    assert errors.mean() == pytest.approx(mean, abs=5 * math.sqrt(spread / errors.size))
    assert link.ledger(n).facts["ber"] == pytest.approx(mean)

    # an independent, slow simulation: one uniform a bit for the state, one for the error
    rng = np.random.default_rng(4)
    steps = 200_000
    uniform, noise = rng.random(steps), rng.random(steps)
    in_bad, slow = rng.random() < p_bad, np.empty(steps)
    into_bad = p_bad / (burst * (1 - p_bad))
    for i in range(steps):
        slow[i] = noise[i] < (bad if in_bad else good)
        in_bad = uniform[i] >= 1 / burst if in_bad else uniform[i] < into_bad
    error = math.sqrt(spread / steps + spread / errors.size)
    assert slow.mean() == pytest.approx(errors.mean(), abs=5 * error)
    runs = [np.convolve(e, np.ones(50), "valid")[::50].var() for e in (slow, errors[0])]
    assert runs[0] == pytest.approx(runs[1], rel=0.15)


@pytest.mark.parametrize(
    ("text", "ber"),
    [
        ("gilbert_elliott(0, 10)", 0.0),
        ("gilbert_elliott(1, 10, ber_bad=0.25)", 0.25),
        ("gilbert_elliott(0.5, 1)", 0.25),
        ("gilbert_elliott(0.25, 1e7, ber_bad=0.1, ber_good=0.1)", 0.1),
    ],
)
def test_gilbert_elliott_at_its_edges(text, ber):
    n = 400_000
    errors = Link.parse(text).transmit(zeros(n)).bit_errors[0]
    assert stats.binomtest(int(errors), n, ber).pvalue > LEVEL if ber else errors == 0


def test_erasures_are_flagged_and_all_else_is_right():
    rng = np.random.default_rng(1)
    sent = PackedBits.from_bits(rng.integers(0, 2, 100_003, np.uint8))
    got = Link.parse("bec(0.2)", ("llr",)).transmit(sent, range(3))
    for bits, erased, llr in zip(got.bits, got.erased, got.llr, strict=True):
        lost = np.unpackbits(erased, count=sent.n_bits).astype(bool)
        assert stats.binomtest(int(lost.sum()), sent.n_bits, 0.2).pvalue > LEVEL
        read = np.unpackbits(bits, count=sent.n_bits)
        np.testing.assert_array_equal(read, np.where(lost, 0, sent.unpack()))
        assert (llr[lost] == 0).all()
        assert ((llr[~lost] < 0) == sent.unpack()[~lost].astype(bool)).all()
    everything = Link.parse("bec(1)").transmit(sent)
    assert count_ones(everything.erased).tolist() == [sent.n_bits]


@pytest.mark.parametrize("size", [1, 7, 100, 1000])
def test_packets_are_lost_whole(size):
    n_bits = 8 * 2 * 1000 + 3
    sent = PackedBits.from_bits(np.ones(n_bits, np.uint8))
    link = Link.parse(f"packet_erasure(0.3, bytes={size})")
    got = link.transmit(sent, range(200))
    lost = np.unpackbits(got.erased, axis=1, count=n_bits)
    packets = math.ceil(math.ceil(n_bits / 8) / size)
    share = []
    for number in range(packets):
        packet = lost[:, 8 * size * number : 8 * size * (number + 1)]
        assert (packet == packet[:, :1]).all()
        share.append(packet[:, 0])
    total = int(np.sum(share))
    assert stats.binomtest(total, 200 * packets, 0.3).pvalue > LEVEL
    np.testing.assert_array_equal(got.bits, ~got.erased & sent.data)


def test_bursts_of_packets():
    n = 40_000
    sent = zeros(8 * n)
    got = Link.parse("packet_erasure(0.1, bytes=1, burst=4)").transmit(sent, range(20))
    lost = (got.erased == 0xFF).astype(int)
    begun = (np.diff(lost, axis=1) == 1).sum()
    assert lost.mean() == pytest.approx(0.1, abs=0.005)
    assert lost[:, 1:].sum() / begun == pytest.approx(4, rel=0.03)


@pytest.mark.parametrize(
    ("text", "marked"),
    [
        ("bsc(0.6)", "0.6"),
        ("bsc(-0.1)", "-0.1"),
        ("bsc(p=1e999)", "p=1e999"),
        ("bec(1.01)", "1.01"),
        ("packet_erasure(2)", "2"),
        ("packet_erasure(0.1, bytes=0)", "bytes=0"),
        ("packet_erasure(0.9, burst=2)", "burst=2"),
        ("packet_erasure(0.1, burst=0.5)", "burst=0.5"),
        ("gilbert_elliott(1.5, 10)", "1.5"),
        ("gilbert_elliott(0.8, 3)", "3"),
        ("gilbert_elliott(0.1, 10, ber_bad=0.7)", "ber_bad=0.7"),
        ("gilbert_elliott(0.1, 10, ber_good=-1)", "ber_good=-1"),
        ("qpsk|awgn(ebno_db=1000)", "ebno_db=1000"),
        ("qpsk|awgn(esno_db=-1e999)", "esno_db=-1e999"),
        ("qpsk|awgn(ebno_db=1, esno_db=2)", "awgn(ebno_db=1, esno_db=2)"),
        ("qpsk|awgn", "awgn"),
    ],
)
def test_values_out_of_range_are_pointed_at(text, marked):
    with pytest.raises(SpecError) as caught:
        Link.parse(text)
    assert text[caught.value.start : caught.value.end] == marked


def test_media_can_follow_one_another():
    rng = np.random.default_rng(2)
    sent = PackedBits.from_bits(rng.integers(0, 2, 400_000, np.uint8))
    link = Link.parse("bec(0.1)|bsc(0.02)|bsc(0.03)", ("llr",))
    got = link.transmit(sent)
    wrong = 0.02 * 0.97 + 0.03 * 0.98
    lost = np.unpackbits(got.erased[0], count=sent.n_bits).astype(bool)
    errors = (np.unpackbits(got.bits[0], count=sent.n_bits) != sent.unpack()) & ~lost
    assert stats.binomtest(int(errors.sum()), int((~lost).sum()), wrong).pvalue > LEVEL
    assert np.abs(got.llr[0][~lost]) == pytest.approx(math.log((1 - wrong) / wrong), rel=1e-6)
    assert (got.llr[0][lost] == 0).all()
    assert not (got.bits & got.erased).any()
    assert "ber" not in link.ledger(100).facts


def test_llrs_of_hard_bits():
    bits = PackedBits.from_bits(np.array([0, 1, 1, 0, 0, 1, 0, 1, 1, 0, 1], np.uint8))
    mask = PackedBits.from_bits(np.array([0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1], np.uint8))
    got = llr_from_bits(bits.data[None], 11, 0.2, mask.data[None])
    sign = 1 - 2.0 * bits.unpack()
    np.testing.assert_allclose(got[0], sign * math.log(4) * (1 - mask.unpack()), rtol=1e-6)
    assert np.isfinite(llr_from_bits(bits.data[None], 11, 0.0)).all()
    assert (llr_from_bits(bits.data[None], 11, 0.5) == 0).all()


def test_counting_errors():
    rng = np.random.default_rng(3)
    for rows, n_bytes in ((0, 5), (3, 0), (1, 1), (7, 13), (2, 300_003), (50_000, 3)):
        sent, got = rng.integers(0, 256, (2, rows, n_bytes), np.uint8)
        plain = np.unpackbits(sent ^ got, axis=1).sum(axis=1)
        np.testing.assert_array_equal(count_errors(sent, got), plain)
        np.testing.assert_array_equal(count_ones(got), np.unpackbits(got, axis=1).sum(axis=1))
        if rows:
            np.testing.assert_array_equal(
                count_errors(sent[:1], got), np.unpackbits(sent[:1] ^ got, axis=1).sum(axis=1)
            )

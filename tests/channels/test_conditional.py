"""Trials on condition of a hit: distributions, weights and what they can't be asked of."""

import math

import numpy as np
import pytest
from scipy import stats

from channels.bits import PackedBits, count_errors, count_ones
from channels.conditional import first_hit, hit_position_blocks, hit_probability
from channels.link import Link
from channels.noise import NoiseStream
from channels.spec import SpecError

#: A true statement is refused this often.
LEVEL = 1e-6


def payload(n_bits, seed=0):
    return PackedBits.from_bits(np.random.default_rng(seed).integers(0, 2, n_bits, np.uint8))


def generators(count, seed=0):
    stream = NoiseStream(seed, "conditional")
    return [stream.generator(trial) for trial in range(count)]


def hits(sent, got):
    """Bits that the medium hit: wrong ones, or lost ones."""
    if got.erased is not None:
        return count_ones(got.erased)
    return count_errors(sent.data, got.bits)


@pytest.mark.parametrize(("p", "n"), [(1e-9, 10**6), (0.01, 100), (0.3, 7), (1.0, 5), (5e-324, 9)])
def test_weight_is_the_closed_form(p, n):
    exact = 1.0 if p == 1 else -math.expm1(n * math.log1p(-p))
    assert hit_probability(p, n) == pytest.approx(exact, rel=1e-12, abs=5e-324)
    assert hit_probability(p, 0) == hit_probability(0.0, n) == 0


def test_extremes_stay_in_range():
    for p in (5e-324, 1e-300, 1e-12, 0.5, 1 - 1e-16, 1.0):
        for n in (1, 2, 1000, 10**9):
            for rng in generators(20):
                assert 0 <= first_hit(rng, p, n) < n
    positions = np.concatenate(list(hit_position_blocks(generators(1)[0], 1.0, 4)))
    assert positions.tolist() == [0, 1, 2, 3]


def test_first_hit_is_truncated_geometric():
    p, n, draws = 0.02, 40, 20_000
    found = np.bincount([first_hit(rng, p, n) for rng in generators(draws)], minlength=n)
    expected = (1 - p) ** np.arange(n) * p / hit_probability(p, n)
    assert stats.chisquare(found, draws * expected).pvalue > LEVEL


@pytest.mark.parametrize("text", ["bsc(0.01)", "bec(0.01)"])
def test_number_of_hits_is_binomial_without_none(text):
    n, p, trials = 120, 0.01, 8000
    sent = payload(n)
    got = Link.parse(text).transmit(sent, range(trials), at_least_one=True)
    found = np.bincount(np.minimum(hits(sent, got), 6), minlength=7)
    assert found[0] == 0
    expected = stats.binom.pmf(np.arange(1, 7), n, p)
    expected[-1] = stats.binom.sf(5, n, p)
    assert expected.sum() == pytest.approx(got.weight, rel=1e-12)
    assert stats.chisquare(found[1:], trials * expected / got.weight).pvalue > LEVEL


@pytest.mark.parametrize("text", ["bsc(1e-6)", "bec(1e-6)"])
def test_rare_hits_have_the_right_weighted_mean_and_places(text):
    """n p = 1e-3: of 4000 ordinary trials about four would be hit, here all are."""
    n, p, trials = 1000, 1e-6, 4000
    sent = payload(n)
    got = Link.parse(text).transmit(sent, range(trials), at_least_one=True)
    count = hits(sent, got)
    assert count.min() == 1
    assert got.weight == pytest.approx(1 - (1 - p) ** n, rel=1e-9)
    # the mean is n p: of the hit trials, those with a second error are binomial
    more = stats.binom.sf(1, n, p) / got.weight
    assert stats.binomtest(int((count > 1).sum()), trials, more).pvalue > LEVEL
    variance = (n * p * (1 - p) + (n * p) ** 2) / got.weight - (n * p / got.weight) ** 2
    error = got.weight * count.mean() - n * p
    assert abs(error) < 5.3 * got.weight * math.sqrt(variance / trials)
    mask = got.bits ^ sent.data if got.erased is None else got.erased
    places = np.unpackbits(mask, axis=1).sum(axis=0).reshape(20, 50).sum(axis=1)
    assert stats.chisquare(places).pvalue > LEVEL, "some places are hit more often than others"


@pytest.mark.parametrize("modulation", ["bpsk", "qpsk"])
@pytest.mark.parametrize("esno_db", [2, 12])
def test_modulated_bits_err_as_their_closed_form(modulation, esno_db):
    n, trials = 60, 6000
    link = Link.parse(f"{modulation}|awgn(esno_db={esno_db})")
    p = link.ledger(n).facts["ber"]
    sent = payload(n)
    got = link.transmit(sent, range(trials), at_least_one=True)
    assert got.bit_errors.min() >= 1, "a decision was rounded back"
    assert got.weight == pytest.approx(-math.expm1(n * math.log1p(-p)), rel=1e-12)
    most = 8 if esno_db == 2 else 2
    found = np.bincount(np.minimum(got.bit_errors, most), minlength=most + 1)[1:]
    expected = stats.binom.pmf(np.arange(1, most + 1), n, p)
    expected[-1] = stats.binom.sf(most - 1, n, p)
    expected *= trials / got.weight
    if expected.min() > 1:
        assert stats.chisquare(found, expected).pvalue > LEVEL
    else:
        assert stats.binomtest(int(found[-1]), trials, expected[-1] / trials).pvalue > LEVEL
    places = np.unpackbits(got.bits ^ sent.data, axis=1, count=n).sum(axis=0)
    assert abs(places - places.mean()).max() < 6 * math.sqrt(places.mean())


@pytest.mark.parametrize("modulation", ["bpsk", "qpsk"])
def test_weighted_noise_is_the_noise_itself(modulation):
    """Of common errors, clean trials and hit ones together are the ordinary distribution."""
    link, n, trials = Link.parse(f"{modulation}|awgn(esno_db=4)"), 12, 6000
    sent = payload(n)
    plain = link.transmit(sent, range(trials)).bit_errors
    hit = link.transmit(sent, range(trials), NoiseStream(9, "hit"), at_least_one=True)
    clean_share = np.mean(plain == 0)
    assert stats.binomtest(int((plain == 0).sum()), trials, 1 - hit.weight).pvalue > LEVEL
    counts = [np.bincount(np.minimum(e, 4), minlength=5)[1:] for e in (plain, hit.bit_errors)]
    assert clean_share > 0.2
    assert stats.chi2_contingency(np.array(counts)).pvalue > LEVEL


@pytest.mark.parametrize(
    "text",
    ["bsc(1e-5)", "bec(1e-5)", "packet_erasure(0.01, bytes=8)", "qpsk|awgn(esno_db=9)"],
)
def test_noise_does_not_depend_on_the_batch(text):
    sent, link = payload(777), Link.parse(text)
    together = link.transmit(sent, range(6), at_least_one=True)
    again = link.transmit(sent, [5, 4, 3, 2, 1, 0], at_least_one=True)
    assert np.array_equal(together.bits, again.bits[::-1])
    for trial in range(6):
        alone = link.transmit(sent, [trial], at_least_one=True)
        assert np.array_equal(alone.bits[0], together.bits[trial])
        assert alone.weight == together.weight
    assert link.transmit(sent, range(6)).weight == 1


def test_lost_packets():
    n, p = 80 * 64, 0.01
    link = Link.parse(f"packet_erasure({p}, bytes=8)")
    got = link.transmit(payload(n), range(3000), at_least_one=True)
    assert got.weight == pytest.approx(1 - 0.99**80)
    lost = count_ones(got.erased) / 64
    assert lost.min() == 1
    expected = 80 * p / got.weight
    assert abs(lost.mean() - expected) < 5.3 * lost.std() / math.sqrt(lost.size)


def test_codes_and_frames_before_the_medium():
    """A hit on a coded bit: what is not hit is decoded as it was sent, so the weight holds."""
    link = Link.parse("packets(bytes=16, crc=16)|bsc(1e-4)")
    sent = payload(16 * 8 * 10)
    got = link.transmit(sent, range(4000), at_least_one=True)
    sent_bits = link.ledger(sent.n_bits).sent_bits
    assert got.weight == pytest.approx(-math.expm1(sent_bits * math.log1p(-1e-4)))
    dropped = count_ones(got.erased) / 128
    assert dropped.min() == 1
    per_packet = -math.expm1(160 * math.log1p(-1e-4))
    estimate = got.weight * dropped.mean()
    deviation = got.weight * dropped.std() / math.sqrt(dropped.size)
    assert abs(estimate - 10 * per_packet) < 5.3 * deviation
    hard = Link.parse("rs|bsc(1e-5)").transmit(payload(3000), range(20), at_least_one=True)
    assert hard.bit_errors.sum() == 0, "RS corrects single errors"


@pytest.mark.parametrize(
    ("text", "wants", "marked"),
    [
        ("qam16|awgn(esno_db=15)", (), "awgn(esno_db=15)"),
        ("qpsk|awgn(esno_db=9)", ("llr",), "awgn(esno_db=9)"),
        ("conv|qpsk|awgn(esno_db=9)", (), "awgn(esno_db=9)"),
        ("qpsk|rayleigh|awgn(esno_db=9)", (), "rayleigh"),
        ("gilbert_elliott(0.1, 9)", (), "gilbert_elliott(0.1, 9)"),
        ("packet_erasure(0.1, burst=3)", (), "packet_erasure(0.1, burst=3)"),
        ("bsc(1e-3)|bec(0.1)", (), "bsc(1e-3)"),
    ],
)
def test_links_whose_probability_is_not_known(text, wants, marked):
    link = Link.parse(text, wants)
    assert link.hit_probability(1000) is None
    with pytest.raises(SpecError, match="is not known for this link") as caught:
        link.transmit(payload(1000), at_least_one=True)
    assert text[caught.value.start : caught.value.end] == marked


@pytest.mark.parametrize(("text", "n_bits"), [("clean", 99), ("bsc(0)", 99), ("bsc(0.1)", 0)])
def test_what_can_not_be_hit(text, n_bits):
    with pytest.raises(SpecError, match=f"can't hit a payload of {n_bits} bits"):
        Link.parse(text).transmit(payload(n_bits), at_least_one=True)

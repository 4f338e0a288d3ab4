"""Bulk Gaussian numbers against numpy's own, and against the normal distribution."""

import math

import numpy as np
import pytest
from scipy import stats

from channels import gaussian
from channels.bits import PackedBits
from channels.gaussian import NormalSource, _tables, _ziggurat
from channels.link import Link
from channels.noise import NoiseStream


def generator(trial=0):
    return NoiseStream(3, "gaussian").generator(trial)


def test_numbers_are_numpys_bit_for_bit():
    """Four million cover all branches: the tail is reached once in 3,700 numbers."""
    n = 4_000_000
    assert gaussian.same_as_numpy()
    ours, theirs = np.empty((2, n), np.float32)
    source = NormalSource(generator(), n)
    assert source._fast
    at, sizes = 0, np.random.default_rng(0).integers(0, 60_000, 1000)
    for size in sizes:  # however they are asked for
        source.fill(ours[at : at + size])
        at += size
        if at >= n:
            break
    generator().standard_normal(out=theirs, dtype=np.float32)
    np.testing.assert_array_equal(ours, theirs)
    assert np.abs(theirs).max() > gaussian._TAIL


@pytest.mark.parametrize("words", [1, 2, 3, 64])
def test_numbers_do_not_depend_on_how_words_arrive(monkeypatch, words):
    monkeypatch.setattr(gaussian, "_WORDS", words)
    ours, theirs = np.empty((2, 20_000), np.float32)
    source = NormalSource(generator(1), gaussian.FEW + 1)
    source.fill(ours)
    generator(1).standard_normal(out=theirs, dtype=np.float32)
    np.testing.assert_array_equal(ours, theirs)


def test_kernel_does_what_its_plain_form_does():
    words = generator(2).bit_generator.random_raw(3000).view(np.uint32)
    arguments = (words, *_tables(), np.float32(gaussian._TAIL), np.float32(1 / gaussian._TAIL))
    fast, plain = np.zeros((2, 7000), np.float32)
    assert _ziggurat(arguments[0], fast, *arguments[1:]) == _ziggurat.plain(
        arguments[0], plain, *arguments[1:]
    )
    np.testing.assert_array_equal(fast, plain)


def test_layers_have_equal_areas():
    """Area of each layer, v = r f(r) + integral of the tail; Marsaglia and Tsang, section 2."""
    thresholds, widths, heights = _tables()
    edges = widths.astype(float) * 2**23
    r = gaussian._TAIL
    tail = math.sqrt(2 * math.pi) * stats.norm.sf(r)
    area = r * math.exp(-r * r / 2) + tail
    layers = edges[1:] * -np.diff(heights.astype(float))
    np.testing.assert_allclose(layers, area, rtol=2e-4)
    assert edges[0] * heights[-1] == pytest.approx(area, rel=1e-6)
    assert thresholds[1] == 0
    assert heights[0] == 1


def test_numbers_are_normal():
    n = 4_000_000
    x = np.empty(n, np.float32)
    NormalSource(generator(4), n).fill(x)
    x = x.astype(float)
    assert np.mean(x) == pytest.approx(0, abs=5 / math.sqrt(n))
    assert np.var(x) == pytest.approx(1, abs=5 * math.sqrt(2 / n))
    for edge in (1, 2, 3, 4, 4.5):
        beyond = int((np.abs(x) > edge).sum())
        assert stats.binomtest(beyond, n, 2 * stats.norm.sf(edge)).pvalue > 1e-6
    assert stats.kstest(x[:500_000], "norm").pvalue > 1e-6


def test_numpy_itself_is_used_where_it_draws_otherwise(monkeypatch):
    monkeypatch.setattr(gaussian, "same_as_numpy", lambda: False)
    x, y = np.empty((2, 1000), np.float32)
    source = NormalSource(generator(5), 10**7)
    source.fill(x)
    generator(5).standard_normal(out=y, dtype=np.float32)
    assert not source._fast
    np.testing.assert_array_equal(x, y)


def test_half_a_word_that_waits_is_not_lost():
    ours, theirs = generator(6), generator(6)
    assert ours.random(dtype=np.float32) == theirs.random(dtype=np.float32)
    x, y = np.empty((2, 1000), np.float32)
    NormalSource(ours, 10**7).fill(x)
    theirs.standard_normal(out=y, dtype=np.float32)
    np.testing.assert_array_equal(x, y)


def test_long_and_short_payloads_meet_the_same_noise():
    n_bits = 600_000
    sent = PackedBits.from_bits(np.random.default_rng(0).integers(0, 2, n_bits, np.uint8))
    link = Link.parse("qpsk|awgn(esno_db=3)")
    long = link.transmit(sent)
    short = link.transmit(PackedBits(sent.data[:1000].copy(), 8000))
    assert n_bits > gaussian.FEW
    np.testing.assert_array_equal(long.bits[:, :1000], short.bits)

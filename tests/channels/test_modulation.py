"""Constellations against TS 38.211, decisions and LLRs against plain searches over all points."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from channels.bits import PackedBits
from channels.link import CHANNELS, Link
from channels.media.awgn import AWGN
from channels.modulation import map_bits
from channels.stage import Batch, Context

MODULATIONS = {"bpsk": 1, "qpsk": 2, "qam16": 4, "qam64": 6, "qam256": 8, "qam1024": 10}


def standard_point(b):
    """TS 38.211 V17, sections 5.1.2 to 5.1.7, formula by formula; b is a list of bits."""
    s = [1 - 2 * int(bit) for bit in b]
    if len(b) == 1:
        return (s[0] + 1j * s[0]) / math.sqrt(2)
    if len(b) == 2:
        return (s[0] + 1j * s[1]) / math.sqrt(2)
    if len(b) == 4:
        return (s[0] * (2 - s[2]) + 1j * s[1] * (2 - s[3])) / math.sqrt(10)
    if len(b) == 6:
        i = s[0] * (4 - s[2] * (2 - s[4]))
        q = s[1] * (4 - s[3] * (2 - s[5]))
        return (i + 1j * q) / math.sqrt(42)
    if len(b) == 8:
        i = s[0] * (8 - s[2] * (4 - s[4] * (2 - s[6])))
        q = s[1] * (8 - s[3] * (4 - s[5] * (2 - s[7])))
        return (i + 1j * q) / math.sqrt(170)
    i = s[0] * (16 - s[2] * (8 - s[4] * (4 - s[6] * (2 - s[8]))))
    q = s[1] * (16 - s[3] * (8 - s[5] * (4 - s[7] * (2 - s[9]))))
    return (i + 1j * q) / math.sqrt(682)


def all_points(bits):
    labels = np.arange(1 << bits)[:, None] >> np.arange(bits)[::-1] & 1
    return np.array([standard_point(b) for b in labels]), labels


def distances(symbols, points):
    return np.abs(symbols.astype(complex)[:, None] - points[None, :]) ** 2


def likelihood_ratios(symbols, noise, points, labels, exact):
    """Plain float64: all points, straight from the definition."""
    metric = -distances(symbols, points) / np.broadcast_to(noise, symbols.shape)[:, None]
    join = np.logaddexp.reduce if exact else np.maximum.reduce
    columns = []
    for bit in range(labels.shape[1]):
        zero, one = labels[:, bit] == 0, labels[:, bit] == 1
        columns.append(join(metric[:, zero], axis=1) - join(metric[:, one], axis=1))
    return np.stack(columns, axis=1).reshape(-1)


def demap(name, symbols, noise=1.0, llr="maxlog", soft=True, n_bits=None):
    stage = CHANNELS.create(f"{name}(llr={llr})")
    stage.configure(Context(1.0, MODULATIONS[name], soft))
    n_bits = symbols.size * MODULATIONS[name] if n_bits is None else n_bits
    batch = Batch(n_bits, symbols=symbols[None].astype(np.complex64), noise=noise)
    return stage.backward(batch, n_bits)


def noisy(name, esno_db, n=600, seed=0):
    rng = np.random.default_rng(seed)
    points, _ = all_points(MODULATIONS[name])
    noise = 10 ** (-esno_db / 10)
    white = rng.standard_normal((n, 2)) @ [1, 1j] * math.sqrt(noise / 2)
    return (points[rng.integers(0, points.size, n)] + white).astype(np.complex64), noise


@pytest.mark.parametrize("name", MODULATIONS)
def test_points_are_those_of_the_standard(name):
    points, _ = all_points(MODULATIONS[name])
    ours = CHANNELS.create(name).points
    np.testing.assert_allclose(ours, points, atol=1e-7)
    assert np.mean(np.abs(ours.astype(complex)) ** 2) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("name", MODULATIONS)
def test_points_are_sionnas(name):
    mapping = pytest.importorskip("sionna.phy.mapping")
    kind = "pam" if name == "bpsk" else "qam"
    theirs = mapping.Constellation(kind, MODULATIONS[name]).points.numpy()
    ours = CHANNELS.create(name).points
    if name == "bpsk":  # theirs lies on the real axis
        ours = ours * np.exp(-1j * math.pi / 4)
    np.testing.assert_allclose(ours, theirs, atol=1e-6)


@given(st.integers(1, 5).map(lambda i: 2 * i) | st.just(1), st.binary(min_size=1, max_size=40))
@settings(max_examples=100, deadline=None)
def test_mapping_is_a_look_up_bit_by_bit(bits, data):
    row = np.frombuffer(data, np.uint8)
    n_symbols = -(-8 * row.size // bits)
    points = np.arange(1 << bits).astype(np.complex64)
    out = np.empty(n_symbols, np.complex64)
    map_bits(row, points, bits, out)
    padded = np.concatenate((np.unpackbits(row), np.zeros(bits, np.uint8)))
    groups = padded[: n_symbols * bits].reshape(n_symbols, bits)
    expected = [int("".join(map(str, group)), 2) for group in groups]
    np.testing.assert_array_equal(out.real, expected)


def test_mapping_a_long_row():
    row = np.random.default_rng(0).integers(0, 256, 300_001, np.uint8)
    points = np.arange(64).astype(np.complex64)
    out = np.empty(-(-8 * row.size // 6), np.complex64)
    map_bits(row, points, 6, out)
    bits = np.concatenate((np.unpackbits(row), np.zeros(4, np.uint8)))
    np.testing.assert_array_equal(out.real, bits.reshape(-1, 6) @ (1 << np.arange(6)[::-1]))


@pytest.mark.parametrize("name", MODULATIONS)
@pytest.mark.parametrize("esno_db", [-10, 5, 20, 45])
def test_hard_decisions_are_the_nearest_points(name, esno_db):
    symbols, _ = noisy(name, esno_db)
    points, labels = all_points(MODULATIONS[name])
    nearest = labels[distances(symbols, points).argmin(axis=1)].reshape(-1)
    got = demap(name, symbols, soft=False)
    np.testing.assert_array_equal(np.unpackbits(got.bits[0], count=got.n_bits), nearest)


@pytest.mark.parametrize("name", MODULATIONS)
@pytest.mark.parametrize("llr", ["maxlog", "exact"])
@pytest.mark.parametrize("esno_db", [-15, 0, 10, 25, 60])
def test_llrs_are_those_of_the_definition(name, llr, esno_db):
    symbols, noise = noisy(name, esno_db)
    points, labels = all_points(MODULATIONS[name])
    expected = likelihood_ratios(symbols, noise, points, labels, llr == "exact")
    got = demap(name, symbols, noise, llr).llr[0]
    # float32: what is left of cancelling distances is good to 1e-6 of the largest of them
    scale = np.abs(expected).max()
    np.testing.assert_allclose(got, expected, rtol=2e-5, atol=3e-6 * scale)


@pytest.mark.parametrize("name", MODULATIONS)
def test_maxlog_agrees_with_commpy(name):
    from commpy._modulation.soft_demod import compute_llr

    symbols, noise = noisy(name, 12, seed=1)
    points, labels = all_points(MODULATIONS[name])
    theirs = compute_llr(symbols.astype(complex), points, labels, noise)
    np.testing.assert_allclose(demap(name, symbols, noise).llr[0], theirs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["bpsk", "qpsk"])
def test_two_points_an_axis_have_the_same_llr_both_ways(name):
    symbols, noise = noisy(name, 3)
    both = [demap(name, symbols, noise, llr).llr for llr in ("maxlog", "exact")]
    np.testing.assert_array_equal(*both)


@pytest.mark.parametrize("name", MODULATIONS)
@pytest.mark.parametrize("llr", ["maxlog", "exact"])
def test_each_symbol_may_have_a_noise_of_its_own(name, llr):
    symbols, _ = noisy(name, 8, n=200)
    noise = np.random.default_rng(3).uniform(0.01, 3, symbols.size).astype(np.float32)
    points, labels = all_points(MODULATIONS[name])
    expected = likelihood_ratios(symbols, noise, points, labels, llr == "exact")
    got = demap(name, symbols, noise[None], llr).llr[0]
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize("name", MODULATIONS)
def test_hard_bits_are_the_signs_of_maxlog_llrs_to_the_last_bit(name):
    # amplitudes at, and one float beside, every decision boundary
    stage = CHANNELS.create(name)
    edges = (np.arange(-40, 41) / stage._axis.scale).astype(np.float32)
    near = [edges, np.nextafter(edges, np.float32(9)), np.nextafter(edges, np.float32(-9))]
    values = np.concatenate([*near, np.float32([0.0, -0.0, 1e-38, -1e-38])])
    symbols = (values[:, None] + 1j * values[None, :]).astype(np.complex64).ravel()
    soft = demap(name, symbols, 0.1)
    hard = demap(name, symbols, 0.1, soft=False)
    np.testing.assert_array_equal(np.packbits(soft.llr < 0, axis=1), hard.bits)
    np.testing.assert_array_equal(soft.bits, hard.bits)


@pytest.mark.parametrize("name", MODULATIONS)
def test_what_is_no_number_tells_nothing(name):
    symbols = np.array([np.nan + 1j * np.nan, 1e30 - 1e30j, np.inf + 0j, 0.3 + 0.2j], np.complex64)
    for llr in ("maxlog", "exact"):
        got = demap(name, symbols, 0.5, llr)
        assert np.isfinite(got.llr).all()
        assert (got.llr[0, : MODULATIONS[name]] == 0).all()
    assert np.isfinite(demap(name, symbols, 0.0).llr).all()


@pytest.mark.parametrize("name", MODULATIONS)
@pytest.mark.parametrize("n_bits", [0, 1, 7, 8, 10, 61, 30_003])
def test_padding_is_counted_and_taken_off_again(name, n_bits):
    bits = MODULATIONS[name]
    link = Link.parse(f"{name}|awgn(esno_db=60)", ("llr",))
    ledger = link.ledger(n_bits)
    assert ledger.padding == -n_bits % bits
    assert ledger.channel_uses == (n_bits + ledger.padding) // bits
    rng = np.random.default_rng(n_bits)
    sent = PackedBits.from_bits(rng.integers(0, 2, n_bits, np.uint8))
    for wants in ((), ("llr",)):
        got = Link.parse(f"{name}|awgn(esno_db=60)", wants).transmit(sent, range(2))
        assert not got.bit_errors.any()
        assert got.bits.tolist() == [sent.data.tolist()] * 2
    assert got.llr.shape == (2, n_bits)
    np.testing.assert_array_equal(got.llr[0] < 0, sent.unpack())


@pytest.mark.parametrize("name", MODULATIONS)
def test_kernels_do_what_their_plain_form_does(name):
    from channels.demapping import HUGE, TINY, _exact, _maxlog

    symbols, noise = noisy(name, 10, n=40)
    stage = CHANNELS.create(name)
    amplitudes, t = stage._axes(symbols), stage._axis
    variance = np.full(symbols.size, noise, np.float32)
    out = np.empty((2, symbols.size * MODULATIONS[name] - 1), np.float32)
    arguments = (amplitudes, variance, t.scale, t.spread, t.middle, t.slope, HUGE, TINY)
    _maxlog(*arguments, out[0])
    _maxlog.plain(*arguments, out[1])
    np.testing.assert_array_equal(out[0], out[1])
    arguments = (amplitudes, variance, t.scale, t.spread, t.levels, t.labels, HUGE, TINY)
    _exact(*arguments, out[0])
    _exact.plain(*arguments, out[1])
    np.testing.assert_allclose(out[0], out[1], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", MODULATIONS)
def test_noise_has_the_power_that_is_said(name):
    """Variance N0 in all, half on each axis, none in common."""
    n = 400_000
    symbols = np.zeros((1, n), np.complex64)
    stage = AWGN(ebno_db=3.0)
    stage.configure(Context(0.5, MODULATIONS[name], False))
    rng = np.random.default_rng(11)
    noise = stage.forward(Batch(n, symbols=symbols), [rng])[0].symbols[0].astype(complex)
    n0 = 1 / (10**0.3 * 0.5 * MODULATIONS[name])  # Es = 1 = Eb x rate x bits per symbol
    error = n0 / math.sqrt(n)  # of a mean of squares of complex Gaussians
    assert np.mean(np.abs(noise) ** 2) == pytest.approx(n0, abs=5 * error)
    for axis in (noise.real, noise.imag):
        assert np.var(axis) == pytest.approx(n0 / 2, abs=5 * error / math.sqrt(2))
        assert np.mean(axis) == pytest.approx(0, abs=5 * math.sqrt(n0 / 2 / n))
        # fourth moment of a Gaussian: 3 sigma**4, variance of x**4 is 96 sigma**8
        kurtosis = np.mean(axis**4) / (n0 / 2) ** 2
        assert kurtosis == pytest.approx(3, abs=5 * math.sqrt(96 / n))
    assert np.mean(noise.real * noise.imag) == pytest.approx(0, abs=5 * n0 / 2 / math.sqrt(n))

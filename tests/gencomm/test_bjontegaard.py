"""Bjontegaard deltas against published values, closed forms and another implementation."""

import numpy as np
import pytest

from gencomm.metrics.bjontegaard import bd_quality, bd_rate

#: JCTVC-E137 (Geneva, 2011), as published with the BD-rate of its spreadsheet in the tests of
#: VMAF and of Android's CTS: anchor, test, BD-rate as a fraction (PCHIP).
E137 = [
    (
        ([108048.8736, 61279.976, 33905.6656, 18883.6928], [43.6471, 40.3953, 37.247, 34.2911]),
        ([108061.2784, 61299.9936, 33928.7472, 18910.912], [43.6768, 40.4232, 37.2761, 34.3147]),
        -0.00465215420752807,
    ),
    (
        ([40433.8848, 7622.7456, 2394.488, 1017.6184], [37.5761, 35.3756, 33.8977, 32.0603]),
        ([40370.12, 7587.0024, 2390.0944, 1017.0984], [37.5982, 35.4025, 33.9194, 32.0822]),
        -0.018779823450567612,
    ),
]
#: The example of FAU-LMS/bjontegaard (libx265 with two presets).
X265 = (
    [9487.76, 4593.60, 2486.44, 1358.24],
    [40.037, 38.615, 36.845, 34.851],
    [9787.80, 4469.00, 2451.52, 1356.24],
    [40.121, 38.651, 36.970, 34.987],
)
#: The same with six points, unevenly spaced (its third test case).
SIX = (
    [82472.76, 26875.24, 9487.76, 4593.6, 3600, 2900],
    [43.825, 41.404, 40.037, 38.615, 36.5, 35.1],
    [99896.96, 33952.04, 9787.8, 4469.0, 4040, 3300],
    [44.731, 41.875, 40.121, 38.651, 37, 36.5],
)
METHODS = ("pchip", "akima", "cubic")


@pytest.mark.parametrize(("anchor", "test", "published"), E137)
def test_the_spreadsheet_of_jctvc(anchor, test, published):
    assert bd_rate(*anchor, *test).value / 100 == pytest.approx(published, abs=1e-9)


@pytest.mark.parametrize("points", [X265, SIX], ids=["x265", "six"])
@pytest.mark.parametrize("method", METHODS)
def test_another_implementation(points, method):
    other = pytest.importorskip("bjontegaard")
    expected = other.bd_rate(*map(np.array, points), method=method, min_overlap=0)
    assert bd_rate(*points, method=method).value == pytest.approx(expected, abs=1e-8)
    expected = other.bd_psnr(*map(np.array, points), method=method, min_overlap=0)
    assert bd_quality(*points, method=method).value == pytest.approx(expected, abs=1e-8)


@pytest.mark.parametrize("method", METHODS)
def test_a_curve_shifted_in_rate_and_in_quality(method):
    rate, quality = np.array([1, 2, 4.5, 8, 20]), np.array([30, 32.5, 35, 38, 41.0])
    shifted = bd_rate(rate, quality, 0.7 * rate, quality, method=method)
    assert shifted.value == pytest.approx(-30)
    assert (shifted.low, shifted.high) == (30, 41)
    better = bd_quality(rate, quality, rate, quality + 1.25, method=method)
    assert better.value == pytest.approx(1.25)
    assert (better.low, better.high) == pytest.approx((1, 20))
    assert float(better) == better.value


def line(rates, slope=6.0, offset=30.0):
    """Quality = offset + slope log2(rate): every method draws it exactly."""
    rates = np.asarray(rates, float)
    return rates, offset + slope * np.log2(rates)


@pytest.mark.parametrize("method", METHODS)
def test_straight_lines_in_closed_form(method):
    # at quality q the rates are 2^((q - 30) / 6) and 2^((q - 29) / 5): the difference of their
    # logarithms is linear in q, and its mean is that in the middle of the overlap
    anchor, test = line([0.25, 0.5, 1, 2, 4]), line([0.5, 1, 2, 4, 8], 5, 29)
    low, high = max(18, 24), min(42, 44)
    middle = (low + high) / 2
    expected = 100 * (2 ** ((middle - 29) / 5 - (middle - 30) / 6) - 1)
    delta = bd_rate(*anchor, *test, method=method)
    assert (delta.low, delta.high) == (low, high)
    assert delta.value == pytest.approx(expected)
    # over log2 of the rate from -1 to 2 the difference is -1 - x, in the middle -1.5
    delta = bd_quality(*anchor, *test, method=method)
    assert delta.value == pytest.approx(-1.5)
    assert (delta.low, delta.high) == pytest.approx((0.5, 4))


@pytest.mark.parametrize("method", METHODS)
def test_a_band_of_rates_cuts_both_curves(method):
    anchor, test = line([0.25, 0.5, 1, 2, 4]), line([0.25, 0.5, 1, 2, 4], 6, 33)
    delta = bd_rate(*anchor, *test, method=method, rates=(0.5, 2))
    # the anchor goes from 24 to 36 there, the test from 27 to 39
    assert (delta.low, delta.high) == pytest.approx((27, 36))
    assert delta.value == pytest.approx(100 * (2**-0.5 - 1))
    delta = bd_quality(*anchor, *test, method=method, rates=(0.5, 100))
    assert (delta.low, delta.high) == pytest.approx((0.5, 4))
    assert delta.value == pytest.approx(3)


def test_order_does_not_matter():
    order = [2, 0, 3, 1]
    points = [np.array(values)[order] for values in X265]
    assert bd_rate(*points) == bd_rate(*X265)


def test_there_and_back():
    forth, back = bd_rate(*X265).value, bd_rate(*X265[2:], *X265[:2]).value
    assert (1 + forth / 100) * (1 + back / 100) == pytest.approx(1)


GOOD = ([1, 2, 3, 4], [30, 31, 32, 33])


@pytest.mark.parametrize("function", [bd_rate, bd_quality])
@pytest.mark.parametrize(
    ("rate", "quality", "word"),
    [
        ([1, 2, 3], [30, 31, 32], "needs 4 points, this one has 3"),
        ([], [], "needs 4 points"),
        ([1, 2, 3, 4], [30, 31, np.nan, 33], "finite"),
        ([1, 2, 3, np.inf], [30, 31, 32, 33], "finite"),
        ([0, 2, 3, 4], [30, 31, 32, 33], "above zero"),
        ([1, 2, 3, 4], [30, 31, 30.5, 33], "quality doesn't rise from point 2 to 3"),
        ([1, 2, 3, 4], [30, 31, 31, 33], "quality doesn't rise"),
        ([1, 2, 2, 4], [30, 31, 32, 33], "rate doesn't rise from point 2 to 3"),
        ([1, 2, 3], [30, 31, 32, 33], "no list of points"),
    ],
)
def test_curves_that_are_none(function, rate, quality, word):
    with pytest.raises(ValueError, match=word):
        function(*GOOD, rate, quality)
    with pytest.raises(ValueError, match=word):
        function(rate, quality, *GOOD)


def test_no_overlap():
    with pytest.raises(ValueError, match="no quality in common: 30 to 33 and 40 to 43"):
        bd_rate(*GOOD, [1, 2, 3, 4], [40, 41, 42, 43])
    with pytest.raises(ValueError, match="no rate in common"):
        bd_quality(*GOOD, [10, 20, 30, 40], [30, 31, 32, 33])
    with pytest.raises(ValueError, match="no rate between 5 and 6"):
        bd_rate(*GOOD, *GOOD, rates=(5, 6))
    with pytest.raises(ValueError, match="no rate in common"):
        bd_quality(*GOOD, *GOOD, rates=(5, 6))


def test_options_that_are_none():
    with pytest.raises(ValueError, match="pchip, akima, cubic"):
        bd_rate(*GOOD, *GOOD, method="linear")
    with pytest.raises(ValueError, match="lower to a higher"):
        bd_rate(*GOOD, *GOOD, rates=(2, 1))

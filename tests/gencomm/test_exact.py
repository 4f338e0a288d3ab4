"""Networks in integers against integers of Python and int64, never against themselves."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gencomm.bitstream import exact
from gencomm.bitstream.exact import Convolution, activate, check_bounds, output, strips


def reference(weights, bias, planes):
    """A 3x3 or 1x1 correlation in int64, place by place."""
    whole = np.rint(weights.astype(np.float64) * 2**15).astype(np.int64)
    side = weights.shape[2]
    height, width = (n - side + 1 for n in planes.shape[1:])
    out = np.empty((len(weights), height, width), np.int64)
    for y in range(height):
        for x in range(width):
            window = planes[:, y : y + side, x : x + side].astype(np.int64)
            out[:, y, x] = (whole * window).sum((1, 2, 3))
    return out + np.rint(bias.astype(np.float64) * 2**25).astype(np.int64)[:, None, None]


@pytest.mark.parametrize("side", [1, 3])
@pytest.mark.parametrize(("step", "start"), [(1, (0, 0)), (2, (0, 1)), (2, (1, 0))])
def test_convolutions_equal_those_in_int64(side, step, start):
    rng = np.random.default_rng(side)
    weights = rng.normal(0, 1, (5, 7, side, side)).astype(np.float16)
    bias = rng.normal(0, 3, 5).astype(np.float16)
    planes = rng.integers(-exact.MAX_ACTIVATION, exact.MAX_ACTIVATION, (7, 11, 9))
    expected = reference(weights, bias, planes)[:, start[0] :: step, start[1] :: step]
    convolution = Convolution(weights, bias)
    found = convolution(planes.astype(np.float32), slice(0, expected.shape[1]), start, step)
    assert np.array_equal(found, expected)
    part = convolution(planes.astype(np.float32), slice(1, 3), start, step)
    assert np.array_equal(part, expected[:, 1:3])


def test_sums_at_their_largest_are_exact():
    # the worst that passes the check, against Python's integers
    inputs = 1 << 15
    weights = np.full((1, inputs, 1, 1), 8 - 2**-7, np.float16)
    convolution = Convolution(weights)
    check_bounds(convolution)
    planes = np.full((inputs, 1, 1), exact.MAX_ACTIVATION - 1, np.float32)
    whole = (2**18 - 2**8) * (exact.MAX_ACTIVATION - 1) * inputs
    assert whole > 2**51
    assert int(convolution(planes, slice(0, 1))[0, 0, 0]) == whole
    with pytest.raises(ValueError, match="too large for exact sums"):
        check_bounds(convolution, convolution, rest=2.0**52)


@pytest.mark.parametrize("bad", [8.01, np.inf, np.nan])
def test_weights_that_are_no_integers(bad):
    with pytest.raises(ValueError, match="beyond 8"):
        Convolution(np.full((1, 1, 1, 1), bad, np.float16))


@given(st.lists(st.integers(-(2**52), 2**52), min_size=1, max_size=20))
def test_activations_are_shifts(sums):
    found = activate(np.array(sums, np.float64))
    for value, got in zip(sums, found, strict=True):
        whole = max(-(2**19), min(value >> 15, 2**19))
        assert got == max(whole, whole >> 3)


@given(st.lists(st.integers(-(2**52), 2**52), min_size=1, max_size=20))
def test_outputs_are_shifts(sums):
    expected = [max(-(2**26), min(value >> 9, 2**26)) for value in sums]
    assert output(np.array(sums, np.float64)).tolist() == expected


@given(st.integers(1, 200), st.integers(0, 40000))
def test_strips_cover_all_rows_once(rows, columns):
    covered = [row for part in strips(rows, columns) for row in range(part.start, part.stop)]
    assert covered == list(range(rows))


def test_roots_are_those_of_integers():
    # what `ConditionalCoder.companded` relies on, around squares, where rounding could go wrong
    roots = np.concatenate([np.arange(1, 2000), np.random.default_rng(0).integers(1, 2**26, 20000)])
    for offset in (-1, 0, 1):
        squares = roots.astype(np.int64) ** 2 + offset
        found = np.floor(np.sqrt(squares.astype(np.float64)))
        assert found.tolist() == [math.isqrt(int(value)) for value in squares]

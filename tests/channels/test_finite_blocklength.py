"""The normal approximation against published limits and its own asymptotes."""

import math

import pytest

from channels.finite_blocklength import (
    block_error_rate,
    capacity_and_dispersion,
    required_ebno_db,
    shannon_ebno_db,
)


@pytest.mark.parametrize(
    ("inputs", "ebno_db"),
    # limits at rate 1/2: 0 dB unconstrained; 0.187 dB for binary inputs
    # (Richardson, Shokrollahi, Urbanke, IEEE Trans. Inform. Theory 47(2), 2001)
    [("gaussian", 0.0), ("binary", 0.187)],
)
def test_capacity_at_rate_half(inputs, ebno_db):
    esno_db = ebno_db  # rate 1/2 on each axis: one information bit per complex symbol
    capacity, _ = capacity_and_dispersion(esno_db, inputs)
    assert capacity == pytest.approx(0.5, abs=2e-4)


def test_dispersion_limits():
    # high SNR: log2(e)^2 / 2 per real use; low SNR: V -> snr log2(e)^2 for either input
    assert capacity_and_dispersion(60)[1] == pytest.approx(math.log2(math.e) ** 2 / 2, rel=1e-3)
    for inputs in ("gaussian", "binary"):
        value = capacity_and_dispersion(-40, inputs)[1]
        assert value == pytest.approx(1e-4 * math.log2(math.e) ** 2, rel=1e-2)


def test_long_codes_reach_capacity():
    gap = [required_ebno_db(n // 2, n, 1e-3) - 0.187 for n in (10**3, 10**5, 10**7)]
    assert gap[0] > gap[1] > gap[2] > 0
    # the gap closes as 1 / sqrt(n)
    assert gap[1] / gap[2] == pytest.approx(10, rel=0.15)


def test_known_length():
    # n = 2080, k = 1040, block error rate 1e-2 (shared reference of this project)
    assert required_ebno_db(1040, 2080, 1e-2) == pytest.approx(0.69, abs=0.01)
    esno_db = required_ebno_db(1040, 2080, 1e-2)
    assert block_error_rate(1040, 2080, esno_db) == pytest.approx(1e-2, rel=1e-6)


@pytest.mark.parametrize("arguments", [(10, 10), (0, 5), (5, 10, 0.0), (5, 10, 1.0)])
def test_refuses_the_impossible(arguments):
    with pytest.raises(ValueError, match="bits|need"):
        required_ebno_db(*arguments)


def test_shannon_limit():
    assert shannon_ebno_db(1e-9) == pytest.approx(-1.5917, abs=1e-4)
    assert shannon_ebno_db(2) == pytest.approx(10 * math.log10(1.5))

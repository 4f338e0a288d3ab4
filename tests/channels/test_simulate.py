"""Monte Carlo of links: counts, intervals and the reasons to stop."""

import numpy as np
import pytest
from scipy.stats import binomtest

from channels.simulate import ErrorRates, simulate, simulate_curve
from channels.spec import SpecError


def test_counts_agree_with_the_closed_form():
    rates = simulate("bsc(1e-3)", block_bits=1000, target_block_errors=2000, max_blocks=4000)
    assert rates.bits == rates.blocks * 1000
    assert binomtest(rates.bit_errors, rates.bits, 1e-3).pvalue > 1e-6
    # a block of 1000 bits survives with (1 - p)^1000
    assert binomtest(rates.block_errors, rates.blocks, 1 - 0.999**1000).pvalue > 1e-6


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"target_block_errors": 10}, "block_errors"),
        ({"max_blocks": 7, "target_block_errors": 10**6}, "max_blocks"),
        ({"max_bits": 5000, "target_block_errors": 10**6}, "max_bits"),
        ({"max_seconds": 0, "target_block_errors": 10**9}, "seconds"),
    ],
)
def test_every_reason_to_stop(options, reason):
    rates = simulate("bsc(0.1)", block_bits=1000, **options)
    assert rates.stop_reason == reason
    if "max_blocks" in options:
        assert rates.blocks == options["max_blocks"]


def test_same_seed_same_counts():
    first, second, other = (
        simulate("bsc(0.01)", block_bits=777, max_blocks=300, target_block_errors=10**6, seed=s)
        for s in (1, 1, 2)
    )
    assert (first.bit_errors, first.block_errors) == (second.bit_errors, second.block_errors)
    assert first.bit_errors != other.bit_errors


def test_interval_widens_for_errors_in_bursts():
    """100 blocks of 1000 bits; 500 errors spread evenly, or all of them in 10 blocks."""
    common = {
        "link": "x",
        "block_bits": 1000,
        "blocks": 100,
        "bits": 100_000,
        "bit_errors": 500,
        "ebno_db": None,
        "esno_db": None,
        "theory_ber": None,
        "seconds": 0.0,
        "stop_reason": "max_blocks",
    }
    spread = ErrorRates(block_errors=100, block_square_errors=100 * 5**2, **common)
    bursts = ErrorRates(block_errors=10, block_square_errors=10 * 50**2, **common)
    narrow, wide = spread.ber_interval(), bursts.ber_interval()
    # ten independent bursts: the relative half-width is that of ten counts, about 2 / sqrt(10)
    assert wide[1] - wide[0] > 5 * (narrow[1] - narrow[0])
    assert wide[1] / 5e-3 == pytest.approx(1 + 1.96 / np.sqrt(10), abs=0.35)
    assert wide[0] < 5e-3 < wide[1]


def test_limits_and_links_are_checked():
    with pytest.raises(ValueError, match="target_block_errors must be at least 1"):
        simulate("bsc(0.1)", target_block_errors=0)
    with pytest.raises(ValueError, match="block_bits"):
        simulate("bsc(0.1)", block_bits=0)
    with pytest.raises(SpecError, match="bsd"):
        simulate("bsd(0.1)")
    with pytest.raises(ValueError, match="no placeholder"):
        list(simulate_curve("bsc(0.1)", "ber", [0.1]))

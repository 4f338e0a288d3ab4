"""Ratios of the noise that codecs bear: against curves whose crossings are known."""

import numpy as np
import pandas as pd
import pytest

from gencomm.analysis.ratios import resilience_ratios


def tables(cliffs, axis="ber", points=(1e-6, 1e-5, 1e-4, 1e-3, 1e-2), items=6, spread=0.0):
    """Curves that fall by 3 dB per decade (per 10 dB) from `cliffs` on, in every item alike but
    for a shift of the whole curve by item, which both codecs share."""
    rows, cells = [], []
    shifts = spread * np.linspace(-1, 1, items)
    for codec, cliff in cliffs.items():
        for i, shift in enumerate(shifts):
            for x in points:
                harsh = np.log10(x) if axis == "ber" else -x / 10
                fall = 3.0 * max(0.0, harsh - cliff - shift)
                base = {"codec": codec, "link": "l", axis: x, "item": f"i{i}"}
                rows.append({**base, "trial": 0, "status": "ok", "psnr": 30 + i - fall})
                cells.append({**base, "clean_psnr": 30.0 + i})
    return pd.DataFrame(rows), pd.DataFrame(cells)


def test_ratio_is_that_of_the_crossings_and_pairs_items():
    # each falls by 3 dB one decade after its cliff; the shift moves both alike, so the ratio of
    # every draw is 100 to within what interpolation of the shared kink leaves
    rows, cells = tables({"a": -4.0, "b": -6.0, "c": -5.0})
    found = resilience_ratios(rows, cells, "a").set_index("codec")
    assert found.loc["b", "ratio"] == pytest.approx(100)
    assert found.loc["c", "ratio"] == pytest.approx(10)
    assert (found["bound"] == "").all()
    np.testing.assert_allclose(found.loc["b", ["ratio_low", "ratio_high"]].to_numpy(float), 100)
    # unpaired, crossings that move by half a decade either way would leave the ratio unsure
    shifted = resilience_ratios(*tables({"a": -4.0, "b": -5.0}, spread=0.5), "a").iloc[0]
    assert shifted["ratio_low"] > 5
    assert shifted["ratio_high"] < 20


def test_a_crossing_beyond_the_grid_bounds_the_ratio():
    early = resilience_ratios(*tables({"a": -4.0, "b": -9.0}), "a").iloc[0]
    assert early["bound"] == "at least"
    assert early["ratio"] == pytest.approx(1e-3 / 1e-6)  # b has fallen at the grid's first point
    late = resilience_ratios(*tables({"a": 0.0, "b": -5.0}), "a").iloc[0]
    assert (late["bound"], late["ratio"]) == ("at least", pytest.approx(1e-2 / 1e-4))
    other = resilience_ratios(*tables({"a": -5.0, "b": 0.0}), "a").iloc[0]
    assert (other["bound"], other["ratio"]) == ("at most", pytest.approx(1e-4 / 1e-2))
    assert resilience_ratios(*tables({"a": 0, "b": 0}), "a").iloc[0]["bound"] == "unknown"


def test_along_decibels_it_is_what_less_is_needed():
    points = (-4.0, 0.0, 4.0, 8.0, 12.0, 16.0)
    rows, cells = tables({"a": 0.2, "b": -0.8}, axis="ebno_db", points=points)
    line = resilience_ratios(rows, cells, "a").iloc[0]
    # they begin to fall at -2 and 8 dB, and have lost 3 dB 10 dB further down: -12 is beyond
    assert line["bound"] == "at least"
    rows, cells = tables({"a": -0.6, "b": -1.4}, axis="ebno_db", points=points)
    assert resilience_ratios(rows, cells, "a").iloc[0]["ratio"] == pytest.approx(8)


def test_what_can_not_be_compared_is_said():
    rows, cells = tables({"a": -4.0, "b": -5.0})
    with pytest.raises(ValueError, match=r"no rows of 'x'.*a, b"):
        resilience_ratios(rows, cells, "x")
    with pytest.raises(ValueError, match="positive"):
        resilience_ratios(rows, cells, "a", drop=0.0)

"""The committed coded links: claims follow from the rows, and rows come out again."""

import importlib
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

FOLDER = Path(__file__).parents[2] / "experiments" / "links" / "coded"
pytestmark = pytest.mark.skipif(
    not (FOLDER / "claims.json").exists(), reason="experiments aren't in the wheel"
)


@pytest.fixture(scope="module")
def modules():
    patch = pytest.MonkeyPatch()
    patch.syspath_prepend(FOLDER)
    yield importlib.import_module("recipe"), importlib.import_module("claims")
    patch.undo()


def test_claims_follow_from_the_rows(modules):
    _, evaluate = modules
    tables = [pd.read_csv(FOLDER / f"{name}.csv") for name in ("results", "references", "exact")]
    assert evaluate.claims(*tables) == json.loads((FOLDER / "claims.json").read_text())


def test_every_curve_is_there_and_reaches_its_end(modules):
    recipe, _ = modules
    rows = pd.read_csv(FOLDER / "results.csv")
    done = {(r["curve"], r["link"], r["ebno_db"]): r for r in rows.to_dict("records")}
    curves = [*recipe._curves(), *recipe._references()]
    found = [point for curve in curves for point in recipe.simulate(curve, done)]
    assert not any(new for _, new in found), "the recipe would simulate more points"
    assert len(found) == len(rows)


@pytest.mark.parametrize("name", ["hamming", "bch", "rs", "conv-1/2", "ldpc-1040-3/4", "qam64-1/2"])
def test_rows_come_out_again(modules, name):
    """The first point of a curve, with the same noise as in the committed run."""
    recipe, _ = modules
    curve = next(c for c in recipe._curves() if c.name == name)
    again, _ = next(recipe.simulate(curve, {}))
    rows = pd.read_csv(FOLDER / "results.csv")
    committed = rows[(rows.curve == name) & (rows.ebno_db == again["ebno_db"])].iloc[0]
    for column in ("blocks", "block_errors", "bit_errors"):
        assert again[column] == committed[column]


def test_crossings_by_hand(modules):
    _, evaluate = modules
    rows = pd.DataFrame(
        {
            "ebno_db": [1.0, 2.0, 3.0],
            "blocks": 1000,
            "block_bits": 10,
            "bler": [0.1, 0.001, 0.0],
            "bler_low": [0.05, 0.0, 0.0],
            "bler_high": [0.2, 0.02, 0.002],
        }
    )
    middle, low, high = evaluate.crossing(rows, "bler", 0.01)
    assert middle == pytest.approx(1.5)
    assert low == 1.0  # nothing between there and the next point is certain
    assert high == pytest.approx(2 + np.log(0.02 / 0.01) / np.log(10))
    assert np.isnan(evaluate.crossing(rows, "bler", 1e-4)[0])

"""The committed experiment: its claims follow from its rows, and its rows from its code."""

import importlib.util
import json
from pathlib import Path

import pandas as pd
import pytest

FOLDER = Path(__file__).parents[2] / "experiments" / "links" / "uncoded"
pytestmark = pytest.mark.skipif(not FOLDER.exists(), reason="experiments aren't in the wheel")


@pytest.fixture(scope="module")
def recipe():
    spec = importlib.util.spec_from_file_location("uncoded_recipe", FOLDER / "recipe.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_claims_follow_from_the_rows(recipe):
    rows = pd.read_csv(FOLDER / "results.csv")
    assert len(rows) == len(recipe.points())
    assert recipe.claims(rows) == json.loads((FOLDER / "claims.json").read_text())


def test_rows_come_out_again(recipe):
    """The three cheapest points of each kind, with the same noise as in the committed run."""
    rows = pd.read_csv(FOLDER / "results.csv").set_index("link")
    points = [p for p in recipe.points() if p["closed_form"] > 0.015]
    assert len(points) >= 30
    for point in points:
        again = recipe.simulate(point)
        committed = rows.loc[point["link"]]
        assert (again["errors"], again["sent"]) == (committed.errors, committed.sent)
        assert again["inside"] == committed.inside

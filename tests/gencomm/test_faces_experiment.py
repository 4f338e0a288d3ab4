"""The experiment on faces: its claims follow from its results."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "experiments" / "faces"


@pytest.fixture(scope="module")
def recipe():
    if not FOLDER.is_dir():
        pytest.skip("experiments are not part of this tree")
    spec = importlib.util.spec_from_file_location("faces_recipe", FOLDER / "recipe.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_claims_are_computed_from_the_results(recipe):
    rows = recipe.read(FOLDER / "results.csv")
    assert recipe.claims(rows) == json.loads((FOLDER / "claims.json").read_text())
    for row in rows:
        low, value, high = (float(row[f"psnr{k}"]) for k in ("_low", "", "_high"))
        assert low <= value <= high
        assert 0 <= float(row["outage"]) <= 1


def test_a_claim_is_met_only_where_the_mean_is(recipe):
    words = [
        recipe.claim("x", 20.0, value, value - 1, value + 1)["verdict"]
        for value in (20.1, 19.5, 18.0)
    ]
    assert words == ["met", "partly", "short"]

"""The experiment on faces: its claims follow from its results."""

from __future__ import annotations

import csv
import importlib
import json
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "experiments" / "faces"


@pytest.fixture(scope="module")
def claims():
    """The module; its neighbours' plain names (other experiments have a `drawing` too) go again."""
    if not FOLDER.is_dir():
        pytest.skip("experiments are not part of this tree")
    names = [path.stem for path in FOLDER.glob("*.py")]
    before = {name: sys.modules.pop(name) for name in names if name in sys.modules}
    sys.path.insert(0, str(FOLDER))
    try:
        return importlib.import_module("claims")
    finally:
        sys.path.remove(str(FOLDER))
        for name in names:
            sys.modules.pop(name, None)
        sys.modules.update(before)


def read(name: str) -> list[dict]:
    with open(FOLDER / name, encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


def test_claims_are_computed_from_the_results(claims):
    rows = read("results.csv")
    found = claims.claims(rows, read("judges.csv"))
    assert found == json.loads((FOLDER / "claims.json").read_text())
    for row in rows:
        low, value, high = (float(row[f"psnr{k}"]) for k in ("_low", "", "_high"))
        assert low <= value <= high
        assert 0 <= float(row["outage"]) <= 1


def test_a_claim_is_met_only_where_the_mean_is(claims):
    words = [
        claims.claim("x", "y", 20.0, [value, value - 1, value + 1])["verdict"]
        for value in (20.1, 19.5, 18.0)
    ]
    assert words == ["met", "partly", "short"]

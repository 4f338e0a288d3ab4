"""Trials drawn on condition of a hit: unbiased, with smaller intervals, and one mode a cell.

The codec is plain PCM over a BSC, the metric 1/2 to the power of its wrong bits: means and
variances, with and without the condition, are closed forms.
"""

import json
import math
import shutil
import sqlite3

import numpy as np
import pytest
from scipy import stats

from gencomm.analysis import curves, over_all_noise
from gencomm.api import Run
from gencomm.sweeps.merge import merge
from gencomm.sweeps.reproduce import reproduce
from gencomm.sweeps.run import Options, run_sweep
from gencomm.sweeps.store import Store, StoreError
from gencomm.sweeps.tables import load_cells, load_run

N = 16 * 16 * 24
#: 0.006, 0.18, 0.61 and 1.8 hits expected in a payload; the last hits more than half of them.
BERS = [1e-6, 3e-5, 1e-4, 3e-4]
TRIALS, ITEMS = 150, 2
RARE = {
    "name": "rare",
    "seed": 11,
    "source": f"ramps(n={ITEMS},size=16)",
    "codecs": ["pcm"],
    "links": ["bsc({ber})"],
    "grid": {"ber": BERS},
    "trials": TRIALS,
    "metrics": ["spared"],
    "pictures": 1,
}
#: Chance that a test with so many comparisons fails although all is right: 1e-5 or less.
SIGMAS = 5.0


def hit(p):
    return 1 - (1 - p) ** N


def moment(p, k):
    """E[spared^k] over all noise: the generating function at 2^-k."""
    return (1 - p + p * 0.5**k) ** N


def moments_of_hits(p):
    """Mean and variance of spared, given that at least one bit is wrong."""
    clean = 1 - hit(p)
    first, second = ((moment(p, k) - clean) / hit(p) for k in (1, 2))
    return first, second - first**2


@pytest.fixture(scope="module")
def runs(tmp_path_factory, installed):
    """The same sweep with hits only where they are rare, and with every trial as it comes."""
    folder = tmp_path_factory.mktemp("rare")
    with installed():
        for name, skip in (("hits", True), ("all", False)):
            trials = {"min": TRIALS, "max": TRIALS, "skip_clean": skip}
            run_sweep({**RARE, "trials": trials}, folder / name, Options(workers=1, batch=50))
    return Run(folder / "hits"), Run(folder / "all")


def test_weights_are_the_probability_of_a_hit_where_it_is_small(runs):
    rows = runs[0].rows()
    for ber, part in rows.groupby("ber"):
        expected = hit(ber) if hit(ber) < 0.5 else 1.0
        np.testing.assert_allclose(part["weight"], expected, rtol=1e-9)
        if expected < 1:
            assert (part["bit_errors"] > 0).all()
    assert (rows.groupby("cell")["weight"].nunique() == 1).all()
    assert sorted(hit(b) < 0.5 for b in BERS) == [False, True, True, True]


def test_the_switch_draws_every_trial_as_it_comes(runs):
    rows = runs[1].rows()
    assert (rows["weight"] == 1).all()
    low = rows[rows["ber"] == 1e-6]
    assert (low["bit_errors"] == 0).mean() > 0.9


@pytest.mark.parametrize("which", [0, 1])
def test_curves_are_unbiased_for_the_mean_over_all_noise(runs, which):
    table = runs[which].curves().set_index("ber")
    for p in BERS:
        weight = table.loc[p, "weight"]
        if weight < 1:
            _, variance = moments_of_hits(p)
            sigma = weight * math.sqrt(variance / (TRIALS * ITEMS))
        else:
            sigma = math.sqrt((moment(p, 2) - moment(p, 1) ** 2) / (TRIALS * ITEMS))
        assert abs(table.loc[p, "spared"] - moment(p, 1)) < SIGMAS * sigma
        errors = N * p * (1 - p)  # variance of their number
        if weight < 1:
            errors = weight**2 * ((errors + (N * p) ** 2) / weight - (N * p / weight) ** 2)
        sigma = math.sqrt(errors / (TRIALS * ITEMS)) / N
        assert abs(table.loc[p, "measured_ber"] - p) < SIGMAS * sigma


def test_the_same_rows_unweighted_would_be_wrong(runs):
    """Guards the tests above: without weights the mean of hits is far off."""
    plain = runs[0].rows().groupby("ber")["spared"].mean()
    assert plain[1e-6] < 0.51
    assert moment(1e-6, 1) > 0.99


def test_intervals_shrink_as_the_closed_form_says(runs):
    """Spread of the contributions: w sqrt(Var[. | hit]), against sqrt(Var[.]) as they come."""
    hits = over_all_noise(runs[0].rows(), runs[0].cells())
    for p in BERS[:3]:
        _, given_hit = moments_of_hits(p)
        expected = hit(p) * math.sqrt(given_hit)
        spread = hits[hits["ber"] == p]["spared"].std()
        assert spread == pytest.approx(expected, rel=0.35)
        as_they_come = math.sqrt(moment(p, 2) - moment(p, 1) ** 2)
        assert expected < math.sqrt(hit(p)) * as_they_come


def test_outages_are_weighted_and_so_is_their_interval(fakes, tmp_path):
    """A checksum with strict decoding: an outage for each hit, so its rate is w, exactly."""
    config = {**RARE, "codecs": ["fragile"], "policy": {"decode": "strict"}, "trials": 8}
    run_sweep(config, tmp_path / "run", Options(workers=1))
    table = Run(tmp_path / "run").curves().set_index("ber")
    for p in BERS[:2]:
        w = 1 - (1 - p) ** (N + 32)
        assert table.loc[p, "outage"] == pytest.approx(w, rel=1e-12)
        assert table.loc[p, "outage_high"] == pytest.approx(w, rel=1e-12)  # it can't be more
        z2 = 1.959964**2  # Wilson's lower end for 16 of 16
        assert table.loc[p, "outage_low"] == pytest.approx(w * 16 / (16 + z2), rel=1e-6)
    assert table.loc[3e-4, "weight"] == 1


def test_codecs_that_read_llrs_get_every_trial(fakes, tmp_path):
    config = {**RARE, "codecs": ["soft"], "grid": {"ber": [1e-5]}, "trials": 3}
    run_sweep(config, tmp_path / "run", Options(workers=1))
    assert (load_run(tmp_path / "run")["weight"] == 1).all()


def test_links_whose_hits_have_no_closed_form_get_every_trial(fakes, tmp_path):
    links = ["qam16|awgn(esno_db=24)", "qpsk|awgn(esno_db=13)"]
    config = {**RARE, "links": links, "grid": {}, "trials": 3}
    run_sweep(config, tmp_path / "run", Options(workers=1))
    weights = load_run(tmp_path / "run").groupby("link")["weight"].first()
    assert weights.iloc[0] == 1
    assert 0 < weights.iloc[1] < 0.5


def test_the_rule_stops_by_the_weighted_interval(fakes, tmp_path):
    trials = {"min": 4, "max": 60, "half_width": {"spared": 0.01}}
    config = {**RARE, "trials": trials, "grid": {"ber": [3e-5]}}
    run_sweep(config, tmp_path / "run", Options(workers=1))
    rows = load_run(tmp_path / "run")
    assert set(load_cells(tmp_path / "run")["stop"]) == {"half_width"}
    for _, part in rows.groupby("cell"):
        values = part["spared"].to_numpy()

        def half(n, values=values):
            return hit(3e-5) * stats.t.ppf(0.975, n - 1) * stats.sem(values[:n])

        assert 0 < half(len(values)) <= 0.01
        assert all(not 0 < half(n) <= 0.01 for n in range(4, len(values)))


def test_sheets_show_what_is_likelier_and_say_its_share(runs):
    with Store(runs[0].folder) as store:
        kinds = {one.cell: one.kind for one in store.artefacts() if one.cell}
    cells = runs[0].cells()
    of = {ber: kinds[cells[(cells["ber"] == ber) & (cells["item"] == "ramp0")].index[0]]
          for ber in BERS}  # fmt: skip
    assert of == {1e-6: "clean", 3e-5: "clean", 1e-4: "clean", 3e-4: "received"}
    shown = [text.get_text() for text in runs[0].sheet().texts]
    assert sum("in 99.3 %" in text for text in shown) == 1  # exp(-0.006144) = 0.99387
    assert sum("in 83 %" in text for text in shown) == 1


def test_status_counts_them(runs):
    assert runs[0].status()["weighted"] == 3 * ITEMS * TRIALS
    assert runs[1].status()["weighted"] == 0


def test_reproduce_compares_weights(runs, fakes, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(runs[0].folder, folder)
    assert reproduce(folder, cells=2).differences == []
    with sqlite3.connect(folder / "store.sqlite") as db:
        db.execute("UPDATE row SET weight = weight / 2 WHERE weight < 1")
    found = reproduce(folder, cells=2)
    assert len(found.differences) == 1  # the first cell; the last one has no weights
    assert "weight" in found.differences[0]


def to_version_1(folder):
    """A store as it was written before rows had weights, with the configuration of its time."""
    db = sqlite3.connect(folder / "store.sqlite")
    db.execute("ALTER TABLE row DROP COLUMN weight")
    db.execute("PRAGMA user_version = 1")
    for number, text in db.execute("SELECT id, config FROM run").fetchall():
        config = json.loads(text)
        del config["trials"]["skip_clean"]
        db.execute("UPDATE run SET config = ? WHERE id = ?", (json.dumps(config), number))
    for key, text in db.execute("SELECT hash, identity FROM cell").fetchall():
        identity = json.loads(text) | {"row_version": 1}
        db.execute("UPDATE cell SET identity = ?, hash = ? WHERE hash = ?",
                   (json.dumps(identity), f"old{key}", key))  # fmt: skip
        db.execute("UPDATE row SET cell = ? WHERE cell = ?", (f"old{key}", key))
    db.commit()
    db.close()


def test_old_stores_open_and_are_not_mixed_with_new_ones(fakes, runs, tmp_path):
    old, new = tmp_path / "old", tmp_path / "new"
    shutil.copytree(runs[1].folder, old)
    shutil.copytree(runs[0].folder, new)
    to_version_1(old)
    rows = load_run(old)
    assert (rows["weight"] == 1).all()
    before = runs[1].rows()
    assert rows["spared"].equals(before["spared"])
    table, as_before = curves(rows, load_cells(old)), runs[1].curves()
    assert table["spared_low"].equals(as_before["spared_low"])
    # it can be reproduced as it was run
    found = reproduce(old, cells=2)
    assert found.differences == []
    assert any("row_version: 1 then, 2 now" in line for line in found.changed)
    # but not added to, nor mixed
    with pytest.raises(StoreError, match="written by an older gencomm"):
        run_sweep(RARE, old)
    with sqlite3.connect(new / "store.sqlite") as db:  # the configuration that both seem to have
        [text] = db.execute("SELECT config FROM run").fetchone()
        config = json.loads(text)
        del config["trials"]["skip_clean"]
        db.execute("UPDATE run SET config = ?", (json.dumps(config),))
    with pytest.raises(StoreError, match=r"other circumstances .*row_version 1 and 2"):
        merge(tmp_path / "merged", [old, new])


def test_tables_without_the_cells_are_refused(runs):
    with pytest.raises(ValueError, match="give the cells' table"):
        curves(runs[0].rows())
    with pytest.raises(ValueError, match="another run's"):
        over_all_noise(runs[0].rows(), runs[0].cells().iloc[1:])
    once = over_all_noise(runs[0].rows(), runs[0].cells())
    assert over_all_noise(once).equals(once)  # nothing is weighted twice

"""Equal channel uses: budgets, ladders, envelopes, cliffs, and schemes picked by design."""

import numpy as np
import pandas as pd
import pytest

from channels.link import Link
from gencomm.analysis import cliffs, envelope
from gencomm.analysis.choice import candidates
from gencomm.analysis.envelope import scheme_labels
from gencomm.analysis.schemes import split_link, without_rate
from gencomm.api import Run, plan
from gencomm.sweeps.budget import LADDER
from gencomm.sweeps.merge import merge
from gencomm.sweeps.problems import ConfigError
from gencomm.sweeps.reproduce import reproduce
from gencomm.sweeps.resolve import resolve
from gencomm.sweeps.run import Options, run_sweep
from gencomm.sweeps.store import Store

#: Two schemes whose rates are 1 and 3 bits per channel use.
SCHEMES = ["ldpc(rate=1/2)|qpsk", "ldpc(rate=3/4)|qam16"]
#: 0.5 uses x 64 x 64 pixels is 2048 symbols: two codewords of rate 1/2, three of rate 3/4.
DESIGN = {
    "name": "designed",
    "seed": 2,
    "source": "photos(limit=2,size=64)",
    "codecs": ["block_dct", "jpeg2000"],
    "links": "mcs",
    "ladder": SCHEMES,
    "budget": {"uses_per_pixel": 0.5, "design": {"esno_db": 14}},
    "grid": {"esno_db": [2, 14, 20]},
    "trials": 2,
    "metrics": ["psnr"],
}


def problems(**changes):
    with pytest.raises(ConfigError) as caught:
        resolve({**DESIGN, **changes})
    return {problem.path: problem.message for problem in caught.value.problems}


# rates


def test_every_scheme_gets_the_rate_that_fills_the_budget():
    budget = {"uses_per_pixel": 0.25}
    resolved = resolve({**DESIGN, "codecs": "block_dct", "ladder": list(LADDER), "budget": budget})
    assert len(resolved.links) == len(LADDER) * 3
    bits = {"qpsk": 2, "qam16": 4, "qam64": 6, "qam256": 8}
    for link in resolved.links:
        [codec] = link.only
        scheme, _ = split_link(link.template)
        name = scheme.split("|")[1]
        rate = eval(scheme.split("rate=")[1].split(")")[0])  # 3/4 as it stands in the ladder
        told = float(codec.split("bpp=")[1].rstrip(")")) if "bpp" in codec else 0.5
        # the code's real rate is that of whole bits, a thousandth off at most
        assert told == pytest.approx(0.25 * rate * bits[name], rel=1e-3)


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    """The whole ladder of DESIGN, nothing picked."""
    folder = tmp_path_factory.mktemp("budget") / "full"
    run_sweep({**DESIGN, "budget": {"uses_per_pixel": 0.5}}, folder, Options(workers=1))
    return Run(folder)


@pytest.fixture(scope="module")
def designed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("budget") / "designed"
    run_sweep(DESIGN, folder, Options(workers=1))
    return Run(folder)


def test_channel_uses_are_equal_as_the_ledger_counts_them(full):
    """To within what a header and the last step of a rate allow, and one codeword of padding."""
    cells = full.cells()
    for (template, item), part in cells.groupby(["link", "item"]):
        link = Link.parse(template.replace("{esno_db}", "14"))
        pixels = float(part["samples"].iloc[0]) / 3
        block = link.ledger(1).channel_uses / pixels
        assert (part["uses_per_pixel"] <= 0.5 + block + 1e-9).all(), (template, item)
        assert (part["uses_per_pixel"] >= 0.5 - block - 0.05).all(), (template, item)
        # between codecs: the same number of codewords, or one fewer
        by_codec = part.groupby("codec")["uses_per_pixel"].first()
        assert by_codec.max() - by_codec.min() <= block + 1e-9


# envelopes


def test_the_envelope_is_the_maximum(full):
    table, best = full.curves(), full.envelope()
    table["family"] = table["codec"].map(without_rate)
    highest = table.groupby(["family", "esno_db"])["psnr"].max()
    assert len(best) == len(highest) == 2 * 3
    for line in best.to_dict("records"):
        assert line["psnr"] == highest[line["codec"], line["esno_db"]]
        assert line["link"] == "awgn(esno_db={esno_db})"
    low, high = (best[best["esno_db"] == x] for x in (2, 20))
    assert set(low["scheme"]) == {SCHEMES[0]}
    assert set(high["scheme"]) == {SCHEMES[1]}


def test_with_a_design_the_envelope_keeps_one_scheme(full):
    kept = full.envelope(design=20)
    assert set(kept["scheme"]) == {SCHEMES[1]}
    assert len(kept) == 2 * 3
    # at the design point it is the envelope, elsewhere never above it
    best = full.envelope().set_index(["codec", "esno_db"])["psnr"]
    for line in kept.to_dict("records"):
        top = best[line["codec"], line["esno_db"]]
        assert line["psnr"] == top if line["esno_db"] == 20 else line["psnr"] <= top
    with pytest.raises(ValueError, match="15 is not a point of the run; there is: 2, 14, 20"):
        full.envelope(design=15)


def frames(quality, overdrawn=(), lost=()):
    """Rows and cells of one codec over two schemes. quality: scheme -> {esno_db: dB}."""
    rows, cells = [], []
    for number, (scheme, values) in enumerate(quality.items()):
        rate = number + 1.0
        for x, value in values.items():
            for item in ("i0", "i1"):
                base = {
                    "codec": f"avif(bpp={rate:g})", "link": f"{scheme}|awgn(esno_db={{esno_db}})",
                    "esno_db": x, "header": "in_band", "decode": "lenient", "conceal": "grey",
                    "item": item,
                }  # fmt: skip
                failed = (scheme, item) in lost
                over = 1.02 if (scheme, item) in overdrawn else 0.99
                cell = f"{scheme}{x}{item}"
                cells.append({
                    **base, "cell": cell, "stop": "not_encoded" if failed else "max_trials",
                    "detail": "too big" if failed else "", "clean_status": "ok",
                    "clean_psnr": 40.0, "bpp_total": rate * over, "uses_per_pixel": 0.5,
                })  # fmt: skip
                if not failed:
                    status = "rejected" if value < 15 else "ok"
                    row = {**base, "trial": 0, "status": status, "psnr": value, "bit_errors": 0}
                    rows.append({**row, "n_bits": 8, "bpp": rate, "cell": cell})
    return pd.DataFrame(rows), pd.DataFrame(cells).set_index("cell")


SLOW, FAST = SCHEMES
CROSSING = {SLOW: {2: 25.0, 8: 26.0, 14: 26.0}, FAST: {2: 10.0, 8: 10.0, 14: 30.0}}


def test_schemes_that_overdraw_the_budget_are_passed_over():
    assert set(envelope(*frames(CROSSING))["scheme"]) == {SLOW, FAST}
    for spoilt in ({"overdrawn": {(FAST, "i1")}}, {"lost": {(FAST, "i1")}}):
        kept = envelope(*frames(CROSSING, **spoilt))
        assert kept["scheme"].tolist() == [SLOW] * 3
    everything = {(scheme, "i0") for scheme in SCHEMES}
    with pytest.raises(ValueError, match="no codec fits the budget"):
        envelope(*frames(CROSSING, overdrawn=everything))


def test_metrics_that_are_better_when_lower():
    kept = envelope(*frames(CROSSING), higher_is_better=False)
    assert kept["scheme"].tolist() == [FAST, FAST, SLOW]


def test_cliffs_are_where_a_curve_stops_working():
    rows, cells = frames(CROSSING)
    kept = envelope(rows, cells, design=14)
    found = cliffs(kept, "esno_db")
    assert found["works_from"].tolist() == [14]
    assert cliffs(envelope(rows, cells), "esno_db")["works_from"].tolist() == [2]
    nowhere = kept.assign(outage=1.0)
    assert np.isnan(cliffs(nowhere, "esno_db")["works_from"]).all()
    # an error rate works up to a point
    ber = pd.DataFrame({"codec": "a", "link": "x", "ber": [1e-4, 1e-3, 1e-2, 1e-1]})
    ber["outage"] = [0.0, 0.005, 0.4, 0.0]
    assert cliffs(ber, "ber")["works_from"].tolist() == [1e-3]


# picks


def at(quality, x):
    return {scheme: {x: values[x]} for scheme, values in quality.items()}


@pytest.mark.parametrize(("x", "picked"), [(2, SLOW), (8, SLOW), (14, FAST)])
def test_the_best_mean_quality_is_picked(x, picked):
    table = candidates(*frames(at(CROSSING, x)), "psnr")
    assert table[table["picked"]]["scheme"].tolist() == [picked]
    assert table["codec"].tolist() == ["avif"] * 2


def test_of_equals_the_first_is_picked():
    table = candidates(*frames({SLOW: {2: 10.0}, FAST: {2: 10.0}}), "psnr")
    assert table["picked"].tolist() == [True, False]
    table = candidates(*frames(at(CROSSING, 14)), "psnr", higher_is_better=False)
    assert table["picked"].tolist() == [True, False]


def test_what_can_not_be_picked_says_why():
    rows, cells = frames(at(CROSSING, 14), overdrawn={(FAST, "i1")})
    table = candidates(rows, cells, "psnr")
    assert table["picked"].tolist() == [True, False]
    assert table["left_out"][1] == "takes 2.04 bpp of i1, where 2 would fill the budget"
    rows, cells = frames(at(CROSSING, 14), lost={(FAST, "i0")})
    assert candidates(rows, cells, "psnr")["left_out"][1] == "can't encode i0: too big"


def test_a_design_runs_the_picked_scheme_alone_and_says_which(designed, full):
    picks = designed.picks()
    assert picks["codec"].tolist() == ["block_dct", "jpeg2000"]
    # the same as one would pick afterwards from the whole ladder
    after = full.envelope(design=14).groupby("codec")["scheme"].first()
    assert dict(zip(picks["codec"], picks["scheme"], strict=True)) == after.to_dict()
    cells = designed.cells()
    assert len(cells) == 2 * 2 * 3
    for line in picks.to_dict("records"):
        mine = cells[cells["codec"] == line["operating_point"]]
        assert set(mine["link"]) == {line["link"]}
        assert sorted(mine["esno_db"].unique()) == [2, 14, 20]
        # the value it was picked by is the curve's at that point: the same rows
        curve = designed.curves().set_index(["codec", "esno_db"])["psnr"]
        assert curve[line["operating_point"], 14] == pytest.approx(line["value"], rel=1e-12)
    everything = designed.picks(all_candidates=True)
    assert len(everything) == 4
    assert everything["picked"].sum() == 2
    assert "Picked at esno_db = 14 by mean psnr" in designed.report(figures=False)
    [label, _] = scheme_labels(designed.curves(), "esno_db")
    assert label.startswith(f"block_dct: {picks['scheme'][0]}, ")
    legend = [text.get_text() for text in designed.plot().legends[0].get_texts()]
    assert label in legend


def contents(folder):
    with Store(folder) as store:
        return [(cell, store.rows(cell.hash)) for cell in store.cells()]


def test_stopped_in_either_phase_it_ends_the_same(designed, tmp_path):
    folder = tmp_path / "run"
    first = run_sweep(DESIGN, folder, Options(workers=1, limit=3))
    assert (first.added, first.choice.added, first.choice.planned) == (0, 3, 8)
    assert len(Run(folder).picks()) == 0
    assert Run(folder).status()["choice"]["cells"] == 3
    assert plan(DESIGN, folder, estimate=False)["then"].startswith("12 cells")
    second = run_sweep(DESIGN, folder, Options(workers=1, limit=9))
    assert (second.choice.added, second.added, second.planned) == (5, 4, 12)
    assert plan(DESIGN, folder, estimate=False)["cells stored"] == 4
    third = run_sweep(DESIGN, folder, Options(workers=2, batch=1))
    assert (third.choice.added, third.added, third.stored) == (0, 8, 12)
    assert contents(folder) == contents(designed.folder)
    assert Run(folder).picks().equals(designed.picks())
    assert run_sweep(DESIGN, folder, Options(workers=1)).added == 0


def test_shards_pick_the_same_and_merge_to_the_whole(designed, tmp_path):
    folders = [tmp_path / f"shard{i}" for i in (1, 2)]
    for i, folder in enumerate(folders, 1):
        run_sweep(DESIGN, folder, Options(workers=1, shard=f"{i}/2"))
        assert Run(folder).picks().equals(designed.picks())
    merge(tmp_path / "merged", folders)
    assert contents(tmp_path / "merged") == contents(designed.folder)
    assert contents(tmp_path / "merged" / "design") == contents(designed.folder / "design")
    found = reproduce(tmp_path / "merged", cells=3)
    assert (found.cells, found.differences) == (3, [])


def test_no_codec_that_fits_is_an_error_that_says_so(tmp_path):
    """The smallest JPEG of 64 x 64 pixels takes 0.8 bpp, most of it headers."""
    starved = {"uses_per_pixel": 0.5, "design": {"esno_db": 14}}
    config = {**DESIGN, "codecs": ["jpeg"], "ladder": SCHEMES[:1], "budget": starved}
    with pytest.raises(ConfigError, match=r"budget: jpeg takes .* bpp of astronaut, where 0\.5"):
        run_sweep(config, tmp_path / "run", Options(workers=1))
    # beside one that fits it is left out, with the reason
    run_sweep({**config, "codecs": ["jpeg", "block_dct"]}, tmp_path / "two", Options(workers=1))
    run = Run(tmp_path / "two")
    assert run.picks()["codec"].tolist() == ["block_dct"]
    assert set(run.cells()["codec"]) == {"block_dct"}
    assert "none: ldpc(rate=1/2)|qpsk: takes" in run.report(figures=False)


@pytest.mark.parametrize(
    ("changes", "path", "word"),
    [
        ({"budget": {"uses_per_pixel": 0.5, "design": {"esn_db": 14}}}, "budget.design.esn_db",
         "'esno_db'"),
        ({"budget": {"uses_per_pixel": 0.5, "design": {}}}, "budget.design", "at least 1"),
        ({"budget": {"uses_per_pixel": 0.5, "design": {"esno_db": "12"}}},
         "budget.design.esno_db", "number"),
        ({"budget": {"uses_per_pixel": 0.5, "desing": {"esno_db": 12}}}, "budget.desing",
         "no such key"),
        ({"budget": {"design": {"esno_db": 12}}}, "budget.uses_per_pixel", "is missing"),
        ({"budget": {"uses_per_pixel": -1}}, "budget.uses_per_pixel", "greater than 0"),
        ({"budget": None}, "links", "needs a budget"),
        ({"codecs": ["avif(bpp=0.5)"]}, "codecs[0]", "leave bpp out"),
        ({"ladder": ["ldpc(rate=1/2)"]}, "links", "before it"),
        ({"ladder": []}, "ladder", "at least 1"),
        ({"links": "mcs|rician(k_db={k})|awgn(esno_db={esno_db})",
          "grid": {"esno_db": [2, 14], "k": [1, 10]}}, "budget.design", "add k: 1"),
        ({"links": "bsc({ber})", "grid": {"ber": [0.1]},
          "budget": {"uses_per_pixel": 8, "design": {"ber": 2}}}, "budget.design", "^"),
    ],
)  # fmt: skip
def test_mistakes_are_named_with_their_place(changes, path, word):
    found = problems(**changes)
    assert path in found, found
    assert word in found[path]

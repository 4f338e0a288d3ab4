"""Tables against closed forms: known curves, known crossings, coverage of the intervals."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from channels.intervals import wilson
from gencomm.analysis import (
    Bootstrap,
    axes,
    curves,
    metrics_of,
    paired,
    readable,
    resilience,
    series_labels,
    series_of,
)
from gencomm.analysis.columns import OUTAGES, short_link
from gencomm.analysis.resilience import crossing
from gencomm.codecs.contract import Status
from gencomm.sweeps.tables import load_run

BERS = [1e-5, 1e-4, 1e-3, 1e-2]


def make(codecs, items=4, trials=3, axis="ber", points=BERS, seed=0, spread=0.0, **fixed):
    """Rows and cells as a run gives them. codecs: name -> (clean, function of the axis)."""
    rng = np.random.default_rng(seed)
    offsets = spread * rng.normal(size=items)
    rows, cells = [], []
    for codec, (clean, fall) in codecs.items():
        for i in range(items):
            for x in points:
                base = {
                    "codec": codec, "link": f"bsc({{{axis}}})", "link_spec": f"bsc({x})", axis: x,
                    "header": "in_band", "decode": "lenient", "conceal": "grey", **fixed,
                    "item": f"item{i}",
                }  # fmt: skip
                cells.append({**base, "clean_psnr": clean + offsets[i], "clean_ssim": 0.9})
                for t in range(trials):
                    row = {**base, "trial": t, "status": "ok", "psnr": fall(x) + offsets[i]}
                    row |= {"ssim": 0.8, "bit_errors": 3, "n_bits": 1000, "bpp": 0.5 + 0.01 * i}
                    rows.append({**row, "detail": "", "cell": f"{codec}{i}{x}"})
    return pd.DataFrame(rows), pd.DataFrame(cells)


def line(x):
    """30 dB at 1e-5, then 2 dB lost a decade."""
    return 30 - 2 * (np.log10(x) + 5)


# columns


def test_columns_are_told_apart():
    rows, _ = make({"a": (30, line)})
    assert metrics_of(rows) == ["psnr", "ssim"]
    assert axes(rows) == ["ber"]
    assert series_of(rows, "ber") == ["codec", "link", "header", "decode", "conceal"]
    rows.insert(3, "rate", 0.5)
    assert axes(rows) == ["rate", "ber"]
    assert "rate" in series_of(rows, "ber")
    with pytest.raises(ValueError, match="no column snr"):
        series_of(rows, "snr")


def test_outages_are_those_of_the_contract():
    assert {str(status) for status in Status if status.outage} == OUTAGES


def test_labels_say_what_differs():
    table = pd.DataFrame(
        {
            "codec": ["a", "a", "b"],
            "link": "x",
            "rate": [0.5, 0.25, np.nan],
            "decode": ["lenient", "strict", "lenient"],
        }
    )
    labels = series_labels(table, ["codec", "link", "rate", "decode"])
    assert labels == ["a, rate=0.5, lenient", "a, rate=0.25, strict", "b, lenient"]
    assert series_labels(table.iloc[:1], ["codec", "link", "rate", "decode"]) == ["a"]


# bootstrap


def test_bootstrap_replicates_have_the_means_variance():
    """Var of a bootstrap mean is (1/n) times the population variance: exact in the limit."""
    values = np.random.default_rng(0).normal(size=12)
    replicates = Bootstrap(12, 40_000).means(values)
    assert replicates.mean() == pytest.approx(values.mean(), abs=0.01)
    assert replicates.var() == pytest.approx(values.var() / 12, rel=0.04)


def test_bootstrap_is_reproducible_and_paired():
    values = np.random.default_rng(0).normal(size=(9, 3))
    first, second = Bootstrap(9, 500, seed=4), Bootstrap(9, 500, seed=4)
    np.testing.assert_array_equal(first.means(values), second.means(values))
    difference = first.means(values) - first.means(values - 1.0)
    np.testing.assert_allclose(difference, 1.0)  # the same draws everywhere


def test_expanded_percentiles_cover_as_they_say():
    """Normal items, n = 6: plain percentile intervals cover some 87 %."""
    rng = np.random.default_rng(1)
    bootstrap = Bootstrap(6, 3000)
    samples = rng.normal(size=(6, 2000))
    low, high = bootstrap.interval(bootstrap.means(samples))
    covered = int(((low < 0) & (high > 0)).sum())
    assert 0.925 < covered / 2000 < 0.985
    plain = np.quantile(bootstrap.means(samples), [0.025, 0.975], axis=0)
    assert ((plain[0] < 0) & (plain[1] > 0)).mean() < 0.90


def test_missing_values_leave_an_item_out():
    values = np.array([1.0, np.nan, 3.0])
    replicates = Bootstrap(3, 2000).means(values)
    seen = replicates[~np.isnan(replicates)]
    assert set(np.round(np.unique(seen), 6)) >= {1.0, 2.0, 3.0}
    assert np.isnan(replicates).mean() == pytest.approx(1 / 27, abs=0.02)


def test_one_item_has_no_interval_and_none_is_an_error():
    low, high = Bootstrap(1).interval(Bootstrap(1).means(np.array([[1.0, 2.0]])))
    assert np.isnan([low, high]).all()
    with pytest.raises(ValueError, match="no items"):
        Bootstrap(0)
    with pytest.raises(ValueError, match="level"):
        Bootstrap(3, level=1.0)


# curves


def test_curves_of_a_known_line():
    rows, cells = make({"a": (30.5, line), "b": (25, lambda x: 25)}, spread=1.0)
    table = curves(rows, cells)
    assert table["codec"].tolist() == ["a"] * 4 + ["b"] * 4
    offset = rows.groupby("item")["psnr"].first().mean() - 30
    a = table[table["codec"] == "a"]
    np.testing.assert_allclose(a["psnr"], [line(x) + offset for x in BERS])
    np.testing.assert_allclose(a["clean_psnr"], 30.5 + offset)
    assert (a["psnr_low"] < a["psnr"]).all()
    assert (a["psnr_high"] > a["psnr"]).all()
    np.testing.assert_allclose(table["measured_ber"], 0.003)
    np.testing.assert_allclose(table["bpp"], 0.515)
    assert set(table["n_items"]) == {4}
    assert set(table["n_trials"]) == {12}
    np.testing.assert_allclose(table["ssim_high"] - table["ssim_low"], 0.0, atol=1e-12)


def test_every_item_counts_the_same_however_many_trials_it_has():
    rows, _ = make({"a": (30, lambda x: 20.0)}, items=2, trials=1, points=[1e-3, 1e-2])
    more = rows[rows["item"] == "item1"].assign(psnr=40.0)
    rows.loc[rows["item"] == "item1", "psnr"] = 40.0
    rows = pd.concat([rows, *(more.assign(trial=t) for t in range(1, 10))])
    table = curves(rows, metrics=["psnr"])
    np.testing.assert_allclose(table["psnr"], 30.0)  # not (20 + 10 * 40) / 11
    assert set(table["n_trials"]) == {11}


def test_outage_rate_and_its_interval():
    rows, _ = make({"a": (30, line)}, items=5, trials=4, points=[1e-3, 1e-2])
    index = rows.index[rows["ber"] == 1e-2]
    rows.loc[index[:4], "status"] = ["rejected", "crashed", "timeout", "wrong_size"]
    rows.loc[index[4], "status"] = "partial"  # a picture came out
    table = curves(rows).set_index("ber")
    assert table.loc[1e-3, "outage"] == 0.0
    assert table.loc[1e-3, "outage_low"] == 0.0
    assert table.loc[1e-2, "outage"] == pytest.approx(4 / 20)
    known = stats.binomtest(4, 20).proportion_ci(0.95, method="wilson")
    assert table.loc[1e-2, "outage_low"] == pytest.approx(known.low)
    assert table.loc[1e-2, "outage_high"] == pytest.approx(known.high)


def test_a_single_item_has_intervals_over_trials():
    rows, _ = make({"a": (30, line)}, items=1, trials=8)
    rows["psnr"] += np.random.default_rng(0).normal(size=len(rows))
    table = curves(rows)
    assert (table["psnr_low"] < table["psnr"]).all()
    assert (table["psnr"] < table["psnr_high"]).all()
    alone = curves(rows[rows["trial"] == 0])
    assert alone[["psnr_low", "psnr_high"]].isna().all().all()


def test_unfinished_runs_are_averaged_over_what_is_there():
    rows, cells = make({"a": (30, line)}, items=3)
    rows = rows[~((rows["item"] == "item2") & (rows["ber"] == 1e-2))]
    table = curves(rows, cells).set_index("ber")
    assert table.loc[1e-2, "n_items"] == 2
    assert table.loc[1e-3, "n_items"] == 3
    assert table["psnr"].notna().all()


def test_links_that_do_not_use_the_axis_are_left_out():
    rows, cells = make({"a": (30, line)})
    other = rows.assign(link="clean", ber=np.nan)
    table = curves(pd.concat([rows, other]), cells)
    assert set(table["link"]) == {"bsc({ber})"}


def test_policies_are_curves_of_their_own():
    lenient, cells = make({"a": (30, line)})
    strict = lenient.assign(decode="strict", psnr=10.0)
    table = curves(pd.concat([lenient, strict]), pd.concat([cells, cells.assign(decode="strict")]))
    assert table.groupby("decode")["psnr"].mean()["strict"] == 10.0
    assert len(table) == 8


def test_rate_as_the_axis_joins_operating_points():
    parts = [
        make({f"jpeg(bpp={r})": (30, lambda x, r=r: 20 + 10 * r)}, points=[1e-4])[0].assign(bpp=r)
        for r in (1.0, 0.25, 0.5)
    ]
    table = curves(pd.concat(parts), axis="bpp")
    assert table["family"].tolist() == ["jpeg"] * 3
    assert table["bpp"].tolist() == [0.25, 0.5, 1.0]
    np.testing.assert_allclose(table["psnr"], [22.5, 25, 30])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"metrics": ["vmaf"]}, "no metric 'vmaf'; there is: psnr, ssim"),
        ({"axis": "snr"}, "no column 'snr'"),
        ({"axis": "codec"}, "doesn't hold numbers"),
    ],
)
def test_wrong_requests(options, message):
    rows, cells = make({"a": (30, line)})
    with pytest.raises(ValueError, match=message):
        curves(rows, cells, **options)


def test_empty_tables_are_an_error_that_says_so():
    rows, cells = make({"a": (30, line)})
    for function in (lambda: curves(rows[:0]), lambda: resilience(rows[:0], cells)):
        with pytest.raises(ValueError, match="no rows"):
            function()


# resilience


def test_crossings_of_known_curves():
    h = np.array([-5.0, -4.0, -3.0])
    lines = np.array(
        [
            [30, 28, 26],  # falls 2 a step
            [20, 19, 18],  # below from the start
            [30, 30, 29.5],  # never below
            [30, 27, 30],  # dips: the first crossing counts
            [30, np.nan, 26],  # a hole is bridged
            [np.nan] * 3,
        ]
    )
    found = crossing(h, lines, np.full(6, 29.0))
    np.testing.assert_allclose(found, [-4.5, -np.inf, np.inf, -5 + 1 / 3, -4.5, np.nan])
    turned = crossing(h[::-1], lines[:, ::-1], np.full(6, 29.0))
    np.testing.assert_allclose(turned, found)  # the order of the table doesn't count


def test_resilience_of_a_known_line():
    rows, cells = make({"a": (30, line)}, spread=2.0)
    table = resilience(rows, cells)
    # every item falls by the same: 1 dB after half a decade, 3 dB after one and a half
    assert table.loc[0, "ber_at_minus_1"] == pytest.approx(10**-4.5)
    assert table.loc[0, "ber_at_minus_3"] == pytest.approx(10**-3.5)
    for drop, expected in ((1, 10**-4.5), (3, 10**-3.5)):
        assert table.loc[0, f"ber_at_minus_{drop}_low"] == pytest.approx(expected)
        assert table.loc[0, f"ber_at_minus_{drop}_high"] == pytest.approx(expected)
    assert table.loc[0, "ber_at_minus_1_beyond"] == ""
    assert table.loc[0, "n_items"] == 4
    assert table.loc[0, "bpp"] == pytest.approx(0.515)


def test_resilience_beyond_the_grid():
    codecs = {
        "tough": (30, lambda x: 30),
        "frail": (40, line),
        "late": (30, lambda x: 30 - (x > 5e-3) * 2),
    }
    rows, cells = make(codecs)
    table = resilience(rows, cells).set_index("codec")
    assert table.loc["tough", "ber_at_minus_1_beyond"] == "> 0.01"
    assert np.isnan(table.loc["tough", "ber_at_minus_1"])
    assert table.loc["tough", "ber_at_minus_1_low"] == np.inf
    assert table.loc["frail", "ber_at_minus_3_beyond"] == "< 1e-05"
    assert table.loc["frail", "ber_at_minus_3_high"] == 0.0
    assert table.loc["late", "ber_at_minus_1"] == pytest.approx(10**-2.5)
    assert table.loc["late", "ber_at_minus_3_beyond"] == "> 0.01"


def test_a_lossless_codec_has_no_fall_to_look_for():
    """Its clean PSNR is the metric's cap, and 1 dB below a cap means nothing."""
    rows, cells = make({"raw": (100.0, lambda x: 40 + line(x) / 30), "a": (30, line)})
    table = resilience(rows, cells).set_index("codec")
    assert table.loc["raw", "ber_at_minus_1_beyond"] == "undefined"
    assert np.isnan(table.loc["raw", "ber_at_minus_1"])
    assert np.isnan(table.loc["raw", "ber_at_minus_1_low"])
    assert table.loc["a", "ber_at_minus_1_beyond"] == ""
    text = readable(table.reset_index())
    assert text["clean psnr (dB)"].tolist() == ["lossless", "30.00"]
    assert text["ber at -1 dB"][0] == "undefined"


def test_resilience_against_a_ratio_in_decibels():
    """Quality rises by 1 dB each dB and is clean from 10 dB on."""
    rows, cells = make(
        {
            "a": (30, lambda x: 30 - max(0, 10 - x)),
            "b": (30, lambda x: 30.0),
            "c": (40, lambda x: 30.0),
        },
        axis="ebno_db",
        points=[4.0, 6.0, 8.0, 10.0, 12.0],
    )
    table = resilience(rows, cells).set_index("codec")
    assert table.loc["a", "ebno_db_at_minus_1"] == pytest.approx(9.0)
    assert table.loc["a", "ebno_db_at_minus_3"] == pytest.approx(7.0)
    assert table.loc["b", "ebno_db_at_minus_1_beyond"] == "< 4"
    assert table.loc["c", "ebno_db_at_minus_1_beyond"] == "> 12"


def test_resilience_interval_is_that_of_the_items():
    """Items that fall at different rates: the interval covers the spread, low before high."""
    rows, cells = make({"a": (30, line)}, items=8)
    speed = rows["item"].str[4:].astype(float) / 4 + 0.5
    rows["psnr"] = 30 - speed * (np.log10(rows["ber"]) + 5)
    table = resilience(rows, cells, replicates=2000)
    low, point, high = (table.loc[0, f"ber_at_minus_1{e}"] for e in ("_low", "", "_high"))
    assert low < point < high
    mean_speed = np.mean([i / 4 + 0.5 for i in range(8)])
    assert point == pytest.approx(10 ** (-5 + 1 / mean_speed))


def test_resilience_asks_for_what_it_needs():
    rows, cells = make({"a": (30, line)})
    with pytest.raises(ValueError, match="don't hold 'vmaf'"):
        resilience(rows, cells, metric="vmaf")
    with pytest.raises(ValueError, match="drops are positive"):
        resilience(rows, cells, drops=[0])
    with pytest.raises(ValueError, match="not along bpp"):
        resilience(rows, cells, axis="bpp")


def test_resilience_in_words():
    codecs = {"fair": (30, line), "tough": (30, lambda x: 30), "frail": (40, line)}
    rows, cells = make(codecs)
    rows.loc[rows["item"] == "item0", "psnr"] -= 0.3
    text = readable(resilience(rows, cells))
    assert text.columns.tolist() == [
        "codec",
        "bpp",
        "clean psnr (dB)",
        "ber at -1 dB",
        "ber at -3 dB",
    ]
    assert text["ber at -1 dB"].tolist()[1:] == ["> 0.01", "< 1e-05"]
    assert text["ber at -1 dB"][0].startswith("2.9e-05 [")
    by_ssim = readable(resilience(rows, cells, metric="ssim", drops=[0.05]), "ssim", "")
    assert by_ssim["ber at -0.05"].tolist() == ["< 1e-05"] * 3


# pairs


def test_paired_differences():
    rows, _ = make({"a": (30, line), "b": (30, lambda x: line(x) + 2)}, spread=5.0)
    table = paired(rows, "a")
    np.testing.assert_allclose(table["difference"], 2.0)
    np.testing.assert_allclose(table["high"] - table["low"], 0.0, atol=1e-9)  # the spread cancels
    assert set(table["better"]) == {1.0}
    assert set(table["n_pairs"]) == {12}
    assert table["codec"].tolist() == ["b"] * 4
    back = paired(rows, "b")
    np.testing.assert_allclose(back["difference"], -2.0)


def test_pairs_need_both():
    rows, _ = make({"a": (30, line), "b": (30, line)})
    rows = rows[~((rows["codec"] == "b") & (rows["trial"] > 0))]
    assert set(paired(rows, "a")["n_pairs"]) == {4}
    with pytest.raises(ValueError, match="no codec of the run is 'aa'"):
        paired(rows, "aa")
    with pytest.raises(ValueError, match="no metric 'vmaf'"):
        paired(rows, "a", metric="vmaf")


def test_the_columns_are_those_that_a_run_documents():
    """The tables here are found by name in what `load_run` says it gives."""
    assert load_run.__doc__ is not None
    for name in ("codec", "link", "item", "trial", "status", "bit_errors", "n_bits", "bpp"):
        assert f"``{name}``" in load_run.__doc__


@pytest.mark.parametrize(
    ("link", "short"),
    [
        ("bsc({ber})", "bsc"),
        ("qpsk|awgn(ebno_db={ebno_db})", "qpsk|awgn"),
        ("ldpc(rate={rate},n=648)|qpsk|awgn({snr})", "ldpc(n=648)|qpsk|awgn"),
        ("x(a={b},{c},d=1)", "x(d=1)"),
        ("x(d=1,a={b})", "x(d=1)"),
        ("bec(0.1)", "bec(0.1)"),
    ],
)
def test_links_by_a_short_name(link, short):
    assert short_link(link) == short


def test_short_names_of_links_stay_apart():
    table = pd.DataFrame({"codec": ["a", "a"], "link": ["bsc({p})", "bsc({q})"]})
    assert series_labels(table, ["codec", "link"]) == ["a, bsc({p})", "a, bsc({q})"]
    table = pd.DataFrame({"codec": ["a", "a"], "link": ["qpsk|awgn({x})", "bpsk|awgn({x})"]})
    assert series_labels(table, ["codec", "link"]) == ["a, qpsk|awgn", "a, bpsk|awgn"]


# trials drawn on condition of a hit


def weighted(codecs, weights, **more):
    """As `make`, with a weight for every codec."""
    rows, cells = make(codecs, **more)
    rows["weight"] = rows["codec"].map(weights)
    cells["cell"] = rows["cell"].drop_duplicates().to_numpy()
    return rows, cells.assign(clean_status="ok").set_index("cell")


def test_means_are_over_all_noise():
    """Clean 30 dB in nine of ten sends, 20 dB else: 29 dB, and all that is seen is the 20."""
    rows, cells = weighted({"a": (30.0, lambda x: 20.0)}, {"a": 0.1})
    table = curves(rows, cells)
    np.testing.assert_allclose(table["psnr"], 29.0)
    np.testing.assert_allclose(table["ssim"], 0.9 * 0.9 + 0.1 * 0.8)
    np.testing.assert_allclose(table["measured_ber"], 0.1 * 0.003)
    np.testing.assert_allclose(table["weight"], 0.1)
    np.testing.assert_allclose(table["n_trials"], 12)


def test_intervals_shrink_by_the_weight():
    rows, cells = weighted({"a": (30.0, line)}, {"a": 1.0}, items=6)
    spread = rows["item"].str[4:].astype(float)
    rows["psnr"] -= spread
    plain = curves(rows, cells)
    rare = curves(rows.assign(weight=0.05), cells)
    wide, narrow = (t["psnr_high"] - t["psnr_low"] for t in (plain, rare))
    np.testing.assert_allclose(narrow, 0.05 * wide)
    np.testing.assert_allclose(30 - rare["psnr"], 0.05 * (30 - plain["psnr"]))


def test_resilience_is_that_of_the_mean_over_all_noise():
    """Hits cost 10 dB; the weight is ten times the error rate: 1 dB is lost at 1e-2."""
    rows, cells = make({"a": (30.0, lambda x: 20.0)}, points=[1e-3, 4e-3, 2e-2])
    rows["weight"] = 10 * rows["ber"]
    cells["cell"] = rows["cell"].drop_duplicates().to_numpy()
    table = resilience(rows, cells.assign(clean_status="ok").set_index("cell"))
    share = (1.0 - 0.4) / (2.0 - 0.4)  # the curve is 0.4 dB down at 4e-3 and 2 dB at 2e-2
    expected = 10 ** (np.log10(4e-3) + share * np.log10(5))
    assert table.loc[0, "ber_at_minus_1"] == pytest.approx(expected)


def test_outage_of_weighted_trials():
    rows, cells = weighted({"a": (30.0, line)}, {"a": 0.2}, items=5, trials=4, points=[1e-3])
    rows.loc[rows.index[:5], "status"] = "rejected"
    known = stats.binomtest(5, 20).proportion_ci(0.95, method="wilson")
    for clean, certain in (("ok", 0.0), ("rejected", 0.8)):  # a codec that fails unharmed too
        [line_] = curves(rows, cells.assign(clean_status=clean), axis="ber").to_dict("records")
        assert line_["outage"] == pytest.approx(certain + 0.2 * 5 / 20)
        assert line_["outage_low"] == pytest.approx(certain + 0.2 * known.low)
        assert line_["outage_high"] == pytest.approx(certain + 0.2 * known.high)


def test_outage_counts_every_item_the_same():
    rows, _ = make({"a": (30, line)}, items=2, trials=1, points=[1e-3])
    lost = rows[rows["item"] == "item1"].assign(status="rejected")
    rows = pd.concat([rows[rows["item"] == "item0"], *(lost.assign(trial=t) for t in range(9))])
    [one] = curves(rows, axis="ber").to_dict("records")
    assert one["outage"] == pytest.approx(0.5)  # not 9/10
    # one trial at 1/2 and nine at 1/18 are worth 1 / (1/4 + 9/324) = 3.6 alike
    low, high = wilson(1.8, 3.6)
    assert (one["outage_low"], one["outage_high"]) == pytest.approx((float(low), float(high)))


@pytest.mark.parametrize(
    ("weights", "pairs"), [((0.1, 0.1), 12), ((0.1, 0.3), 12), ((0.1, 1.0), 0)]
)
def test_pairs_of_weighted_trials(weights, pairs):
    """a loses 10 dB when hit and b 4 dB: exact differences, in one mode and in two."""
    rows, cells = weighted(
        {"a": (30.0, lambda x: 20.0), "b": (28.0, lambda x: 24.0)},
        dict(zip("ab", weights, strict=True)),
        spread=3.0,
    )
    table = paired(rows, "a", cells=cells)
    np.testing.assert_allclose(table["difference"], (28 - 4 * weights[1]) - (30 - 10 * weights[0]))
    assert set(table["n_pairs"]) == {pairs}
    assert set(table["n_items"]) == {4}
    np.testing.assert_allclose(table["high"], table["low"], atol=1e-9)  # items' spread cancels

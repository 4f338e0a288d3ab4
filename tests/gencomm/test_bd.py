"""Bjontegaard deltas of a run's rows: means over items, of mean curves, and their intervals."""

import numpy as np
import pandas as pd
import pytest

import gencomm
from gencomm.analysis import bd, bd_items, readable_bd
from gencomm.cli import main

RATES = np.array([0.25, 0.5, 1.0, 2.0, 4.0])


def rows(savings, metric="psnr", quality=lambda rate: 30 + 6 * np.log2(rate), link="clean"):
    """An anchor, and a codec that needs `savings[item]` of its rate for the same quality."""
    lines = []
    for k, share in enumerate(savings):
        for name, factor in (("anchor", 1.0), ("codec", share)):
            lines += [
                {
                    "codec": f"{name}(quality={q})",
                    "link": link,
                    "item": f"item{k}",
                    "trial": 0,
                    "status": "ok",
                    metric: quality(rate) + k,
                    "bpp": factor * rate,
                }
                for q, rate in enumerate(RATES)
            ]
    return pd.DataFrame(lines)


def test_the_same_saving_everywhere():
    table = bd(rows([0.8, 0.8, 0.8]), "anchor")
    line = table.iloc[0]
    assert line["family"] == "codec"
    for name in ("bd_rate", "bd_rate_low", "bd_rate_high", "curve_bd_rate", "curve_bd_rate_low"):
        assert line[name] == pytest.approx(-20)
    # 6 dB for each factor of two in rate
    assert line["bd_quality"] == pytest.approx(6 * np.log2(1 / 0.8))
    # the items' means lie one above the other, from 30 - 12 to 30 + 12 and 1 higher
    assert (line["quality_from"], line["quality_to"]) == pytest.approx((19, 43))
    assert line["n_items"] == 3
    assert line["left_out"] == ""


def test_items_count_alike_and_differ_in_the_interval():
    table = bd(rows([0.9, 0.7, 0.8, 0.6]), "anchor")
    items = bd_items(rows([0.9, 0.7, 0.8, 0.6]), "anchor")
    assert items["bd_rate"].to_numpy() == pytest.approx([-10, -30, -20, -40])
    line = table.iloc[0]
    assert line["bd_rate"] == pytest.approx(-25)
    assert line["bd_rate_low"] < -30 < -20 < line["bd_rate_high"]
    assert line["bd_rate_low"] >= -40.001
    # mean rates at each point are 0.75 of the anchor's, at the same mean quality
    assert line["curve_bd_rate"] == pytest.approx(-25)


def test_a_similarity_is_taken_in_decibels():
    # 1 - x = 0.1 / rate: 10 dB for each factor of ten in rate
    part = rows([0.5], "ms_ssim", lambda rate: 1 - 0.02 / rate)
    line = bd(part, "anchor", "ms_ssim").iloc[0]
    assert line["bd_rate"] == pytest.approx(-50)
    assert line["bd_quality"] == pytest.approx(10 * np.log10(2))
    assert line["quality_from"] == pytest.approx(-10 * np.log10(0.02 / 0.25))
    assert np.isnan(line["bd_rate_low"])  # one item has no interval


def test_items_without_a_delta_are_left_out_with_the_reason():
    part = rows([0.8, 0.8, 0.8])
    far = (part["item"] == "item1") & part["codec"].str.startswith("codec")
    part.loc[far, "psnr"] += 100
    table = bd(part, "anchor")
    line = table.iloc[0]
    assert line["bd_rate"] == pytest.approx(-20)
    assert line["n_items"] == 2
    assert line["left_out"].startswith("item1: the curves have no quality in common")
    assert "left out" in readable_bd(table)


def test_too_few_points_are_said():
    part = rows([0.8])
    part = part[~part["codec"].isin(["codec(quality=0)", "codec(quality=1)"])]
    line = bd(part, "anchor").iloc[0]
    assert np.isnan(line["bd_rate"])
    assert np.isnan(line["curve_bd_rate"])
    assert "needs 4 points, this one has 3" in line["left_out"]


def test_links_are_compared_each_with_its_own():
    part = pd.concat([rows([0.8]), rows([0.5], link="other")])
    table = bd(part, "anchor")
    assert dict(zip(table["link"], table["bd_rate"], strict=True)) == pytest.approx(
        {"clean": -20, "other": -50}
    )
    assert "link" in readable_bd(table)


def test_a_band_of_rates():
    line = bd(rows([0.5]), "anchor", rates=(0.5, 1)).iloc[0]
    # the codec is at 30 and 36 there, the anchor at 24 and 30: nothing in common but the end
    assert "no quality in common" in line["left_out"]
    line = bd(rows([0.5]), "anchor", rates=(0.5, 2)).iloc[0]
    assert (line["quality_from"], line["quality_to"]) == pytest.approx((30, 36))


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"reference": "ancor"}, "did you mean 'anchor'"),
        ({"metric": "ssim"}, "no metric 'ssim'"),
        ({"method": "linear"}, "pchip, akima, cubic"),
        ({"rates": (1, 0.2)}, "lower to a higher"),
    ],
)
def test_wrong_requests(changes, word):
    options = {"reference": "anchor"} | changes
    with pytest.raises(ValueError, match=word):
        bd(rows([0.8]), **options)


def test_no_rows():
    with pytest.raises(ValueError, match="no rows"):
        bd(rows([0.8]).iloc[:0], "anchor")


def test_a_sweep_without_noise_is_a_rate_distortion_curve(tmp_path, capsys):
    config = {
        "source": "photos(limit=2,size=64)",
        "codecs": ["jpeg(quality={quality})", "webp(quality={quality})"],
        "links": ["clean"],
        "grid": {"quality": [10, 30, 50, 70, 90]},
        "trials": 1,
        "metrics": ["psnr", "ssim"],
    }
    run = gencomm.sweep(config, tmp_path / "run", workers=1, progress=False)
    told = run.report(figures=False)
    assert "BD-rate in psnr against jpeg (%)" in told
    assert (run.folder / "savings.csv").is_file()
    table = run.bd("jpeg")
    assert table["bd_rate"].item() < -5  # WebP leaves out JPEG's long headers, for one thing
    assert list(run.bd("jpeg", "ssim", items=True)["item"]) == sorted(run.rows()["item"].unique())
    assert main(["plot", str(run.folder), "--x", "bpp", "--against", "jpeg"]) == 0
    out = capsys.readouterr().out
    assert "BD-rate in psnr against jpeg (%)" in out
    assert (run.folder / "figure.png").is_file()
    figure = run.plot("ssim", "bpp")
    lines = figure.axes[0].get_lines()
    curve = run.curves("bpp")
    expected = -10 * np.log10(1 - curve.loc[curve["family"] == "jpeg", "ssim"])
    assert lines[0].get_ydata() == pytest.approx(expected.to_numpy())
    assert "dB" in figure.axes[0].get_ylabel()
    assert main(["plot", str(run.folder), "--against", "jpeg"]) == 2
    assert "--x bpp" in capsys.readouterr().err

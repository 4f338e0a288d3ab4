"""Tables, figures and claims of photographs; run by ../recipe.py."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from drawing import columns_figure
from tables import joined, loss_claim, ratio_claim, ratios, write

from gencomm.analysis import curves, resilience

RUNS = ("coded", "fixed", "awgn_coded", "awgn_fixed")
RATES = (0.25, 0.5)
#: What the target names, and what else stands in the figure.
NAMED = ("jpeg", "jpeg2000", "cae", "hyperprior")
CODECS = ("generative", "cae", "hyperprior", "avif", "webp", "jpeg2000", "jpeg", "block_dct")
#: Targets of the project: ratio of bit error rates at -3 dB, and dB lost at an error rate.
TIMES = 1000.0
LOSSES = ((1e-2, 0.5), (5e-2, 2.0))
LINKS = {"bpsk|awgn(ebno_db={ebno_db})": "BPSK", "qam16|awgn(ebno_db={ebno_db})": "16-QAM"}


def publish(runs: Path, folder: Path) -> list[dict]:
    """Write everything but claims.json, which is returned."""
    bsc = joined(runs, ["fixed", "coded"])
    table = curves(*bsc, axis="ber")
    write(table, folder / "results.csv")
    write(resilience(*bsc, axis="ber"), folder / "resilience.csv")
    compared = _same_rate(ratios(bsc, [f"generative(bpp={r})" for r in RATES], "ber"))
    write(compared, folder / "ratios.csv")
    by_rate = {f"{r} bits per pixel": _named(table, r) for r in RATES}
    names = {name: name for name in CODECS}
    columns_figure(
        by_rate, ("psnr", "ms_ssim", "outage"), "ber", names, folder / "figure.png",
        f"{_counts(table)}; headers meet the noise; edge: clean quality",
    )  # fmt: skip
    awgn = joined(runs, ["awgn_fixed", "awgn_coded"])
    noisy = curves(*awgn, axis="ebno_db")
    write(noisy, folder / "results_awgn.csv")
    write(resilience(*awgn, axis="ebno_db"), folder / "resilience_awgn.csv")
    low = _named(noisy, RATES[0])
    columns_figure(
        {f"{title}, uncoded": low[low["link"] == link] for link, title in LINKS.items()},
        ("psnr", "outage"), "ebno_db",
        {"generative": "generative", "generative(decode=hard)": "generative, hard decisions"}
        | {name: name for name in CODECS[1:]},
        folder / "awgn.png",
        f"{_counts(noisy)}; {RATES[0]} bits per pixel; edge: clean quality",
    )  # fmt: skip
    return claims(bsc, compared)


def claims(bsc: tuple[pd.DataFrame, pd.DataFrame], compared: pd.DataFrame) -> list[dict]:
    """Ratios to each codec that the target names, and losses, at each rate."""
    found = []
    for rate in RATES:
        hero = f"generative(bpp={rate})"
        of_hero = compared[compared["of"] == hero]
        for name in NAMED:
            line = of_hero[of_hero["codec"] == f"{name}(bpp={rate})"].iloc[0].to_dict()
            found.append(ratio_claim(line, TIMES, hero))
        found += [loss_claim(bsc, hero, ber, most, hero) for ber, most in LOSSES]
    return found


def _rate(codecs: pd.Series) -> pd.Series:
    return codecs.str.extract(r"bpp=([\d.]+)")[0].astype(float)


def _same_rate(compared: pd.DataFrame) -> pd.DataFrame:
    # block_dct calls itself by what its rate came to; its half a bit per pixel is its default
    return compared[_rate(compared["of"]) == _rate(compared["codec"]).fillna(RATES[1])]


def _named(table: pd.DataFrame, rate: float) -> pd.DataFrame:
    """Operating points of one rate, under the names of their families."""
    part = table[_rate(table["codec"]).fillna(RATES[1]) == rate]
    short = part["codec"].str.replace(r"bpp=[\d.]+,?", "", regex=True)
    short = short.str.replace(r",?weights=[^,)]*", "", regex=True)
    return part.assign(
        codec=short.str.replace("(,", "(", regex=False).str.replace("()", "", regex=False)
    )


def _counts(table: pd.DataFrame) -> str:
    trials = table["n_trials"]
    count = f"{trials.min()}" if trials.nunique() == 1 else f"{trials.min()} to {trials.max()}"
    return f"n = {table['n_items'].max()} pictures, {count} trials a point; bands: 95 % over them"

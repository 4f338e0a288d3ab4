"""Tables, figures and claims of photographs; run by ../recipe.py."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from drawing import columns_figure
from tables import joined, loss_claim, ratio_claim, ratios, write

from gencomm.analysis import curves, resilience

RUNS = ("coded", "fixed", "awgn_coded", "awgn_fixed")
#: Rates, and the generative code's operating point at each: its default names itself without it.
RATES = {0.25: "generative", 0.5: "generative(bpp=0.5)"}
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
    compared = _same_rate(ratios(bsc, list(RATES.values()), "ber"))
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
    least = min(RATES)
    low = _named(noisy, least)
    columns_figure(
        {f"{title}, uncoded": low[low["link"] == link] for link, title in LINKS.items()},
        ("psnr", "outage"), "ebno_db",
        {"generative": "generative", "generative(decode=hard)": "generative, hard decisions"}
        | {name: name for name in CODECS[1:]},
        folder / "awgn.png",
        f"{_counts(noisy)}; {least} bits per pixel; edge: clean quality",
    )  # fmt: skip
    return claims(bsc, compared)


def claims(bsc: tuple[pd.DataFrame, pd.DataFrame], compared: pd.DataFrame) -> list[dict]:
    """Ratios to each codec that the target names, and losses, at each rate."""
    found = []
    for rate, hero in RATES.items():
        of_hero = compared[compared["of"] == hero]
        for name in NAMED:
            line = of_hero[of_hero["codec"] == f"{name}(bpp={rate})"].iloc[0].to_dict()
            found.append(ratio_claim(line, TIMES, hero))
        found += [loss_claim(bsc, hero, ber, most, hero) for ber, most in LOSSES]
    return found


def _rate(codecs: pd.Series) -> pd.Series:
    """Bits per pixel asked of each; two defaults go without saying."""
    rate = codecs.str.extract(r"bpp=([\d.]+)")[0].astype(float)
    return rate.fillna(codecs.str.startswith("generative").map({True: 0.25, False: 0.5}))


def _same_rate(compared: pd.DataFrame) -> pd.DataFrame:
    return compared[_rate(compared["of"]) == _rate(compared["codec"])]


def _named(table: pd.DataFrame, rate: float) -> pd.DataFrame:
    """Operating points of one rate, under the names of their families."""
    part = table[_rate(table["codec"]) == rate]
    short = part["codec"].str.replace(r"bpp=[\d.]+,?", "", regex=True)
    return part.assign(
        codec=short.str.replace("(,", "(", regex=False).str.replace("()", "", regex=False)
    )


def _counts(table: pd.DataFrame) -> str:
    trials = table["n_trials"]
    count = f"{trials.min()}" if trials.nunique() == 1 else f"{trials.min()} to {trials.max()}"
    return f"n = {table['n_items'].max()} pictures, {count} trials a point; bands: 95 % over them"

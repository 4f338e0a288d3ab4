"""Tables, figures and claims of faces; run by ../recipe.py."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from drawing import columns_figure
from tables import joined, loss_claim, ratio_claim, ratios, write

from gencomm.analysis import curves, resilience
from gencomm.api import Run

RUNS = ("fixed", "coded", "awgn", "judges", "sheet")
AWARE, MILD, PLAIN = "ncode_joint(design_ber=0.05)", "ncode_joint(design_ber=0.01)", "ncode_joint"
HEROES = [AWARE, MILD, PLAIN]
SOFT = "ncode_joint(design_ber=0.05,decode=soft)"
#: What the paper's claim is about, each at the rate nearest 512 bits of payload that it reaches.
ENTROPY_CODED = {
    "cae(quality=30,weights=cae_faces64)": "cae trained on faces",
    "cae(quality=0)": "cae",
    "hyperprior(quality=0)": "hyperprior",
    "avif(quality=0,speed=2)": "avif",
    "webp(quality=0)": "webp",
    "jpeg2000(bpp=0.36)": "jpeg2000",
    "jpeg(quality=2)": "jpeg",
}
FIXED = {
    AWARE: "ncode_joint, made for BER 0.05",
    PLAIN: "ncode_joint, plain",
    "klt(design_ber=0.05)": "klt, made for BER 0.05",
    "klt": "klt, plain",
}
HEADERS = {"in_band": "headers meet the noise", "protected": "headers granted free"}
LINKS = {"bpsk|awgn(ebno_db={ebno_db})": "BPSK", "qam16|awgn(ebno_db={ebno_db})": "16-QAM"}
#: Targets of the project: ratio of bit error rates at -3 dB, dB lost.
TIMES = 100.0
LOSSES = [(AWARE, 1e-2, 0.5), (AWARE, 5e-2, 2.0), (MILD, 1e-2, 0.5), (PLAIN, 1e-2, 2.0)]
PIXELS = 64 * 64


def publish(runs: Path, folder: Path) -> list[dict]:
    """Write everything but claims.json, which is returned."""
    bsc = joined(runs, ["fixed", "coded"])
    table = curves(*bsc, axis="ber")
    write(table, folder / "results.csv")
    write(resilience(*bsc, axis="ber"), folder / "resilience.csv")
    compared = ratios(bsc, HEROES, "ber")
    write(compared, folder / "ratios.csv")
    counted = _bits(table)
    names = {**FIXED, "block_dct(bpp=0.25)": "block_dct", **ENTROPY_CODED}
    names = {codec: f"{name}  {counted[codec]}" for codec, name in names.items()}
    columns_figure(
        {title: table[table["header"] == header] for header, title in HEADERS.items()},
        ("psnr", "outage"), "ber", names, folder / "figure.png",
        f"{_counts(table)}; bits: whole stream, and without its header; edge: clean quality",
    )  # fmt: skip
    awgn = Run(runs / "awgn")
    noisy = awgn.curves("ebno_db")
    write(noisy, folder / "results_awgn.csv")
    write(awgn.resilience(axis="ebno_db"), folder / "resilience_awgn.csv")
    write(ratios((awgn.rows(), awgn.cells()), [AWARE, SOFT], "ebno_db"), folder / "gains_awgn.csv")
    names = {AWARE: FIXED[AWARE], SOFT: "the same, reading LLRs", PLAIN: FIXED[PLAIN]}
    names |= {codec: name for codec, name in FIXED.items() if codec.startswith("klt")}
    columns_figure(
        {f"{title}, uncoded": noisy[noisy["link"] == link] for link, title in LINKS.items()},
        ("psnr", "outage"), "ebno_db", {**names, **ENTROPY_CODED}, folder / "awgn.png",
        f"{_counts(noisy)}; headers granted free; edge: clean quality",
    )  # fmt: skip
    judged = Run(runs / "judges").curves("ber")
    write(judged, folder / "judges.csv")
    there = set(judged["codec"])
    columns_figure(
        {"": judged}, ("identity", "lpips"), "ber",
        {codec: n for codec, n in {**FIXED, **ENTROPY_CODED}.items() if codec in there},
        folder / "judges.png", f"{_counts(judged)}; headers granted free", width=5.6,
    )  # fmt: skip
    Run(runs / "sheet").sheet(out=folder / "sheet.png")
    return claims(bsc, compared)


def claims(bsc: tuple[pd.DataFrame, pd.DataFrame], compared: pd.DataFrame) -> list[dict]:
    """Ratios to each entropy-coded codec, headers counted and free, and losses."""
    found = []
    for header, title in HEADERS.items():
        for codec in ENTROPY_CODED:
            of_aware = (compared["of"] == AWARE) & (compared["header"] == header)
            line = compared[of_aware & (compared["codec"] == codec)].iloc[0].to_dict()
            found.append(ratio_claim(line, TIMES, f"{AWARE}, {title}"))
    found += [loss_claim(bsc, codec, ber, most, codec) for codec, ber, most in LOSSES]
    return found


def _bits(table: pd.DataFrame) -> dict[str, str]:
    """Bits sent with and without header, by codec, as text."""
    found = {}
    for codec, part in table.groupby("codec"):
        by_header = (part.groupby("header")["bpp"].mean() * PIXELS).round().astype(int)
        whole, payload = by_header["in_band"], by_header["protected"]
        found[codec] = f"{whole} bits" if whole == payload else f"{whole}, {payload} bits"
    return found


def _counts(table: pd.DataFrame) -> str:
    trials = table["n_trials"]
    count = f"{trials.min()}" if trials.nunique() == 1 else f"{trials.min()} to {trials.max()}"
    return f"n = {table['n_items'].max()} faces, {count} trials a point; bands: 95 % over faces"

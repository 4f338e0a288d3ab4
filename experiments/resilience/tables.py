"""Rows of several runs as one, and what claims say of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from gencomm.analysis import Bootstrap, over_all_noise, resilience_ratios
from gencomm.api import Run
from gencomm.files import write_atomically

Tables = tuple[pd.DataFrame, pd.DataFrame]


def joined(runs: Path, names: list[str]) -> Tables:
    """Rows and cells of some runs over the same items.

    Where one run has two policies for headers and another, whose codecs have none, has one, the
    latter's rows stand under both.
    """
    rows = [Run(runs / name).rows() for name in names]
    cells = [Run(runs / name).cells() for name in names]
    headers = sorted(set(pd.concat(rows)["header"]))
    out_rows, out_cells = [], []
    for some, of in zip(rows, cells, strict=True):
        own = set(some["header"])
        out_rows.append(some)
        out_cells.append(of)
        for header in headers if len(own) == 1 else []:
            if header not in own:
                mark = "/" + header
                out_rows.append(some.assign(header=header, cell=some["cell"] + mark))
                out_cells.append(of.assign(header=header).rename(index=lambda c, m=mark: c + m))
    return pd.concat(out_rows, ignore_index=True), pd.concat(out_cells)


def ratios(tables: Tables, heroes: list[str], axis: str, drop: float = 3.0) -> pd.DataFrame:
    """How many times the noise each of some codecs bears of what every other does."""
    parts = []
    for hero in heroes:
        found = resilience_ratios(*tables, hero, axis, drop=drop)
        found.insert(0, "of", hero)
        parts.append(found)
    return pd.concat(parts, ignore_index=True)


def write(table: pd.DataFrame, path: Path) -> None:
    write_atomically(path, table.to_csv(index=False).encode())


def ratio_claim(line: dict, target: float, words: str) -> dict:
    """A line of `ratios` against what the ratio is to be at least."""
    value, low, high = (float(line[k]) for k in ("ratio", "ratio_low", "ratio_high"))
    said = {"at least": ", at least", "at most": ", at most", "unknown": ", unknown"}
    return {
        "claim": f"{words}: how many times the bit error rate of {line['codec']} at -3 dB"
        + said.get(line["bound"], ""),
        "source": "ratios.csv",
        "target": f"at least {target:g}",
        "value": float(f"{value:.3g}"),
        "low": float(f"{low:.3g}"),
        "high": float(f"{high:.3g}"),
        "verdict": _verdict(low >= target, value >= target and line["bound"] != "at most"),
    }


def loss_claim(tables: Tables, codec: str, ber: float, target: float, words: str) -> dict:
    """How many dB of PSNR a codec loses at an error rate from its clean quality, by item."""
    rows, cells = tables
    part = over_all_noise(rows, cells)
    part = part[(part["codec"] == codec) & np.isclose(part["ber"], ber, rtol=1e-6)]
    if not len(part):
        raise ValueError(f"no rows of {codec} at {ber:g}")
    of = cells[cells["codec"] == codec]
    lost = (of.groupby("item")["clean_psnr"].mean() - part.groupby("item")["psnr"].mean()).to_numpy(
        float
    )
    bootstrap = Bootstrap(len(lost))
    low, high = (float(end[0]) for end in bootstrap.interval(bootstrap.means(lost)[:, None]))
    value = float(lost.mean())
    return {
        "claim": f"{words}: dB of PSNR lost at BER {ber:g}, mean of {len(lost)} pictures",
        "source": "rows of the sweep",
        "target": f"at most {target:g}",
        "value": round(value, 2),
        "low": round(low, 2),
        "high": round(high, 2),
        "verdict": _verdict(high <= target, value <= target),
    }


def _verdict(sure: bool, likely: bool) -> str:
    return "met" if sure else "partly" if likely else "short"

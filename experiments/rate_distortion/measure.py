"""Run the sweep of kodak.yaml, each family of codecs in a folder of its own, and gather its rows.

A folder's name holds the checksum of a learned codec's weights: new weights are measured anew,
what is measured already is not run again.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from gencomm.api import Run, sweep
from gencomm.sweeps.config import read_yaml
from gencomm.sweeps.grid import placeholders
from gencomm.weights import index

HERE = Path(__file__).resolve().parent
CONFIG = HERE / "kodak.yaml"
#: What results.csv holds.
COLUMNS = ("family", "codec", "item", "bpp", "estimated_bpp", "psnr", "ms_ssim", "ssim")
LEARNED = ("cae", "hyperprior")


def families() -> dict[str, list[str]]:
    """The configuration's codecs by family, without those whose weights aren't there."""
    found: dict[str, list[str]] = {}
    for template in read_yaml(CONFIG)["codecs"]:
        family = template.split("(")[0]
        if family not in LEARNED or family in index():
            found.setdefault(family, []).append(template)
    return found


def run_family(family: str, out: Path, workers: int | None = None) -> Run:
    """The sweep with one family alone; goes on where it stopped."""
    config: dict[str, Any] = dict(read_yaml(CONFIG))
    config["codecs"] = families()[family]
    used = {name for template in config["codecs"] for name in placeholders(template)}
    config["grid"] = {name: axis for name, axis in config["grid"].items() if name in used}
    config["name"] = f"rate_distortion-{family}"
    weights = index().get(family, {}).get("sha256", "")
    return sweep(config, out / "-".join(filter(None, (family, weights[:8]))), workers=workers)


def table(run: Run, family: str) -> pd.DataFrame:
    """One line a picture and operating point.

    Raises
    ------
    RuntimeError
        A stream did not decode, or a cell gave no result.
    """
    rows, cells = run.rows(), run.cells()
    found = run.status()
    bad = rows[rows["status"] != "ok"]
    if len(bad) or found["cells"] < found["planned"]:
        raise RuntimeError(
            f"{run.folder}: {len(bad)} rows are not ok, {found['planned'] - found['cells']} cells "
            "are open"
        )
    notes = cells["notes"].reindex(rows["cell"])
    estimated = [note.get("estimated_bpp", float("nan")) for note in notes]
    rows = rows.assign(family=family, estimated_bpp=estimated)
    return rows[list(COLUMNS)].round(6)

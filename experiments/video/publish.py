"""From a finished sweep of clips to a folder of results: tables, figures, claims.

    python experiments/video/publish.py runs/video-camera-path experiments/video/camera_path

Everything in claims.json is computed here from the rows; results.csv holds what the figures draw.
``--no-sheet`` leaves pictures out, for clips that may not be published.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd

from gencomm.analysis import Bootstrap, over_all_noise
from gencomm.api import Run
from gencomm.files import write_atomically

#: Metrics of which figures are drawn.
DRAWN = ("psnr", "ssim")
#: A codec of fixed length that survives where entropy-coded streams do not: issue 12 asks of
#: ``ncode_video`` a bit error rate 1,000 times theirs at a loss of 3 dB.
FACTOR, DROP = 1000.0, 3.0
STREAMS = ("mpeg2", "h264")
FIXED = ("ncode_video", "per_frame")


def claims(run: Run) -> list[dict]:
    """What the rows say of where each codec breaks, and what codes of fixed length bear."""
    axes = [name for name in ("ber", "loss") if name in run.rows()]
    found = []
    for axis in axes:
        table = run.resilience("psnr", axis=axis)
        found += [_breaks(line, axis) for line in table.to_dict("records")]
    if "ber" in axes:
        found += _factors(run.resilience("psnr", axis="ber"))
    found.append(_slices(run))
    return [one for one in found if one is not None]


def _column(line: dict, axis: str, end: str = "") -> float | None:
    value = line.get(f"{axis}_at_minus_{DROP:g}{end}")
    return None if value is None or not np.isfinite(value) else float(value)


def _breaks(line: dict, axis: str) -> dict | None:
    value = _column(line, axis)
    what = "bit error rate" if axis == "ber" else "packet loss rate"
    where = f" over {line['link']}" if isinstance(line.get("link"), str) else ""
    if value is None:
        return None
    return {
        "claim": f"{line['codec']}{where}: {what} at which PSNR has fallen by {DROP:g} dB",
        "source": "results.csv; rows of the sweep",
        "target": "reported",
        "value": float(f"{value:.3g}"),
        "low": _rounded(_column(line, axis, "_low")),
        "high": _rounded(_column(line, axis, "_high")),
        "verdict": "reproduced",
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.3g}")


def _factors(table: pd.DataFrame) -> list[dict]:
    """How much more noise the codes of fixed length bear than each stream, at `DROP` dB."""
    found = []
    lines = {line["codec"]: line for line in table.to_dict("records")}
    fixed = [name for name in lines if name.startswith(FIXED)]
    streams = [name for name in lines if name.startswith(STREAMS)]
    for code in fixed:
        for stream in streams:
            a, b = _column(lines[code], "ber"), _column(lines[stream], "ber")
            if a is None or b is None:
                continue
            low, high = _column(lines[code], "ber", "_low"), _column(lines[code], "ber", "_high")
            under, over = (
                _column(lines[stream], "ber", "_low"),
                _column(lines[stream], "ber", "_high"),
            )
            least = low / over if low and over else None  # the ends that are worst for the claim
            most = high / under if high and under else None
            verdict = "met" if (least or 0) >= FACTOR else "partly" if a / b >= FACTOR else "short"
            found.append(
                {
                    "claim": f"{code}: times the bit error rate of {stream} at which {DROP:g} dB "
                    "of its own clean PSNR are lost",
                    "source": "results.csv; ends of the two intervals divided",
                    "target": f"at least {FACTOR:g} (for ncode_video)",
                    "value": float(f"{a / b:.3g}"),
                    "low": _rounded(least),
                    "high": _rounded(most),
                    "verdict": verdict,
                }
            )
    return found


def _slices(run: Run) -> dict | None:
    """What four slices do for H.264 at a bit error rate of 1e-4: paired by clip."""
    rows = over_all_noise(run.rows(), run.cells())
    if "ber" not in rows:
        return None
    near = rows[np.isclose(rows["ber"], 1e-4, rtol=0.1)]
    table = near.groupby(["item", "codec"])["psnr"].mean().unstack("codec")
    sliced = [c for c in table if str(c).startswith("h264") and "slices=4" in str(c)]
    plain = (
        [c for c in table if str(c) == str(sliced[0]).replace(",slices=4", "")] if sliced else []
    )
    if not plain:
        return None
    gain = (table[sliced[0]] - table[plain[0]]).to_numpy(float)
    bootstrap = Bootstrap(len(gain))
    low, high = bootstrap.interval(bootstrap.means(gain[:, None]))
    return {
        "claim": f"{sliced[0]}: dB of PSNR gained over one slice a picture at equal bits per "
        f"second and a bit error rate of 1e-4, mean of {len(gain)} clips",
        "source": "rows of the sweep, paired by clip",
        "target": "above 0",
        "value": round(float(gain.mean()), 2),
        "low": round(float(low[0]), 2),
        "high": round(float(high[0]), 2),
        "verdict": "met" if low[0] > 0 else "partly" if gain.mean() > 0 else "short",
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--no-sheet", action="store_true")
    arguments = parser.parse_args()
    run, folder = Run(arguments.run), arguments.folder
    folder.mkdir(parents=True, exist_ok=True)
    axes = [name for name in ("ber", "loss") if name in run.rows()]
    tables = [run.curves(axis) for axis in axes]
    text = pd.concat(tables, ignore_index=True).to_csv(index=False)
    write_atomically(folder / "results.csv", text.encode())
    resilience = [run.resilience("psnr", axis=axis) for axis in axes]
    write_atomically(
        folder / "resilience.csv",
        pd.concat(resilience, ignore_index=True).to_csv(index=False).encode(),
    )
    for axis in axes:
        for metric in DRAWN:
            name = "figure" if (axis, metric) == (axes[0], DRAWN[0]) else f"{metric}-{axis}"
            run.plot(metric, axis, out=folder / f"{name}.png")
        if not arguments.no_sheet:
            run.sheet(
                axis=axis, out=folder / ("sheet.png" if axis == axes[0] else f"sheet-{axis}.png")
            )
    found = json.dumps(claims(run), indent=1) + "\n"
    write_atomically(folder / "claims.json", found.encode())
    print(found)
    return 0


if __name__ == "__main__":
    sys.exit(main())

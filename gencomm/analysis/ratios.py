"""How many times the noise one codec bears of what another does, with paired intervals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from gencomm.analysis.bootstrap import REPLICATES, Bootstrap, item_means
from gencomm.analysis.columns import default_axis, series_of
from gencomm.analysis.matrices import clean_means, each_series, series_key
from gencomm.analysis.resilience import Harshness, crossing
from gencomm.analysis.weighting import over_all_noise


def resilience_ratios(
    rows: pd.DataFrame,
    cells: pd.DataFrame,
    codec: str,
    axis: str | None = None,
    metric: str = "psnr",
    drop: float = 3.0,
    level: float = 0.95,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> pd.DataFrame:
    """Compare where the mean curves of `codec` and of every other have fallen by `drop`.

    Both crossings (see :func:`gencomm.analysis.resilience`) are looked for in the same draws of
    items, so what makes a picture hard for both cancels.

    Parameters
    ----------
    rows, cells : DataFrame
        As `gencomm.load_run` and `gencomm.load_cells` give them.
    codec : str
        The one compared with all others; it meets each under the same link and policy.
    axis : str, optional
        A name of the grid. Default: the first.
    metric : str
    drop : float
        In the metric's unit.
    level, replicates, seed
        Of the bootstrap.

    Returns
    -------
    DataFrame, one line per other series, with its columns and

    ``ratio``, ``ratio_low``, ``ratio_high``
        Along an error rate, that of `codec` over the other's; along a ratio in dB, how many dB
        less `codec` needs. NaN where one of the two has no crossing at all (lossless).
    ``bound``
        ``"at least"`` where `codec` has not fallen by the grid's harsh end, or the other has at
        its mild end: that end then stands for the crossing. ``"at most"`` the other way round,
        ``"unknown"`` where both hold. Empty where both crossings lie in the grid.

    Raises
    ------
    ValueError
        No series is of `codec`, or none under another's link and policy.
    """
    if not drop > 0:
        raise ValueError(f"a drop is positive, got {drop:g}")
    axis = axis or default_axis(rows)
    series = series_of(rows, axis)
    items = sorted(rows["item"].unique().tolist())
    bootstrap = Bootstrap(len(items), replicates, seed, level)
    clean = clean_means(cells, series, [metric], items)
    found: dict[tuple, tuple[dict, _Crossings]] = {}
    for part in each_series(over_all_noise(rows, cells), series, axis, [metric], items):
        key = series_key(tuple(part.key.values()))
        found[key] = (
            part.key,
            _crossings(axis, part.x, part.values[metric], clean[key][metric], drop, bootstrap),
        )
    lines = []
    for key, (names, other) in found.items():
        if names["codec"] == codec:
            continue
        same = (series_key((codec,))[0], *key[1:])
        if same not in found:
            known = ", ".join(dict.fromkeys(str(n["codec"]) for n, _ in found.values()))
            raise ValueError(f"no rows of {codec!r} beside {key}; there are codecs {known}")
        lines.append({**names, **_compared(found[same][1], other, bootstrap)})
    return pd.DataFrame(lines)


class _Crossings:
    """Crossings of the mean curve and of its draws on the scale of harshness, ends put in."""

    def __init__(self, scale: Harshness, mean: np.ndarray, drawn: np.ndarray):
        self.scale = scale
        self.early, self.late = mean[0] == -np.inf, mean[0] == np.inf
        ends = float(scale.h.min()), float(scale.h.max())
        self.mean, self.drawn = np.clip(mean[0], *ends), np.clip(drawn, *ends)


def _crossings(
    axis: str,
    x: np.ndarray,
    values: np.ndarray,
    reference: np.ndarray,
    drop: float,
    bootstrap: Bootstrap,
) -> _Crossings:
    scale = Harshness(axis, x)
    mean = crossing(scale.h, item_means(values)[None], item_means(reference)[None] - drop)
    drawn = crossing(scale.h, bootstrap.means(values), bootstrap.means(reference) - drop)
    return _Crossings(scale, mean, drawn)


def _compared(one: _Crossings, other: _Crossings, bootstrap: Bootstrap) -> dict[str, Any]:
    low, high = bootstrap.interval((one.drawn - other.drawn)[:, None])
    gained = np.array([one.mean - other.mean, low[0], high[0]])
    if one.scale.logarithmic:
        gained = 10.0**gained
    least, most = one.late or other.early, one.early or other.late
    bound = "unknown" if least and most else "at least" if least else "at most" if most else ""
    return {
        "ratio": float(gained[0]),
        "ratio_low": float(gained[1]),
        "ratio_high": float(gained[2]),
        "bound": bound,
    }

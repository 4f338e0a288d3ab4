"""Codecs and links of a budget: their rate, their scheme, and whether they keep to the budget."""

from __future__ import annotations

from typing import Any

import pandas as pd

from channels.spec import Spec, parse_chain, parse_spec

#: A codec that takes this much more than the rate it was told can't be had at that rate.
OVERDRAWN = 1.01


def without_rate(codec: str) -> str:
    """``avif(bpp=0.5,speed=2)`` as ``avif(speed=2)``."""
    spec = parse_spec(codec)
    kept = tuple((name, value) for name, value in spec.kwargs if name != "bpp")
    return str(Spec(spec.name, spec.args, kept))


#: Names that stand in a link from the medium on.
_MEDIA_FIRST = ("awgn", "rayleigh", "rician", "phase")


def split_link(link: str) -> tuple[str, str]:
    """A link's scheme (codes and modulation) and its medium."""
    stages = parse_chain(link).stages
    first = next(
        (i for i, stage in enumerate(stages) if stage.name in _MEDIA_FIRST), len(stages) - 1
    )
    return "|".join(map(str, stages[:first])), "|".join(map(str, stages[first:]))


def rate_of(codec: str) -> float:
    """The ``bpp`` that a codec was told; NaN where it was told none."""
    rate = dict(parse_spec(codec).kwargs).get("bpp")
    return float(rate) if isinstance(rate, (int, float)) else float("nan")


def overdrawn(cells: Any) -> pd.Series:
    """Cells in which the codec took more bits than the rate in its spec, a bool a line."""
    rates = cells["codec"].map({codec: rate_of(codec) for codec in cells["codec"].unique()})
    return cells["bpp_total"].astype(float) > OVERDRAWN * rates.astype(float)


def fits(cells: Any) -> pd.DataFrame:
    """The columns ``codec`` and ``link`` of operating points that keep to their rate.

    They were encoded, and not overdrawn, on every item that the run holds of them.
    """
    bad = overdrawn(cells) | (cells["stop"] == "not_encoded")
    pairs = cells.assign(_bad=bad).groupby(["codec", "link"], sort=False)["_bad"].any()
    return pairs[~pairs].reset_index()[["codec", "link"]]

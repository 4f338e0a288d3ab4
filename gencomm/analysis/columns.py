"""Which column is what: metrics, axes of the grid, and what tells one curve from another."""

from __future__ import annotations

import re
from typing import Any

import pandas as pd

#: Policy columns, in the order of `gencomm.policy.Policy`.
POLICY = ("header", "decode", "conceal")
#: The policy of clips: a column only in runs that choose another than its default.
FRAMES = "frames"
#: Columns of a run's rows that are neither a metric nor an axis of the grid.
FIXED = frozenset(
    {
        "codec",
        "link",
        "link_spec",
        *POLICY,
        FRAMES,
        "item",
        "trial",
        "status",
        "bit_errors",
        "n_bits",
    }
    | {"bpp", "weight", "detail", "cell"}
)
_RATE = re.compile(r",?\bbpp=[^,()]*")
#: Statuses in which no picture came out; those of `gencomm.codecs.contract.Status.outage`.
OUTAGES = frozenset({"rejected", "crashed", "timeout", "memory", "wrong_size"})


def metrics_of(rows: pd.DataFrame) -> list[str]:
    """Columns that hold a metric: the numbers that stand behind ``status``."""
    _need(rows, "status")
    behind = list(rows.columns)[rows.columns.get_loc("status") + 1 :]  # type: ignore[operator]
    kept = [c for c in behind if c not in FIXED and not c.startswith("_")]
    return [c for c in kept if pd.api.types.is_numeric_dtype(rows[c])]


def axes(rows: pd.DataFrame) -> list[str]:
    """Columns of the grid, such as ``ber``: those that are not fixed and stand before ``item``."""
    _need(rows, "item")
    before = list(rows.columns)[: rows.columns.get_loc("item")]  # type: ignore[misc]
    return [c for c in before if c not in FIXED]


def default_axis(rows: pd.DataFrame) -> str:
    """The first axis of the grid that has more than one value, or ``bpp`` without a grid."""
    names = axes(rows)
    several = [name for name in names if differs(rows, name)]
    return (several or names or ["bpp"])[0]


def series_of(rows: pd.DataFrame, axis: str) -> list[str]:
    """Columns that tell one curve from another when drawn against `axis`."""
    _need(rows, axis)
    first = "family" if axis == "bpp" else "codec"
    others = [name for name in axes(rows) if name not in (axis, "family")]
    return [first, *(c for c in ("link", *others, *POLICY, FRAMES) if c in rows.columns)]


def with_family(rows: pd.DataFrame) -> pd.DataFrame:
    """A copy with ``family``: the codec's name without its arguments."""
    family = rows["codec"].str.split("(", n=1).str[0]
    rows = rows.copy()
    rows.insert(0, "family", family)
    return rows


def series_labels(table: pd.DataFrame, series: list[str], separator: str = ", ") -> list[str]:
    """A text for each line of `table`: the codec, and what else differs within the table.

    Links are named without what a figure's axis says: ``qpsk|awgn(ebno_db={ebno_db})`` is
    ``qpsk|awgn``, unless two would then be called the same.
    """
    telling = [c for c in series[1:] if differs(table, c)]
    if "link" in telling:
        short = table["link"].map(short_link)
        if len(set(short)) == len(set(table["link"])):
            table = table.assign(link=short)
    labels = []
    for values in table[[series[0], *telling]].itertuples(index=False):
        parts = [str(values[0])]
        for name, value in zip(telling, values[1:], strict=True):
            if pd.isna(value):
                continue
            plain = name in ("link", *POLICY, FRAMES)
            number = f"{value:g}" if isinstance(value, float) else str(value)
            parts.append(number if plain else f"{name}={number}")
        labels.append(separator.join(parts))
    return labels


def without_rate(labels: list[str]) -> list[str]:
    """Labels beside which the measured rate stands, without ``bpp=``, if they still differ.

    ``jpeg(bpp=0.5)`` is ``jpeg`` then, and ``cae(bpp=0.5,slices=8)`` ``cae(slices=8)``.
    """
    short = [re.sub(r"\(,+", "(", _RATE.sub("", label)).replace("()", "") for label in labels]
    return short if len(set(short)) == len(set(labels)) else list(labels)


def short_link(link: str) -> str:
    """A link as the configuration writes it, without arguments that the grid fills in."""
    text = re.sub(r"(?:\w+=)?\{\w+\}", "", link)
    text = re.sub(r",+(?=[,)])", "", re.sub(r"\(,+", "(", text))
    return text.replace("()", "")


def differs(frame: Any, name: str) -> bool:
    """Whether a column holds more than one value, a missing one counted too."""
    return frame[name].nunique(dropna=False) > 1


def rising(axis: str) -> bool:
    """Whether quality rises with the axis: ratios in dB do it good, error rates harm."""
    return axis.endswith("_db") or axis in ("bpp", "cbr")


def _need(frame: pd.DataFrame, *names: str) -> None:
    missing = [name for name in names if name not in frame.columns]
    if missing:
        raise ValueError(
            f"the table has no column {', '.join(missing)}; it has {', '.join(map(str, frame))}"
        )

"""Contact sheets: codecs in rows, noise in columns, what came out in each place."""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from gencomm.analysis.columns import OUTAGES, default_axis, series_labels, series_of, without_rate
from gencomm.figures import style

#: Where there are more columns than this, every second or third is shown.
MOST_COLUMNS = 7
_GAP, _CAPTION, _HEAD, _LETTER = 0.06, 0.19, 0.3, 0.07  # inches; a letter is about that wide
_LINE, _ROW_LINE = 0.125, 0.14  # inches from line to line of the note, and of a row's label


@dataclass(frozen=True)
class Tile:
    """A place of the sheet.

    Attributes
    ----------
    row, column : str
        Labels of its row and column.
    picture : uint8 array, shape (height, width, 3) or (height, width)
    caption : str
        Stands under it, such as its score.
    failed : bool
        Whether there was no picture and this is the concealment.
    """

    row: str
    column: str
    picture: np.ndarray
    caption: str = ""
    failed: bool = False


def contact_sheet(
    tiles: Iterable[Tile],
    original: np.ndarray | None = None,
    title: str = "",
    note: str = "",
    column_title: str = "",
    width: float = 8.0,
) -> Figure:
    """Lay out pictures in rows and columns, in the order in which their labels first appear.

    Parameters
    ----------
    tiles : iterable of Tile
    original : uint8 array, optional
        Shown on top, with `title` and `note` beside it.
    title, note : str
        What the sheet shows.
    column_title : str
        Stands over the columns' labels.
    width : float
        In inches; the height follows from the pictures' shape.

    Raises
    ------
    ValueError
        There are no tiles.
    """
    tiles = list(tiles)
    if not tiles:
        raise ValueError("no picture was kept: a contact sheet needs some")
    rows = list(dict.fromkeys(tile.row for tile in tiles))
    columns = list(dict.fromkeys(tile.column for tile in tiles))
    shape = (tiles[0].picture if original is None else original).shape
    words = "\n".join([*rows, "original", column_title if "$" not in column_title else ""])
    left = 0.2 + _LETTER * max(map(len, words.split("\n")))
    across = min((width - left) / len(columns) - _GAP, 2.6)
    width = left + len(columns) * (across + _GAP) + _GAP
    down = across * shape[0] / shape[1]
    beside_high = 0.24 * bool(title) + _LINE * (note.count("\n") + bool(note)) + _GAP
    head = max(down + 0.12 if original is not None else 0.0, beside_high) + _HEAD
    # low pictures, such as frames side by side, stand as far apart as their labels need
    label = _ROW_LINE * max(row.count("\n") + 1 for row in rows) + _GAP
    pitch = max(down + _CAPTION, label)
    height = head + len(rows) * pitch + _GAP
    with style.styled():
        figure = Figure(figsize=(width, height))
        sheet = _Sheet(figure, width, height)
        if original is not None:
            sheet.picture(original, left, _GAP, across, down)
            sheet.text(left - 0.08, _GAP + down / 2, "original", ha="right", va="center")
        beside = left + (across + 0.15 if original is not None else 0)
        sheet.text(beside, _GAP, title, fontsize=9.5, va="top")
        sheet.text(beside, _GAP + 0.24, note, fontsize=7.5, va="top", color="#444444")
        if column_title:
            sheet.text(left - 0.08, head - 0.06, column_title, ha="right", fontsize=7.5)
        for i, column in enumerate(columns):
            middle = left + i * (across + _GAP) + across / 2
            sheet.text(middle, head - 0.06, column, ha="center")
        for i, row in enumerate(rows):
            top = head + i * pitch
            # beside the middle of its pictures, but never above them, where the columns' labels are
            sheet.text(left - 0.08, top + max(down, label - _GAP) / 2, row, ha="right", va="center")
        for tile in tiles:
            x = left + columns.index(tile.column) * (across + _GAP)
            top = head + rows.index(tile.row) * pitch
            sheet.picture(tile.picture, x, top, across, down)
            colour = "#B00020" if tile.failed else "black"
            sheet.text(
                x + across / 2, top + down + 0.02, tile.caption,
                ha="center", va="top", fontsize=7, color=colour,
            )  # fmt: skip
    return figure


class _Sheet:
    """Places things in inches from the upper left corner."""

    def __init__(self, figure: Figure, width: float, height: float):
        self.figure, self.width, self.height = figure, width, height

    def text(self, x: float, y: float, text: str, **options: Any) -> None:
        if text:
            self.figure.text(x / self.width, 1 - y / self.height, text, **options)

    def picture(self, value: np.ndarray, x: float, y: float, across: float, down: float) -> None:
        place = (
            x / self.width,
            1 - (y + down) / self.height,
            across / self.width,
            down / self.height,
        )
        axes = self.figure.add_axes(place)
        axes.imshow(value, cmap="gray", vmin=0, vmax=255, interpolation="antialiased")
        axes.set_xticks([])
        axes.set_yticks([])
        axes.spines[:].set_visible(True)
        axes.spines[:].set(linewidth=0.4, color="#888888")


class KeptPicture(Protocol):
    """A picture that a run kept: see `gencomm.sweeps.records.Artefact`."""

    @property
    def name(self) -> str: ...
    @property
    def cell(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def data(self) -> bytes: ...


def run_sheet(
    rows: pd.DataFrame,
    kept: Sequence[KeptPicture],
    metric: str = "psnr",
    axis: str | None = None,
    item: str | None = None,
    columns: int = MOST_COLUMNS,
    title: str = "",
    cells: pd.DataFrame | None = None,
) -> Figure:
    """The contact sheet of a run: trial 0 of each codec at each point of an axis.

    Where fewer than half of the trials are hit and only hits were drawn, what the others show
    stands here, the undamaged picture, with its share.

    Parameters
    ----------
    rows : DataFrame
        As `gencomm.load_run` gives it, with ``cell``.
    kept : sequence of artefacts
        What the store kept: of kind ``received`` or ``clean``, and ``original/<item>``.
    metric : str
        Whose score stands under each picture.
    axis : str, optional
        A name of the grid; default the first.
    item : str, optional
        Which item; default the first of which pictures were kept.
    columns : int
        At most so many points of the axis: every second or third where there are more.
    title : str
    cells : DataFrame, optional
        As `gencomm.load_cells` gives it; needed where a picture is the undamaged one.

    Raises
    ------
    ValueError
        Nothing was kept of the item, or `cells` are missing.
    """
    pictures = {one.cell: one.data for one in kept if one.kind in ("received", "clean")}
    undamaged = [one.cell for one in kept if one.kind == "clean"]
    originals = {one.name.removeprefix("original/"): one.data for one in kept if not one.cell}
    axis = axis or default_axis(rows)
    found: Any = rows[(rows["trial"] == 0) & rows["cell"].isin(list(pictures))]
    if item is None and len(found):
        item = str(found["item"].iloc[0])
    found = found[found["item"] == item]
    if axis != "bpp":
        found = found[found[axis].notna()]
    if not len(found):
        raise ValueError(
            f"no pictures were kept of {item!r}: {', '.join(originals) or 'of no item at all'}"
        )
    if axis == "bpp":
        raise ValueError("the run has no axis of noise to lay pictures out along")
    points = np.sort(found[axis].unique())
    points = points[:: -(-len(points) // columns)]
    found = found[found[axis].isin(points)]
    # rows as they come in the table, columns by rising value
    found = found.assign(_row=pd.factorize(found["codec"])[0]).sort_values([axis, "_row"])
    found = found.drop(columns="_row")
    labels = series_labels(found, series_of(found, axis), separator="\n")
    labels = without_rate(labels) if "bpp" in found else labels
    found = _with_clean(found, undamaged, metric, cells)
    tiles = [
        Tile(
            _row_label(label, line.get("bpp")),
            style.number_text(line[axis]),
            _decoded(pictures[line["cell"]]),
            _tile_caption(line, metric),
            line["status"] in OUTAGES,
        )
        for label, line in zip(labels, found.to_dict("records"), strict=True)
    ]
    note = f"{item}, first trial of each\nunder each: {style.metric_label(metric)}"
    if (found["_clean"] > 0).any():
        note += "\nwhere most sends are not hit at all: one of those, and their share"
    if any(tile.failed for tile in tiles):
        note += "\nred: no picture came out, the concealment is shown"
    original = _decoded(originals[item]) if item in originals else None
    return contact_sheet(tiles, original, title, note, style.short_axis_label(axis))


def _with_clean(
    found: Any, undamaged: Sequence[str], metric: str, cells: pd.DataFrame | None
) -> Any:
    """Rows with score and status of the picture shown; `_clean` is the share of its like."""
    found = found.assign(_clean=0.0)
    for index, line in found[found["cell"].isin(undamaged)].iterrows():
        if cells is None:
            raise ValueError("some pictures are of undamaged streams: give the cells' table too")
        cell = cells.loc[line["cell"]]
        found.loc[index, [metric, "status"]] = [cell[f"clean_{metric}"], cell["clean_status"]]
        found.loc[index, "_clean"] = 1 - line["weight"]
    return found


def _row_label(label: str, bpp: Any) -> str:
    """``jpeg2000(bpp=0.5)`` over two lines, with its real rate."""
    codec, *others = label.split("\n")
    name, mark, rest = codec.partition("(")
    text = "\n".join([name, *([mark + rest] if mark else []), *others])
    return f"{text}\n{bpp:.2f} bpp" if isinstance(bpp, float) and np.isfinite(bpp) else text


def _tile_caption(line: dict, metric: str) -> str:
    score = style.score_text(metric, line[metric])
    if line["_clean"]:
        score = f"{score} in {_percent(line['_clean'])}"
    return score if line["status"] == "ok" else f"{score}, {line['status'].replace('_', ' ')}"


def _percent(share: float) -> str:
    """Rounded down to what is not yet 100 %: ``97 %``, ``99.97 %``."""
    digits = max(0, math.ceil(-math.log10(max(1 - share, 1e-9))) - 2)
    return f"{math.floor(share * 10 ** (2 + digits)) / 10**digits:.{digits}f} %"


def _decoded(data: bytes) -> np.ndarray:
    from PIL import Image

    return np.asarray(Image.open(io.BytesIO(data)))

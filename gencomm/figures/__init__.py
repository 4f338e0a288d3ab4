"""Figures: from tables and pictures to matplotlib figures.

They are drawn with matplotlib's object interface: no window, no global state, any thread. None of
them imports a codec, so a figure can be made again wherever its table is.
"""

from gencomm.figures.quality import quality_figure
from gencomm.figures.saving import save
from gencomm.figures.sent import sent_figure
from gencomm.figures.sheet import Tile, contact_sheet, run_sheet

__all__ = ["Tile", "contact_sheet", "quality_figure", "run_sheet", "save", "sent_figure"]

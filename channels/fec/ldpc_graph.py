"""Base graphs and lifting of the 5G NR LDPC codes (3GPP TS 38.212 sections 5.2.2 and 5.3.2)."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from importlib.resources import files

import numpy as np

#: Lifting sizes Z, by set index (TS 38.212 Table 5.3.2-1): a * 2**j, at most 384
LIFTING_SIZES = tuple(
    tuple(a << j for j in range(8) if a << j <= 384) for a in (2, 3, 5, 7, 9, 11, 13, 15)
)
#: Rows at the top whose parity columns are coupled; every row below has a parity column of its own
CORE_ROWS = 4


@dataclass(frozen=True, eq=False)
class BaseGraph:
    """A base graph with its shifts for all eight sets of lifting sizes.

    Attributes
    ----------
    number : int
        1 or 2.
    info_columns : int
        Columns of information bits: 22 or 10.
    rows, columns : int
        46 x 68 or 42 x 52.
    max_block : int
        Most bits of a code block, K_cb: 8448 or 3840.
    row, column : int64 arrays, shape (edges,)
        Where the ones stand, row by row.
    shifts : int64 array, shape (edges, 8)
        V(i, j) by set index (Tables 5.3.2-2 and -3).
    """

    number: int
    info_columns: int
    rows: int
    columns: int
    max_block: int
    row: np.ndarray
    column: np.ndarray
    shifts: np.ndarray


@dataclass(frozen=True, eq=False)
class LiftedGraph:
    """The upper left part of a lifted base graph, as a decoder or encoder walks through it.

    Check i of row r contains bit ``column * z + (i + shift) % z`` for each of the row's edges.

    Attributes
    ----------
    z : int
        Lifting size.
    columns : int
        Columns in use.
    row_start : int64 array, shape (rows + 1,)
        Row r has the edges row_start[r] to row_start[r + 1].
    column, shift : int64 arrays, shape (edges,)
        Shifts are below z. A row's parity column comes last among its edges.
    """

    z: int
    columns: int
    row_start: np.ndarray
    column: np.ndarray
    shift: np.ndarray


@lru_cache(maxsize=2)
def base_graph(number: int) -> BaseGraph:
    """Base graph 1 (long blocks, high rates) or 2 (short blocks, low rates)."""
    text = files("channels.fec").joinpath("ldpc_base_graphs.txt").read_text("ascii")
    lines = [line.split() for line in text.splitlines() if line and not line.startswith("#")]
    table = np.array([line[1:] for line in lines if line[0] == str(number)], np.int64)
    sizes = {1: (22, 46, 68, 8448), 2: (10, 42, 52, 3840)}[number]
    return BaseGraph(number, *sizes, table[:, 0], table[:, 1], table[:, 2:])


def choose_base_graph(k: int, rate: Fraction | float) -> int:
    """Base graph for a transport block of `k` bits (TS 38.212 section 6.2.2 and 7.2.2)."""
    short = k <= 292 or (k <= 3824 and rate <= Fraction(67, 100)) or rate <= Fraction(1, 4)
    return 2 if short else 1


def choose_lifting(graph: BaseGraph, total: int, block: int) -> tuple[int, int]:
    """Smallest lifting size that holds a code block, and its set index (section 5.2.2).

    Parameters
    ----------
    graph : BaseGraph
    total : int
        B: bits before segmentation, which set how many columns base graph 2 fills.
    block : int
        K': bits of the code block.
    """
    columns = graph.info_columns
    if graph.number == 2:
        columns = 10 if total > 640 else 9 if total > 560 else 8 if total > 192 else 6
    fits = [
        (z, index)
        for index, sizes in enumerate(LIFTING_SIZES)
        for z in sizes
        if columns * z >= block
    ]
    if not fits:
        raise ValueError(
            f"a code block of base graph {graph.number} holds {graph.max_block} bits, got {block}"
        )
    return min(fits)


def fewest_sent(graph: BaseGraph, total: int, block: int) -> int:
    """Sent bits that a code block needs for its punctured bits to be recovered without noise.

    Two columns are punctured. In base graph 1 rows 2 and 1 give them away one after the other, once
    three parity columns are there; in base graph 2 rows 2 and 4 do with four. Arguments as for
    `choose_lifting`.
    """
    z, _ = choose_lifting(graph, total, block)
    return block + (1 if graph.number == 1 else 2) * z


def lift(
    graph: BaseGraph, z: int, set_index: int, columns: int, empty: range = range(0)
) -> LiftedGraph:
    """Lift the part of a base graph that the first `columns` columns need.

    Parameters
    ----------
    graph : BaseGraph
    z, set_index : int
        Lifting size and its set.
    columns : int
        Columns in use; the rows are the core and those whose parity column is among them.
    empty : range
        Columns that hold nothing but filler bits: their edges are left out.
    """
    rows = columns - graph.info_columns
    keep = graph.row < rows
    for column in empty:
        keep &= graph.column != column
    row, column = graph.row[keep], graph.column[keep]
    shift = graph.shifts[keep, set_index] % z
    return LiftedGraph(z, columns, np.searchsorted(row, np.arange(rows + 1)), column, shift)

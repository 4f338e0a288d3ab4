"""How far a sweep is: a bar on a terminal, one line that grows in a notebook, lines elsewhere."""

from __future__ import annotations

import sys
import time
from typing import TextIO

#: Seconds between two lines where there is no terminal.
EVERY = 15.0
#: Before so many cells are done, nothing is said about the time that is left.
EARLY = 10


class Progress:
    """Counts cells. Use it as a context manager.

    Parameters
    ----------
    total : int
        Cells to run now.
    file : text stream
        Where to write; None writes nothing.
    """

    def __init__(self, total: int, file: TextIO | None):
        self.total, self.done, self.rows = total, 0, 0
        self._file, self._bar, self._task = file, None, None
        self._start = self._last = time.monotonic()
        self._terminal = bool(file is not None and file.isatty())
        self._notebook = not self._terminal and _in_notebook()

    def __enter__(self) -> Progress:
        if self._terminal and self.total:
            from rich.console import Console
            from rich.progress import (
                BarColumn,
                MofNCompleteColumn,
                TextColumn,
                TimeElapsedColumn,
                TimeRemainingColumn,
            )
            from rich.progress import Progress as Bar

            self._bar = Bar(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("cells"),
                TimeElapsedColumn(),
                TextColumn("left"),
                TimeRemainingColumn(),
                console=Console(file=self._file),
                speed_estimate_period=120,
            )
            self._task = self._bar.add_task("sweep", total=self.total)
            self._bar.start()
        return self

    def __exit__(self, *exc: object) -> None:
        if self._bar is not None:
            self._bar.stop()
        elif self._notebook and self.done and self._file is not None:
            self._file.write("\n")

    def advance(self, rows: int, what: str) -> None:
        """A cell with so many rows is stored; `what` names it."""
        self.done, self.rows = self.done + 1, self.rows + rows
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, advance=1, description=what)
            return
        now = time.monotonic()
        wait = 0.5 if self._notebook else EVERY
        if self._file is not None and (now - self._last >= wait or self.done == self.total):
            self._last = now
            self._file.write(f"\r{self.line():<79}" if self._notebook else f"{self.line()}\n")
            self._file.flush()

    def line(self) -> str:
        """How far it is, in one line."""
        elapsed = time.monotonic() - self._start
        left = elapsed / self.done * (self.total - self.done) if self.done else float("nan")
        text = f"{self.done} of {self.total} cells, {self.rows} rows, {duration(elapsed)}"
        known = EARLY <= self.done < self.total
        return f"{text}, about {duration(left)} left" if known else text

    def say(self, text: str) -> None:
        """A line of its own, whatever the bar is doing."""
        if self._bar is not None:
            self._bar.console.print(text, markup=False, highlight=False)
        elif self._file is not None:
            self._file.write(f"{text}\n")
            self._file.flush()


def duration(seconds: float) -> str:
    """``3 s``, ``2 min 05 s``, ``1 h 20 min``."""
    if not seconds >= 0:
        return "?"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def _in_notebook() -> bool:
    shell = sys.modules.get("IPython")
    found = shell.get_ipython() if shell is not None else None
    return found is not None and type(found).__name__ == "ZMQInteractiveShell"

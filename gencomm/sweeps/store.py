"""The store: one SQLite file per run, appended to cell by cell, never overwritten.

Tables (all STRICT):

``run``
    One line per invocation of the sweep: when, with which configuration, on what.
``cell``
    One line per finished cell: what it was, how many trials, why it stopped, the clean result,
    the ledger. `position` is its place in the plan.
``row``
    One line per trial: status, bit errors, one REAL column per metric. `weight` is the probability
    of the condition under which the trial was drawn, 1 where there was none: see
    :attr:`gencomm.sweeps.config.Trials.skip_clean`.
``timing``
    CPU seconds per stage. Apart from the others because it differs from run to run.
``artefact``
    Pictures kept for contact sheets.

A cell comes in with its rows in one transaction, so a run killed at any moment holds whole cells
only. Write-ahead logging lets readers look while a sweep is running.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

from gencomm.sweeps.records import Artefact, CellRecord, RowRecord, canonical_json

STORE_NAME = "store.sqlite"
#: "gcom" in ASCII: lets `file` and a wrong path be told apart.
APPLICATION_ID = 0x67636F6D
SCHEMA_VERSION = 2
#: Without `weight`: every trial was drawn as it came. Such a store can be read, not added to.
UNWEIGHTED_VERSION = 1
#: Columns of `row` that a metric can't be called after.
RESERVED = frozenset(
    {"cell", "trial", "status", "detail", "bit_errors", "weight", "n_bits", "codec", "link"}
    | {"item", "link_spec", "header", "decode", "conceal", "frames", "bpp"}
)

_SCHEMA = """
CREATE TABLE run (
    id INTEGER PRIMARY KEY,
    started TEXT NOT NULL,
    config TEXT NOT NULL,
    environment TEXT NOT NULL,
    options TEXT NOT NULL
) STRICT;
CREATE TABLE cell (
    hash TEXT PRIMARY KEY,
    position INTEGER NOT NULL,
    identity TEXT NOT NULL,
    item TEXT NOT NULL,
    codec TEXT NOT NULL,
    link TEXT NOT NULL,
    link_spec TEXT NOT NULL,
    point TEXT NOT NULL,
    policy TEXT NOT NULL,
    trials INTEGER NOT NULL,
    stop TEXT NOT NULL,
    detail TEXT NOT NULL,
    n_bits INTEGER NOT NULL,
    side_bits INTEGER NOT NULL,
    bpp REAL,
    bits_hash TEXT NOT NULL,
    clean_status TEXT NOT NULL,
    clean_scores TEXT NOT NULL,
    ledger TEXT NOT NULL,
    notes TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE timing (
    cell TEXT NOT NULL,
    stage TEXT NOT NULL,
    seconds REAL NOT NULL
) STRICT;
CREATE TABLE artefact (
    name TEXT PRIMARY KEY,
    cell TEXT NOT NULL,
    kind TEXT NOT NULL,
    media_type TEXT NOT NULL,
    data BLOB NOT NULL
) STRICT;
"""


#: Looks that a reader takes at a file without tables, and seconds between them.
LAYOUT_LOOKS, LAYOUT_PAUSE = 20, 0.1


class StoreError(RuntimeError):
    """A store that can't be opened, or doesn't belong to what is asked of it."""


_CELL_COLUMNS = [
    f.name for f in fields(CellRecord) if f.name not in ("rows", "artefacts", "timing")
]
_JSON_COLUMNS = frozenset({"point", "policy", "clean_scores", "ledger", "notes"})


def quoted(name: str) -> str:
    """`name` as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def connect(path: Path, read_only: bool = False) -> sqlite3.Connection:
    """Open the file. Transactions are ours to begin and end."""
    uri = path.resolve().as_uri() + ("?mode=ro" if read_only else "")
    db = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=60)
    db.row_factory = sqlite3.Row
    return db


class Store:
    """The store of one run.

    Parameters
    ----------
    path : path
        The SQLite file, or the run's folder that holds ``store.sqlite``.
    metrics : list of str, optional
        Column names of the metrics; creates the file where it isn't there. Without them the file
        is opened for reading only.

    Raises
    ------
    StoreError
        No such file, not a store, written by a newer gencomm (to add to: or by an older one), or
        holding other metrics.

    Attributes
    ----------
    metrics : tuple of str
    weighs : bool
        Whether rows have weights; without, every trial was drawn as it came.
    """

    def __init__(self, path: str | Path, metrics: Sequence[str] | None = None):
        path = Path(path)
        self.path = path / STORE_NAME if path.is_dir() or not path.suffix else path
        if metrics is None and not self.path.is_file():
            raise StoreError(f"no run lies at {path}: {self.path} is missing")
        if metrics is not None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._db = connect(self.path, read_only=metrics is None)
        except sqlite3.DatabaseError as error:
            raise StoreError(f"{self.path} can't be opened: {error}") from error
        try:
            self._open(metrics)
        except sqlite3.DatabaseError as error:
            self._db.close()
            raise StoreError(f"{self.path} can't be read as a store: {error}") from error
        except BaseException:
            self._db.close()
            raise

    def _open(self, metrics: Sequence[str] | None) -> None:
        if metrics is not None:
            self._db.execute("PRAGMA journal_mode=WAL")
            # WAL + NORMAL: a killed process loses nothing; a power cut may lose the last cells.
            self._db.execute("PRAGMA synchronous=NORMAL")
            self._create(metrics)
        else:
            self._await_layout()
        application = self._db.execute("PRAGMA application_id").fetchone()[0]
        version = self._db.execute("PRAGMA user_version").fetchone()[0]
        if application != APPLICATION_ID:
            raise StoreError(f"{self.path} is not a store of gencomm")
        if version == UNWEIGHTED_VERSION and metrics is None:
            self._db.execute("CREATE TEMP VIEW row AS SELECT *, 1.0 AS weight FROM main.row")
        elif version == UNWEIGHTED_VERSION:
            raise StoreError(
                f"{self.path} was written by an older gencomm, whose rows mean something else (all "
                "trials as they came): it can be read, not added to; use another folder for --out"
            )
        elif version != SCHEMA_VERSION:
            raise StoreError(
                f"{self.path} has version {version} of the store; this gencomm reads "
                f"{SCHEMA_VERSION}. Read it with the gencomm that wrote it"
            )
        self.weighs = version > UNWEIGHTED_VERSION
        columns = [line["name"] for line in self._db.execute("PRAGMA table_info('row')")]
        self.metrics = tuple(c for c in columns if c not in RESERVED)
        if metrics is not None and tuple(metrics) != self.metrics:
            raise StoreError(
                f"{self.path} holds the metrics {', '.join(self.metrics)}, not "
                f"{', '.join(metrics)}; use another folder for --out"
            )

    def _await_layout(self) -> None:
        """A reader that comes while a sweep lays out its new file waits for that moment."""
        for _ in range(LAYOUT_LOOKS):
            if self._db.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]:
                return
            time.sleep(LAYOUT_PAUSE)

    def _create(self, metrics: Sequence[str]) -> None:
        """Lay out an empty file; all or nothing."""
        with self._transaction():
            if self._db.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]:
                return
            clash = sorted({name.lower() for name in metrics} & RESERVED)
            if clash:
                raise StoreError(f"a metric can't be called {', '.join(clash)}")
            for statement in _SCHEMA.split(";\n"):
                if statement.strip():
                    self._db.execute(statement)
            columns = "".join(f"{quoted(name)} REAL, " for name in metrics)
            self._db.execute(
                "CREATE TABLE row (cell TEXT NOT NULL REFERENCES cell(hash), trial INTEGER NOT "
                "NULL, status TEXT NOT NULL, detail TEXT NOT NULL, bit_errors INTEGER NOT NULL, "
                f"weight REAL NOT NULL, {columns}PRIMARY KEY (cell, trial)) STRICT, WITHOUT ROWID"
            )
            self._db.execute(f"PRAGMA application_id={APPLICATION_ID}")
            self._db.execute(f"PRAGMA user_version={SCHEMA_VERSION}")

    @contextmanager
    def _transaction(self):
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def begin_run(
        self, started: str, config: Mapping, environment: Mapping, options: Mapping
    ) -> None:
        """Note an invocation: when, what, on what, and how much of it (``planned`` cells ...)."""
        with self._transaction():
            self._db.execute(
                "INSERT INTO run (started, config, environment, options) VALUES (?, ?, ?, ?)",
                (
                    started,
                    json.dumps(config, sort_keys=False),
                    canonical_json(environment),
                    canonical_json(options),
                ),
            )

    def add(self, cell: CellRecord) -> bool:
        """Write a finished cell with all that belongs to it, or nothing.

        Returns False, and leaves everything as it was, where the cell is there already.
        """
        values = [getattr(cell, name) for name in _CELL_COLUMNS]
        values = [
            canonical_json(dict(v)) if name in _JSON_COLUMNS else v
            for name, v in zip(_CELL_COLUMNS, values, strict=True)
        ]
        marks = ", ".join("?" * (6 + len(self.metrics)))
        with self._transaction():
            if self._db.execute("SELECT 1 FROM cell WHERE hash = ?", (cell.hash,)).fetchone():
                return False
            self._db.execute(
                f"INSERT INTO cell ({', '.join(_CELL_COLUMNS)}) "
                f"VALUES ({', '.join('?' * len(_CELL_COLUMNS))})",
                values,
            )
            self._db.executemany(
                f"INSERT INTO row VALUES ({marks})",
                (
                    (cell.hash, r.trial, r.status, r.detail, r.bit_errors, r.weight, *r.scores)
                    for r in cell.rows
                ),
            )
            for kept in cell.artefacts:
                self._db.execute(
                    "INSERT OR IGNORE INTO artefact VALUES (?, ?, ?, ?, ?)",
                    (kept.name, kept.cell, kept.kind, kept.media_type, kept.data),
                )
            self._timing(cell.hash, cell.timing)
        return True

    def add_timing(self, seconds: Mapping[str, float]) -> None:
        """Book CPU seconds that belong to no cell."""
        with self._transaction():
            self._timing("", seconds)

    def _timing(self, cell: str, seconds: Mapping[str, float]) -> None:
        self._db.executemany(
            "INSERT INTO timing VALUES (?, ?, ?)",
            [(cell, stage, float(value)) for stage, value in seconds.items()],
        )

    def finished(self) -> set[str]:
        """Hashes of the cells that are there."""
        return {line["hash"] for line in self._db.execute("SELECT hash FROM cell")}

    def runs(self) -> list[dict[str, Any]]:
        """The invocations, oldest first; `config`, `environment` and `options` as dicts."""
        found = self._db.execute("SELECT * FROM run ORDER BY id").fetchall()
        return [
            {
                "started": line["started"],
                "config": json.loads(line["config"]),
                "environment": json.loads(line["environment"]),
                "options": json.loads(line["options"]),
            }
            for line in found
        ]

    def cells(self, hashes: Iterable[str] | None = None) -> list[CellRecord]:
        """Finished cells in the plan's order, without rows, pictures and times.

        `hashes` picks some of them.
        """
        wanted = None if hashes is None else set(hashes)
        found = []
        for line in self._db.execute("SELECT * FROM cell ORDER BY position, hash"):
            if wanted is None or line["hash"] in wanted:
                values = {
                    name: json.loads(line[name]) if name in _JSON_COLUMNS else line[name]
                    for name in _CELL_COLUMNS
                }
                found.append(CellRecord(**values))
        return found

    def rows(self, cell: str) -> list[RowRecord]:
        """The rows of one cell by trial."""
        found = self._db.execute("SELECT * FROM row WHERE cell = ? ORDER BY trial", (cell,))
        return [
            RowRecord(
                line["trial"],
                line["status"],
                line["detail"],
                line["bit_errors"],
                tuple(line[name] for name in self.metrics),
                line["weight"],
            )
            for line in found
        ]

    def artefacts(self, cell: str | None = None) -> list[Artefact]:
        """Pictures kept, all or those of one cell ("" for the originals)."""
        query, values = "SELECT * FROM artefact", ()
        if cell is not None:
            query, values = query + " WHERE cell = ?", (cell,)
        return [Artefact(*line) for line in self._db.execute(query + " ORDER BY name", values)]

    def timing(self) -> dict[str, float]:
        """CPU seconds by stage, over all invocations."""
        query = "SELECT stage, sum(seconds) AS total FROM timing GROUP BY stage ORDER BY stage"
        return {line["stage"]: line["total"] for line in self._db.execute(query)}

    def timing_by_cell(self) -> dict[str, dict[str, float]]:
        """CPU seconds by cell ("" for what belongs to none) and stage."""
        found: dict[str, dict[str, float]] = {}
        for line in self._db.execute("SELECT cell, stage, seconds FROM timing"):
            stages = found.setdefault(line["cell"], {})
            stages[line["stage"]] = stages.get(line["stage"], 0.0) + line["seconds"]
        return found

    def counts(self) -> dict[str, dict[str, int]]:
        """How many rows have each status, and how many cells each stop reason."""

        def count(query: str) -> dict[str, int]:
            return {line[0]: line[1] for line in self._db.execute(query)}

        return {
            "status": count("SELECT status, count(*) FROM row GROUP BY status ORDER BY 1"),
            "stop": count("SELECT stop, count(*) FROM cell GROUP BY stop ORDER BY 1"),
        }

    def weighted(self) -> int:
        """How many rows were drawn on condition of a hit."""
        return self._db.execute("SELECT count(*) FROM row WHERE weight < 1").fetchone()[0]

    def query(self, sql: str) -> tuple[list[str], list[tuple]]:
        """Column names and lines of a SELECT, for tables."""
        with closing(self._db.execute(sql)) as cursor:
            return [c[0] for c in cursor.description], [tuple(line) for line in cursor]

    def close(self) -> None:
        """Close the file; the write-ahead log is folded in."""
        self._db.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

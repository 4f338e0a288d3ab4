import dataclasses
import os
import sqlite3
import subprocess
import sys
import textwrap

import pytest

from gencomm.sweeps import store as store_module
from gencomm.sweeps.records import Artefact, CellRecord, RowRecord
from gencomm.sweeps.store import Store, StoreError
from gencomm.sweeps.tables import load_cells, load_run

METRICS = ["psnr", "ssim"]


def cell(number, rows=3, ber=1e-3):
    kept = Artefact(f"received/{number}", f"{number:064x}", "received", "image/jpeg", b"x")
    return CellRecord(
        hash=f"{number:064x}",
        position=number,
        identity=f'{{"n":{number}}}',
        item=f"item{number % 2}",
        codec="pcm",
        link="bsc({ber})",
        link_spec=f"bsc(p={ber})",
        point={"ber": ber},
        policy={"header": "in_band", "decode": "lenient", "conceal": "grey"},
        trials=rows,
        stop="max_trials",
        detail="",
        n_bits=800,
        side_bits=16,
        bpp=8.0,
        bits_hash="ab",
        clean_status="ok",
        clean_scores={"psnr": 100.0, "ssim": 1.0},
        ledger={"cbr": 1.5, "samples": 300, "link": {"parity": 0, "facts": {"ber": ber}}},
        notes={"quality": 50},
        rows=[RowRecord(t, "ok", "", t, (30.0 + t + number / 7, 0.5)) for t in range(rows)],
        artefacts=[kept],
        timing={"decode": 0.25},
    )


def contents(path):
    with Store(path) as store:
        return [(c, store.rows(c.hash)) for c in store.cells()]


def test_what_goes_in_comes_out(tmp_path):
    with Store(tmp_path, METRICS) as store:
        assert store.add(cell(1))
        assert store.add(cell(0, rows=2))
    with Store(tmp_path) as store:
        assert [c.position for c in store.cells()] == [0, 1]
        [first, second] = store.cells()
        assert dataclasses.replace(
            second, rows=store.rows(second.hash), artefacts=store.artefacts(second.hash),
            timing=store.timing_by_cell()[second.hash],
        ) == cell(1)  # fmt: skip
        assert store.timing() == {"decode": 0.5}
        assert store.counts() == {"status": {"ok": 5}, "stop": {"max_trials": 2}}
        assert store.metrics == ("psnr", "ssim")
        assert first.trials == 2


def test_nothing_is_overwritten(tmp_path):
    with Store(tmp_path, METRICS) as store:
        store.add(cell(0))
        assert not store.add(dataclasses.replace(cell(0, rows=1), stop="limit"))
    [(found, rows)] = contents(tmp_path)
    assert (found.stop, len(rows)) == ("max_trials", 3)


def test_tables_are_strict_and_the_log_is_ahead(tmp_path):
    with Store(tmp_path, METRICS) as store:
        store.add(cell(0))
        db = sqlite3.connect(tmp_path / "store.sqlite")
        assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        tables = db.execute("SELECT name, strict FROM pragma_table_list WHERE schema = 'main'")
        strict = {name: bool(flag) for name, flag in tables if not name.startswith("sqlite_")}
        assert strict == dict.fromkeys(["run", "cell", "row", "timing", "artefact"], True)
        with pytest.raises(sqlite3.IntegrityError):
            db.execute("INSERT INTO row VALUES ('x', 'one', 'ok', '', 0, 1.0, 1.0, 1.0)")
        db.close()


def test_readers_see_whole_cells_while_a_sweep_is_writing(tmp_path):
    with Store(tmp_path, METRICS) as writer:
        for number in range(5):
            writer.add(cell(number))
            with Store(tmp_path) as reader:
                assert len(reader.cells()) == number + 1
            assert len(load_run(tmp_path)) == 3 * (number + 1)


class Counting(sqlite3.Connection):
    """Fails at the n-th statement that writes."""

    left = None

    def execute(self, sql, *args):
        self.strike(sql)
        return super().execute(sql, *args)

    def executemany(self, sql, *args):
        self.strike(sql)
        return super().executemany(sql, *args)

    def strike(self, sql):
        if Counting.left is not None and not sql.startswith(("SELECT", "PRAGMA", "ROLLBACK")):
            Counting.left -= 1
            if Counting.left < 0:
                raise sqlite3.OperationalError("disk I/O error")


@pytest.fixture
def counting(monkeypatch):
    real = sqlite3.connect
    monkeypatch.setattr(
        store_module.sqlite3, "connect", lambda *a, **k: real(*a, factory=Counting, **k)
    )
    yield
    Counting.left = None


def write_all(path):
    with Store(path, METRICS) as store:
        store.begin_run("now", {"name": "x"}, {}, {"planned": 3})
        for number in range(3):
            store.add(cell(number))
        store.add_timing({"plan": 1.0})


def test_a_failure_at_the_nth_write_loses_no_cell_and_resumes_to_the_same_rows(tmp_path, counting):
    write_all(tmp_path / "whole")
    expected = contents(tmp_path / "whole")
    failures = 0
    for n in range(200):
        path = tmp_path / str(n)
        path.mkdir()
        Counting.left = n
        try:
            write_all(path)
        except (sqlite3.OperationalError, StoreError):
            failures += 1
        else:
            break
        finally:
            Counting.left = None
        with Store(path, METRICS) as store:  # it opens, whatever was cut off
            for record in store.cells():
                assert len(store.rows(record.hash)) == record.trials
            orphans = store.query(
                "SELECT count(*) FROM row WHERE cell NOT IN (SELECT hash FROM cell)"
            )
            assert orphans[1] == [(0,)]
            held = store.finished()
        write_all(path)  # resume: what is there is not written again
        assert contents(path) == expected
        assert held <= {c.hash for c, _ in expected}
    assert failures > 25, "the loop must have reached every write"


@pytest.mark.parametrize("n", [0, 3, 8, 12, 13, 17, 22])
def test_a_process_that_dies_at_the_nth_write_leaves_whole_cells(tmp_path, n):
    (tmp_path / "run").mkdir()
    script = textwrap.dedent(
        f"""
        import os, sys, sqlite3
        sys.path.insert(0, {os.path.dirname(__file__)!r})
        import test_store as t
        def strike(self, sql):
            if not sql.startswith(("SELECT", "PRAGMA")):
                t.Counting.left -= 1
                if t.Counting.left < 0:
                    os._exit(9)
        t.Counting.strike, t.Counting.left = strike, {n}
        real = sqlite3.connect
        t.store_module.sqlite3.connect = lambda *a, **k: real(*a, factory=t.Counting, **k)
        from pathlib import Path
        t.write_all(Path({str(tmp_path / "run")!r}))
        """
    )
    done = subprocess.run([sys.executable, "-c", script], env=dict(os.environ))
    assert done.returncode == 9
    write_all(tmp_path / "run")
    write_all(tmp_path / "whole")
    assert contents(tmp_path / "run") == contents(tmp_path / "whole")


def test_other_metrics_are_refused(tmp_path):
    Store(tmp_path, METRICS).close()
    with pytest.raises(StoreError, match=r"holds the metrics psnr, ssim, not psnr"):
        Store(tmp_path, ["psnr"])
    with pytest.raises(StoreError, match="can't be called trial"):
        Store(tmp_path / "other.sqlite", ["trial"])


@pytest.mark.parametrize("damage", ["nothing", "text", "empty", "other", "newer"])
def test_what_is_no_store_is_said_to_be_none(tmp_path, damage):
    path = tmp_path / "store.sqlite"
    if damage == "text":
        path.write_text("this is not a database, not at all, not even a little bit of one" * 99)
    elif damage == "empty":
        path.write_bytes(b"")
    elif damage == "other":
        db = sqlite3.connect(path)
        db.execute("CREATE TABLE x (y)")
        db.commit()
        db.close()
    elif damage == "newer":
        Store(tmp_path, METRICS).close()
        db = sqlite3.connect(path)
        db.execute("PRAGMA user_version=99")
        db.close()
    with pytest.raises(StoreError, match=r"no run|read as a store|not a store|version 99"):
        Store(tmp_path)


def test_tables_have_the_documented_columns(tmp_path):
    with Store(tmp_path, METRICS) as store:
        store.add(cell(0))
        store.add(dataclasses.replace(cell(1), point={}, link="clean", link_spec="clean"))
    rows = load_run(tmp_path)
    assert list(rows.columns) == [
        "codec", "link", "link_spec", "ber", "conceal", "decode", "header", "item", "trial",
        "status", "psnr", "ssim", "bit_errors", "n_bits", "bpp", "weight", "detail",
            "cell",
    ]  # fmt: skip
    assert rows.ber.tolist()[:3] == [1e-3] * 3
    assert rows.ber.isna().tolist()[3:] == [True] * 3
    cells = load_cells(tmp_path)
    assert cells.loc[f"{0:064x}", ["ber", "link_ber", "cbr", "clean_psnr", "stop"]].tolist() == [
        1e-3, 1e-3, 1.5, 100.0, "max_trials",
    ]  # fmt: skip
    assert set(rows.cell) == set(cells.index)


def test_an_empty_run_gives_empty_tables(tmp_path):
    Store(tmp_path, METRICS).close()
    assert len(load_run(tmp_path)) == 0
    assert len(load_cells(tmp_path)) == 0
    assert {"codec", "item", "psnr"} <= set(load_run(tmp_path).columns)

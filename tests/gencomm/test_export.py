import csv
import json
import shutil
import sqlite3

import pandas as pd
import pytest

from gencomm import exporting
from gencomm.api import export, load_cells, load_run
from gencomm.cli import FAILED, USAGE, main
from gencomm.files import write_atomically


@pytest.fixture
def folder(fakes, small_run, tmp_path):
    """A copy of a finished run, and an empty folder beside it."""
    shutil.copytree(small_run, tmp_path / "run")
    return tmp_path / "run"


def expected(folder, table):
    return load_run(folder) if table == "rows" else load_cells(folder).reset_index()


def same(found, wanted):
    pd.testing.assert_frame_equal(found, wanted, check_dtype=False, check_exact=True)


@pytest.mark.parametrize("table", ["rows", "cells"])
def test_every_number_comes_back_as_it_was(folder, tmp_path, table):
    wanted = expected(folder, table)
    read = pd.read_csv(export(folder, tmp_path / "a.csv", table), dtype=str, keep_default_na=False)
    for name in wanted.select_dtypes("number"):
        read[name] = [float(text or "nan") for text in read[name]]
    as_json = json.loads(export(folder, tmp_path / "new" / "a.json", table).read_text())
    lines = export(folder, tmp_path / "a.jsonl", table).read_text().splitlines()
    assert [json.loads(line) for line in lines] == as_json
    same(pd.DataFrame(as_json), wanted)
    if table == "cells":
        read["notes"] = read["notes"].map(json.loads)
    same(read, wanted)


@pytest.mark.parametrize("table", ["rows", "cells"])
def test_parquet(folder, tmp_path, table):
    pytest.importorskip("pyarrow")
    read = pd.read_parquet(export(folder, tmp_path / "a.parquet", table))
    if table == "cells":
        read["notes"] = read["notes"].map(json.loads)
    same(read, expected(folder, table))


def test_missing_values_are_empty_and_null(folder, tmp_path):
    clean = list(csv.DictReader(export(folder, tmp_path / "a.csv").open()))
    assert {line["ber"] for line in clean if line["link"] == "clean"} == {""}
    records = json.loads(export(folder, tmp_path / "a.json").read_text())
    assert {line["ber"] for line in records if line["link"] == "clean"} == {None}


def test_counts_stay_integers_where_a_cell_was_not_encoded(folder, tmp_path):
    with sqlite3.connect(folder / "store.sqlite") as db:
        db.execute("UPDATE cell SET ledger = '{}' WHERE position = 0")
    lines = list(csv.DictReader(export(folder, tmp_path / "a.csv", "cells").open()))
    assert [line["samples"] for line in lines[:2]] == ["", "768"]


def test_words_beside_numbers():
    frame = pd.DataFrame({"x": ["a", 1.5, None], "o": [{"b": 1}, None, {}]})
    flat = exporting._flat(frame).fillna("missing")
    assert flat.x.tolist() == ["a", "1.5", "missing"]
    assert flat.o.tolist() == ['{"b":1}', "missing", "{}"]


@pytest.mark.parametrize("table", ["rows", "cells"])
def test_every_column_has_its_note(folder, tmp_path, table):
    out = export(folder, tmp_path / "a.csv", table)
    note = (tmp_path / "a.csv.columns.txt").read_text()
    noted = dict(line.split(": ", 1) for line in note.splitlines()[2:])
    assert list(noted) == out.read_text().splitlines()[0].split(",")
    assert noted["ber"].startswith("a name of the grid")
    psnr = noted["psnr" if table == "rows" else "clean_psnr"]
    assert psnr.startswith("PSNR [dB], higher is better")
    if table == "cells":
        assert noted["link_ber"] == "stated by the link: bit error rate of the link"


def test_a_run_without_cells_has_its_columns_still(folder, tmp_path):
    with sqlite3.connect(folder / "store.sqlite") as db:
        db.executescript("DELETE FROM row; DELETE FROM cell")
    assert export(folder, tmp_path / "a.csv").read_text().startswith("codec,link,")
    assert json.loads(export(folder, tmp_path / "a.json", "cells").read_text()) == []


def test_a_plug_in_that_is_gone_takes_no_numbers_along(folder, tmp_path, monkeypatch):
    from channels.spec import SpecError

    def gone(spec):
        raise SpecError("no metric is called so")

    monkeypatch.setattr(exporting, "make_metric", gone)
    export(folder, tmp_path / "a.csv")
    assert "\npsnr: a metric\n" in (tmp_path / "a.csv.columns.txt").read_text()


def test_infinite_numbers_go_to_csv_only(folder, tmp_path):
    with sqlite3.connect(folder / "store.sqlite") as db:
        db.execute("UPDATE row SET psnr = 9e999 WHERE trial = 1")
    assert ",inf," in export(folder, tmp_path / "a.csv").read_text()
    with pytest.raises(ValueError, match=r"a\.json: JSON knows no infinite numbers"):
        export(folder, tmp_path / "a.json")
    assert not (tmp_path / "a.json").exists()


def test_a_failed_write_leaves_what_was_there(folder, tmp_path, monkeypatch):
    out = tmp_path / "a.csv"
    out.write_text("before")

    def full(path, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(exporting, "write_atomically", full)
    with pytest.raises(OSError):
        export(folder, out)
    assert out.read_text() == "before"
    monkeypatch.setattr(exporting, "write_atomically", write_atomically)
    assert export(folder, out).read_text().startswith("codec,")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.csv", "a.csv.columns.txt", "run"]


def test_the_verb_and_its_complaints(folder, tmp_path, capsys, monkeypatch):
    out = str(tmp_path / "a.csv")
    assert main(["export", str(folder), "--out", out, "--table", "cells"]) == 0
    assert capsys.readouterr().out == f"{out}\n"
    assert main(["export", str(folder), "--out", "a.cvs"]) == USAGE
    assert "did you mean '.csv'" in capsys.readouterr().err
    assert main(["export", str(tmp_path / "no"), "--out", out]) == FAILED
    assert "no run" in capsys.readouterr().err
    assert not (tmp_path / "no").exists()
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert main(["export", str(folder), "--out", "a.parquet"]) == USAGE
    assert 'pip install "gencomm[export]"' in capsys.readouterr().err
    with pytest.raises(ValueError, match="rows and cells, not 'trials'"):
        export(folder, out, "trials")

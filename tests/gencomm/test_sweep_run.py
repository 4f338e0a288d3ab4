import os
import shutil
import signal
import subprocess
import sys
import time

import pytest

import gencomm
from channels.intervals import wilson
from gencomm.api import Run
from gencomm.sweeps.config import to_yaml
from gencomm.sweeps.executors.local import LocalExecutor
from gencomm.sweeps.folder import locked
from gencomm.sweeps.merge import merge
from gencomm.sweeps.plan import groups, make_plan
from gencomm.sweeps.records import CellRecord
from gencomm.sweeps.reproduce import reproduce
from gencomm.sweeps.resolve import resolve
from gencomm.sweeps.run import Options, make_setup, run_sweep
from gencomm.sweeps.store import Store, StoreError
from gencomm.sweeps.tables import load_cells, load_run


def contents(folder):
    """All that must be the same: everything but times."""
    with Store(folder) as store:
        cells = [(cell, store.rows(cell.hash)) for cell in store.cells()]
        return cells, store.artefacts()


@pytest.fixture
def reference(fakes, small_run, tmp_path):
    """What a run of `small` holds; a copy of its folder lies at tmp_path / "reference"."""
    shutil.copytree(small_run, tmp_path / "reference")
    return contents(tmp_path / "reference")


def test_rows_are_the_same_for_any_workers_and_batch(reference, small, tmp_path):
    for workers, batch in ((2, 1), (3, 9)):
        folder = tmp_path / f"{workers}-{batch}"
        outcome = run_sweep(small, folder, Options(workers=workers, batch=batch))
        assert contents(folder) == reference
        assert outcome.stored == outcome.planned == len(reference[0]) == 32


def test_what_rows_and_cells_say(reference, tmp_path):
    rows, cells = load_run(tmp_path / "reference"), load_cells(tmp_path / "reference")
    assert set(cells.stop) == {"max_trials", "half_width", "no_errors_possible"}
    assert (cells[cells.link == "clean"].trials == 1).all()
    assert (cells[cells.stop == "max_trials"].trials == 9).all()
    assert cells[cells.stop == "half_width"].trials.between(3, 9).all()
    assert (cells.clean_psnr == 100).all()
    # a trial without errors is the clean one
    assert (rows[rows.bit_errors == 0].psnr == 100).all()
    assert (rows[rows.bit_errors == 0].status == "ok").all()
    # the ledger books a protected header as side information
    fragile = cells[cells.codec == "fragile"]
    protected = fragile[fragile.header == "protected"]
    assert set(fragile[fragile.header == "in_band"].n_bits) == {16 * 16 * 24 + 32}
    assert set(protected.n_bits) == {16 * 16 * 24}
    assert set(protected.side_bits) == {32 + 32}
    # strict decoding turns damage into an outage, lenient decoding doesn't
    hit = rows[(rows.codec == "fragile") & (rows.bit_errors > 0)]
    assert set(hit[hit.decode == "strict"].status) == {"rejected"}
    assert set(hit[hit.decode == "lenient"].status) == {"partial"}
    # channel uses per sample: 24 bits a pixel are 8 a sample
    assert (cells[cells.codec == "pcm"].cbr == 8).all()


def test_errors_come_at_the_rate_of_the_link(reference, tmp_path):
    rows = load_run(tmp_path / "reference")
    rows = rows[(rows.codec == "pcm") & (rows["decode"] == "strict") & (rows.weight == 1)]
    assert rows.ber.nunique() == 2
    for ber, part in rows[rows.ber.notna()].groupby("ber"):
        low, high = wilson(int(part.bit_errors.sum()), int(part.n_bits.sum()), 1 - 1e-6)
        assert low <= ber <= high


def test_codecs_at_one_condition_see_the_same_noise(reference, tmp_path):
    rows = load_run(tmp_path / "reference")
    rows = rows[(rows.header == "protected") & rows.ber.notna()]  # as many payload bits in both
    wide = rows.pivot_table("bit_errors", ["item", "ber", "trial"], "codec").dropna()
    assert len(wide) > 20
    assert (wide.pcm == wide.fragile).all()
    assert wide.pcm.nunique() > 5


def test_sweeping_again_adds_nothing_and_growing_keeps_what_is_there(reference, small, tmp_path):
    folder = tmp_path / "reference"
    assert run_sweep(small, folder, Options(workers=1)).added == 0
    assert contents(folder) == reference
    grown = {**small, "grid": {"ber": [1e-4, 1e-3, 1e-2, 0.1]}}
    assert run_sweep(grown, folder, Options(workers=1)).added == 8
    with pytest.raises(StoreError, match="only grow"):
        run_sweep({**small, "seed": 4}, folder, Options(workers=1))


def test_limit_and_shards_add_up_to_the_whole(reference, small, tmp_path):
    part = tmp_path / "part"
    outcome = run_sweep(small, part, Options(workers=1, limit=7))
    assert (outcome.added, outcome.planned) == (7, 32)
    run_sweep(small, part, Options(workers=1))
    assert contents(part) == reference
    folders = [tmp_path / "shard1", tmp_path / "shard2"]
    for i, folder in enumerate(folders, 1):
        run_sweep({**small, "name": f"s{i}"}, folder, Options(workers=1, shard=f"{i}/2"))
    assert merge(tmp_path / "merged", folders) == {"added": 32, "present": 0}
    assert contents(tmp_path / "merged") == reference
    assert merge(tmp_path / "merged", folders) == {"added": 0, "present": 32}
    assert Run(tmp_path / "merged").status()["planned"] == 32


def test_merging_what_does_not_belong_together_is_refused(reference, small, tmp_path):
    other = tmp_path / "other"
    run_sweep({**small, "seed": 9}, other, Options(workers=1, limit=1))
    with pytest.raises(StoreError, match="different configurations: seed"):
        merge(tmp_path / "merged", [tmp_path / "reference", other])
    with pytest.raises(StoreError, match="into itself"):
        merge(other, [other])
    with pytest.raises(StoreError, match="no run lies"):
        merge(tmp_path / "merged", [tmp_path / "nowhere"])


def test_reproduce_finds_the_same_and_names_what_is_not(reference, tmp_path):
    import sqlite3

    folder = tmp_path / "reference"
    found = reproduce(folder, cells=6)
    assert (found.cells, found.differences, found.changed) == (6, [], [])
    db = sqlite3.connect(folder / "store.sqlite")
    db.execute("UPDATE row SET psnr = psnr + 1e-9 WHERE trial = 0")
    db.commit()
    db.close()
    found = reproduce(folder, cells=3)
    assert len(found.differences) == 3
    assert "trial 0: psnr" in found.differences[0]


def start(config, folder, workers=2):
    """A sweep in a process of its own."""
    code = (
        "import sys, gencomm; "
        f"gencomm.sweep({config!r}, {str(folder)!r}, workers={workers}, progress=False)"
    )
    return subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True)


def test_killed_at_any_time_it_resumes_to_the_same_rows(reference, small, tmp_path):
    folder, held = tmp_path / "killed", []
    for kill, seconds in enumerate((0.3, 1.5, 2.2, 2.6, 3.0)):
        process = start(small, folder)
        time.sleep(seconds)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        process.stderr.close()
        if (folder / "store.sqlite").exists() and kill:
            now = contents(folder)[0]
            assert all(one in now for one in held), "a finished row was lost or changed"
            held = now
    run_sweep(small, folder, Options(workers=2))
    assert contents(folder) == reference


def test_ctrl_c_leaves_a_store_that_goes_on_and_says_so(reference, small, tmp_path):
    big = {**small, "source": "ramps(n=400,size=16)", "links": ["bsc({ber})"]}
    folder = tmp_path / "stopped"
    # as the console script does; a shell that starts tests in the background makes them, and their
    # children, deaf to Ctrl-C
    code = (
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "from gencomm.cli import main; sys.exit(main())"
    )
    path = tmp_path / "big.yaml"
    path.write_text(to_yaml(resolve(big).config.plain()))
    process = subprocess.Popen(
        [sys.executable, "-c", code, "sweep", str(path), "--out", str(folder), "--workers", "2"],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        time.sleep(0.2)
        if (folder / "store.sqlite").exists() and contents(folder)[0]:
            break
    os.killpg(process.pid, signal.SIGINT)  # the whole foreground group, as a terminal does
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "the same command goes on from there" in said
    assert "Traceback" not in said
    cells, _ = contents(folder)
    assert cells
    assert all(len(rows) == cell.trials for cell, rows in cells)


def test_two_sweeps_do_not_write_to_one_folder(fakes, small, tmp_path):
    with locked(tmp_path / "run"), pytest.raises(StoreError, match="another sweep is writing"):
        run_sweep(small, tmp_path / "run")


def run_executor(config, workers, disturb):
    """Results of an executor that is disturbed after its first cell."""
    resolved = resolve(config)
    executor = LocalExecutor(make_setup(resolved), workers)
    found = []
    for result in executor.run(groups(make_plan(resolved))):
        found.append(result)
        if len(found) == 1:
            disturb(executor)
    return found


def test_a_killed_worker_costs_nothing(reference, small):
    def kill(executor):
        for worker in executor._workers:
            worker.process.kill()

    found = run_executor(small, 2, kill)
    assert {r.hash for r in found} == {cell.hash for cell, _ in reference[0]}
    assert len(found) == 32
    rows = {r.hash: list(r.rows) for r in found}
    assert all(rows[cell.hash] == expected for cell, expected in reference[0])


@pytest.mark.parametrize(("how", "words"), [("kill", "died 3 times"), ("raise", "in a metric")])
def test_a_harness_that_fails_on_a_cell_costs_that_cell(fakes, small, tmp_path, how, words):
    config = {**small, "codecs": ["pcm"], "metrics": [f"fatal(how={how})"], "trials": 2}
    config |= {"links": ["clean"], "grid": {}, "policy": {}}
    outcome = run_sweep(config, tmp_path / "run", Options(workers=2))
    [lost] = outcome.lost
    assert words in lost.message
    assert lost.cell.item.id == "ramp1"
    assert (outcome.planned, outcome.stored) == (2, 1)


def test_workers_that_can_not_start_are_an_error(fakes, small, monkeypatch):
    from gencomm.sweeps.executors import local

    monkeypatch.setattr(local, "_START", "raise SystemExit(3); main = print")
    with pytest.raises(local.ExecutorError, match="exit code 3"):
        run_executor(small, 1, lambda executor: None)


HOSTILE = {
    "segfault": "crashed",
    "hang": "timeout",
    "spin": "timeout",
    "hog": "memory",
    "raise": "crashed",
    "exit": "crashed",
    "size": "wrong_size",
    "type": "wrong_size",
    "nothing": "crashed",
}


def test_hostile_codecs_cost_their_rows_and_no_more(fakes, small, tmp_path):
    codecs = [f"hostile(how={how})" for how in HOSTILE]
    config = {
        **small,
        "codecs": [*codecs, "hostile(how=raise,encoder=true)", "pcm"],
        "source": "ramps(n=1,size=16)",
        "links": ["bsc(1e-2)"],
        "grid": {},
        "policy": {},
        "trials": 2,
        "limits": {"seconds": 0.7, "memory": "500MB"},
    }
    outcome = run_sweep(config, tmp_path / "run", Options(workers=2))
    assert outcome.stored == len(config["codecs"])
    rows, cells = load_run(tmp_path / "run"), load_cells(tmp_path / "run")
    for how, status in HOSTILE.items():
        mine = rows[rows.codec == f"hostile(how={how})"]
        assert mine.status.tolist() == [status] * 2, how
        assert mine.psnr.nunique() == 1  # that of the concealment
        assert (cells[cells.codec == f"hostile(how={how})"].clean_status == "ok").all()
    assert set(rows[rows.codec == "pcm"].status) == {"ok"}
    [failed] = cells[cells.stop == "not_encoded"].to_dict("records")
    assert failed["trials"] == 0
    assert "no such thing" in failed["detail"]


def test_a_decoder_that_always_hangs_is_given_up_after_three_trials(fakes, small, tmp_path):
    config = {
        **small,
        "codecs": ["hostile(how=hang)"],
        "source": "ramps(n=1)",
        "links": ["bsc(1e-2)"],
        "grid": {},
        "policy": {},
        "trials": 500,
        "limits": {"seconds": 0.3},
    }
    run_sweep(config, tmp_path / "run", Options(workers=1))
    cells = load_cells(tmp_path / "run")
    assert cells[["stop", "trials"]].values.tolist() == [["limit", 3]]


def test_the_same_verb_in_python(fakes, small, tmp_path):
    run = gencomm.sweep(small, tmp_path / "run", workers=2, limit=4, progress=False)
    assert len(run.cells()) == 4
    assert run.rows().equals(gencomm.load_run(tmp_path / "run"))
    assert "harness" in run.report(figures=False)
    assert run.status()["cells"] == 4
    assert set(run.outcome.seconds) >= {"encode", "decode", "link", "metric", "store", "other"}


def test_records_are_complete(reference):
    cells, artefacts = reference
    assert all(isinstance(cell, CellRecord) and cell.bits_hash for cell, _ in cells)
    kept = {a.cell for a in artefacts if a.kind in ("received", "clean")}
    assert kept == {cell.hash for cell, _ in cells if cell.item == "ramp0"}
    assert [a.name for a in artefacts if a.kind == "original"] == ["original/ramp0"]

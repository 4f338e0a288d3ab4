import json
import os
import signal
from dataclasses import replace

import pytest

from gencomm.cli import USAGE, main
from gencomm.sweeps.executors.local import ExecutorError
from gencomm.sweeps.plan import groups, make_plan
from gencomm.sweeps.records import CellRecord
from gencomm.sweeps.resolve import resolve
from gencomm.sweeps.run import Options, make_setup, run_sweep
from gencomm.sweeps.store import Store


def contents(folder):
    """All that must be the same: everything but times."""
    with Store(folder) as store:
        return [(cell, store.rows(cell.hash)) for cell in store.cells()], store.artefacts()


@pytest.fixture
def cluster(fakes):
    """Two worker processes of one thread, on this machine."""
    distributed = pytest.importorskip("distributed")
    # gives up a task after two deaths, to be quick
    with (
        distributed.LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            processes=True,
            dashboard_address=None,
            scheduler_kwargs={"allowed_failures": 1},
        ) as cluster,
        distributed.Client(cluster, set_as_default=False) as client,
    ):
        yield cluster, client


def plugins(dask_worker):
    return [name for name in dask_worker.plugins if name.startswith("gencomm")]


def test_rows_are_those_of_local_workers(cluster, small, small_run, tmp_path):
    cluster, client = cluster
    outcome = run_sweep(small, tmp_path / "run", Options(dask=cluster.scheduler_address))
    assert contents(tmp_path / "run") == contents(small_run)
    assert (outcome.stored, outcome.lost) == (32, [])
    assert outcome.seconds["metric"] > 0
    # the benches are gone with the sweep
    assert client.run(plugins) == {address: [] for address in client.nthreads()}
    with Store(tmp_path / "run") as store:
        assert store.runs()[0]["options"]["dask"] == cluster.scheduler_address


def test_a_killed_worker_costs_nothing(cluster, small, small_run):
    from gencomm.sweeps.executors.dask import DaskExecutor

    cluster, client = cluster
    resolved = resolve(small)
    results = DaskExecutor(make_setup(resolved), cluster.scheduler_address).run(
        groups(make_plan(resolved))
    )
    found = [next(results)]
    for pid in client.run(os.getpid).values():
        os.kill(pid, signal.SIGKILL)
    found += results
    with Store(small_run) as store:
        wanted = {cell.hash: store.rows(cell.hash) for cell in store.cells()}
    assert len(found) == len(wanted)
    assert {record.hash: record.rows for record in found} == wanted


def test_a_cell_that_kills_or_breaks_the_harness_is_left_out_alone(cluster, small, tmp_path):
    address = cluster[0].scheduler_address
    small |= {"codecs": ["pcm"], "links": ["bsc(0.01)"], "grid": {}, "trials": {"max": 1}}
    small |= {"policy": {}}
    for how, said in (("raise", "ZeroDivisionError: in a metric"), ("kill", "workers died")):
        small |= {"metrics": ["psnr", f"fatal({how})"]}
        outcome = run_sweep(small, tmp_path / how, Options(dask=address))
        assert outcome.stored == 1
        [lost] = outcome.lost
        assert lost.cell.item.id == "ramp1"
        assert said in lost.message


def test_a_worker_of_another_version_is_refused(cluster, small):
    from gencomm.sweeps.executors.dask import DaskExecutor

    resolved = resolve(small)
    [group, *_] = groups(make_plan(resolved))
    [cell, *_] = group.cells
    setup = make_setup(resolved)
    numpy = replace(cell, identity=json.dumps(json.loads(cell.identity) | {"numpy": "1.7"}))
    identity = group.codec.identity | {"versions": {"pcm": "0.9"}}
    for changed, said in (
        (replace(group, cells=(numpy,)), "numpy 2.* but 1.7 planned"),
        (replace(group, codec=replace(group.codec, identity=identity)), "'0.9'.* planned"),
    ):
        lost, *_ = DaskExecutor(setup, cluster[0].scheduler_address).run([changed])
        with pytest.raises(RuntimeError, match=said):
            raise RuntimeError(lost.message)


def test_stopping_takes_back_what_is_to_do(cluster, small):
    from gencomm.sweeps.executors.dask import DaskExecutor

    cluster, client = cluster
    resolved = resolve(small)
    results = DaskExecutor(make_setup(resolved), cluster.scheduler_address).run(
        groups(make_plan(resolved))
    )
    assert isinstance(next(results), CellRecord)
    results.close()
    assert client.run(plugins) == {address: [] for address in client.nthreads()}


def test_a_scheduler_that_goes_away_ends_the_sweep(cluster, small):
    from gencomm.sweeps.executors.dask import DaskExecutor

    cluster, client = cluster
    resolved = resolve(small)
    results = DaskExecutor(make_setup(resolved), cluster.scheduler_address).run(
        groups(make_plan(resolved))
    )
    next(results)
    client.close()
    cluster.close()
    with pytest.raises(ExecutorError, match="went away"):
        list(results)


def test_what_is_wrong_is_said(fakes, small, tmp_path, capsys, monkeypatch):
    assert main(["sweep", "--dask", "tcp://a:1", "--workers", "2"]) == USAGE
    assert "give no workers" in capsys.readouterr().err
    assert main(["sweep", "--dask", "tcp://a:1", "--dry-run"]) == USAGE
    assert "leave --dask out" in capsys.readouterr().err
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert main(["sweep", "--dask", "tcp://a:1"]) == USAGE
    assert 'pip install "gencomm[dask]"' in capsys.readouterr().err


def test_no_scheduler(fakes, small, tmp_path, monkeypatch):
    pytest.importorskip("distributed")
    monkeypatch.setattr("gencomm.sweeps.executors.dask.TIMEOUT", 0.5)
    for address in ("tcp://127.0.0.1:9", "nonsense://x"):
        with pytest.raises(ExecutorError, match="no Dask scheduler answers"):
            run_sweep(small, tmp_path / "run", Options(dask=address))

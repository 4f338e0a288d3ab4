"""Fixtures of the sweep's tests: a plug-in package with quick, brittle and hostile codecs."""

import copy
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

PLUGIN = Path(__file__).parent / "plugin_sweep"


def _forget_plugins():
    from channels.link import CHANNELS
    from gencomm.codecs.registry import CODECS
    from gencomm.metrics import METRICS
    from gencomm.sources import SOURCES

    for registry in (CODECS, CHANNELS, METRICS, SOURCES):
        registry.__dict__.pop("_plugins", None)
        for name in ("pcm", "soft", "fragile", "hostile", "ramps", "fatal", "spared"):
            registry._loaded.pop(name, None)


@contextmanager
def _installed():
    """As if the package in plugin_sweep/ were installed, here and in every process started."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(PLUGIN))
        patch.setenv("PYTHONPATH", str(PLUGIN), prepend=":")
        patch.delenv("GENCOMM_PLUGINS", raising=False)
        _forget_plugins()
        yield PLUGIN
    sys.modules.pop("sweep_fakes", None)
    _forget_plugins()


@pytest.fixture(scope="session")
def installed():
    """A context in which the package is installed, for fixtures that outlive a test."""
    return _installed


@pytest.fixture
def fakes():
    """The folder of the package, which is installed while the test runs."""
    with _installed() as folder:
        yield folder


SMALL = {
    "name": "small",
    "seed": 3,
    "source": "ramps(n=2,size=16)",
    "codecs": ["pcm", "fragile"],
    "links": ["bsc({ber})", "clean"],
    "grid": {"ber": [1e-4, 1e-3, 1e-2]},
    "trials": {"min": 3, "max": 9, "half_width": {"psnr": 1.5}},
    "metrics": ["psnr"],
    "policy": [{"decode": "strict"}, {"header": "protected", "conceal": "mean"}],
}


@pytest.fixture
def small():
    """A configuration that runs in a moment once its workers are up."""
    return copy.deepcopy(SMALL)


@pytest.fixture(scope="session")
def small_run(tmp_path_factory):
    """The folder of a finished run of it, one worker; copy it before changing anything."""
    from gencomm.sweeps.run import Options, run_sweep

    folder = tmp_path_factory.mktemp("small") / "run"
    with _installed():
        run_sweep(SMALL, folder, Options(workers=1, batch=4))
    return folder

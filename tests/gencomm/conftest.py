"""Fixtures of the sweep's tests: a plug-in package with quick, brittle and hostile codecs."""

import sys
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
        if registry is CODECS or registry is SOURCES:
            for name in ("pcm", "fragile", "hostile", "ramps"):
                registry._loaded.pop(name, None)


@pytest.fixture
def fakes(monkeypatch):
    """As if the package in plugin_sweep/ were installed, here and in every process started."""
    monkeypatch.syspath_prepend(str(PLUGIN))
    monkeypatch.setenv("PYTHONPATH", str(PLUGIN), prepend=":")
    monkeypatch.delenv("GENCOMM_PLUGINS", raising=False)
    _forget_plugins()
    yield PLUGIN
    sys.modules.pop("sweep_fakes", None)
    _forget_plugins()


@pytest.fixture
def small():
    """A configuration that runs in a moment once its workers are up."""
    return {
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

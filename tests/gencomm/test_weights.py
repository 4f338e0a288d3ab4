"""The weights that come with the package, and the loader."""

from __future__ import annotations

import json

import numpy as np
import pytest

pytest.importorskip("safetensors")

from safetensors.numpy import save_file

from gencomm import weights
from gencomm.weights import index, load_weights


@pytest.fixture
def folder(tmp_path, monkeypatch):
    state = {"state": json.dumps({"steps": 7})}
    save_file({"a.x": np.arange(3.0), "b": np.ones(1)}, tmp_path / "toy.safetensors", state)
    monkeypatch.setattr(weights, "FOLDER", tmp_path)
    weights.write_index()
    return tmp_path


def test_weights_are_loaded_by_name(folder):
    loaded = load_weights("toy")
    assert loaded.state == {"steps": 7}
    assert loaded.part("a")["x"].tolist() == [0, 1, 2]
    assert loaded.checksum == index()["toy"]["sha256"]
    assert load_weights(str(folder / "toy.safetensors")).checksum == loaded.checksum


def test_arrays_are_not_to_be_written_to(folder):
    with pytest.raises(ValueError, match="read-only"):
        load_weights("toy").arrays["b"][0] = 2


def test_one_wrong_bit_is_seen(folder):
    path = folder / "toy.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(ValueError, match="damaged"):
        load_weights("toy")


def test_a_file_of_ones_own_may_change(folder):
    path = folder / "own.safetensors"
    for value in (1.0, 2.0):
        save_file({"b": np.full(1, value), "c": np.zeros(int(value))}, path)
        assert load_weights(str(path)).arrays["b"] == value


def test_what_is_missing_is_named(folder):
    with pytest.raises(ValueError, match="no weights 'other'; there are toy"):
        load_weights("other")
    with pytest.raises(ValueError, match="doesn't exist"):
        load_weights(str(folder / "other.safetensors"))
    (folder / "toy.safetensors").unlink()
    with pytest.raises(ValueError, match=r"lacks toy\.safetensors"):
        load_weights("toy")


def test_what_is_no_safetensors_is_refused(folder):
    (folder / "bad.safetensors").write_bytes(b"nonsense")
    with pytest.raises(ValueError, match="holds no weights"):
        load_weights(str(folder / "bad.safetensors"))


def test_the_packages_own_weights_are_as_the_index_says():
    for name, entry in index().items():
        loaded = load_weights(name)
        assert loaded.checksum == entry["sha256"]
        # what the project allows itself a codec: 12 MB for entropy codes, 16 MB for fixed length
        entropy_coded = name.split("_")[0] in ("cae", "hyperprior")
        assert entry["bytes"] <= (12 if entropy_coded else 16) * 10**6
        card = (weights.FOLDER / f"{name}.md").read_text(encoding="utf-8")
        assert "Data" in card

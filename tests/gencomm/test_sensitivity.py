"""Measured sensitivity maps: what a flipped bit costs, and where that is kept."""

from __future__ import annotations

import json

import numpy as np
import pytest

from channels.bits import PackedBits
from gencomm.codecs.contract import Decoded, Encoded
from gencomm.codecs.fixed_length import importance_classes
from gencomm.items import image_item
from gencomm.weights import Weights, index, load_weights
from gencomm.weights.sensitivity import map_path, sensitivity_map, write_maps

WEIGHTS = {"weights": np.zeros(1)}


class Plain:
    """Four samples of two bits each, natural labels, in steps of 64."""

    name, modality, wants = "plain", "image", frozenset()

    def encode(self, item):
        levels = item.value.ravel() // 64
        bits = np.stack([levels >> 1, levels & 1], 1).ravel()
        return Encoded(PackedBits.from_bits(bits))

    def decode(self, received):
        bits = received.bits.unpack().reshape(4, 2)
        return Decoded((bits @ np.array([128, 64])).astype(np.uint8).reshape(2, 2))


def test_the_change_by_a_flip_is_the_closed_form():
    module = pytest.importorskip("gencomm.training.sensitivity")
    items = [image_item(str(v), np.full((2, 2), v, np.uint8)) for v in (0, 64, 128, 192)]
    flips = [np.array([k]) for k in range(8)]
    plan = module.Plan("plain", Plain(), flips, 0.0)
    np.testing.assert_allclose(module.flip_changes(plan, items), [128**2, 64**2] * 4)
    both = module.flip_changes(plan._replace(flips=[np.array([0, 1])]), items)
    # 0 <-> 192 and 64 <-> 128
    np.testing.assert_allclose(both, [(2 * 192**2 + 2 * 64**2) / 4])


def test_where_the_change_of_values_is_known_pictures_say_what_the_decoder_adds():
    module = pytest.importorskip("gencomm.training.sensitivity")
    items = [image_item(str(v), np.full((2, 2), v, np.uint8)) for v in (0, 64)]

    def values(bits):  # half of what the picture moves by, in amplitude
        return bits.reshape(len(bits), 4, 2) @ np.array([64.0, 32.0])

    known = np.arange(1.0, 9.0)
    plan = module.Plan("plain", Plain(), [np.array([k]) for k in range(8)], 0.0, values, known)
    np.testing.assert_allclose(module.flip_changes(plan, items), 4 * known)


def weights(tmp_path, checksum="abc"):
    return Weights(str(tmp_path / "mine.safetensors"), checksum, WEIGHTS, {})


def test_maps_lie_beside_the_weights_and_belong_to_them(tmp_path):
    own = weights(tmp_path)
    assert sensitivity_map(own, "a") is None
    path = write_maps(own, {"a": np.array([3.00049, 1e6, -2]), "b": np.ones(2)}, "two pictures")
    assert path == tmp_path / "mine.sensitivity.json"
    assert json.loads(path.read_text())["measured"] == "two pictures"
    np.testing.assert_allclose(sensitivity_map(own, "a"), [3, 1e6, -2])
    assert sensitivity_map(own, "c") is None
    assert sensitivity_map(weights(tmp_path, "trained further"), "a") is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[1]",
        '{"weights": "abc"}',
        '{"weights": "abc", "maps": {"a": ["x"]}}',
        '{"weights": "abc", "maps": {"a": [NaN]}}',
        '{"weights": "abc", "maps": {"a": [[1]]}}',
    ],
)
def test_damaged_maps_are_named(tmp_path, text):
    own = weights(tmp_path)
    map_path(own.name).write_text(text)
    with pytest.raises(ValueError, match="anew"):
        sensitivity_map(own, "a")


def test_classes_are_of_equal_size_and_in_order():
    cost = np.array([5.0, 1, 9, -3, 2, 2, 0, 7])
    np.testing.assert_array_equal(importance_classes(cost, 4), [1, 2, 0, 3, 1, 2, 3, 0])
    assert importance_classes(cost, 4).dtype == np.uint8


@pytest.mark.parametrize("name", sorted(index()))
def test_maps_of_the_package_are_of_its_weights(name):
    path = map_path(name)
    if path.is_file():
        measured = json.loads(path.read_text())["weights"]
        again = f"measure again: python -m gencomm.training.sensitivity {name}"
        assert measured == load_weights(name).checksum, again


def test_a_map_sets_the_classes(tmp_path, monkeypatch):
    from gencomm.codecs.ncode_joint import codec

    cost = np.random.default_rng(0).permutation(512).astype(float)
    names = []
    monkeypatch.setattr(codec, "_networks", lambda weights: None)
    monkeypatch.setattr(codec, "sensitivity_map", lambda _, name: names.append(name) or cost)
    found = codec._classes(weights(tmp_path), 512, 0.0, "learnt")
    np.testing.assert_array_equal(found, importance_classes(cost, 4))
    assert names == [codec.map_name(512, 0.0, "learnt")]

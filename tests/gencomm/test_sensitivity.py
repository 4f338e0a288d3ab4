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


def test_the_cost_of_a_flip_is_the_closed_form():
    flip_costs = pytest.importorskip("gencomm.training.sensitivity").flip_costs
    items = [image_item(str(v), np.full((2, 2), v, np.uint8)) for v in (0, 64, 128, 192)]
    # samples are decoded exactly, so that a flip costs its weight squared
    flips = [np.array([k]) for k in range(8)]
    np.testing.assert_allclose(flip_costs(Plain(), items, flips), [128**2, 64**2] * 4)
    both = flip_costs(Plain(), items, [np.array([0, 1])])
    # 0 <-> 192 and 64 <-> 128
    np.testing.assert_allclose(both, [(2 * 192**2 + 2 * 64**2) / 4])


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


@pytest.mark.skipif("ncode_joint" not in index(), reason="no weights in the package")
def test_the_maps_of_the_package_are_of_its_weights_and_set_the_classes():
    from gencomm.codecs.ncode_joint.codec import NCodeJoint, map_name

    pytest.importorskip("torch")
    own = load_weights("ncode_joint")
    found = sensitivity_map(own, map_name(512, 0.0, "learnt"))
    assert found is not None, "measure again: python -m gencomm.training.sensitivity ncode_joint"
    face = image_item("grey", np.full((64, 64, 3), 120, np.uint8))
    sent = NCodeJoint(search=0).encode(face)
    np.testing.assert_array_equal(sent.classes, importance_classes(found, 4))

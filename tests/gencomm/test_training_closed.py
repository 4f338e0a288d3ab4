"""Recipes with a closed form: the right pictures reach them, and a card lies beside the weights."""

from __future__ import annotations

import hashlib
import io
import json

import numpy as np
import pytest
from PIL import Image

from gencomm.training.closed import Fitted, fit


class Mean:
    """The mean colour of the pictures: the smallest recipe there is."""

    name, train_set, train_split, card = "mean", "faces.npz", "train", "A mean."
    measured_split, measured_count = "test", 2

    def fit(self, pictures, out):
        values = [picture.mean() for picture in pictures]
        out.mkdir(parents=True, exist_ok=True)
        path = out / "mean.safetensors"
        path.write_text(json.dumps([len(values), float(np.mean(values))]))
        return path

    def measure(self, weights, pictures):
        count, mean = json.loads(weights.read_text())
        return [{"what": f"of {count}", "off": abs(float(p.mean()) - mean)} for p in pictures]


@pytest.fixture
def data(tmp_path):
    parts = []
    for level in (10, 20, 90, 100, 110):
        file = io.BytesIO()
        Image.fromarray(np.full((4, 4, 3), level, np.uint8)).save(file, "PNG")
        parts.append(file.getvalue())
    np.savez(
        tmp_path / "faces.npz",
        data=np.frombuffer(b"".join(parts), np.uint8),
        offsets=np.cumsum([0, *map(len, parts)]),
        names=np.array(list("abcde")),
        split=np.array([0, 0, 2, 2, 2], np.uint8),
    )
    return tmp_path


def test_parts_of_the_set_go_where_they_belong(data, tmp_path):
    assert isinstance(Mean(), Fitted)
    path, seconds = fit(Mean(), str(data), tmp_path / "run")
    assert json.loads(path.read_text()) == [2, 15.0]
    assert seconds >= 0
    card = path.with_suffix(".md").read_text()
    assert "To 2 pictures" in card
    assert "| of 2 | 75.00 |" in card
    assert "| of 2 | 85.00 |" in card
    assert "95.00" not in card  # the first two only
    assert hashlib.sha256(path.read_bytes()).hexdigest() in card


def test_a_folder_of_pictures_will_do(tmp_path):
    for level in (30, 50):
        Image.fromarray(np.full((4, 4, 3), level, np.uint8)).save(tmp_path / f"{level}.png")
    path, _ = fit(Mean(), str(tmp_path), tmp_path / "run")
    assert json.loads(path.read_text()) == [2, 40.0]
    assert "training pictures themselves" in path.with_suffix(".md").read_text()

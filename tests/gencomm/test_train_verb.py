"""`gencomm train` and `gencomm.train`: from pictures to a file that the codec reads."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

import gencomm
from gencomm.cli import USAGE, main

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")
pytest.importorskip("constriction")

from gencomm.codecs.contract import Received, Status  # noqa: E402
from gencomm.codecs.registry import make_codec  # noqa: E402
from gencomm.items import image_item  # noqa: E402
from gencomm.training.registry import RECIPES, recipe_spec  # noqa: E402


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for k in range(4):
        low = rng.integers(0, 256, (12, 15, 3), np.uint8)
        Image.fromarray(low).resize((200, 180), Image.Resampling.BICUBIC).save(folder / f"{k}.png")
    return folder


@pytest.fixture
def small(monkeypatch):
    """The recipe of cae with a small network."""
    from gencomm.codecs.cae import export, network, recipe

    shape = network.Shape(width4=8, width8=8, width16=8, blocks4=1, blocks8=1, blocks16=1)

    def make(lambdas):
        return network.CompressiveAutoencoder(lambdas, shape)

    monkeypatch.setattr(recipe, "CompressiveAutoencoder", network.CompressiveAutoencoder)
    monkeypatch.setattr(recipe.CAERecipe, "network", lambda self: make(recipe.LAMBDAS))
    monkeypatch.setattr(export, "CompressiveAutoencoder", make)


def test_from_a_folder_of_pictures_to_a_codec(photos, tmp_path, small, capsys, monkeypatch):
    monkeypatch.delenv("GENCOMM_DATA", raising=False)
    out = tmp_path / "run"
    words = ["train", "cae", "--data", str(photos), "--out", str(out), "--threads", "1"]
    assert main([*words, "--steps", "2"]) == 0
    told = capsys.readouterr().out
    assert "step 2" in told
    assert str(out / "cae.safetensors") in told
    codec = make_codec(f'cae(quality=50,weights="{out / "cae.safetensors"}")')
    item = image_item("x", np.asarray(Image.open(photos / "0.png")))
    decoded = codec.decode(Received(codec.encode(item).bits))
    assert decoded.status is Status.OK
    card = (out / "cae.md").read_text()
    assert "2 steps" in card
    assert codec.weights.checksum in card
    # the same goes on, in Python too
    trained = gencomm.train("cae", photos, out, steps=3, threads=1)
    assert trained.step == 3
    assert "3 steps" in trained.card.read_text()
    log = trained.log()
    assert sorted(set(log["step"])) == [2, 3]
    assert {"bpp", "psnr"} <= set(log.columns)


def test_help_is_quick_and_needs_no_torch():
    code = (
        "import sys\nfrom gencomm.cli import main\n"
        "try: main(['train', '--help'])\nexcept SystemExit: pass\n"
        "print('torch' in sys.modules, 'numpy' in sys.modules, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "--decay-steps" in done.stdout
    assert done.stderr.split() == ["False", "False"]


def test_gencomm_train_imports_no_torch_until_it_is_called():
    code = "import sys, gencomm; gencomm.train; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["caee"], "did you mean 'cae'"),
        (["cae(distortion=psnr)"], "mse or ms_ssim"),
        (["cae(distorsion=mse)"], "did you mean 'distortion'"),
        (["cae"], "GENCOMM_DATA"),
        (["cae", "--data", "nowhere"], "nowhere doesn't exist"),
        (["cae", "--data", "{empty}"], "holds no picture files"),
        (["cae", "--hours", "-1"], "hours must be 0 or more"),
        (["cae", "--steps", "0"], "steps must be 1 or more"),
        (["cae", "--weights", "none.safetensors"], "none.safetensors doesn't exist"),
        (["cae", "--device", "cuda"], "no CUDA"),
    ],
)
def test_mistakes_are_told(words, told, tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("GENCOMM_DATA", raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    words = [word.replace("{empty}", str(tmp_path)) for word in words]
    assert main(["train", *words]) == USAGE
    assert told in capsys.readouterr().err


def test_torch_missing(monkeypatch, capsys):
    monkeypatch.setattr("gencomm.training.starting.NEEDED", ("no_such_package",))
    assert main(["train", "cae"]) == USAGE
    err = capsys.readouterr().err
    assert "no_such_package" in err
    assert "gencomm[learned]" in err


def test_recipes_are_listed(capsys):
    assert main(["train"]) == 0
    assert "cae" in capsys.readouterr().out.split()
    assert RECIPES.entry("cae").target == "gencomm.codecs.cae.recipe:recipe"
    assert str(recipe_spec("cae", {"distortion": "ms_ssim"})) == "cae(distortion=ms_ssim)"

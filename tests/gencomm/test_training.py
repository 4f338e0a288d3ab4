"""The training loop on a toy: resume, decay, averages, data, the optimiser."""

from __future__ import annotations

import io
import json
import math
import re

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

from torch import nn  # noqa: E402

from gencomm.items import image_item  # noqa: E402
from gencomm.training import Intervals, train  # noqa: E402
from gencomm.training.card import Row, card, measure, table  # noqa: E402
from gencomm.training.checkpoint import read_checkpoint, write_checkpoint  # noqa: E402
from gencomm.training.data import data_path, load_pictures  # noqa: E402
from gencomm.training.loop import load_recipe  # noqa: E402
from gencomm.training.optimiser import Muon, orthogonalise  # noqa: E402
from gencomm.training.schedule import Schedule  # noqa: E402


class Toy:
    """A denoiser of 3x3: quick, and with randomness of both kinds."""

    name = "toy"
    train_set, validation_set, monitor_set = "train.npz", "val.npz", ""
    side, batch = 16, 4
    learning_rate, warmup, clip_norm, ema = 0.01, 3, 1.0, 0.9

    def network(self):
        return nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 3, 3, padding=1)
        )

    def start(self, network, crops):
        with torch.no_grad():
            network[2].bias.copy_(crops.float().mean((0, 2, 3)) / 255)

    def groups(self, network):
        matrices = [p for p in network.parameters() if p.ndim == 4]
        rest = [p for p in network.parameters() if p.ndim != 4]
        return [{"params": matrices, "matrices": True}, {"params": rest, "factor": 2.0}]

    def loss(self, network, crops, generator):
        x = crops.float() / 255
        noise = torch.randn(x.shape, generator=generator)
        loss = (network(x + 0.1 * noise) - x).square().mean()
        return loss, {"loss": loss.item()}

    @torch.no_grad()
    def evaluate(self, network, pictures):
        x = torch.from_numpy(np.stack(pictures)).float() / 255
        error = (network(x) - x).square().mean().item()
        return {"score": error, "points": [{"bpp": 24.0, "psnr": -10 * np.log10(error)}]}

    def sheet(self, network, pictures):
        return pictures[0].transpose(1, 2, 0)


def picture(rng, height=24, width=30):
    low = rng.integers(0, 256, (3, 4, 3), np.uint8)
    return np.asarray(Image.fromarray(low).resize((width, height), Image.Resampling.BICUBIC))


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    rng = np.random.default_rng(0)
    files = []
    for _ in range(12):
        out = io.BytesIO()
        Image.fromarray(picture(rng)).save(out, "PNG")
        files.append(out.getvalue())
    path = tmp_path_factory.mktemp("data") / "train.npz"
    np.savez(
        path,
        data=np.frombuffer(b"".join(files), np.uint8),
        offsets=np.cumsum([0, *map(len, files)]),
        names=np.array([f"p{i}" for i in range(12)]),
    )
    return path


def run(packed, out, **options):
    return train(Toy(), str(packed), out, 60, intervals=Intervals(1e9, 1e9, 1e9), **options)


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.fixture(scope="module")
def uninterrupted(packed, tmp_path_factory):
    return run(packed, tmp_path_factory.mktemp("whole"), steps=12)


def test_a_resumed_run_equals_an_uninterrupted_one(packed, tmp_path, uninterrupted):
    for steps in (5, 9, 12):
        last = run(packed, tmp_path, steps=steps)
    assert last.step == uninterrupted.step == 12
    assert same(last.network.state_dict(), uninterrupted.network.state_dict())
    assert same(last.ema, uninterrupted.ema)


def test_what_depends_on_the_step_survives_a_resume(packed, tmp_path):
    class Stepped(Toy):
        def __init__(self):
            self.seen = []

        def before_step(self, network, step):
            network.step = step

        def loss(self, network, crops, generator):
            self.seen.append(network.step)
            return super().loss(network, crops, generator)

        def evaluate(self, network, pictures):
            self.evaluated = network.step
            return super().evaluate(network, pictures)

    seen = []
    for steps in (2, 5):
        toy = Stepped()
        train(toy, str(packed), tmp_path, 60, intervals=Intervals(1e9, 1e9, 1e9), steps=steps)
        assert toy.evaluated == steps
        seen += toy.seen
    assert seen == [0, 1, 2, 3, 4]


def test_lines_tell_when_training_will_be_done(packed, tmp_path, capsys):
    train(Toy(), str(packed), tmp_path, 3600, intervals=Intervals(1e9, 1e9, 1e9, 0), steps=3)
    lines = [line for line in capsys.readouterr().out.splitlines() if "training:" in line]
    assert len(lines) == 3
    found = [re.search(r"step (\d) .* loss \d.* s a step, done in ([\d.]+) (min|h)", line)
             for line in lines]  # fmt: skip
    assert [match and int(match[1]) for match in found] == [1, 2, 3]
    assert found[-1][2] == "0.0"  # no step is left, though an hour would be


def test_another_seed_gives_other_weights(packed, tmp_path, uninterrupted):
    other = run(packed, tmp_path, steps=12, seed=1)
    assert not same(other.network.state_dict(), uninterrupted.network.state_dict())


def test_training_lowers_the_error(packed, tmp_path):
    run(packed, tmp_path, steps=1)
    run(packed, tmp_path, steps=150)
    lines = (tmp_path / "log.jsonl").read_text().splitlines()
    first, last = (json.loads(line)["score"] for line in lines)
    assert last < first / 3
    assert list(tmp_path.glob("sheet-*.png"))


def test_a_decay_is_resumed_and_leaves_the_constant_phase(packed, tmp_path, uninterrupted):
    run(packed, tmp_path, steps=12)
    before = (tmp_path / "checkpoint.safetensors").read_bytes()
    first = run(packed, tmp_path, steps=15, decay_steps=8)
    assert first.schedule.decay_from == 12
    last = run(packed, tmp_path, decay_steps=8)
    assert last.step == 20
    assert last.optimiser.param_groups[0]["lr"] < 0.1 * Toy.learning_rate
    assert (tmp_path / "checkpoint.safetensors").read_bytes() == before
    # a finished decay stays where it is
    assert run(packed, tmp_path, decay_steps=8).step == 20


def test_weights_alone_are_a_start(packed, tmp_path, uninterrupted):
    run(packed, tmp_path / "a", steps=12)
    again = run(packed, tmp_path / "b", steps=0, weights=tmp_path / "a" / "weights.safetensors")
    assert again.step == 0
    for name, value in again.ema.items():
        assert value.numpy() == pytest.approx(uninterrupted.ema[name].numpy(), abs=1e-3)


def test_a_checkpoint_of_another_recipe_is_refused(packed, tmp_path):
    write_checkpoint(tmp_path / "checkpoint.safetensors", {}, {"recipe": "other"})
    with pytest.raises(ValueError, match="other"):
        run(packed, tmp_path, steps=1)


def test_a_checkpoint_is_whole_or_not_there(tmp_path, monkeypatch):
    path = tmp_path / "c.safetensors"
    write_checkpoint(path, {"a": torch.ones(2)}, {"step": 1})

    def fail(*args):
        raise OSError("disk full")

    monkeypatch.setattr("gencomm.training.checkpoint.os.fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        write_checkpoint(path, {"a": torch.zeros(2)}, {"step": 2})
    tensors, state = read_checkpoint(path)
    assert state == {"step": 1}
    assert tensors["a"].tolist() == [1, 1]
    assert [p.name for p in tmp_path.iterdir()] == ["c.safetensors"]


def test_unknown_recipes_and_missing_data(monkeypatch, tmp_path):
    with pytest.raises(ValueError, match="no recipe is called 'nothing'"):
        load_recipe("nothing")
    monkeypatch.delenv("GENCOMM_DATA", raising=False)
    with pytest.raises(ValueError, match="GENCOMM_DATA"):
        data_path(None, "train.npz")
    with pytest.raises(ValueError):
        train(Toy(), str(tmp_path), tmp_path / "out", 1)


def test_data_is_found_in_a_folder_of_sets(packed, monkeypatch):
    assert data_path(str(packed.parent), "train.npz") == str(packed)
    assert data_path(str(packed), "train.npz") == str(packed)
    monkeypatch.setenv("GENCOMM_DATA", str(packed.parent))
    assert data_path(None, "train.npz") == str(packed)


def test_a_folder_of_pictures_gives_the_same_samples(packed, tmp_path):
    pictures = load_pictures(packed)
    for i in (0, 3):
        Image.fromarray(pictures[i]).save(tmp_path / f"{i}.png")
    Image.fromarray(pictures[5][..., 0]).save(tmp_path / "grey.png")
    folder = load_pictures(tmp_path)
    assert len(folder) == 3
    assert np.array_equal(folder[1], pictures[3])
    assert np.array_equal(folder[2], np.repeat(pictures[5][..., :1], 3, 2))


def test_crops_lie_within_one_picture(packed):
    pictures = load_pictures(packed)
    crops = pictures.crops(np.random.default_rng(0), 50, 20)
    assert crops.shape == (50, 3, 20, 20)
    windows = [
        np.lib.stride_tricks.sliding_window_view(pictures[i], (20, 20), axis=(0, 1))
        for i in range(len(pictures))
    ]
    for crop in crops[:10]:
        both = (crop, crop[:, :, ::-1])
        assert any((w == c).all((2, 3, 4)).any() for c in both for w in windows)


def test_held_out_pictures_are_not_trained_on(packed):
    held, rest = load_pictures(packed).hold_out(5)
    assert held.names == ["p4", "p9"]
    assert len(rest) == 10
    assert not set(held.names) & set(rest.names)


def test_the_schedule():
    constant = Schedule(4)
    assert [constant(step) for step in (0, 1, 3, 4, 10**6)] == [0.25, 0.5, 1, 1, 1]
    assert not constant.finished(10**9)
    decay = Schedule(4, 100, 100)
    assert [decay(step) for step in (99, 100, 125, 200)] == [1, 1, 0.5, 0]
    assert not decay.finished(199)
    assert decay.finished(200)


def test_the_average_forgets_the_start_and_what_precedes_a_decay():
    assert Schedule(4).ema(0.999, 0) == 0.1
    assert Schedule(4).ema(0.999, 10**6) == 0.999
    assert Schedule(4, 10**6, 2000).ema(0.999, 10**6) == 0.995
    assert Schedule(4, 10**6, 2000).ema(0.9, 10**6) == 0.9


def test_orthogonalised_matrices_have_singular_values_near_one():
    generator = torch.Generator().manual_seed(0)
    for shape in ((2, 16, 100), (1, 64, 24)):
        x = torch.randn(shape, generator=generator)
        values = torch.linalg.svdvals(orthogonalise(x))
        assert values.min() > 0.6
        assert values.max() < 1.3
        # the singular vectors stay
        u, _, v = torch.linalg.svd(x, full_matrices=False)
        inner = torch.diagonal(u.mT @ orthogonalise(x) @ v.mT, dim1=1, dim2=2)
        assert inner.numpy() == pytest.approx(values.sort(-1, True).values.numpy(), abs=0.6)


def test_vectors_are_stepped_as_adam_does():
    torch.manual_seed(0)
    ours, theirs = nn.Parameter(torch.randn(7)), nn.Parameter(torch.zeros(7))
    theirs.data.copy_(ours.data)
    a = Muon([{"params": [ours]}], lr=0.1)
    b = torch.optim.Adam([theirs], lr=0.1, betas=(0.9, 0.98))
    for _ in range(5):
        gradient = torch.randn(7)
        ours.grad, theirs.grad = gradient.clone(), gradient.clone()
        a.step()
        b.step()
    assert ours.detach().numpy() == pytest.approx(theirs.detach().numpy(), rel=1e-5)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_convolutions_take_an_orthogonal_step_in_any_layout(layout):
    torch.manual_seed(0)
    start = torch.randn(6, 4, 3, 3)
    p = nn.Parameter(start.clone().to(memory_format=layout))
    optimiser = Muon([{"params": [p], "matrices": True}], lr=0.5)
    p.grad = torch.randn(6, 4, 3, 3).to(memory_format=layout)
    optimiser.step()
    step = (p.detach() - start).flatten(1) / (0.5 * 0.2 * 36**0.5)
    values = torch.linalg.svdvals(step)
    assert values.min() > 0.6
    assert values.max() < 1.3


def test_a_card_tells_what_was_measured():
    rows = [
        Row("toy(quality=0)", 0.1234, 0.1231, [(27.5, 0.91)]),
        Row("toy(quality=100)", 1.1, 1.099, [(37.25, 0.992)]),
    ]
    lines = table(rows, (0.0,), "MS-SSIM", "two pictures")
    state = {"step": 5000, "seconds": 5400, "history": "begun from others"}
    text = card("toy", state, "abc", "Words.\n## Data", lines)
    assert "| `toy(quality=0)` | 0.1234 (0.1231) | 27.50 / 0.9100 |" in text
    assert "5000 steps, 1.5 hours" in text
    assert "begun from others" in text
    assert "`abc`" in text
    assert "channel" not in text


def test_a_card_of_a_code_of_fixed_length_has_a_column_for_each_error_rate():
    rng = np.random.default_rng(0)
    items = [image_item(f"p{k}", rng.integers(0, 256, (32, 40, 3), np.uint8)) for k in range(2)]
    row = measure("raw(labels=natural)", items, (0.0, 0.25), "ssim")
    assert row.bpp == 24 + 15 * 33 / (32 * 40)  # samples, and the size fifteen times
    assert row.estimated is None
    assert row.scores[0][0] > 90
    assert row.scores[0][1] == 1
    # a wrong bit k of 8 moves a sample by 2**k: p (4**8 - 1) / 3, and less what errors share
    assert row.scores[1][0] == pytest.approx(10 * math.log10(3 * 255**2 / (0.25 * 65535)), abs=0.2)
    lines = table([row], (0.0, 0.25), "SSIM", "noise")
    assert "| codec | bpp | BER 0 | BER 0.25 |" in lines
    assert "whose error rate the receiver knows" in lines[0]

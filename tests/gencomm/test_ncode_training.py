"""The two stages of ncode's training on noise: the game, its proxy, the frozen generator."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

import torch.nn.functional as F  # noqa: E402
from torch import nn  # noqa: E402

from channels.bits import PackedBits  # noqa: E402
from gencomm.analysis.realism import compare  # noqa: E402
from gencomm.codecs.contract import Received, Status  # noqa: E402
from gencomm.codecs.ncode import export as export_module  # noqa: E402
from gencomm.codecs.ncode import recipe as recipe_module  # noqa: E402
from gencomm.codecs.ncode.codec import NCode  # noqa: E402
from gencomm.codecs.ncode.discriminator import FaceDiscriminator  # noqa: E402
from gencomm.codecs.ncode.export import export  # noqa: E402
from gencomm.codecs.ncode.generator import GENERATORS, Sizes  # noqa: E402
from gencomm.codecs.ncode.points import LATENTS  # noqa: E402
from gencomm.codecs.ncode.recipe import NCodeRecipe  # noqa: E402
from gencomm.codecs.ncode_joint.network import fold  # noqa: E402
from gencomm.items import image_item  # noqa: E402
from gencomm.nn import perceptual  # noqa: E402
from gencomm.nn.adversarial import gradient_penalty, non_saturating_loss  # noqa: E402
from gencomm.nn.kernel import kernel_distance  # noqa: E402
from gencomm.training.data import Pictures  # noqa: E402
from gencomm.training.loop import Data, Run  # noqa: E402

NARROW = {"width32": 8, "width16": 8, "width8": 8, "blocks8": 1, "blocks16": 1, "style": 8}


class Critic(nn.Module):
    """Small, smooth, and in double precision."""

    def __init__(self):
        super().__init__()
        self.one, self.two = nn.Conv2d(3, 4, 3), nn.Linear(4, 1)

    def forward(self, x):
        return self.two(torch.tanh(self.one(x)).mean((2, 3)))[:, 0]


def test_one_pass_gives_both_sides_their_own_gradient():
    torch.manual_seed(0)
    critic, real = Critic().double(), torch.randn(5, 3, 8, 8).double()
    made = torch.randn(5, 3, 8, 8).double().requires_grad_()
    loss, of_real, of_made = non_saturating_loss(critic, real, made)
    loss.backward()
    found = [p.grad.clone() for p in critic.parameters()]
    moved = made.grad.clone()

    critic.zero_grad()
    tell = F.softplus(-critic(real)).mean() + F.softplus(critic(made.detach())).mean()
    tell.backward()
    assert loss.item() == pytest.approx(tell.item())
    for one, p in zip(found, critic.parameters(), strict=True):
        torch.testing.assert_close(one, p.grad)
    again = made.detach().clone().requires_grad_()
    F.softplus(-critic(again)).mean().backward()
    torch.testing.assert_close(moved, again.grad)
    torch.testing.assert_close(of_made, critic(made).detach())
    torch.testing.assert_close(of_real, critic(real).detach())


def test_the_penalty_of_a_linear_score_is_its_slope_squared():
    weight = torch.randn(3, 8, 8, requires_grad=True)
    score = lambda x: (x * weight).sum((1, 2, 3))  # noqa: E731
    penalty = gradient_penalty(score, torch.randn(4, 3, 8, 8))
    assert penalty.item() == pytest.approx(weight.square().sum().item(), rel=1e-5)
    penalty.backward()
    torch.testing.assert_close(weight.grad, 2 * weight.detach())


def test_the_kernel_distance_is_that_of_the_analysis():
    rng = np.random.default_rng(0)
    a, b = rng.normal(0, 1, (40, 12)), rng.normal(0.3, 1, (30, 12))
    found = kernel_distance(torch.from_numpy(a), torch.from_numpy(b)).item()
    x, y = (torch.from_numpy(v) for v in (a, b))
    total = sum(((p @ q).item() / 12 + 1) ** 3 for i, p in enumerate(x) for q in x[:i]) / 780
    total += sum(((p @ q).item() / 12 + 1) ** 3 for i, p in enumerate(y) for q in y[:i]) / 435
    total -= 2 * sum(((p @ q).item() / 12 + 1) ** 3 for p in x for q in y) / 1200
    assert found == pytest.approx(total)
    same = b[:30], a[:30]
    assert kernel_distance(*map(torch.from_numpy, same)).item() == pytest.approx(
        compare(*same).kernel
    )


def test_a_score_depends_on_no_other_picture():
    critic, x = FaceDiscriminator(8), torch.rand(4, 3, 64, 64)
    torch.testing.assert_close(critic(x)[2:], critic(x[2:]), atol=1e-5, rtol=1e-5)


# ------------------------------------------------------------------------------------- recipes


def quick_basis(basis, pictures):
    """Components that span the pictures given, and random ones: no eigenvalues of 3072 x 3072."""
    half, noise = LATENTS // 2, torch.Generator().manual_seed(0)
    parts = fold(pictures.float())
    basis.mean.copy_(parts[0].mean(0))
    for odd, part in enumerate(parts):
        rows = torch.cat([part - (1 - odd) * basis.mean, torch.randn(half, 3072, generator=noise)])
        basis.components[odd::2] = torch.linalg.qr(rows[:half].T)[0].T
        basis.odd[odd::2] = odd
    values = basis.analyse(pictures.float())
    basis.deviation.copy_(values.square().mean(0).sqrt().clamp_min(1))


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Small networks, and eyes without the package that has AlexNet."""
    rng = np.random.default_rng(0)
    sizes = [(11, 3, 64), (5, 64, 192), (3, 192, 384), (3, 384, 256), (3, 256, 256)]
    arrays = {
        "AlexNet_0": {
            f"Conv_{k}": {
                "kernel": rng.normal(0, (s * s * a) ** -0.5, (s, s, a, b)).astype(np.float32),
                "bias": np.zeros(b, np.float32),
            }
            for k, (s, a, b) in enumerate(sizes)
        }
    } | {
        f"NetLinLayer_{k}": {"Conv_0": {"kernel": rng.random((1, 1, b, 1)).astype(np.float32)}}
        for k, (_, _, b) in enumerate(sizes)
    }
    monkeypatch.setattr(perceptual, "alexnet_arrays", lambda: arrays)
    monkeypatch.setattr(recipe_module, "fit_basis", quick_basis)
    for module in (recipe_module, export_module):
        monkeypatch.setattr(module, "Sizes", lambda kind: Sizes(kind, **NARROW, dcgan=4))
    monkeypatch.setattr(NCodeRecipe, "batch", 8)
    monkeypatch.setattr(NCodeRecipe, "start_crops", 60)


@pytest.fixture(scope="module")
def data():
    """Pictures of a few waves each, half of them seen in training."""
    rng = np.random.default_rng(1)
    y, x = np.mgrid[:64, :64] / 64
    waves = [np.cos(6 * (a * x + b * y))[..., None] for a in range(3) for b in range(3)]
    made = 128 + 25 * sum(rng.normal(0, 1, (30, 1, 1, 3)) * wave for wave in waves)
    made = np.clip(made, 0, 255).astype(np.uint8)
    offsets = np.arange(31, dtype=np.int64) * 12288
    train = Pictures(made.reshape(-1), offsets, np.full((30, 2), 64), [str(k) for k in range(30)])
    return Data(train, list(made[:6].transpose(0, 3, 1, 2)), [])


def steps(recipe, data, count, begin=None):
    run = Run(recipe, data, seed=0)
    if begin is None:
        run.start()
    else:
        begin(run)
    numbers = [run.one_step() for _ in range(count)]
    assert np.isfinite([list(one.values()) for one in numbers]).all()
    return run


def same(first, second):
    return all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("kind", GENERATORS)
def test_both_sides_of_the_game_learn(data, kind):
    recipe = NCodeRecipe(generator=kind)
    run = steps(recipe, data, 1)
    with torch.no_grad():  # branches that begin silent
        for name, parameter in run.network.named_parameters():
            if any(part in name for part in ("expand", "rate", ".up.", "leave")):
                parameter.normal_(0, 0.02)
    before = {name: value.clone() for name, value in run.network.state_dict().items()}
    run.one_step()
    for name, value in run.network.named_parameters():
        if not (name.startswith("heads") and name.endswith("4.bias")):  # both sides cancel there
            assert not torch.equal(value, before[name]), name
    result = recipe.evaluate(run.averaged(), data.validation)
    assert np.isfinite(result["score"])
    assert recipe.sheet(run.averaged(), data.validation[:3]).shape[1:] == (12 * 128, 3)
    grouped = sum(p.numel() for group in recipe.groups(run.network) for p in group["params"])
    assert grouped == sum(p.numel() for p in run.network.parameters())


@pytest.mark.parametrize("kind", GENERATORS)
def test_a_resumed_game_is_the_same_game(data, kind, tmp_path):
    recipe = NCodeRecipe(generator=kind)
    whole = steps(recipe, data, 4)
    steps(recipe, data, 2).save(tmp_path / "c.safetensors")
    again = steps(recipe, data, 2, lambda run: run.load(tmp_path / "c.safetensors"))
    assert same(whole.network.state_dict(), again.network.state_dict())
    assert same(whole.ema, again.ema)


@pytest.mark.parametrize("aware", ["no", "yes"])
@pytest.mark.parametrize("kind", GENERATORS)
def test_the_generator_is_frozen_while_the_encoder_learns(data, kind, aware, tmp_path):
    game = steps(NCodeRecipe(generator=kind), data, 2)
    game.save_weights(tmp_path / "game.safetensors")
    recipe = NCodeRecipe(stage="encoder", generator=kind, aware=aware)
    with pytest.raises(ValueError, match="--weights"):
        Run(recipe, data).start()
    run = Run(recipe, data, seed=0)
    run.load_weights(tmp_path / "game.safetensors")
    assert (run.network.encode(torch.rand(2, 3, 64, 64) * 255).shape) == (2, LATENTS)
    before = {name: value.clone() for name, value in run.network.state_dict().items()}
    for _ in range(3):
        assert np.isfinite(list(run.one_step().values())).all()
    frozen = [name for name in before if name.startswith("generator.")]
    assert any(name.endswith(".variance") for name in frozen) == (kind == "dcgan")
    for state in (run.network.state_dict(), run.ema):
        for name in frozen:
            assert torch.equal(state[name], before[name]), name
    learned = [n for n, p in run.network.named_parameters() if not torch.equal(p, before[n])]
    assert {name.split(".")[0] for name in learned} == {"encoder"}
    assert "encoder.latents.weight" in learned

    result = recipe.evaluate(run.averaged(), data.validation)
    assert [(p["bits"], p["ber"]) for p in result["points"]] == list(recipe_module.MEASURED)
    run.save_weights(tmp_path / "run.safetensors")
    export(tmp_path / "run.safetensors", tmp_path / "codec.safetensors", "a game of two steps")
    codec = NCode(weights=str(tmp_path / "codec.safetensors"))
    assert codec.weights.state["history"] == "a game of two steps"
    sent = codec.encode(image_item("x", data.validation[0].transpose(1, 2, 0).copy()))
    assert codec.decode(Received(sent.bits)).status is Status.OK


def test_the_encoder_learns_what_the_generator_can_make(data, tmp_path):
    game = steps(NCodeRecipe(), data, 1)
    game.save_weights(tmp_path / "game.safetensors")
    recipe = NCodeRecipe(stage="encoder")
    recipe.learning_rate, recipe.warmup = 0.02, 1
    run = Run(recipe, data, seed=0)
    run.load_weights(tmp_path / "game.safetensors")
    with torch.no_grad():  # an encoder that has everything to learn
        run.network.encoder.latents.bias.normal_(0, 2)
    numbers = [run.one_step()["rmse"] for _ in range(30)]
    assert np.mean(numbers[-5:]) < 0.9 * np.mean(numbers[:5])


def test_the_first_stage_alone_is_a_code(data, tmp_path):
    game = steps(NCodeRecipe(), data, 1)
    game.save_weights(tmp_path / "game.safetensors")
    export(tmp_path / "game.safetensors", tmp_path / "codec.safetensors")
    codec = NCode(bits=1000, weights=str(tmp_path / "codec.safetensors"))
    item = image_item("x", data.validation[0].transpose(1, 2, 0).copy())
    value = codec.decode(Received(codec.encode(item).bits)).value
    assert ((value - item.value.astype(float)) ** 2).mean() < item.value.astype(float).var() / 4
    lost = PackedBits.from_bits(np.zeros(999, np.uint8))
    assert codec.decode(Received(lost)).status is Status.REJECTED


@pytest.mark.parametrize(
    "options", [{"stage": "third"}, {"generator": "vae"}, {"aware": "maybe"}, {"labels": "learnt"}]
)
def test_unknown_options_of_the_recipe(options):
    with pytest.raises(ValueError, match=" is .* or "):
        NCodeRecipe(**options)

"""The compressive autoencoder: network and recipe. What learned codecs share is tested apart."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from gencomm.codecs.cae.export import pack  # noqa: E402
from gencomm.codecs.cae.network import CompressiveAutoencoder, Shape  # noqa: E402
from gencomm.codecs.cae.recipe import CAERecipe  # noqa: E402
from gencomm.training.loop import Data, Run, load_recipe  # noqa: E402

SMALL = Shape(width4=8, width8=8, width16=8, blocks4=1, blocks8=1, blocks16=1)
LAMBDAS = (0.001, 0.005, 0.03)


def picture(height, width, seed=0):
    """Smooth shades, an edge and some noise."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    waves = [np.sin(x / a + c) * np.cos(y / b) for a, b, c in ((9, 14, 0), (21, 8, 1), (13, 30, 2))]
    value = 120 + 50 * np.stack(waves, -1) + 40 * (x > y)[..., None]
    return np.clip(value + rng.normal(0, 3, value.shape), 0, 255).astype(np.uint8)


def test_the_start_is_an_orthonormal_transform():
    # without gain and rounding the untrained network gives the picture back, but for the
    # chroma frequencies that it leaves out
    network = CompressiveAutoencoder(LAMBDAS, Shape(chroma=64)).eval()
    x = torch.from_numpy(picture(64, 64).transpose(2, 0, 1).copy())[None].float()
    with torch.no_grad():
        latents = network.encoder(network.normalise(x))
        out = network.denormalise(network.decoder(*latents, torch.tensor([[0.0, 1, 0]])))
        energy = latents[0].square().sum() + latents[1].square().sum()
    assert (out - x).abs().max() < 0.01
    assert energy.item() == pytest.approx(network.normalise(x).square().sum().item(), rel=1e-4)


@pytest.mark.parametrize("distortion", ["mse", "ms_ssim"])
def test_a_step_of_training_has_a_gradient_everywhere(distortion):
    recipe = CAERecipe(distortion)
    torch.manual_seed(0)
    network = CompressiveAutoencoder(recipe.lambdas, SMALL)
    side = recipe.side
    crops = np.stack([picture(side, side, seed) for seed in range(2)]).transpose(0, 3, 1, 2)
    crops = torch.from_numpy(np.ascontiguousarray(crops))
    recipe.start(network, crops)
    assert sum(len(group["params"]) for group in recipe.groups(network)) == len(
        list(network.parameters())
    )
    with torch.no_grad():  # zeros pass no gradient on
        for parameter in network.parameters():
            if not parameter.any():
                parameter.normal_(0, 0.01)
    loss, numbers = recipe.loss(network.train(), crops, torch.Generator().manual_seed(0))
    loss.backward()
    assert numbers["loss"] == loss.item()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.any(), name


def test_incremental_training_enables_one_channel_after_another():
    """Theis et al. 2017, section 3.2: two at first; what is masked is neither sent nor paid for."""
    recipe = CAERecipe(incremental=10)
    network = CompressiveAutoencoder(LAMBDAS, SMALL).eval()
    x = torch.from_numpy(picture(64, 64).transpose(2, 0, 1).copy())[None].float()
    network.calibrate(x)
    enabled, rates, errors = [], [], []
    with torch.no_grad():
        for step in (0, 9, 10, 400, 1899, 1900, 10**6):
            recipe.before_step(network, step)
            out, bits = network(x, torch.tensor([1.0]))
            enabled.append(network.enabled)
            rates.append(bits.item())
            errors.append((out - x).square().mean().item())
        whole = CompressiveAutoencoder(LAMBDAS, SMALL).eval()
        whole.load_state_dict(network.state_dict())
        assert whole(x, torch.tensor([1.0]))[1].item() == rates[-1]
    assert enabled == [2, 2, 3, 42, 191, 192, 192]
    assert rates[0] == rates[1] < rates[2] < rates[3] < rates[4]
    assert errors[0] > errors[3] > errors[-1]
    # what is masked learns nothing, what isn't does
    recipe.before_step(network, 700)  # 72: all coarse channels, and 8 fine ones
    crops = torch.from_numpy(picture(128, 128).transpose(2, 0, 1).copy())[None]
    loss, numbers = recipe.loss(network.train(), crops, torch.Generator().manual_seed(0))
    loss.backward()
    learnt = network.gains.log_gain.grad.abs().sum(0)
    assert (learnt[:72] > 0).all()
    assert not learnt[72:].any()
    assert set(numbers) == {"loss", "bpp", "mse", "psnr"}
    assert 10 < numbers["psnr"] < 50
    # every picture is masked alike: one PSNR from one mean squared error
    assert numbers["psnr"] == pytest.approx(10 * np.log10(255**2 / numbers["mse"]), abs=1e-3)


def test_incremental_training_makes_no_sense_everywhere():
    with pytest.raises(ValueError, match="0 or more"):
        CAERecipe(incremental=-1)
    with pytest.raises(ValueError, match="faces"):
        load_recipe("cae", domain="faces", incremental=10)
    with pytest.raises(ValueError, match="incremental"):
        load_recipe("hyperprior", incremental=10)
    assert load_recipe("cae", incremental=10).incremental == 10


def test_an_unknown_distortion():
    with pytest.raises(ValueError, match="mse or ms_ssim"):
        CAERecipe("psnr")


def test_training_goes_on_from_a_codecs_weights(tmp_path):
    class Small(CAERecipe):
        def network(self):
            return CompressiveAutoencoder(LAMBDAS, SMALL)

    network = CompressiveAutoencoder(LAMBDAS, SMALL)
    pack(network, {"step": 0}, tmp_path / "small.safetensors")
    run = Run(Small(), Data(None, [], []))
    run.load_weights(tmp_path / "small.safetensors")
    assert run.ema.keys() == network.state_dict().keys()
    for name, value in run.network.state_dict().items():
        assert torch.equal(value, network.state_dict()[name]), name

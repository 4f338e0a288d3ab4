"""Pieces of generative codes: product quantiser, discriminator, perceptual loss, conditions."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from scipy.stats import binomtest

torch = pytest.importorskip("torch")

from gencomm.bitstream.scalar import ScalarQuantiser  # noqa: E402
from gencomm.nn.adversarial import PatchDiscriminator, adversarial_losses  # noqa: E402
from gencomm.nn.conditions import BER_POINTS, ber_weights, random_ber  # noqa: E402
from gencomm.nn.perceptual import LAYERS, LPIPS, _ArraysOnly  # noqa: E402
from gencomm.nn.product import LEAST_BER, ProductQuantiser, bounded_levels, gray_bits  # noqa: E402  # noqa: E402

#: Max 1960, table I: positive output levels of the best quantisers of a Gaussian variable.
MAX_1960 = {1: [0.7980], 2: [0.4528, 1.510], 3: [0.2451, 0.7560, 1.344, 2.152]}


@pytest.mark.parametrize("width", [1, 2, 3])
def test_levels_lie_near_the_best_of_a_gaussian(width):
    levels, thresholds = bounded_levels(width)
    positive = levels[levels > 0]
    assert np.abs(positive - MAX_1960[width]).max() < 0.25
    assert (levels[:-1] < thresholds).all()
    assert (thresholds < levels[1:]).all()


def test_neighbours_differ_in_one_bit():
    for width in range(1, 7):
        bits = gray_bits(width)
        assert (np.abs(np.diff(bits, axis=0)).sum(1) == 1).all()
        assert len(set(map(tuple, bits))) == 1 << width
        assert (bits[:, 0] == (np.arange(1 << width) >= 1 << (width - 1))).all()


def once(*widths, most=4):
    """Each bit is sent once."""
    return (np.arange(most) < np.array(widths)[:, None]).astype(np.int64)


def layer(channels=8, most=4):
    torch.manual_seed(0)
    quantiser = ProductQuantiser(channels, most).eval()
    for width in range(1, most + 1):  # unequal probabilities
        prior = torch.rand(channels, 1 << width) + 0.05
        getattr(quantiser, f"prior{width}").copy_(prior / prior.sum(1, keepdim=True))
    return quantiser


@pytest.mark.parametrize("ber", [0.0, 1e-3, 0.05, 0.4])
def test_estimates_are_those_of_the_numpy_code(ber):
    """Every cell is sent over a channel without errors to a receiver that believes in some."""
    quantiser = layer()
    widths = np.array([4, 3, 2, 1, 1, 2, 3, 0])
    x = torch.linspace(-4, 4, 64).view(1, 1, 8, 8).repeat(1, 8, 1, 1)
    out = quantiser(x, once(*widths), believed=torch.tensor([ber]))[0]
    for k, width in enumerate(widths):
        if not width:
            assert (out[k] == 0).all()
            continue
        levels, thresholds = bounded_levels(width)
        prior = getattr(quantiser, f"prior{width}")[k].double().numpy()
        level = np.arange(1 << width)
        plain = ScalarQuantiser(levels, prior / prior.sum(), thresholds, level ^ (level >> 1))
        expected = plain.decode(plain.encode(x[0, k].numpy()), max(ber, LEAST_BER))
        np.testing.assert_allclose(out[k].numpy(), expected, atol=1e-4)


def test_bits_are_flipped_as_often_as_asked():
    quantiser = ProductQuantiser(1, 1).eval()
    x = torch.ones(2, 1, 100, 100)
    flip = torch.tensor([0.0, 0.03])
    out = quantiser(x, once(1, most=1), flip, generator=torch.Generator().manual_seed(0))
    assert (out[0] > 0).all()
    wrong = int((out[1] < 0).sum())
    assert binomtest(wrong, 10_000, 0.03).pvalue > 1e-4


def test_the_gradient_passes_and_fades_outside():
    x = torch.tensor([0.1, 1.0, 3.0, 9.0]).view(1, 1, 2, 2).repeat(1, 2, 1, 1).requires_grad_()
    layer(2)(x, once(3, 0)).sum().backward()
    sent, none = x.grad[0].flatten(1)
    assert (none == 0).all()
    assert sent[0] == pytest.approx(1, abs=0.01)
    assert (sent[:-1] > sent[1:]).all()
    assert sent[-1] < 0.02


def test_probabilities_are_measured_in_training():
    quantiser = ProductQuantiser(1, 2, momentum=0.5).train()
    x = torch.full((1, 1, 10, 10), 10.0)  # always the outermost cell
    for _ in range(20):
        quantiser(x, once(2, most=2))
    np.testing.assert_allclose(quantiser.prior2[0], [0, 0, 0, 1], atol=1e-5)
    for value in quantiser.eval()(-x, once(2, most=2)).flatten():  # a cell never seen
        assert value == pytest.approx(bounded_levels(2)[0][0], abs=0.1)


def test_copies_are_weighed_against_each_other():
    """Three copies of the only bit: the posterior mean of a majority, in closed form."""
    quantiser = ProductQuantiser(1, 1).eval()
    p, level = 0.1, bounded_levels(1)[0][1]
    x = torch.ones(1, 1, 200, 200)
    rate, copies = torch.tensor([p]), np.array([[3]])
    out = quantiser(x, copies, rate, rate, torch.Generator().manual_seed(0)).flatten()
    odds = (1 - p) / p
    values = {k: level * (odds**k - 1) / (odds**k + 1) for k in (3, 1, -1, -3)}
    found = [(out - value).abs() < 1e-4 for value in values.values()]
    assert sum(found).eq(1).all()
    expected = [(1 - p) ** 3, 3 * p * (1 - p) ** 2, 3 * p**2 * (1 - p), p**3]
    for share, chance in zip(found, expected, strict=True):
        assert binomtest(int(share.sum()), out.numel(), chance).pvalue > 1e-4


def test_each_side_of_the_game_moves_its_own_weights():
    torch.manual_seed(0)
    critic = PatchDiscriminator(4)
    real, made = torch.rand(2, 3, 32, 32), torch.rand(2, 3, 32, 32, requires_grad=True)
    deceive, tell = adversarial_losses(critic, real, made)
    deceive.backward(retain_graph=True)
    assert all(p.grad is None for p in critic.parameters())
    assert made.grad.abs().max() > 0
    made.grad = None
    tell.backward()
    assert made.grad is None
    assert all(p.grad is not None for p in critic.parameters())
    assert tell.item() == pytest.approx(2, abs=0.5)  # it can't tell yet


def test_spectral_normalisation_bounds_the_slope():
    """Each layer stretches by about its operator norm; scores can't run away."""
    torch.manual_seed(0)
    critic = PatchDiscriminator(4)
    with torch.no_grad():
        for parameter in critic.parameters():
            parameter.mul_(100)
        for _ in range(20):
            critic(torch.rand(1, 3, 32, 32))
        spread = critic.eval()(torch.rand(4, 3, 64, 64)).std()
    assert spread < 10


def fake_arrays(rng):
    sizes = [(11, 3, 64), (5, 64, 192), (3, 192, 384), (3, 384, 256), (3, 256, 256)]
    net = {
        f"Conv_{k}": {
            "kernel": rng.normal(0, (s * s * a) ** -0.5, (s, s, a, b)).astype(np.float32),
            "bias": np.zeros(b, np.float32),
        }
        for k, (s, a, b) in enumerate(sizes)
    }
    heads = {
        f"NetLinLayer_{k}": {"Conv_0": {"kernel": rng.random((1, 1, b, 1)).astype(np.float32)}}
        for k, (_, _, b) in enumerate(sizes)
    }
    return {"AlexNet_0": net, **heads}


def test_the_perceptual_distance_is_one():
    arrays = fake_arrays(np.random.default_rng(0))
    distance = LPIPS(arrays)
    assert len(LAYERS) == 5
    x = 255 * torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    y = (x + 40 * torch.randn(x.shape, generator=torch.Generator().manual_seed(2))).clamp(0, 255)
    y.requires_grad_()
    assert distance(x, x).abs().max() < 1e-6
    found = distance(x, y)
    assert (found > 0).all()
    torch.testing.assert_close(found, distance(y, x))
    assert (distance(x, (x + y) / 2) < found).all()
    found.sum().backward()
    assert y.grad.abs().max() > 0
    for k in range(5):  # the heads enter linearly
        arrays[f"NetLinLayer_{k}"]["Conv_0"]["kernel"] *= 2
    torch.testing.assert_close(LPIPS(arrays)(x, y), 2 * found)


def test_only_arrays_are_read(tmp_path):
    good, bad = tmp_path / "good", tmp_path / "bad"
    good.write_bytes(pickle.dumps({"a": {"b": np.arange(6.0).reshape(2, 3)}}, protocol=4))
    bad.write_bytes(pickle.dumps({"a": pytest.raises}))
    with good.open("rb") as file:
        np.testing.assert_array_equal(_ArraysOnly(file).load()["a"]["b"], [[0, 1, 2], [3, 4, 5]])
    with bad.open("rb") as file, pytest.raises(pickle.UnpicklingError, match="no NumPy array"):
        _ArraysOnly(file).load()


def test_error_rates_on_their_axis():
    rates = torch.tensor([0.0, 1e-3, 10**-2.5, 1e-2, 10**-0.5, 0.5])
    weight = ber_weights(rates)
    assert weight.shape == (6, BER_POINTS)
    torch.testing.assert_close(weight.sum(1), torch.ones(6))
    assert weight.argmax(1).tolist() == [0, 0, 1, 2, 5, 5]
    told = ber_weights(rates, torch.tensor([True, False] * 3))
    assert told.sum(1).tolist() == pytest.approx([1, 0, 1, 0, 1, 0])


def test_drawn_error_rates():
    rates = random_ber(10_000, torch.Generator().manual_seed(0))
    clean = rates == 0
    assert binomtest(int(clean.sum()), 10_000, 0.4).pvalue > 1e-4
    assert rates[~clean].min() >= 1e-3
    assert rates[~clean].max() <= 0.15 * (1 + 1e-6)
    middle = (1e-3 * 0.15) ** 0.5  # the median of a log-uniform variable
    assert binomtest(int((rates[~clean] < middle).sum()), int((~clean).sum())).pvalue > 1e-4

"""Layers, quantisers and the entropy model against closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from gencomm.nn.context import PASSES, MagnitudeContext, neighbours  # noqa: E402
from gencomm.nn.entropy import GaussianScaleMixture  # noqa: E402
from gencomm.nn.gains import Gains, interpolation  # noqa: E402
from gencomm.nn.layers import Bottleneck, SubPixel  # noqa: E402
from gencomm.nn.losses import LEAST_SIDE, ms_ssim, squared_error  # noqa: E402
from gencomm.nn.quantise import clip_identity, round_identity, uniform_noise  # noqa: E402
from gencomm.nn.tiling import windows  # noqa: E402
from gencomm.nn.transforms import COLOUR, HAAR, colour_dct, dct_matrix  # noqa: E402


@pytest.fixture
def mixture():
    torch.manual_seed(1)
    model = GaussianScaleMixture(4).double()
    with torch.no_grad():
        model.logit.normal_()
        model.log_scale.add_(torch.tensor([[-1.0], [0.0], [1.0], [2.0]]))
    return model


def test_rounding_has_the_identity_as_gradient():
    x = torch.tensor([-1.6, -0.4, 0.2, 3.7], requires_grad=True)
    y = round_identity(x)
    assert y.tolist() == [-2, 0, 0, 4]
    (y * torch.tensor([1.0, 2, 3, 4])).sum().backward()
    assert x.grad.tolist() == [1, 2, 3, 4]


def test_clipping_has_the_identity_as_gradient():
    x = torch.tensor([-5.0, 100, 300], requires_grad=True)
    y = clip_identity(x, 0, 255)
    assert y.tolist() == [0, 100, 255]
    y.sum().backward()
    assert x.grad.tolist() == [1, 1, 1]


def test_noise_is_uniform_with_the_variance_of_rounding():
    noise = uniform_noise(torch.zeros(200_000), torch.Generator().manual_seed(0))
    assert noise.min() >= -0.5
    assert noise.max() < 0.5
    assert noise.var() == pytest.approx(1 / 12, rel=0.01)


def test_the_mixture_sums_to_one(mixture):
    for p in mixture.probabilities(torch.ones(4)):
        assert p.min() > 0
        assert (p[0] + 2 * p[1:].sum()).item() == pytest.approx(1, abs=3e-5)


def test_one_gaussian_has_its_probabilities_in_closed_form():
    model = GaussianScaleMixture(1, scales=1).double()
    with torch.no_grad():
        model.log_scale.fill_(math.log(2.0))
    (p,) = model.probabilities(torch.tensor([1.5]))
    # after the gain: sigma = 3
    expected = [(math.erf((n + 0.5) / 18**0.5) - math.erf((n - 0.5) / 18**0.5)) / 2 for n in (0, 2)]
    assert p[0].item() == pytest.approx(expected[0], rel=1e-12)
    assert p[2].item() == pytest.approx(expected[1], rel=1e-9)
    assert p.numel() == 1 + 13  # 4.3 x 3


def test_bits_are_the_negative_log_probability(mixture):
    gain = torch.tensor([[0.5, 1.0, 2.0, 1.0], [1.0, 3.0, 1.0, 0.2]]).double()
    z = torch.randint(-1, 2, (2, 4, 3, 5), generator=torch.Generator().manual_seed(0)).double()
    bits = mixture.bits(z, gain[:, :, None, None])
    for b in range(2):
        rows = mixture.probabilities(gain[b])
        expected = 0.0
        for channel, p in zip(z[b], rows, strict=True):
            p = torch.cat([p, torch.zeros(8)]).clamp_min(2.0**-30)
            expected -= p[channel.abs().long()].log2().sum().item()
        assert bits[b].item() == pytest.approx(expected, rel=1e-10)


def test_a_part_of_the_channels_has_its_part_of_the_bits(mixture):
    z, scale = torch.randn(1, 4, 2, 2).double(), torch.rand(1, 4, 2, 2).double() + 0.5
    parts = mixture.bits(z[:, :3], scale[:, :3]) + mixture.bits(z[:, 3:], scale[:, 3:], first=3)
    assert parts.item() == pytest.approx(mixture.bits(z, scale).item())


def test_derivatives_of_the_bits(mixture):
    generator = torch.Generator().manual_seed(2)
    z = torch.randn(2, 4, 3, 2, generator=generator).double().requires_grad_()
    scale = (0.5 + torch.rand(2, 4, 3, 2, generator=generator)).double().requires_grad_()

    def bits(z, scale, logit, log_scale):
        swapped = {"mixture.logit": logit, "mixture.log_scale": log_scale}
        return torch.func.functional_call(Bits(mixture), swapped, (z, scale))

    class Bits(torch.nn.Module):
        def __init__(self, mixture):
            super().__init__()
            self.mixture = mixture

        def forward(self, z, scale):
            return self.mixture.bits(z, scale)

    parameters = [p.detach().clone().requires_grad_() for p in mixture.parameters()][::-1]
    assert torch.autograd.gradcheck(bits, (z, scale, *parameters))


def test_autocast_leaves_the_rate_exact(mixture):
    mixture = mixture.float()
    z, scale = 3 * torch.randn(1, 4, 9, 9), torch.rand(1, 4, 9, 9) + 0.5
    gradients = []
    for enabled in (False, True):
        x = z.clone().requires_grad_()
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            bits = mixture.bits(x, scale)
        bits.sum().backward()
        gradients.append((bits.detach(), x.grad))
    for plain, cast in zip(*gradients, strict=True):
        assert plain.dtype == cast.dtype == torch.float32
        assert torch.equal(plain, cast)


def test_far_out_symbols_cost_a_finite_number_of_bits(mixture):
    z = torch.full((1, 4, 1, 1), 1e6, requires_grad=True)
    bits = mixture.float().bits(z, torch.ones(1, 4, 1, 1))
    bits.sum().backward()
    assert bits.item() == pytest.approx(4 * 30)
    assert torch.isfinite(z.grad).all()


def test_noise_stands_for_rounding():
    # far from zero the density is flat within a cell, and both cost the same
    model = GaussianScaleMixture(1).double()
    generator = torch.Generator().manual_seed(0)
    y = 8 * torch.randn(1, 1, 200, 200, generator=generator).double()
    one = torch.ones(1, 1, 1, 1).double()
    model.calibrate(y.std((0, 2, 3)))
    noisy = model.bits(uniform_noise(y, generator), one)
    assert noisy.item() == pytest.approx(model.bits(y.round(), one).item(), rel=0.005)


def test_interpolation_weights():
    weight = interpolation(torch.tensor([0.0, 1.25, 3.0, 9.0]), 4)
    assert weight.tolist() == [[1, 0, 0, 0], [0, 0.75, 0.25, 0], [0, 0, 0, 1], [0, 0, 0, 1]]


def test_gains_are_interpolated_on_a_logarithmic_scale():
    gains = Gains(3, [1.0, 4.0])
    gain, inverse = gains(interpolation(torch.tensor([0.5]), 2))
    assert gain.detach().numpy() == pytest.approx(np.full((1, 3), 2.0))
    assert inverse.detach().numpy() == pytest.approx(np.full((1, 3), 0.5))


def test_a_fresh_block_is_the_identity():
    x = torch.randn(2, 8, 5, 5)
    assert torch.equal(Bottleneck(8, rates=3)(x, torch.rand(2, 3)), x)


def test_sub_pixel_enlarges():
    assert SubPixel(8, 3)(torch.randn(1, 8, 4, 5)).shape == (1, 3, 8, 10)


@pytest.mark.parametrize("matrix", [COLOUR, HAAR, dct_matrix(8)])
def test_transforms_are_orthonormal(matrix):
    assert matrix @ matrix.T == pytest.approx(np.eye(len(matrix)), abs=1e-12)


def test_the_whole_colour_dct_is_a_basis():
    basis = colour_dct(64, 64).reshape(192, 192)
    assert basis @ basis.T == pytest.approx(np.eye(192), abs=1e-12)
    # the grey level comes first
    assert basis[0] == pytest.approx(np.full(192, 192**-0.5))


@pytest.mark.parametrize(
    ("length", "size", "margin"), [(1, 4, 2), (8, 4, 2), (9, 4, 2), (37, 5, 3)]
)
def test_windows_cover_an_axis_once(length, size, margin):
    seen = np.zeros(length, int)
    for window in windows(length, size, margin):
        seen[window.inner] += 1
        axis = np.arange(length)
        assert np.array_equal(axis[window.outer][window.kept], axis[window.inner])
        assert window.outer.start in (0, window.inner.start - margin)
        assert window.outer.stop in (length, window.inner.stop + margin)
    assert seen.tolist() == [1] * length


@pytest.fixture
def context():
    torch.manual_seed(0)
    model = MagnitudeContext(3, 4, 2)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return model


def test_neighbours_are_summed():
    x = torch.arange(12.0).view(1, 1, 3, 4)
    around = neighbours(x)[0, 0]
    assert around[1, 1].item() == pytest.approx(0 + 1 + 2 + 4 + 6 + 8 + 9 + 10)
    assert around[0, 0].item() == pytest.approx(1 + 4 + 5)


def test_a_context_knows_only_what_came_before(context):
    torch.manual_seed(1)
    coarse = torch.randn(1, 3, 4, 6).mul(3).round()
    fine = torch.randn(1, 4, 8, 12).mul(3).round()
    gain, weight = torch.ones(1, 7), torch.tensor([[0.4, 0.6]])
    before = context(coarse, fine, gain, weight)

    # a fine channel changes later fine channels only
    changed = fine.clone()
    changed[0, 1] += 5
    after = context(coarse, changed, gain, weight)
    assert torch.equal(before[0], after[0])
    assert torch.equal(before[1], after[1])
    assert torch.equal(before[2][:, :2], after[2][:, :2])
    assert (after[2][:, 2:] - before[2][:, 2:]).abs().min() > 0

    # one coarse latent changes its own channel in later passes around it, and later channels
    y, x = 1, 3  # second pass
    changed = coarse.clone()
    changed[0, 1, y, x] += 5
    after = context(changed, fine, gain, weight)
    assert torch.equal(before[1][:, :1], after[1][:, :1])
    moved = (after[1][0, 1] != before[1][0, 1]).nonzero().tolist()
    passes = {(row % 2, column % 2) for row, column in moved}
    assert passes == set(PASSES[2:])
    assert all(max(abs(row - y), abs(column - x)) == 1 for row, column in moved)
    assert (after[1][0, 2] != before[1][0, 2]).sum() == 9


def test_scales_are_positive_and_fall_back_to_the_base(context):
    zero = torch.zeros(1, 3, 4, 4), torch.zeros(1, 4, 8, 8)
    mean, *scales = context(*zero, torch.ones(1, 7), torch.tensor([[0.0, 1.0]]))
    base = context.log_base[1].exp()
    assert not mean.any()
    assert torch.allclose(scales[0], base[None, :3, None, None].expand_as(scales[0]))
    assert torch.allclose(scales[1], base[None, 3:, None, None].expand_as(scales[1]))


def test_ms_ssim_agrees_with_an_independent_program():
    theirs = pytest.importorskip("pytorch_msssim")
    torch.manual_seed(0)
    x = torch.nn.functional.avg_pool2d(torch.rand(2, 3, 181, 200) * 255, 5, 1, 2)
    y = (x + 20 * torch.randn_like(x)).clamp(0, 255)
    expected = theirs.ms_ssim(x, y, data_range=255, size_average=False)
    assert ms_ssim(x, y).numpy() == pytest.approx(expected.numpy(), abs=1e-5)
    assert ms_ssim(x, x).numpy() == pytest.approx(np.ones(2), abs=1e-6)
    with pytest.raises(ValueError, match="sides of 161"):
        ms_ssim(x[..., : LEAST_SIDE - 1], y[..., : LEAST_SIDE - 1])


def test_squared_error_of_each_picture():
    x = torch.zeros(2, 3, 4, 4)
    y = torch.stack([torch.full((3, 4, 4), 2.0), torch.full((3, 4, 4), 5.0)])
    assert squared_error(x, y).tolist() == [4, 25]

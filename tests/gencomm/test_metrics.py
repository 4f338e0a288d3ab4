"""Metrics against closed forms, scikit-image, torchmetrics and pytorch-msssim."""

import importlib

import numpy as np
import pytest
import pytorch_msssim
import torch
import torchmetrics.functional.image as tmf
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from channels.spec import SpecError
from gencomm.metrics import METRICS, Metric, Panel, decibels, make_metric
from gencomm.metrics import _kernels as kernels
from gencomm.metrics.ssim import WEIGHTS, scales_for
from gencomm.sources import make_source

torch.set_num_threads(1)  # pictures are small; threads only wait for each other
NAMES = ["psnr", "ssim", "ms_ssim"]


def picture(height=200, width=180, channels=3, seed=0):
    """A photograph's statistics: smooth in most places, with edges and grain."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    planes = [
        110 + 60 * np.sin(x / (9 + 3 * c)) * np.cos(y / (17 - 2 * c)) + 50 * (x + y > 150)
        for c in range(channels)
    ]
    noisy = np.stack(planes, -1) + rng.normal(0, 4, (height, width, channels))
    value = np.clip(noisy, 0, 255).astype(np.uint8)
    return value[..., 0] if channels == 1 else value


def damaged(value, amount=20, seed=1):
    noise = np.random.default_rng(seed).normal(0, amount, value.shape)
    return np.clip(value + noise, 0, 255).astype(np.uint8)


def score(name, a, b):
    metric = make_metric(name)
    return float(metric.measure(metric.prepare(a), b[None])[0])


def tensor(value):
    planes = value[..., None] if value.ndim == 2 else value
    return torch.tensor(planes.astype(np.float64)).permute(2, 0, 1)[None]


def skimage_ssim(a, b):
    return structural_similarity(
        a,
        b,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        data_range=255,
        channel_axis=2 if a.ndim == 3 else None,
    )


def test_psnr_closed_forms():
    black = np.zeros((7, 5, 3), np.uint8)
    assert score("psnr", black, np.full_like(black, 255)) == 0.0
    assert score("psnr", black, np.full_like(black, 1)) == pytest.approx(20 * np.log10(255))
    one = black.copy()
    one[3, 2, 1] = 255  # one sample of 105 wholly wrong
    assert score("psnr", black, one) == pytest.approx(10 * np.log10(105))


def test_identical_pictures_have_finite_best_scores():
    a = picture()
    assert score("psnr", a, a) == 100.0
    assert score("ssim", a, a) == pytest.approx(1.0, abs=1e-12)
    assert score("ms_ssim", a, a) == pytest.approx(1.0, abs=1e-12)
    nearly = np.zeros((4000, 4000), np.uint8)
    other = nearly.copy()
    other[0, 0] = 1  # 120 dB by the formula: the cap holds
    assert score("psnr", nearly, other) == 100.0


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("amount", [0.6, 5, 40, 200])
def test_psnr_and_ssim_match_scikit_image(channels, amount):
    a = picture(channels=channels)
    b = damaged(a, amount)
    assert score("psnr", a, b) == pytest.approx(peak_signal_noise_ratio(a, b, data_range=255))
    assert score("ssim", a, b) == pytest.approx(skimage_ssim(a, b), abs=1e-6)


@pytest.mark.parametrize("shape", [(11, 11), (11, 40), (12, 13), (33, 17)])
def test_ssim_matches_scikit_image_on_small_pictures(shape):
    a = picture(*shape)
    b = damaged(a)
    assert score("ssim", a, b) == pytest.approx(skimage_ssim(a, b), abs=1e-6)


def test_ssim_on_flat_pictures_closed_form():
    a, b = np.full((20, 20), 100, np.uint8), np.full((20, 20), 150, np.uint8)
    c1 = (0.01 * 255) ** 2
    expected = (2 * 100 * 150 + c1) / (100**2 + 150**2 + c1)
    assert score("ssim", a, b) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("shape", [(161, 161), (176, 192), (163, 210)])
@pytest.mark.parametrize("channels", [1, 3])
def test_ms_ssim_matches_pytorch_msssim(shape, channels):
    a = picture(*shape, channels)
    for b in (damaged(a, 8), damaged(a, 60)):
        expected = pytorch_msssim.ms_ssim(tensor(a), tensor(b), data_range=255).item()
        assert score("ms_ssim", a, b) == pytest.approx(expected, abs=1e-4)


def test_negative_structure_counts_as_nothing():
    a = picture(channels=1)
    expected = pytorch_msssim.ms_ssim(tensor(a), tensor(255 - a), data_range=255).item()
    assert expected == 0.0
    assert score("ms_ssim", a, 255 - a) == 0.0
    assert score("ssim", a, 255 - a) == pytest.approx(skimage_ssim(a, 255 - a), abs=1e-6)
    assert score("ssim", a, 255 - a) < 0


@pytest.mark.parametrize(("shape", "scales"), [((160, 400), 4), ((50, 41), 3), ((21, 30), 2)])
def test_ms_ssim_with_fewer_scales(shape, scales):
    """pytorch-msssim takes the renormalised weights of the scales that fit."""
    a = picture(*shape)
    b = damaged(a, 25)
    parts = importlib.import_module("pytorch_msssim.ssim")
    weights = (WEIGHTS[:scales] / WEIGHTS[:scales].sum()).tolist()
    assert scales_for(*shape) == scales
    # It asserts the size for 5 scales whatever the weights: do its arithmetic with its own parts.
    x, y = tensor(a), tensor(b)
    window = parts._fspecial_gauss_1d(11, 1.5).repeat([3, 1, 1, 1]).double()
    factors = []
    for level in range(scales):
        whole, structure = parts._ssim(x, y, 255, window, size_average=False)
        factors.append(torch.relu(whole if level == scales - 1 else structure)[0])
        padding = [side % 2 for side in x.shape[2:]]
        x = torch.nn.functional.avg_pool2d(x, 2, padding=padding)
        y = torch.nn.functional.avg_pool2d(y, 2, padding=padding)
    powers = torch.stack(factors) ** torch.tensor(weights).view(-1, 1)
    assert score("ms_ssim", a, b) == pytest.approx(powers.prod(0).mean().item(), abs=1e-4)


def test_number_of_scales_at_the_edges():
    sides = {1: 1, 11: 1, 20: 1, 21: 2, 40: 2, 41: 3, 80: 3, 81: 4, 160: 4, 161: 5, 9999: 5}
    assert {side: scales_for(side, 10_000) for side in sides} == sides


def test_psnr_and_ssim_agree_with_torchmetrics():
    a = picture()
    b = damaged(a)
    psnr = tmf.peak_signal_noise_ratio(tensor(b), tensor(a), data_range=255.0)
    assert score("psnr", a, b) == pytest.approx(psnr.item(), abs=1e-4)
    # torchmetrics' mean is over padded borders too; the places inside are the same as here.
    _, places = tmf.structural_similarity_index_measure(
        tensor(b), tensor(a), data_range=255.0, return_full_image=True
    )
    inside = places[..., 5:-5, 5:-5].mean().item()
    assert score("ssim", a, b) == pytest.approx(inside, abs=1e-6)


def test_agreement_on_a_photograph():
    a = make_source("photos(names=[astronaut],size=211)")[0].value[:, :180]
    b = damaged(a, 15)
    assert score("ssim", a, b) == pytest.approx(skimage_ssim(a, b), abs=1e-6)
    expected = pytorch_msssim.ms_ssim(tensor(a), tensor(b), data_range=255).item()
    assert score("ms_ssim", a, b) == pytest.approx(expected, abs=1e-4)


def test_kernels_equal_their_plain_versions():
    a, b = picture(19, 23, 1), damaged(picture(19, 23, 1))
    x, y = a.astype(np.float32), b.astype(np.float32)
    assert kernels.squared_error(a.ravel(), b.ravel()) == int(
        ((a.astype(int) - b.astype(int)) ** 2).sum()
    )
    means = [np.empty((9, 13)) for _ in range(4)]
    kernels.moments(x, kernels.TAPS, *means[:2])
    kernels.moments.plain(x, kernels.TAPS, *means[2:])
    np.testing.assert_array_equal(means[0], means[2])
    np.testing.assert_array_equal(means[1], means[3])
    arguments = (x, y, means[0], means[1], kernels.TAPS, 6.5025, 58.5225)
    fast, plain = kernels.similarity(*arguments), kernels.similarity.plain(*arguments)
    np.testing.assert_allclose(fast, plain, rtol=1e-14)  # numpy's sum pairs its terms
    np.testing.assert_array_equal(kernels.halve(x), kernels.halve.plain(x))


@settings(max_examples=40, deadline=None)
@given(
    height=st.integers(1, 30),
    width=st.integers(1, 30),
    channels=st.sampled_from([1, 3]),
    fill=st.sampled_from(["noise", "black", "white", "same"]),
    seed=st.integers(0, 99),
)
def test_every_size_and_content_has_finite_scores_in_range(height, width, channels, fill, seed):
    rng = np.random.default_rng(seed)
    shape = (height, width) if channels == 1 else (height, width, channels)
    a = rng.integers(0, 256, shape, dtype=np.uint8)
    b = {
        "noise": rng.integers(0, 256, shape, dtype=np.uint8),
        "black": np.zeros(shape, np.uint8),
        "white": np.full(shape, 255, np.uint8),
        "same": a,
    }[fill]
    panel = Panel(NAMES)
    for name, values in panel.measure(panel.prepare(a), b[None]).items():
        low, high = METRICS.load(name).range
        assert values.dtype == np.float64
        assert low - 1e-12 <= values[0] <= high + 1e-12


def test_one_pixel_has_the_luminance_term_only():
    a, b = np.full((1, 1, 3), 100, np.uint8), np.full((1, 1, 3), 150, np.uint8)
    c1 = (0.01 * 255) ** 2
    expected = (2 * 100 * 150 + c1) / (100**2 + 150**2 + c1)
    assert score("ssim", a, b) == pytest.approx(expected)
    assert score("ms_ssim", a, b) == pytest.approx(expected)


def test_short_sides_are_continued_by_reflection():
    """As scipy's mode 'reflect', which scikit-image filters with, without its cropping."""
    a, b = picture(7, 30, 1), damaged(picture(7, 30, 1))
    _, full = structural_similarity(
        a, b, win_size=7, gaussian_weights=True, sigma=1.5, use_sample_covariance=False,
        data_range=255, full=True,
    )  # fmt: skip
    # win_size only sets the cropping and the size check; the filter stays 11 wide
    assert score("ssim", a, b) == pytest.approx(full[:, 5:-5].mean(), abs=1e-6)


def test_a_batch_scores_as_its_members_do_and_the_panel_as_its_metrics():
    a = picture(170, 190)
    values = np.stack([damaged(a, amount) for amount in (2, 20, 90)])
    panel = Panel(NAMES)
    state = panel.prepare(a)
    together = panel.measure(state, values)
    assert list(together) == NAMES
    for name in NAMES:
        metric = make_metric(name)
        assert isinstance(metric, Metric)
        alone = metric.measure(metric.prepare(a), values)
        np.testing.assert_array_equal(together[name], alone)
        each = [panel.measure(state, v[None])[name][0] for v in values]
        np.testing.assert_array_equal(together[name], each)
        assert np.all(np.diff(alone) < 0)  # more noise, less quality: all say higher is better


def test_no_trials_give_no_scores():
    panel = Panel(NAMES)
    found = panel.measure(panel.prepare(picture(20, 20)), np.zeros((0, 20, 20, 3), np.uint8))
    assert {name: scores.shape for name, scores in found.items()} == dict.fromkeys(NAMES, (0,))


@pytest.mark.parametrize("name", NAMES)
def test_wrong_shapes_and_types_are_refused(name):
    metric = make_metric(name)
    state = metric.prepare(picture(20, 24))
    for values in (
        np.zeros((1, 24, 20, 3), np.uint8),
        np.zeros((20, 24, 3), np.uint8),
        np.zeros((1, 20, 24), np.uint8),
        np.zeros((1, 20, 24, 3), np.float32),
    ):
        with pytest.raises(ValueError, match="values must be uint8 of shape"):
            metric.measure(state, values)
    for reference in (np.zeros((0, 4, 3), np.uint8), np.zeros((4, 4)), np.zeros(4, np.uint8)):
        with pytest.raises(ValueError, match="a picture is uint8"):
            metric.prepare(reference)


def test_a_metric_that_gives_nan_is_caught():
    class Broken:
        name = "broken"

        def prepare(self, reference):
            return None

        def measure(self, state, values):
            return np.full(len(values), np.nan)

    panel = Panel([Broken()])  # type: ignore[list-item]
    with pytest.raises(ValueError, match="'broken' gave"):
        panel.measure(panel.prepare(picture(4, 4)), picture(4, 4)[None])


def test_panel_refuses_a_metric_twice_and_an_unknown_one():
    with pytest.raises(ValueError, match="named twice"):
        Panel(["psnr", "psnr"])
    with pytest.raises(SpecError, match="did you mean 'ssim'"):
        Panel(["sssim"])


def test_facts():
    for name in METRICS.names():
        metric = METRICS.load(name)
        assert metric.name == name
        distance = name in ("lpips", "identity_distance")
        assert metric.higher_is_better is (metric.modality == "image" and not distance)
        assert metric.modality in ("image", "video")
        assert metric.label
        assert metric.averages
        assert metric.unit in ("dB", "", "frames")
        assert metric.range[0] < metric.range[1]


def test_decibels():
    np.testing.assert_allclose(decibels(np.array([0.0, 0.9, 0.999])), [0.0, 10.0, 30.0])
    assert decibels(np.array(1.0)) == 100.0

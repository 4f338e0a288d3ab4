"""Metrics of clips: picture metrics by frame, and what only time shows."""

from __future__ import annotations

import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from gencomm.metrics import Panel, frames, make_metric
from gencomm.testing.samples import sample_clip

CLIP = sample_clip(6, 40, 48).value


def noisy(sigma=6, seed=0):
    noise = np.random.default_rng(seed).normal(0, sigma, CLIP.shape)
    return np.clip(CLIP + noise, 0, 255).astype(np.uint8)


def score(name, value, reference=CLIP):
    metric = make_metric(name)
    return float(metric.measure(metric.prepare(reference), value[None])[0])


@pytest.mark.parametrize("kept", [0, frames.KEPT_BYTES])
def test_frames_one_by_one_as_scikit_image_has_them(monkeypatch, kept):
    monkeypatch.setattr(frames, "KEPT_BYTES", kept)
    panel, values = Panel(["psnr", "ssim", "ms_ssim"]), np.stack([noisy(), noisy(12, 1)])
    state = panel.prepare(CLIP)
    found, by_frame = panel.measure(state, values), panel.by_frame(state, values)
    for trial, value in enumerate(values):
        psnr = [peak_signal_noise_ratio(x, y) for x, y in zip(CLIP, value, strict=True)]
        ssim = [
            structural_similarity(
                x, y, channel_axis=2, gaussian_weights=True, sigma=1.5,
                use_sample_covariance=False, data_range=255,
            )
            for x, y in zip(CLIP, value, strict=True)
        ]  # fmt: skip
        assert by_frame["psnr"][trial] == pytest.approx(psnr, abs=1e-9)
        assert by_frame["ssim"][trial] == pytest.approx(ssim, abs=1e-6)
        assert found["psnr"][trial] == pytest.approx(np.mean(psnr), abs=1e-9)
        assert found["ssim"][trial] == pytest.approx(np.mean(ssim), abs=1e-6)
    assert found["ms_ssim"].shape == (2,)


def test_frozen_frames():
    value = CLIP.copy()
    assert score("frozen", value) == 0
    value[2] = value[1]
    value[3] = value[1]
    assert score("frozen", value) == 2 / 5
    still = np.repeat(CLIP[:1], 6, axis=0)  # the original stands still itself
    assert score("frozen", still, still) == 0
    assert score("frozen", CLIP[:1], CLIP[:1]) == 0


def test_lost_frames():
    value = noisy(3)
    assert score("lost", value) == 0
    value[1] = 128
    value[4] = 0
    assert score("lost", value) == 2 / 6
    mean = np.broadcast_to(CLIP[0].mean(axis=(0, 1)), CLIP[0].shape)
    value[0] = np.rint(mean)  # as good as one colour can be, up to rounding
    assert score("lost", value) == 3 / 6
    flat = np.full((2, 16, 16, 3), 9, np.uint8)
    assert score("lost", flat, flat) == 0


def test_flicker():
    """White noise of standard deviation s, new in each frame: differences have s * sqrt(2)."""
    grey = np.full((20, 64, 64, 3), 128, np.uint8)
    noise = np.random.default_rng(1).normal(0, 8, grey.shape)
    assert score("flicker", np.rint(128 + noise).astype(np.uint8), grey) == pytest.approx(
        np.sqrt(2 * (64 + 1 / 12)), rel=0.01
    )
    still = np.broadcast_to(np.rint(128 + noise[0]).astype(np.uint8), grey.shape)
    assert score("flicker", still, grey) == 0
    assert score("flicker", grey[:1], grey[:1]) == 0
    assert score("flicker", np.where(np.arange(20)[:, None, None, None] % 2, 255, 0).astype(
        np.uint8) * np.ones_like(grey), grey * 0) == 255  # fmt: skip


def test_recovery():
    value = CLIP.copy()
    assert score("recovery", value) == 0
    value[1:4] = 255 - value[1:4]
    assert score("recovery", value) == 3
    value[5] = 255 - value[5]
    assert score("recovery", value) == 2
    constant = np.full((3, 16, 16, 3), 100, np.uint8)
    off = constant + np.uint8(10)  # 10 levels: 28.13 dB
    assert score("recovery(floor=28.1)", off, constant) == 0
    assert score("recovery(floor=28.2)", off, constant) == 3
    with pytest.raises(ValueError, match="floor is a PSNR"):
        make_metric("recovery(floor=0)")


def test_pictures_and_misfits_are_refused():
    for name in ("frozen", "lost", "flicker", "recovery"):
        with pytest.raises(ValueError, match=f"{name} measures clips"):
            make_metric(name).prepare(CLIP[0])
    panel = Panel(["psnr", "frozen"])
    with pytest.raises(ValueError, match="as the original"):
        panel.measure(panel.prepare(CLIP), CLIP[None, :3])

"""Clips of any length, segment by segment: `gencomm send clip.mp4`."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

pytest.importorskip("av")

from gencomm.metrics import Panel
from gencomm.sending_clips import send_clip
from gencomm.sources import make_source
from gencomm.testing.samples import sample_clip

SOURCE = "camera_path(names=[coffee],width=64,height=48,frames=25,segment=10)"
CODEC = "h264(crf=30,preset=ultrafast)"


def held(array):
    """Bytes that an array keeps in memory, those of what it is a view of included."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array.nbytes


def test_a_clip_in_segments_leaves_no_samples_behind():
    sent = send_clip(SOURCE, CODEC, "bsc(1e-4)", metrics=["psnr"])
    assert [part.frames for part in sent.segments] == [10, 10, 5]
    assert sent.frames == 25
    for part in sent.segments:
        assert part.sent.original.shape == (part.frames, 48, 64, 3)
        assert held(part.sent.original) + held(part.sent.received) < 100
    assert sum(held(a) + held(b) for _, a, b in sent.kept) == 2 * 7 * 48 * 64 * 3
    assert sent.codec_seconds > 0


def test_scores_are_those_of_the_frames():
    sent = send_clip(SOURCE, CODEC, "bsc(0)", metrics=["psnr", "ssim"])
    by_frame = sent.by_frame()
    assert sent.scores["psnr"] == pytest.approx(by_frame["psnr"].mean())
    assert sent.scores == sent.clean_scores
    assert sent.statuses == {"ok": 3}
    assert len(by_frame["ssim"]) == 25


def test_a_video_side_by_side(tmp_path):
    path = tmp_path / "shown.mp4"
    send_clip(SOURCE, "jpeg(quality=90)", "bsc(0)", metrics=["psnr"], video=path)  # frame by frame
    [shown] = make_source(f"clip('{path}')")
    assert len(shown.value) == 25
    assert Fraction(shown.meta["rate"]) == 25
    height, width = shown.value.shape[1:3]
    assert height >= 240, "enlarged so that it can be seen"
    half = (width - 4) // 2  # a white gap of four columns lies between
    left, right = shown.value[:, :, :half], shown.value[:, :, -half:]
    assert np.abs(left.astype(int) - right).mean() < 6, "what came without errors looks as sent"
    assert list(tmp_path.iterdir()) == [path]


def test_frames_measured_on_several_threads_score_the_same():
    clip = sample_clip(9, 40, 48).value
    noise = np.random.default_rng(0).normal(0, 8, clip.shape)
    other = np.clip(clip + noise, 0, 255).astype(np.uint8)
    panel = Panel(["psnr", "ssim", "ms_ssim", "flicker"])
    state = panel.prepare(clip)
    one, ones = panel.measure_frames(state, np.stack([clip, other]))
    two, twos = panel.measure_frames(state, [clip, other], threads=3)
    assert list(one) == ["psnr", "ssim", "ms_ssim", "flicker"]
    assert all(np.array_equal(one[name], two[name]) for name in one)
    assert all(np.array_equal(ones[name], twos[name]) for name in ones)
    assert set(ones) == {"psnr", "ssim", "ms_ssim"}

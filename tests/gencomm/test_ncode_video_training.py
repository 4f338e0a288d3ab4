"""Training the video code: windows of clips, where it begins, and a step."""

from __future__ import annotations

import io

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from PIL import Image  # noqa: E402

from gencomm.codecs.ncode_video.codec import NCodeVideo  # noqa: E402
from gencomm.codecs.ncode_video.export import export  # noqa: E402
from gencomm.codecs.ncode_video.network import VideoCode  # noqa: E402
from gencomm.codecs.ncode_video.points import VALUES  # noqa: E402
from gencomm.codecs.ncode_video.recipe import FRAMES, VideoRecipe, augment  # noqa: E402
from gencomm.codecs.ncode_video.start import fit_basis, fit_residuals  # noqa: E402
from gencomm.testing.samples import sample_clip  # noqa: E402
from gencomm.training.checkpoint import write_checkpoint  # noqa: E402
from gencomm.training.clips import Windows, load_windows  # noqa: E402
from gencomm.training.data import Pictures  # noqa: E402


def counting(frames):
    """A clip whose frame k is of value k."""
    return np.tile(np.arange(frames, dtype=np.uint8)[:, None, None, None], (1, 8, 8, 3))


def test_windows_are_of_one_clip_at_one_stride():
    windows = Windows([counting(20), counting(9)], 5, strides=(1, 3))
    crops = windows.crops(np.random.default_rng(0), 200, 8).reshape(200, 5, 3, 8, 8)
    steps = np.diff(crops[:, :, 0, 0, 0].astype(int), axis=1)
    assert (steps == steps[:, :1]).all()
    assert set(steps[:, 0]) == {1, 3}
    assert crops.max() == 19
    assert len(windows) == 29
    assert windows.pixels == 29 * 64


def test_half_of_the_windows_are_pictures_that_stand_still():
    picture = np.full((8, 8, 3), 200, np.uint8)
    pictures = Pictures(picture.reshape(-1), np.array([0, 192]), np.array([[8, 8]]), ["a"])
    crops = Windows([counting(9)], 5, pictures=pictures).crops(np.random.default_rng(0), 400, 8)
    still = (crops == 200).all((1, 2, 3))
    assert 150 < still.sum() < 250  # 5 standard deviations of a fair coin


def test_shifting_and_mirroring_move_all_frames_alike():
    ramp = np.tile(np.arange(0, 80, 10, np.uint8)[None, None, :, None], (5, 8, 1, 3))
    windows = Windows([ramp], 5, mirrored=True, shift=2)
    crops = windows.crops(np.random.default_rng(0), 100, 8).reshape(100, 5, 3, 8, 8)
    assert (crops == crops[:, :1]).all()
    assert len(np.unique(crops[:, 0, 0, 0], axis=0)) == 10  # two directions, five places


def packed_clips(folder, clips):
    data, names, clip, split = [], [], [], []
    for number, (part, value) in enumerate(clips):
        for k, frame in enumerate(value):
            file = io.BytesIO()
            Image.fromarray(frame).save(file, "WEBP", lossless=True)
            data.append(file.getvalue())
            names.append(f"c{number}_{k:03d}")
            clip.append(number)
            split.append(part)
    np.savez(
        folder / "actions64.npz",
        data=np.frombuffer(b"".join(data), np.uint8),
        offsets=np.cumsum([0, *map(len, data)]),
        names=np.array(names),
        clip=np.array(clip, np.int32),
        split=np.array(split, np.uint8),
        rate=np.full(len(names), 25, np.float32),
    )


def test_a_set_of_clips_is_read_by_its_parts(tmp_path):
    value = sample_clip(15, 64, 64).value
    packed_clips(tmp_path, [(0, value), (0, value[:5]), (1, value[::-1])])
    recipe = VideoRecipe("actions64")
    windows, validation = load_windows(recipe, str(tmp_path))
    assert [len(clip) for clip in windows.clips] == [15]  # the other is too short
    np.testing.assert_array_equal(windows.clips[0], value)
    assert [clip.shape for clip in validation] == [(15, 3, 64, 64)]
    packed_clips(tmp_path, [(0, value[:5]), (1, value)])
    with pytest.raises(ValueError, match="no clip of 13 frames"):
        load_windows(recipe, str(tmp_path))
    with pytest.raises(ValueError, match="heads64, actions64, rccar64"):
        VideoRecipe("faces64")


def test_principal_components_hold_what_varies():
    torch.manual_seed(0)
    sources = torch.randn(3, 3, 64, 64)
    factors = torch.randn(60, 3) * torch.tensor([9.0, 6.0, 3.0])
    frames = 128 + torch.einsum("nk,kchw->nchw", factors, sources)
    network = VideoCode(8)
    fit_basis(network, frames)
    basis = network.basis
    rows = basis.components[:3]
    np.testing.assert_allclose((rows @ rows.T).numpy(), np.eye(3), atol=1e-3)
    values = basis.analyse(frames)
    expected = torch.linalg.svdvals(values - values.mean(0))[:3] / 60**0.5
    np.testing.assert_allclose(basis.deviation[:3].numpy(), expected.numpy(), rtol=1e-2)
    assert basis.deviation[3:].max() < 1e-2 * basis.deviation[0]  # also of those that aren't there


def test_prediction_follows_what_stays():
    torch.manual_seed(0)
    network = VideoCode(8)
    for code in network.codes.values():
        groups, size = code.members.shape
        code.members.copy_(torch.arange(groups * size).view(groups, size))
    steps = torch.zeros(200, 6, VALUES)
    steps[:, 0] = torch.randn(200, VALUES)
    for k in range(1, 6):  # an autoregression of order one keeps 0.5
        steps[:, k] = 0.5 * steps[:, k - 1] + 0.75**0.5 * torch.randn(200, VALUES)
    fit_residuals(network, steps, rounds=2, drawn=50)
    assert network.basis.kept.mean().item() == pytest.approx(0.5, abs=0.01)


def small():
    torch.manual_seed(0)
    network = VideoCode()
    network.basis.deviation.fill_(100.0)
    torch.nn.init.normal_(network.basis.components, std=0.01)
    for code in network.codes.values():
        groups, size = code.members.shape
        code.members.copy_(torch.arange(groups * size).view(groups, size) % VALUES)
        code.vectors.data.normal_()
        code.scale.fill_(100.0)
    return network


def test_a_step_moves_both_codes_and_the_decoder_and_the_codec_reads_the_weights(tmp_path):
    network, recipe = small(), VideoRecipe("actions64")
    clip = sample_clip(FRAMES, 64, 64).value.transpose(0, 3, 1, 2)
    crops = torch.from_numpy(np.stack([clip.reshape(-1, 64, 64)] * 8))
    generator = torch.Generator().manual_seed(0)
    for _ in range(3):
        loss, numbers = recipe.loss(network.train(), crops, generator)
        loss.backward()
        assert np.isfinite(list(numbers.values())).all()
    moved = {name for name, p in network.named_parameters() if p.grad is not None}
    assert any(name.startswith("codes.b512") for name in moved)
    assert any(name.startswith("codes.r96") for name in moved)
    assert {"decoder.place", "decoder.leave.weight"} <= moved
    result = recipe.evaluate(network.eval(), [clip])
    assert np.isfinite(result["score"])
    assert recipe.sheet(network, [clip]).shape == (2 * 64 * 5, 2 * 64 * 9, 3)
    half = {name: t.half() for name, t in network.state_dict().items()}
    state = {"recipe": recipe.name, "step": 3, "seconds": 1.0}
    write_checkpoint(tmp_path / "run.safetensors", half, state)
    export(tmp_path / "run.safetensors", tmp_path / "out.safetensors")
    codec = NCodeVideo(mode="predict", weights=str(tmp_path / "out.safetensors"))
    assert codec.encode(sample_clip(3, 64, 64)).bits.n_bits == 512 + 2 * 96
    write_checkpoint(tmp_path / "run.safetensors", half, state | {"recipe": "cae"})
    with pytest.raises(ValueError, match="cae"):
        export(tmp_path / "run.safetensors", tmp_path / "out.safetensors")


def test_what_stands_still_is_moved_and_what_moves_is_not():
    clip = torch.from_numpy(sample_clip(FRAMES, 64, 64).value.transpose(0, 3, 1, 2).copy()).float()
    still = clip[:1].expand_as(clip)
    out = augment(torch.stack([clip, still]), torch.Generator().manual_seed(0))
    light = out[0].mean() / clip.mean()
    np.testing.assert_allclose((clip * light).clamp(0, 255).numpy(), out[0].numpy(), atol=1.5)
    changes = (out[1, 1:] - out[1, :-1]).abs().mean((1, 2, 3))
    assert (changes > 0.05).all()

"""Clips from files of every awkward kind; the files are made here."""

from __future__ import annotations

import importlib.util
import pickle
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gencomm.items import frame_rate, video_item
from gencomm.sources import make_source
from gencomm.testing.codecs import psnr

_SPEC = importlib.util.spec_from_file_location(
    "clip_files", Path(__file__).parent / "clip_files.py"
)
clip_files = importlib.util.module_from_spec(_SPEC)
sys.modules["clip_files"] = clip_files
_SPEC.loader.exec_module(clip_files)
moving, turn, write = clip_files.moving, clip_files.turn, clip_files.write

needs_av = pytest.mark.skipif(
    importlib.util.find_spec("av") is None, reason="needs the extra [video]"
)


def clip(path, **options):
    from gencomm.sources.clip import Clip

    return Clip(str(path), **options)


def notes(item):
    return "; ".join(item.meta["notes"])


@needs_av
@pytest.mark.parametrize("name", ["a.mkv", "a.avi", "a.y4m", "a.nut"])
def test_lossless_files_come_back(tmp_path, name):
    value = moving(6)
    codec = "wrapped_avframe" if name.endswith("y4m") else "ffv1"
    if name.endswith("y4m"):
        _write_y4m(tmp_path / name, value)
    else:
        write(tmp_path / name, value, codec)
    [item] = clip(tmp_path / name)
    assert item.value.shape == value.shape
    assert frame_rate(item) == 25
    assert psnr(item.value, value) > 38  # 4:2:0 costs that much
    assert [psnr(a, b) > 36 for a, b in zip(item.value, value, strict=True)] == [True] * 6


def _write_y4m(path, value):
    """By hand, after the format's description: a header line, then FRAME and planes."""
    from gencomm.video.colour import frames

    _, height, width, _ = value.shape
    head = f"YUV4MPEG2 W{width} H{height} F25:1 Ip A1:1 C420jpeg\n".encode()
    body = b"".join(b"FRAME\n" + one.to_ndarray().tobytes() for one in frames(value))
    path.write_bytes(head + body)


@needs_av
def test_rgb_is_exact(tmp_path):
    value = moving(3)
    write(tmp_path / "a.mkv", value, "ffv1", "bgr0")
    [item] = clip(tmp_path / "a.mkv")
    assert np.array_equal(item.value, value)
    assert not item.value.flags.writeable


@needs_av
def test_odd_sides_and_a_single_frame(tmp_path):
    value = moving(1, 37, 51)
    write(tmp_path / "a.mkv", value, "ffv1", "yuv444p")
    [item] = clip(tmp_path / "a.mkv")
    assert item.value.shape == (1, 37, 51, 3)
    assert psnr(item.value, value) > 45


@needs_av
def test_variable_rate_is_held_on_a_constant_one(tmp_path):
    value = moving(6)
    times = [0, 40, 80, 280, 320, 360]  # the third stays for five ticks of 40 ms
    write(tmp_path / "a.mkv", value, "ffv1", "bgr0", times=times)
    [item] = clip(tmp_path / "a.mkv")
    assert frame_rate(item) == 25
    order = [0, 1, 2, 2, 2, 2, 2, 3, 4, 5]
    assert np.array_equal(item.value, value[order])
    assert "variable frame rate laid on 25" in notes(item)
    [slow] = clip(tmp_path / "a.mkv", rate=12.5)
    assert np.array_equal(slow.value, value[[0, 2, 2, 2, 4]])


@needs_av
def test_milliseconds_are_no_variable_rate(tmp_path):
    value = moving(30, 16, 16)
    write(tmp_path / "a.mkv", value, rate=Fraction(30000, 1001))
    [item] = clip(tmp_path / "a.mkv")
    assert frame_rate(item) == Fraction(30000, 1001)
    assert len(item.value) == 30
    assert "variable" not in notes(item)


@needs_av
def test_sound_is_left_out_with_a_note(tmp_path):
    write(tmp_path / "a.mkv", moving(4), audio=True)
    [item] = clip(tmp_path / "a.mkv")
    assert len(item.value) == 4
    assert "audio left out" in notes(item)


@needs_av
def test_sound_alone_is_refused(tmp_path):
    import av

    with av.open(str(tmp_path / "a.wav"), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        stream.layout = "mono"
        tone = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), "s16", "mono")
        tone.sample_rate = 8000
        container.mux(stream.encode(tone))
        container.mux(stream.encode(None))
    with pytest.raises(ValueError, match=r"a\.wav has no video track; it holds audio"):
        clip(tmp_path / "a.wav")


@needs_av
@pytest.mark.parametrize(("degrees", "quarters"), [(90, 3), (180, 2), (270, 1)])
def test_rotation_is_undone(tmp_path, degrees, quarters):
    """The matrix turns by `degrees` clockwise as shown: np.rot90 turns the other way."""
    value = moving(2, 32, 64)
    write(tmp_path / "a.mp4", value, "mpeg4", options={"qmin": "1", "qmax": "2"})
    turn(tmp_path / "a.mp4", degrees)
    [item] = clip(tmp_path / "a.mp4")
    upright = np.rot90(value, quarters, axes=(1, 2))
    assert item.value.shape == upright.shape
    assert psnr(item.value, upright) > 30
    assert "turned upright" in notes(item)


@needs_av
def test_an_odd_angle_is_refused(tmp_path):
    write(tmp_path / "a.mp4", moving(2), "mpeg4")
    turn(tmp_path / "a.mp4", 45)
    with pytest.raises(ValueError, match="only quarter turns"):
        list(clip(tmp_path / "a.mp4"))


@needs_av
@pytest.mark.parametrize(
    ("pix_fmt", "words"),
    [("yuv420p10le", "10-bit samples rounded"), ("gray", "three equal"), ("gray10le", "10-bit")],
)
def test_ten_bits_and_grey(tmp_path, pix_fmt, words):
    value = moving(3)
    write(tmp_path / "a.mkv", value, "ffv1", pix_fmt)
    [item] = clip(tmp_path / "a.mkv")
    assert words in notes(item)
    if pix_fmt.startswith("gray"):
        assert (item.value == item.value[..., :1]).all()
        value = np.rint(value @ [0.299, 0.587, 0.114])[..., None].repeat(3, -1)
    assert psnr(item.value, value) > 38


@needs_av
@pytest.mark.parametrize(
    ("data", "words"),
    [(b"", "is empty"), (b"no video" * 99, "no video file"), (None, "doesn't exist")],
)
def test_what_is_no_clip_is_refused_by_name(tmp_path, data, words):
    if data is not None:
        (tmp_path / "a.mp4").write_bytes(data)
    with pytest.raises(ValueError, match=rf"a\.mp4.*{words}"):
        clip(tmp_path / "a.mp4")


@needs_av
def test_a_truncated_file_gives_what_is_whole(tmp_path):
    write(tmp_path / "a.mkv", moving(20), "ffv1")
    data = (tmp_path / "a.mkv").read_bytes()
    (tmp_path / "a.mkv").write_bytes(data[: len(data) // 2])
    try:
        [item] = clip(tmp_path / "a.mkv")
    except ValueError as error:
        assert "a.mkv is damaged or truncated" in str(error)
    else:
        assert 1 <= len(item.value) < 20


@needs_av
def test_start_frames_every_and_segments(tmp_path):
    value = moving(11, 16, 16)
    write(tmp_path / "a.mkv", value, "ffv1", "bgr0")
    [item] = clip(tmp_path / "a.mkv", start=2, frames=3, every=2)
    assert np.array_equal(item.value, value[[2, 4, 6]])
    assert frame_rate(item) == Fraction(25, 2)
    source = clip(tmp_path / "a.mkv", segment=4)
    assert source.ids == ["a#0000", "a#0001", "a#0002"]
    assert np.array_equal(np.concatenate([one.value for one in source]), value)
    assert np.array_equal(source.read(1).value, value[4:8])  # backwards opens the file again
    again = pickle.loads(pickle.dumps(source))
    assert again.read(2).hash == source.read(2).hash
    with pytest.raises(ValueError, match="none of them from start=11"):
        clip(tmp_path / "a.mkv", start=11)
    for wrong in ({"start": -1}, {"frames": 0}, {"every": 0}, {"segment": 0}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            clip(tmp_path / "a.mkv", **wrong)


@needs_av
def test_a_folder_of_clips_and_size(tmp_path):
    write(tmp_path / "b.mkv", moving(2, 32, 64))
    write(tmp_path / "a.avi", moving(2, 32, 64))
    (tmp_path / "read.me").write_text("not a clip")
    source = clip(tmp_path, size=32)
    assert source.ids == ["a", "b"]
    assert source[0].value.shape == (2, 16, 32, 3)
    assert "reduced" in notes(source[0])


def test_numbered_pictures(tmp_path):
    value = moving(12, 16, 24)
    for k, picture in enumerate(value):
        Image.fromarray(picture).save(tmp_path / f"f{k}.png")
    [item] = make_source(f"sequence('{tmp_path}',rate=30)")
    assert np.array_equal(item.value, value)  # f2 before f10
    assert frame_rate(item) == 30
    [some] = make_source(f"sequence('{tmp_path}/f1*.png')")
    assert np.array_equal(some.value, value[[1, 10, 11]])
    Image.fromarray(value[0][:8]).save(tmp_path / "f12.png")
    with pytest.raises(ValueError, match="differ in size: 24 x 16, 24 x 8"):
        list(make_source(f"sequence('{tmp_path}')"))
    with pytest.raises(ValueError, match="names no pictures"):
        make_source(f"sequence('{tmp_path}/nothing*.png')")


def packed(path, **more):
    value = moving(6, 8, 8)
    import io

    data, offsets = b"", [0]
    for picture in value:
        file = io.BytesIO()
        Image.fromarray(picture).save(file, "PNG")
        data += file.getvalue()
        offsets.append(len(data))
    names = ["one_000", "one_001", "one_002", "one_003", "two_000", "two_001"]
    arrays = {
        "data": np.frombuffer(data, np.uint8),
        "offsets": np.array(offsets),
        "names": np.array(names),
        "clip": np.array([0, 0, 0, 0, 1, 1]),
        "split": np.array([0, 0, 0, 0, 2, 2], np.uint8),
        "rate": np.float32(29.97003),
        **more,
    }
    np.savez(path, **{k: v for k, v in arrays.items() if v is not None})
    return value


def test_packed_clips(tmp_path):
    value = packed(tmp_path / "a.npz")
    source = make_source(f"packed_clips('{tmp_path}/a.npz')")
    assert source.ids == ["one", "two"]
    assert np.array_equal(source[0].value, value[:4])
    assert frame_rate(source[0]) == Fraction(30000, 1001)
    [test] = make_source(f"packed_clips('{tmp_path}/a.npz',split=2)")
    assert np.array_equal(test.value, value[4:])
    assert pickle.loads(pickle.dumps(source)).read(1).hash == test.hash
    packed(tmp_path / "b.npz", clip=None)
    with pytest.raises(ValueError, match="lacks the arrays clip"):
        make_source(f"packed_clips('{tmp_path}/b.npz')")
    packed(tmp_path / "c.npz", clip=np.array([0, 1]))
    with pytest.raises(ValueError, match="don't fit its 6 pictures"):
        make_source(f"packed_clips('{tmp_path}/c.npz')")


def test_camera_path_moves_smoothly_and_says_what_it_is():
    source = make_source("camera_path(names=[coffee],width=64,height=48,frames=20)")
    [item] = source
    assert item.id == "camera path over coffee"
    assert "camera path" in item.meta["origin"]
    assert item.value.shape == (20, 48, 64, 3)
    step = np.abs(np.diff(item.value.astype(int), axis=0)).mean(axis=(1, 2, 3))
    assert (step > 0.5).all(), "it stands still"
    assert (step < 25).all(), "it jumps"
    photo = source.photos.read(0).value
    for seconds in np.linspace(0, 30, 301):
        left, top, right, bottom = source.window(photo.shape[1], photo.shape[0], seconds)
        assert 0 <= left < right <= photo.shape[1]
        assert 0 <= top < bottom <= photo.shape[0]
        assert (right - left) / (bottom - top) == pytest.approx(64 / 48)


def test_the_rate_is_part_of_an_item():
    value = moving(2, 8, 8)
    assert video_item("a", value, 25).hash == video_item("a", value, 25.0).hash
    assert video_item("a", value, 25).hash != video_item("a", value, 30).hash
    for wrong in (value[0], value.astype(float), value[:0], value[..., :2]):
        with pytest.raises(ValueError, match="a clip is uint8 of shape"):
            video_item("a", wrong, 25)
    with pytest.raises(ValueError, match="positive number of frames"):
        video_item("a", value, 0)

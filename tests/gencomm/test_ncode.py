"""The code of a frozen generator: quantisers in closed form, the codec with random weights."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

from channels.bits import PackedBits  # noqa: E402
from gencomm.codecs.contract import Received, Status  # noqa: E402
from gencomm.codecs.ncode import codec as codec_module  # noqa: E402
from gencomm.codecs.ncode.codec import NCode  # noqa: E402
from gencomm.codecs.ncode.encoder import NCode as Networks  # noqa: E402
from gencomm.codecs.ncode.encoder import transmit  # noqa: E402
from gencomm.codecs.ncode.export import importance, pack  # noqa: E402
from gencomm.codecs.ncode.generator import GENERATORS, Sizes, make_generator  # noqa: E402
from gencomm.codecs.ncode.points import LATENTS, POINTS, product_code, quantiser  # noqa: E402
from gencomm.items import image_item  # noqa: E402
from gencomm.testing import check_codec  # noqa: E402

LAWS = ("normal", "uniform")
NARROW = {"width32": 8, "width16": 8, "width8": 8, "blocks8": 1, "blocks16": 1, "style": 8}
SMALL = {name: Sizes(name, **NARROW, dcgan=4) for name in GENERATORS}


# ------------------------------------------------------------------ latents and their quantisers


@pytest.mark.parametrize("width", [1, 4, 5])
def test_levels_are_means_of_equally_likely_intervals(width):
    one, count = quantiser(width, "normal"), 1 << width
    edges = [-np.inf, *one.thresholds, np.inf]
    error = 0.0
    for low, high, level in zip(edges, edges[1:], one.levels, strict=False):
        share, _ = quad(norm.pdf, low, high)
        assert share == pytest.approx(1 / count, abs=1e-8)
        assert quad(lambda x: x * norm.pdf(x), low, high)[0] / share == pytest.approx(level)
        error += quad(lambda x, y=level: (x - y) ** 2 * norm.pdf(x), low, high)[0]
    assert one.distortion == pytest.approx(error)
    if width == 1:  # Max 1960, table I
        assert one.distortion == pytest.approx(0.3634, abs=1e-4)


def test_uniform_latents_have_uniform_cells():
    one = quantiser(4, "uniform")
    np.testing.assert_allclose(one.levels, (2 * np.arange(16) + 1) / 16 - 1)
    assert one.distortion == pytest.approx((2 / 16) ** 2 / 12)


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("bits", POINTS)
def test_a_code_has_exactly_so_many_bits(law, bits):
    count, width = POINTS[bits]
    assert count * width == bits == product_code(bits, law).n_bits
    values = np.zeros((2, count))
    assert product_code(bits, law).encode(values).shape == (2, bits)


@pytest.mark.parametrize("law", LAWS)
def test_a_flipped_bit_of_gray_or_natural_labels(law):
    for labels, hops in (("gray", {1, 3, 7, 15}), ("natural", {1, 2, 4, 8})):
        one = quantiser(4, law, labels)
        cell = np.empty(16, int)
        cell[one.label] = np.arange(16)
        found = {abs(int(cell[k ^ (1 << b)] - cell[k])) for k in range(16) for b in range(4)}
        # Gray's neighbours differ in one bit, but one bit may also lead far
        assert found == (set(range(1, 16, 2)) if labels == "gray" else hops)
        steps = one.label[:-1] ^ one.label[1:]
        assert (np.bitwise_count(steps) == 1).all() == (labels == "gray")


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("bits", [100, 512, 1000])
@pytest.mark.parametrize("labels", ["gray", "natural"])
def test_training_quantises_as_the_codec_does(law, bits, labels):
    latents = torch.randn(6, LATENTS, generator=torch.Generator().manual_seed(0)) / 2
    count, _ = POINTS[bits]
    code = product_code(bits, law, labels)
    expected = code.decode(code.encode(latents[:, :count].numpy()))
    out = transmit(latents, bits, law, labels).numpy()
    np.testing.assert_allclose(out[:, :count], expected, atol=1e-5)
    assert (out[:, count:] == 0).all()


def test_flipped_bits_in_training_leave_the_error_of_the_closed_form():
    latents = torch.randn(4000, LATENTS, generator=torch.Generator().manual_seed(1))
    for ber in (0.02, 0.1):
        out = transmit(latents, 1000, "normal", "gray", ber, torch.Generator().manual_seed(2))
        error = (out - latents).square().mean().item()
        assert error == pytest.approx(quantiser(5, "normal").mean_squared_error(ber), rel=0.02)


@pytest.mark.parametrize("law", LAWS)
def test_the_gradient_passes_by_the_quantiser(law):
    latents = torch.zeros(2, LATENTS, requires_grad=True)
    transmit(latents, 512, law).sum().backward()
    assert (latents.grad[:, :128] == 1).all()
    assert (latents.grad[:, 128:] == 0).all()


# ------------------------------------------------------------------------------------- networks


def test_the_generator_begins_as_principal_components():
    generator = network("eigenfaces").generator
    fresh = make_generator(SMALL["eigenfaces"])
    fresh.basis.load_state_dict(generator.basis.state_dict())
    latents = torch.randn(3, LATENTS)
    expected = generator.basis.synthesise(latents * generator.basis.deviation)
    torch.testing.assert_close(fresh(latents), expected)
    torch.testing.assert_close(fresh.values(expected), latents, atol=1e-3, rtol=1e-3)
    assert (generator(latents) - expected).abs().max() > 1


def test_unknown_generators():
    with pytest.raises(ValueError, match="eigenfaces or dcgan"):
        make_generator(Sizes("vae"))


def test_importance_is_the_energy_of_a_component():
    whole = network("eigenfaces")
    torch.nn.init.zeros_(whole.generator.leave.weight)
    torch.nn.init.zeros_(whole.generator.leave.bias)
    expected = whole.generator.basis.deviation.square().numpy()
    np.testing.assert_allclose(importance(whole, 1), expected, rtol=1e-2)


def network(kind):
    """Random networks; no face ever."""
    torch.manual_seed(0)
    whole = Networks(SMALL[kind])
    if kind == "eigenfaces":
        basis = whole.generator.basis
        basis.components.copy_(torch.linalg.qr(torch.randn(3072, LATENTS))[0].T)
        basis.odd.copy_(torch.arange(LATENTS) % 2)
        basis.mean.fill_(170.0)
        basis.deviation.copy_(torch.linspace(1000, 50, LATENTS))
        torch.nn.init.normal_(whole.generator.leave.weight, std=0.05)
        torch.nn.init.normal_(whole.encoder.latents.weight, std=0.01)
    else:
        for layer in whole.generator.layers[::3]:
            taps = layer.in_channels * (1 if layer.in_channels == LATENTS else 4)
            torch.nn.init.normal_(layer.weight, std=(2 / taps) ** 0.5)
    return whole


@pytest.fixture(scope="module", params=GENERATORS)
def weights(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("ncode") / f"{request.param}.safetensors"
    pack(network(request.param), {"step": 0, "seconds": 0}, path)
    return str(path)


# ---------------------------------------------------------------------------------------- codec


def faces(count, seed=3):
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (count, 8, 8, 3), np.uint8)
    return [
        image_item(f"f{k}", one.repeat(8, 0).repeat(8, 1).copy()) for k, one in enumerate(coarse)
    ]


@pytest.mark.parametrize("bits", POINTS)
def test_exactly_so_many_bits_come_and_go(weights, bits):
    codec = NCode(bits=bits, weights=weights)
    items = faces(3)
    sent = codec.encode_batch(items)
    assert [one.bits.n_bits for one in sent] == [bits] * 3
    assert {one.header_bits for one in sent} == {0}
    assert sent[0].meta["bpp"] == bits / 4096
    assert sent[1].bits == codec.encode(items[1]).bits
    assert np.bincount(sent[0].classes).tolist() == [bits // 4] * 4
    for one in codec.decode_batch([Received(one.bits) for one in sent]):
        assert one.status is Status.OK
        assert one.value.shape == (64, 64, 3)
        assert one.value.dtype == np.uint8
    plain = sent[0].bits.unpack()
    for wrong in (plain[:-1], np.append(plain, 0), np.zeros(0, np.uint8), np.tile(plain, 3)):
        assert codec.decode(Received(PackedBits.from_bits(wrong))).status is Status.REJECTED
    assert codec.encode_batch([]) == codec.decode_batch([]) == []


def check_totality(weights, count):
    rng = np.random.default_rng(0)
    for bits in (100, 512, 1000):
        codec = NCode(bits=bits, weights=weights)
        data = rng.integers(0, 2, (count, bits), np.uint8)
        data[0], data[1] = 0, 1
        received = [
            Received(PackedBits.from_bits(row), ber=(None, 0.1, 0.5, 7.0, float("nan"))[k % 5])
            for k, row in enumerate(data)
        ]
        for one in codec.decode_batch(received):
            assert one.status is Status.OK
            assert one.value.dtype == np.uint8  # finite, and 0 to 1 in units of 255
            assert one.value.shape == (64, 64, 3)


def test_every_pattern_of_bits_is_a_picture(weights):
    check_totality(weights, 70)


@pytest.mark.slow
def test_ten_thousand_patterns_of_bits_are_pictures(weights):
    check_totality(weights, 3334)


def test_a_picture_does_not_depend_on_its_neighbours(weights):
    codec = NCode(bits=256, search=2, weights=weights)
    items = faces(11)
    sent = codec.encode_batch(items)
    assert [one.bits for one in sent] == [codec.encode(item).bits for item in items]
    together = codec.decode_batch([Received(one.bits, ber=0.01) for one in sent])
    for one, whole in zip(sent, together, strict=True):
        np.testing.assert_array_equal(codec.decode(Received(one.bits, ber=0.01)).value, whole.value)


def test_labels_change_bits_and_no_picture(weights):
    found = []
    for labels in ("gray", "natural", "folded"):
        codec = NCode(labels=labels, weights=weights)
        sent = codec.encode(faces(1)[0])
        found.append((sent.bits.data, codec.decode(Received(sent.bits)).value))
    for data, value in found[1:]:
        assert (data != found[0][0]).any()
        np.testing.assert_array_equal(value, found[0][1])


def test_soft_decisions_of_a_binary_channel_say_what_its_error_rate_says(weights):
    soft, hard = (NCode(decode=name, weights=weights) for name in ("soft", "hard"))
    bits = soft.encode(faces(1)[0]).bits
    llr = ((1 - 2.0 * bits.unpack()) * np.log(0.95 / 0.05)).astype(np.float32)
    expected = hard.decode(Received(bits, ber=0.05)).value.astype(int)
    found = soft.decode(Received(bits, llr=llr)).value
    assert np.abs(found - expected).max() <= 1
    unknowing = NCode(know_ber=False, weights=weights)
    plain = hard.decode(Received(bits)).value
    np.testing.assert_array_equal(unknowing.decode(Received(bits, ber=0.05)).value, plain)
    assert np.abs(plain - expected).max() > 1


def test_of_nothing_received_the_mean_face_is_made(weights):
    codec = NCode(decode="soft", weights=weights)
    bits = codec.encode(faces(1)[0]).bits
    nothing = codec.decode(Received(bits, llr=np.zeros(512, np.float32))).value
    mean = codec_module._networks(codec.weights).decode(np.zeros((1, 128)))[0]
    assert np.abs(nothing.astype(int) - mean).max() <= 1
    lost = codec.decode(Received(bits, erasures=np.ones(512, bool))).value
    np.testing.assert_array_equal(lost, nothing)
    for llr in (np.inf, -np.inf, np.nan):
        one = codec.decode(Received(bits, llr=np.full(512, llr, np.float32)))
        assert one.status is Status.OK


def test_searching_never_makes_the_picture_worse(weights):
    items = faces(8)
    errors = []
    for search in (0, 3, 12):
        codec = NCode(search=search, weights=weights)
        out = codec.decode_batch([Received(one.bits) for one in codec.encode_batch(items)])
        pairs = zip(out, items, strict=True)
        errors.append([((o.value - i.value.astype(float)) ** 2).mean() for o, i in pairs])
    slack = 0.1  # rounding of samples
    assert (np.array(errors[0]) + slack >= errors[1]).all()
    assert (np.array(errors[1]) + slack >= errors[2]).all()
    assert np.mean(errors[2]) < np.mean(errors[0])


def test_the_first_class_moves_pictures_most(weights):
    codec = NCode(labels="natural", weights=weights)
    item = faces(1)[0]
    sent = codec.encode(item)
    plain, rng = sent.bits.unpack(), np.random.default_rng(0)

    def moved(of_class):
        received = []
        for _ in range(16):
            bits = plain.copy()
            bits[rng.choice(np.flatnonzero(sent.classes == of_class), 8, replace=False)] ^= 1
            received.append(Received(PackedBits.from_bits(bits)))
        whole = codec.decode(Received(sent.bits)).value.astype(float)
        return np.mean([(one.value - whole) ** 2 for one in codec.decode_batch(received)])

    assert moved(0) > 2 * moved(3)


def test_the_conformance_kit(weights):
    codec = NCode(weights=weights)
    codec.min_psnr = 3.0  # random networks
    report = check_codec(codec)
    assert report.ok, str(report)


def test_bad_requests_name_what_there_is(weights, monkeypatch):
    for options, words in (
        ({"bits": 300}, "bits is one of 100, 256, 500, 512, 1000"),
        ({"labels": "learnt"}, "labels is one of gray, natural, folded"),
        ({"decode": "maybe"}, "decode is one of hard, soft"),
        ({"search": -1}, "search goes from 0"),
    ):
        with pytest.raises(ValueError, match=words):
            NCode(**options)
    with pytest.raises(ValueError, match="shape"):
        NCode(weights=weights).encode(image_item("x", np.zeros((64, 63, 3), np.uint8)))
    with pytest.raises(ValueError, match="holds no weights of ncode"):
        NCode(weights="cae").encode(faces(1)[0])
    monkeypatch.setattr(codec_module, "index", dict)
    with pytest.raises(ValueError, match="gencomm train 'ncode\\(stage=encoder\\)'"):
        NCode().encode(faces(1)[0])


def test_a_codec_travels_without_its_weights(weights):
    codec = NCode(weights=weights)
    codec.load()
    assert len(pickle.dumps(codec)) < 1000
    assert set(codec.versions()) == {"torch", "weights"}


def test_importing_the_codec_imports_no_torch():
    code = "import sys, gencomm.codecs.ncode.codec; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_weights_say_what_they_are_of(weights):
    state = NCode(weights=weights).weights.state
    assert Sizes(**json.loads(json.dumps(state["sizes"]))) == SMALL[state["sizes"]["generator"]]

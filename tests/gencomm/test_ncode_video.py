"""The video code: where key frames stand, what is fitted to them, and any bits a clip."""

from __future__ import annotations

import json

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from safetensors.numpy import save_file  # noqa: E402

from channels.bits import PackedBits  # noqa: E402
from gencomm.codecs.contract import Received, Status  # noqa: E402
from gencomm.codecs.ncode_joint.inference import Networks as JointNetworks  # noqa: E402
from gencomm.codecs.ncode_joint.network import COUNT as JOINT_COUNT  # noqa: E402
from gencomm.codecs.ncode_joint.network import HALF, JointCode, fold  # noqa: E402
from gencomm.codecs.ncode_video.codec import NCodeVideo  # noqa: E402
from gencomm.codecs.ncode_video.inference import Networks, packed, unpacked  # noqa: E402
from gencomm.codecs.ncode_video.keys import between, key_frames  # noqa: E402
from gencomm.codecs.ncode_video.network import (  # noqa: E402
    SAMPLES,
    VideoCode,
    follow,
    from_planes,
    planes,
    unfold,
)
from gencomm.codecs.ncode_video.points import VALUES  # noqa: E402
from gencomm.items import video_item  # noqa: E402
from gencomm.sources.registry import make_source  # noqa: E402
from gencomm.testing import check_codec  # noqa: E402
from gencomm.testing.samples import sample_clip  # noqa: E402
from gencomm.weights import index, load_weights  # noqa: E402

CHANNELS = 8


def settle(codes, count):
    """Codes with random vectors of a sensible size."""
    for code in codes.values():
        groups, size = code.members.shape
        code.members.copy_(torch.arange(groups * size).view(groups, size) % count)
        code.scale.fill_(300.0)
        code.vectors.data.normal_()


def random_network():
    """A network with random components, vectors and corrections."""
    torch.manual_seed(0)
    network = VideoCode(CHANNELS)
    network.basis.components.copy_(torch.linalg.qr(torch.randn(SAMPLES, VALUES))[0].T)
    network.basis.mean[: 64 * 64] = 170.0
    network.basis.kept.fill_(0.875)
    settle(network.codes, VALUES)
    torch.nn.init.normal_(network.decoder.leave.weight, std=0.02)
    return network


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    path = tmp_path_factory.mktemp("video") / "random.safetensors"
    arrays = {f"network.{n}": a for n, a in packed(random_network().state_dict()).items()}
    state = {"channels": CHANNELS, "recipe_spec": "ncode_video(set=heads64)"}
    save_file(arrays, path, {"state": json.dumps(state)})
    return str(path)


@pytest.fixture(scope="module")
def joint(tmp_path_factory):
    torch.manual_seed(1)
    network = JointCode(CHANNELS)
    basis = network.basis
    basis.components.copy_(torch.linalg.qr(torch.randn(HALF, JOINT_COUNT))[0].T)
    basis.odd.copy_(torch.arange(JOINT_COUNT) % 2)
    basis.mean.fill_(170.0)
    settle(network.codes, JOINT_COUNT)
    torch.nn.init.normal_(network.decoder.leave.weight, std=0.02)
    path = tmp_path_factory.mktemp("joint") / "random.safetensors"
    arrays = {f"network.{n}": t.numpy() for n, t in network.state_dict().items()}
    state = {"channels": CHANNELS, "recipe_spec": "ncode_joint(phase=distortion)"}
    save_file(arrays, path, {"state": json.dumps(state)})
    return str(path)


def clip(frames):
    return sample_clip(frames, 64, 64)


def flipped(bits, ber, seed=0):
    array = bits.unpack()
    return PackedBits.from_bits(array ^ (np.random.default_rng(seed).random(array.size) < ber))


def test_frames_lie_between_their_key_frames():
    assert key_frames(10, 4).tolist() == [0, 4, 8]
    where = between(np.array([0, 4, 8]), 10)
    assert where.before.tolist() == [0, 0, 0, 0, 1, 1, 1, 1, 1, 1]
    assert where.after.tolist() == [1, 1, 1, 1, 2, 2, 2, 2, 2, 2]
    assert where.share.tolist() == [0, 0.25, 0.5, 0.75, 0, 0.25, 0.5, 0.75, 1, 1]
    alone = between(np.array([3]), 6)
    assert not alone.share.any()
    assert not alone.before.any()


@pytest.mark.parametrize(("frames", "every"), [(1, 4), (3, 4), (9, 4), (30, 7), (8, 1)])
def test_key_frames_have_the_least_error_over_all_frames(frames, every):
    where = between(key_frames(frames, every), frames)
    matrix = np.zeros((frames, where.count))
    matrix[np.arange(frames), where.before] += 1 - where.share
    matrix[np.arange(frames), where.after] += where.share
    values = np.random.default_rng(0).normal(size=(frames, 5))
    np.testing.assert_allclose(where.gather(values), matrix.T @ values, atol=1e-12)
    expected = np.linalg.lstsq(matrix, values)[0]
    np.testing.assert_allclose(where.fit(values), expected, atol=1e-6)


def test_planes_are_an_orthonormal_projection():
    x = torch.rand(3, 3, 64, 64)
    again = from_planes(planes(x))
    np.testing.assert_allclose(planes(again).numpy(), planes(x).numpy(), atol=1e-5)
    assert again.square().sum().item() == pytest.approx(planes(x).square().sum().item(), rel=1e-5)
    np.testing.assert_allclose(unfold(*fold(x)).numpy(), planes(x).numpy(), atol=1e-5)


def test_components_of_eight_bits_are_close():
    tensors = random_network().state_dict()
    again = unpacked(packed(tensors))
    rows, own = tensors["basis.components"], again["basis.components"]
    assert (own - rows).norm(dim=1).max() < 0.02  # of unit length
    assert set(again) == set(tensors)


def test_without_bit_errors_both_ends_have_the_same_values():
    network = random_network().double().eval()
    values = [200 * torch.randn(2, VALUES, dtype=torch.double) for _ in range(5)]
    start = torch.zeros(2, VALUES, dtype=torch.double)
    sent, shown = follow(network, 0.0, (start, start), values)
    code, mine = network.residual_code(0.0), start
    for chosen, state in zip(sent, shown, strict=True):
        mine = 0.875 * mine + code.look_up(chosen, 0.0, VALUES)
        np.testing.assert_allclose(state.detach().numpy(), mine.detach().numpy(), rtol=1e-5)


@pytest.mark.parametrize(
    ("options", "frames", "bits"),
    [
        ({}, 9, 3 * 512),
        ({}, 1, 512),
        ({"every": 1}, 3, 3 * 512),
        ({"mode": "predict"}, 14, 2 * 512 + 12 * 96),
        ({"mode": "predict", "reset": 1}, 2, 2 * 512),
    ],
)
def test_bits_depend_on_the_number_of_frames_alone(weights, options, frames, bits):
    codec = NCodeVideo(weights=weights, **options)
    items = [clip(frames), video_item("black", np.zeros((frames, 64, 64, 3), np.uint8), 25)]
    for item in items:
        sent = codec.encode(item)
        assert sent.bits.n_bits == bits == sum(sent.meta["frame_bits"]) == sent.units.sum()
        assert len(sent.side) == 6
        assert np.bincount(sent.classes, minlength=4).tolist() == [bits // 4] * 4
        out = codec.decode(Received(sent.bits, sent.side))
        assert out.status is Status.OK
        assert out.value.shape == item.value.shape


@pytest.mark.parametrize("mode", ["keys", "predict"])
def test_any_bits_are_a_clip(weights, mode):
    codec = NCodeVideo(mode=mode, weights=weights)
    sent = codec.encode(clip(14))
    rng = np.random.default_rng(0)
    for ber in (None, 0.0, 0.01, 0.5, np.nan):
        bits = PackedBits.from_bits(rng.integers(0, 2, sent.bits.n_bits, np.uint8))
        out = codec.decode(Received(bits, sent.side, ber=ber))
        assert out.status is Status.OK
        assert out.value.dtype == np.uint8
        assert out.value.shape == (14, 64, 64, 3)


@pytest.mark.parametrize("mode", ["keys", "predict"])
def test_a_wrong_number_of_bits(weights, mode):
    codec = NCodeVideo(mode=mode, weights=weights)
    sent = codec.encode(clip(26))
    whole, bits = codec.decode(Received(sent.bits, sent.side)).value, sent.bits.unpack()
    longer = PackedBits.from_bits(np.append(bits, 0))
    assert codec.decode(Received(longer, sent.side)).status is Status.REJECTED
    assert codec.decode(Received(PackedBits.from_bits([]), sent.side)).status is Status.REJECTED
    assert codec.decode(Received(sent.bits, b"")).status is Status.REJECTED
    unit = 13 if mode == "predict" else 4
    end = int(np.cumsum(sent.meta["frame_bits"])[unit])
    short = PackedBits.from_bits(bits[:end])
    out = codec.decode(Received(short, sent.side))
    assert out.status is Status.PARTIAL
    missing = 26 - unit - (1 if mode == "predict" else 4)
    assert out.detail == f"{missing} missing"
    # the last key frame has no neighbour behind it any more, which the decoder looks at
    same = unit + (mode == "predict")
    np.testing.assert_allclose(out.value[:same].astype(int), whole[:same], atol=1)
    strict = codec.decode(Received(short, sent.side, lenient=False))
    assert strict.status is Status.REJECTED


def test_a_lost_key_frame_is_passed_over_or_held(weights):
    codec = NCodeVideo(weights=weights)
    sent = codec.encode(clip(13))
    lost = np.zeros(sent.bits.n_bits, bool)
    lost[512:1024] = True  # that of frame 4
    rubbish = flipped(sent.bits, 0.5)
    bits = PackedBits.from_bits(np.where(lost, rubbish.unpack(), sent.bits.unpack()))
    passed = codec.decode(Received(bits, sent.side, erasures=lost))
    assert passed.status is Status.PARTIAL
    assert passed.detail == "4 missing"
    other = codec.decode(Received(sent.bits, sent.side, erasures=lost))
    np.testing.assert_array_equal(passed.value, other.value)
    held = codec.decode(Received(bits, sent.side, erasures=lost, frames="last_frame"))
    for t in range(4, 8):
        np.testing.assert_array_equal(held.value[t], held.value[3])
    np.testing.assert_array_equal(held.value[8:], passed.value[8:])
    nothing = codec.decode(Received(bits, sent.side, erasures=np.ones_like(lost)))
    assert nothing.status is Status.REJECTED


def test_an_error_ends_with_the_next_reset_and_fades_before(weights):
    codec = NCodeVideo(mode="predict", weights=weights)
    sent = codec.encode(clip(26))
    clean = codec.decode(Received(sent.bits, sent.side)).value.astype(float)
    bits = sent.bits.unpack()
    bits[512 : 512 + 48] ^= 1  # of frame 1
    out = codec.decode(Received(PackedBits.from_bits(bits), sent.side)).value
    error = ((out - clean) ** 2).mean((1, 2, 3))
    assert error[0] == 0
    assert error[1] > 1
    assert not error[12:].any()
    assert error[11] < 0.5 * error[1]  # 0.875 ** 20 of it but for what the correction makes of it


def test_dropping_waits_for_a_key_frame(weights):
    codec = NCodeVideo(mode="predict", weights=weights)
    sent = codec.encode(clip(14))
    lost = np.zeros(sent.bits.n_bits, bool)
    lost[512 + 96 : 512 + 192] = True  # frame 2
    out = codec.decode(Received(sent.bits, sent.side, erasures=lost, frames="drop"))
    assert out.detail == "1 missing, 9 held by policy"
    for t in range(2, 12):
        np.testing.assert_array_equal(out.value[t], out.value[1])


def test_llrs_of_hard_decisions_give_the_same_clip(weights):
    sent = NCodeVideo(weights=weights).encode(clip(9))
    bits = flipped(sent.bits, 0.02)
    llr = ((1 - 2.0 * bits.unpack()) * np.log(0.98 / 0.02)).astype(np.float32)
    hard = NCodeVideo(weights=weights).decode(Received(bits, sent.side, ber=0.02)).value
    codec = NCodeVideo(decode="soft", weights=weights)
    soft = codec.decode(Received(bits, sent.side, ber=0.02, llr=llr)).value
    assert np.abs(soft.astype(int) - hard).max() <= 1
    for odd in (llr * np.inf, llr * np.nan):
        assert codec.decode(Received(bits, sent.side, llr=odd)).status is Status.OK


@pytest.mark.parametrize("bits", [256, 512, 1024])
def test_weights_of_ncode_joint_decode_a_key_frame_as_ncode_joint_does(joint, bits):
    own, other = Networks(load_weights(joint)), JointNetworks(load_weights(joint))
    data = np.random.default_rng(0).integers(0, 256, (8, bits // 8), np.uint8)
    expected = other.decode(data, bits, 0.01, "learnt", 0.02)
    values = own.values(data, bits, 0.01, 0.02, False)
    found = own.show(lambda k: values[k], lambda k: values[k], np.zeros(8), bits, 0.01, 0.02, False)
    assert np.abs(found.astype(int) - expected).max() <= 1


def test_bad_requests_name_what_there_is(weights, joint):
    with pytest.raises(ValueError, match="every goes from 1 to 64"):
        NCodeVideo(every=0)
    with pytest.raises(ValueError, match="mode is one of keys, predict"):
        NCodeVideo(mode="both")
    with pytest.raises(ValueError, match="have codes of 512 bits"):
        NCodeVideo(bits=256, weights=weights).encode(clip(2))
    with pytest.raises(ValueError, match="gencomm train ncode_video"):
        NCodeVideo(mode="predict", weights=joint).encode(clip(2))
    with pytest.raises(ValueError, match="64 x 64 pixels.* has 96 x 64.*size=64"):
        NCodeVideo(weights=weights).encode(sample_clip(2, 64, 96))


needs_weights = pytest.mark.skipif("ncode_joint" not in index(), reason="no weights in the package")


@needs_weights
def test_fitting_and_searching_help_on_a_face_that_moves():
    face = next(iter(make_source("face"))).value
    moving = np.stack([np.roll(face, k, 1) for k in range(5)])
    item = video_item("face", moving, 25)

    def error(codec):
        sent = codec.encode(item)
        out = codec.decode(Received(sent.bits, sent.side, ber=0.0)).value
        return ((out.astype(float) - moving) ** 2).mean()

    assert error(NCodeVideo(search=4)) < error(NCodeVideo(search=0))
    held = np.repeat(face[None], 5, 0)  # what a receiver has that gets no second key frame
    assert error(NCodeVideo(search=0)) < ((held.astype(float) - moving) ** 2).mean()


@pytest.mark.slow
@needs_weights
def test_the_kit_passes_with_the_weights_of_the_package():
    report = check_codec("ncode_video")
    assert report.ok, report

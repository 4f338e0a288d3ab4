"""The compressive autoencoder for aligned faces: means and scales of places, its own header."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("constriction")

from channels.bits import PackedBits  # noqa: E402
from gencomm.codecs.cae import faces  # noqa: E402
from gencomm.codecs.cae.export import FACE_CHECKS, export, pack  # noqa: E402
from gencomm.codecs.cae.network import CompressiveAutoencoder, Shape  # noqa: E402
from gencomm.codecs.cae.recipe import LAMBDAS, recipe  # noqa: E402
from gencomm.codecs.contract import Received, Status  # noqa: E402
from gencomm.codecs.registry import make_codec  # noqa: E402
from gencomm.items import image_item  # noqa: E402
from gencomm.training.loop import Data, Run  # noqa: E402
from gencomm.weights import load_weights  # noqa: E402

SMALL = Shape(width4=8, width8=8, width16=8, blocks4=1, blocks8=1, blocks16=1)
RATES = (0.0004, 0.002, 0.01)


def face(seed):
    """One smooth shape for all, moved and lit a little, and some noise."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:64, :64] - 32 + rng.normal(0, 1, (2, 1, 1))
    shade = 100 * np.exp(-(x**2 / 300 + y**2 / 500)) + 10 * np.sin(x / 6) * np.cos(y / 9)
    value = 60 + (1 + 0.1 * rng.normal()) * shade[..., None] * [1, 0.8, 0.7]
    return np.clip(value + rng.normal(0, 3, (64, 64, 3)), 0, 255).astype(np.uint8)


def batch(count):
    pictures = np.stack([face(seed) for seed in range(count)]).transpose(0, 3, 1, 2)
    return torch.from_numpy(np.ascontiguousarray(pictures))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A small network whose places and branches all do something, and its file."""
    torch.manual_seed(2)
    network = CompressiveAutoencoder(RATES, SMALL, side=64)
    with torch.no_grad():
        for parameter in network.parameters():
            if not parameter.any():
                parameter.normal_(0, 0.02)
    network.calibrate(batch(24).float())
    path = tmp_path_factory.mktemp("weights") / "faces.safetensors"
    pack(network, {"step": 0}, path)  # rounds the network to what the file holds
    return network.eval(), path


def test_a_stream_costs_what_the_network_estimates_and_gives_its_picture(trained):
    network, path = trained
    for quality, position in ((0, 0.0), (50, 1.0), (100, 2.0)):
        codec = make_codec(f"cae(quality={quality},weights='{path}')")
        encoded = codec.encode(image_item("a", face(99)))
        with torch.no_grad():
            x = torch.from_numpy(face(99).transpose(2, 0, 1).copy())[None].float()
            out, bits = network(x, torch.tensor([position]))
        checks = 8 * (len(FACE_CHECKS) + 1)
        payload = encoded.bits.n_bits - encoded.header_bits
        # the coder ends with up to 32 bits more; its tables are rounded
        assert bits.item() + checks - 8 <= payload <= 1.03 * bits.item() + checks + 40
        decoded = codec.decode(Received(encoded.bits))
        assert decoded.status is Status.OK
        expected = out[0].round().byte().numpy().transpose(1, 2, 0)
        assert np.abs(decoded.value.astype(int) - expected).max() <= 1


def test_the_header_says_rate_and_grey_alone(trained):
    codec = make_codec(f"cae(quality=30,weights='{trained[1]}')")
    colour, grey = face(1), face(1)[..., 0].copy()
    sent = codec.encode(image_item("a", colour)), codec.encode(image_item("b", grey))
    # kind, step 120 and CRC-16; steps from 128 on take two bytes
    assert [one.header_bits for one in sent] == [32, 32]
    assert (
        make_codec(f"cae(quality=32,weights='{trained[1]}')")
        .encode(image_item("a", colour))
        .header_bits
        == 40
    )
    for one, value in zip(sent, (colour, grey), strict=True):
        assert codec.decode(Received(one.bits)).value.shape == value.shape


def test_every_flipped_header_bit_is_rejected(trained):
    codec = make_codec(f"cae(quality=50,weights='{trained[1]}')")
    encoded = codec.encode(image_item("a", face(3)))
    for k in range(encoded.header_bits):
        bits = encoded.bits.unpack().copy()
        bits[k] ^= 1
        assert codec.decode(Received(PackedBits.from_bits(bits))).status is Status.REJECTED


def test_behind_damage_latents_take_their_means(trained):
    network, path = trained
    codec = make_codec(f"cae(quality=50,weights='{path}')")
    encoded = codec.encode(image_item("a", face(3)))
    bits = encoded.bits.unpack().copy()
    late = bits.size * 7 // 8
    bits[late:] ^= np.random.default_rng(0).random(bits.size - late) < 0.5
    damaged = PackedBits.from_bits(bits)
    decoded = codec.decode(Received(damaged))
    coarse, fine = codec.symbols(damaged.to_bytes())
    assert decoded.status is Status.PARTIAL
    sound = int(decoded.detail.split()[0])
    assert 0 < sound < 192
    assert coarse.any()
    assert not np.concatenate([coarse.any((1, 2)), fine.any((1, 2))])[sound:].any()
    weight = torch.tensor([[0.0, 1, 0]])
    with torch.no_grad():
        inverse = network.gains(weight)[1][0, :, None, None]
        k = len(coarse)
        low = torch.from_numpy(coarse) * inverse[:k] + network.places.mean_coarse
        high = torch.from_numpy(fine) * inverse[k:] + network.places.mean_fine
        out = network.decoder(low[None], high[None], weight)
    expected = network.denormalise(out)[0].clamp(0, 255).numpy().transpose(1, 2, 0)
    assert np.abs(decoded.value - expected).max() <= 1


def test_what_does_not_fit_is_refused(trained):
    codec = make_codec(f"cae(quality=50,weights='{trained[1]}')")
    assert codec.fixed_shape == (64, 64, 3)
    assert make_codec("cae").fixed_shape is None
    with pytest.raises(ValueError, match="64 x 64.*96 x 64"):
        codec.encode(image_item("wide", np.zeros((64, 96, 3), np.uint8)))
    sliced = make_codec(f"cae(slices=2,weights='{trained[1]}')")
    with pytest.raises(ValueError, match="one slice"):
        sliced.encode(image_item("a", face(0)))
    photographs = make_codec("cae(quality=10)")
    stream = photographs.encode(image_item("a", face(0))).bits
    assert codec.decode(Received(stream)).status is Status.REJECTED
    stream = codec.encode(image_item("a", face(0))).bits
    assert photographs.decode(Received(stream)).status is Status.REJECTED


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"domain": "cats"}, "photographs or faces"),
        ({"domain": "faces", "distortion": "ms_ssim"}, "too small"),
    ],
)
def test_options_that_make_no_sense(options, words):
    with pytest.raises(ValueError, match=words):
        recipe(**options)


def test_faces_begin_from_the_weights_for_photographs():
    network = CompressiveAutoencoder(LAMBDAS, side=64)
    faces.from_photographs(network)
    state = network.state_dict()
    for name, array in load_weights("cae").part("network").items():
        assert np.allclose(state[name], array.astype(np.float32), atol=1e-3), name
    # a rate a step below the lowest is as far from it as it is from the next
    step = LAMBDAS[0] / LAMBDAS[1]
    lower = CompressiveAutoencoder((LAMBDAS[0] * step, LAMBDAS[0]), side=64)
    faces.from_photographs(lower)
    log = network.gains.log_gain
    assert torch.allclose(lower.gains.log_gain[0], 2 * log[0] - log[1], atol=1e-3)
    assert torch.allclose(lower.gains.log_gain[1], log[0], atol=1e-3)


def test_a_step_of_training_and_the_way_to_the_codec(tmp_path, monkeypatch):
    made = recipe(domain="faces")
    crops = batch(4)
    data = Data(None, [one.numpy() for one in crops], [])
    monkeypatch.setattr(Run, "_crops", lambda self, count: crops)
    run = Run(made, data)
    run.start()
    left = run.network.encoder(run.network.normalise(crops.float()))[0]
    assert torch.allclose(left.mean(0), run.network.places.mean_coarse, atol=1e-4)
    before = {n: p.clone() for n, p in run.network.named_parameters() if n.startswith("places.")}
    run.one_step()
    for name, value in before.items():
        assert not torch.equal(value, run.network.get_parameter(name)), name
    found = made.evaluate(run.averaged(), data.validation)
    assert [point["bpp"] for point in found["points"]] == sorted(
        point["bpp"] for point in found["points"]
    )
    run.save_weights(tmp_path / "weights.safetensors")
    export(tmp_path / "weights.safetensors", tmp_path / "cae_faces64.safetensors")
    codec = make_codec(f"cae(quality=0,weights='{tmp_path / 'cae_faces64.safetensors'}')")
    encoded = codec.encode(image_item("a", face(0)))
    assert codec.decode(Received(encoded.bits)).status is Status.OK

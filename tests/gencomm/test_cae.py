"""The compressive autoencoder with untrained weights, which are a working transform codec."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("constriction")

from channels.bits import PackedBits  # noqa: E402
from gencomm.codecs.cae import inference  # noqa: E402
from gencomm.codecs.cae.codec import CAE, read_frame  # noqa: E402
from gencomm.codecs.cae.export import pack  # noqa: E402
from gencomm.codecs.cae.network import CompressiveAutoencoder, Shape  # noqa: E402
from gencomm.codecs.cae.recipe import CAERecipe  # noqa: E402
from gencomm.codecs.contract import Received, Status  # noqa: E402
from gencomm.items import image_item  # noqa: E402
from gencomm.nn.gains import interpolation  # noqa: E402
from gencomm.training.loop import Data, Run  # noqa: E402

SMALL = Shape(width4=8, width8=8, width16=8, blocks4=1, blocks8=1, blocks16=1)
LAMBDAS = (0.001, 0.005, 0.03)


def picture(height, width, seed=0):
    """Smooth shades, an edge and some noise."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    waves = [np.sin(x / a + c) * np.cos(y / b) for a, b, c in ((9, 14, 0), (21, 8, 1), (13, 30, 2))]
    value = 120 + 50 * np.stack(waves, -1) + 40 * (x > y)[..., None]
    return np.clip(value + rng.normal(0, 3, value.shape), 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    network = CompressiveAutoencoder(LAMBDAS, SMALL)
    with torch.no_grad():  # so that the residual branches do something
        for name, parameter in network.named_parameters():
            if "out" in name or "expand" in name or "rate" in name:
                parameter.normal_(0, 0.01)
            if "context" in name:
                parameter.add_(0.2 * torch.randn_like(parameter))
    crops = np.stack([picture(64, 64, seed) for seed in range(4)]).transpose(0, 3, 1, 2)
    network.calibrate(torch.from_numpy(np.ascontiguousarray(crops)).float())
    return network.eval()


@pytest.fixture(scope="module")
def weights(network, tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "small.safetensors"
    pack(network, {"step": 0}, path)
    return str(path)


def item(*size, grey=False):
    value = picture(*size)
    return image_item("x", value[..., 1] if grey else value)


def psnr(a, b):
    return 10 * np.log10(255**2 / np.mean((a.astype(float) - b) ** 2))


@pytest.mark.parametrize("grey", [False, True])
def test_quality_is_worth_bits_and_decibels(weights, grey):
    x = item(96, 120, grey=grey)
    rates, gains = [], []
    for quality in (0, 50, 100):
        codec = CAE(quality=quality, weights=weights)
        encoded = codec.encode(x)
        decoded = codec.decode(Received(encoded.bits))
        assert decoded.status is Status.OK
        assert decoded.value.shape == x.value.shape
        rates.append(encoded.total_bits)
        gains.append(psnr(decoded.value, x.value))
    assert rates[0] < rates[1] < rates[2]
    assert gains[0] + 2 < gains[1] < gains[2] - 2
    assert gains[2] > 33


def test_the_symbols_decode_as_they_were_encoded(weights, network):
    x = item(80, 112)
    codec = CAE(quality=60, slices=3, weights=weights)
    coarse, fine = codec.symbols(codec.encode(x).bits.to_bytes())
    reread = inference.Networks(codec.weights).network
    with torch.no_grad():
        tensor = torch.from_numpy(x.value.transpose(2, 0, 1).copy())[None].float()
        latents = reread.encoder(reread.normalise(tensor))
        gain, _ = reread.gains(interpolation(torch.tensor([60 / 100 * 2]), 3))
    for got, latent, part in (
        (coarse, latents[0], slice(64)),
        (fine, latents[1], slice(64, 192)),
    ):
        expected = latent[0] * gain[0, part, None, None]
        assert np.abs(got - expected.numpy()).max() < 0.51


@pytest.mark.parametrize("quality", [20, 95])
def test_estimated_and_real_rate_agree(weights, network, quality):
    x = item(192, 192)
    encoded = CAE(quality=quality, weights=weights).encode(x)
    payload = encoded.total_bits - encoded.header_bits
    assert encoded.meta["estimated_bpp"] * 192**2 == pytest.approx(payload, rel=0.001, abs=40)
    # and the context in integers says what the network's own, in floating point, does
    with torch.no_grad():
        tensor = torch.from_numpy(x.value.transpose(2, 0, 1).copy())[None].float()
        _, bits = network(tensor, torch.tensor([quality / 50]))
    checks = 9 * 8
    assert bits.item() == pytest.approx(payload - checks, rel=0.01)


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (33, 2), (15, 17), (16, 16), (5, 300)])
@pytest.mark.parametrize("grey", [False, True])
def test_any_size(weights, size, grey):
    x = item(*size, grey=grey)
    codec = CAE(quality=80, slices=4, weights=weights)
    decoded = codec.decode(Received(codec.encode(x).bits))
    assert decoded.status is Status.OK
    assert decoded.value.shape == x.value.shape
    assert psnr(decoded.value, x.value) > 25


def test_a_rate_is_met_from_below(weights):
    x = item(128, 128)
    encoded = CAE(bpp=0.5, weights=weights).encode(x)
    assert 0.49 <= encoded.total_bits / x.pixels <= 0.5
    assert encoded.meta["bpp_met"]
    assert {type(value) for value in encoded.meta.values()} <= {float, int, bool}


def test_slices_stand_alone(weights):
    x = item(128, 96)
    codec = CAE(quality=70, slices=4, weights=weights)
    encoded = codec.encode(x)
    data = bytearray(encoded.bits.to_bytes())
    frame = read_frame(bytes(data))
    assert frame.slices == 4
    clean = codec.symbols(bytes(data))
    # hit the first check of the second slice: that slice alone is lost
    start = frame.end + frame.lengths[0]
    data[start] ^= 0x80
    hit = codec.symbols(bytes(data))
    for got, sent in zip(hit, clean, strict=True):
        quarter = got.shape[1] // 4
        assert np.array_equal(got[:, :quarter], sent[:, :quarter])
        assert np.array_equal(got[:, 2 * quarter :], sent[:, 2 * quarter :])
        assert not got[:, quarter : 2 * quarter].any()
    received = Received(PackedBits.from_bytes(bytes(data)))
    decoded = codec.decode(received)
    assert decoded.status is Status.PARTIAL
    assert psnr(decoded.value[:24], x.value[:24]) > 25


def test_slices_cost_bits(weights):
    x = item(128, 96)
    one, four = (CAE(quality=70, slices=n, weights=weights).encode(x).total_bits for n in (1, 4))
    assert one < four < one + 3 * 300


def test_a_short_stream_keeps_its_beginning(weights):
    x = item(128, 128)
    codec = CAE(quality=80, weights=weights)
    data = codec.encode(x).bits.to_bytes()
    quality = []
    for share in (0.3, 0.6, 1.0):
        part = PackedBits.from_bytes(data[: int(share * len(data))])
        decoded = codec.decode(Received(part))
        assert decoded.status is (Status.OK if share == 1 else Status.PARTIAL)
        quality.append(psnr(decoded.value, x.value))
        if share < 1:
            assert codec.decode(Received(part, lenient=False)).status is Status.REJECTED
    assert quality[0] < quality[1] < quality[2]


def test_a_decoder_is_total(weights):
    x = item(48, 64)
    rng = np.random.default_rng(0)
    seen = set()
    for slices in (1, 3):
        codec = CAE(quality=60, slices=slices, weights=weights)
        sent = codec.encode(x).bits.to_bytes()
        for trial in range(24):
            data = np.frombuffer(sent, np.uint8).copy()
            if trial % 3 == 0:
                data = data[: rng.integers(data.size)]
            elif trial % 3 == 1:
                data = data ^ np.packbits(rng.random(8 * data.size) < 10 ** rng.uniform(-4, -1))
            else:
                data = rng.integers(0, 256, rng.integers(100), dtype=np.uint8)
            decoded = codec.decode(Received(PackedBits.from_bytes(data.tobytes())))
            seen.add(decoded.status)
            if decoded.status is not Status.REJECTED:
                assert decoded.value.dtype == np.uint8
                assert decoded.value.shape == x.value.shape
    assert seen >= {Status.PARTIAL, Status.REJECTED}


def test_symbols_are_the_same_under_any_number_of_threads(weights):
    x = item(96, 96)
    data = CAE(quality=60, weights=weights).encode(x).bits.to_bytes()
    before = torch.get_num_threads()
    found = []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            codec = CAE(weights=weights)
            found.append(
                (*codec.symbols(data), codec.decode(Received(PackedBits.from_bytes(data))))
            )
    finally:
        torch.set_num_threads(before)
    assert np.array_equal(found[0][0], found[1][0])
    assert np.array_equal(found[0][1], found[1][1])
    a, b = (one[2].value.astype(int) for one in found)
    assert np.abs(a - b).max() <= 1


def test_pieces_equal_the_whole(weights, monkeypatch):
    codec = CAE(quality=60, weights=weights)
    x = picture(16 * 21, 16 * 20)
    networks = inference.Networks(codec.weights)
    whole = networks.analyse(x)
    symbols = codec.symbols(codec.encode(image_item("x", x)).bits.to_bytes())
    inverse = np.full(192, 0.7, np.float32)
    out = networks.synthesise(symbols, inverse, 1.3, x.shape[:2])
    monkeypatch.setattr(inference, "TILE", 3)
    pieces = networks.analyse(x)
    for a, b in zip(whole, pieces, strict=True):
        assert np.abs(a - b).max() < 1e-3
    again = networks.synthesise(symbols, inverse, 1.3, x.shape[:2])
    assert np.abs(out.astype(int) - again).max() <= 1


def test_a_codec_travels_without_its_weights(weights):
    codec = CAE(quality=30, weights=weights)
    x = item(32, 32)
    sent = codec.encode(x)
    other = pickle.loads(pickle.dumps(codec))
    assert "weights" not in other.__dict__
    assert other.encode(x).bits == sent.bits


@pytest.mark.parametrize(
    "options",
    [{"quality": 101}, {"quality": 5, "bpp": 1}, {"bpp": 0}, {"slices": 0}, {"slices": 256}],
)
def test_absurd_options(options):
    with pytest.raises(ValueError):
        CAE(**options)


def test_what_is_no_picture(weights):
    codec = CAE(weights=weights)
    bad = image_item("x", picture(8, 8))
    object.__setattr__(bad, "value", np.zeros((8, 8, 4), np.uint8))
    with pytest.raises(ValueError, match="uint8"):
        codec.encode(bad)


def test_weights_of_another_network(tmp_path, monkeypatch):
    other = CompressiveAutoencoder(LAMBDAS, SMALL)
    path = tmp_path / "other.safetensors"
    pack(other, {}, path)
    codec = CAE(weights=str(path))
    monkeypatch.delitem(codec.weights.arrays, "network.gains.log_gain")
    with pytest.raises(ValueError, match="no weights of cae"):
        codec.encode(item(16, 16))


def test_importing_the_codec_imports_no_torch():
    import subprocess
    import sys

    code = "import sys, gencomm.codecs.cae.codec; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_start_is_an_orthonormal_transform():
    # without gain and rounding the untrained network gives the picture back, but for the
    # chroma frequencies that it leaves out
    network = CompressiveAutoencoder(LAMBDAS, Shape(chroma=64)).eval()
    x = torch.from_numpy(picture(64, 64).transpose(2, 0, 1).copy())[None].float()
    with torch.no_grad():
        latents = network.encoder(network.normalise(x))
        out = network.denormalise(network.decoder(*latents, torch.tensor([[0.0, 1, 0]])))
        energy = latents[0].square().sum() + latents[1].square().sum()
    assert (out - x).abs().max() < 0.01
    assert energy.item() == pytest.approx(network.normalise(x).square().sum().item(), rel=1e-4)


@pytest.mark.parametrize("distortion", ["mse", "ms_ssim"])
def test_a_step_of_training_has_a_gradient_everywhere(distortion):
    recipe = CAERecipe(distortion)
    torch.manual_seed(0)
    network = CompressiveAutoencoder(recipe.lambdas, SMALL)
    side = recipe.side
    crops = np.stack([picture(side, side, seed) for seed in range(2)]).transpose(0, 3, 1, 2)
    crops = torch.from_numpy(np.ascontiguousarray(crops))
    recipe.start(network, crops)
    assert sum(len(group["params"]) for group in recipe.groups(network)) == len(
        list(network.parameters())
    )
    with torch.no_grad():  # zeros pass no gradient on
        for parameter in network.parameters():
            if not parameter.any():
                parameter.normal_(0, 0.01)
    loss, numbers = recipe.loss(network.train(), crops, torch.Generator().manual_seed(0))
    loss.backward()
    assert numbers["loss"] == loss.item()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.any(), name


def test_an_unknown_distortion():
    with pytest.raises(ValueError, match="mse or ms_ssim"):
        CAERecipe("psnr")


def test_training_goes_on_from_a_codecs_weights(weights, network):
    class Small(CAERecipe):
        def network(self):
            return CompressiveAutoencoder(LAMBDAS, SMALL)

    run = Run(Small(), Data(None, [], []))
    run.load_weights(weights)
    assert run.ema.keys() == network.state_dict().keys()
    for name, value in run.network.state_dict().items():
        assert torch.equal(value, network.state_dict()[name]), name

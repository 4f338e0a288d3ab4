"""What holds for all learned image codecs; untrained networks are working transform codecs."""

from __future__ import annotations

import pickle
import subprocess
import sys
import time
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("constriction")

from channels.bits import PackedBits  # noqa: E402
from gencomm.bitstream.conditional import ConditionalCoder  # noqa: E402
from gencomm.bitstream.header import pack_numbers, seal  # noqa: E402
from gencomm.codecs.cae import inference  # noqa: E402
from gencomm.codecs.cae.codec import CAE, read_frame  # noqa: E402
from gencomm.codecs.cae.export import pack  # noqa: E402
from gencomm.codecs.cae.network import CompressiveAutoencoder, Shape  # noqa: E402
from gencomm.codecs.contract import Received, Status  # noqa: E402
from gencomm.codecs.hyperprior.codec import HyperpriorCodec  # noqa: E402
from gencomm.codecs.hyperprior.export import pack_hyperprior  # noqa: E402
from gencomm.codecs.hyperprior.network import Hyperprior  # noqa: E402
from gencomm.items import image_item  # noqa: E402
from gencomm.nn.conditional import Groups  # noqa: E402
from gencomm.nn.gains import interpolation  # noqa: E402

SMALL = Shape(width4=8, width8=8, width16=8, blocks4=1, blocks8=1, blocks16=1)
LAMBDAS = (0.001, 0.005, 0.03)


def picture(height, width, seed=0):
    """Smooth shades, an edge and some noise."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    waves = [np.sin(x / a + c) * np.cos(y / b) for a, b, c in ((9, 14, 0), (21, 8, 1), (13, 30, 2))]
    value = 120 + 50 * np.stack(waves, -1) + 40 * (x > y)[..., None]
    return np.clip(value + rng.normal(0, 3, value.shape), 0, 255).astype(np.uint8)


@dataclass
class Learned:
    """A codec under test, its network, and a file of its weights."""

    codec: Any
    network: Any
    weights: str
    pack: Any

    def __call__(self, **options):
        return self.codec(weights=self.weights, **options)


def small(codec):
    """A small network of a codec's kind whose every branch does something."""
    torch.manual_seed(0)
    if codec is CAE:
        return CompressiveAutoencoder(LAMBDAS, SMALL)
    return Hyperprior(LAMBDAS, SMALL, Groups(width=8, bridge=8))


@pytest.fixture(scope="module", params=[CAE, HyperpriorCodec], ids=lambda codec: codec.name)
def learned(request, tmp_path_factory):
    network = small(request.param)
    with torch.no_grad():  # so that the residual branches do something
        for name, parameter in network.named_parameters():
            if "context" in name and request.param is HyperpriorCodec:
                if "out" in name or "rate" in name or "linear" in name:
                    parameter.normal_(0, 0.05)
            elif "context" in name:
                parameter.add_(0.2 * torch.randn_like(parameter))
            elif "out" in name or "expand" in name or "rate" in name:
                parameter.normal_(0, 0.01)
    crops = np.stack([picture(64, 64, seed) for seed in range(4)]).transpose(0, 3, 1, 2)
    network.calibrate(torch.from_numpy(np.ascontiguousarray(crops)).float())
    path = tmp_path_factory.mktemp("weights") / "small.safetensors"
    packing = pack if request.param is CAE else pack_hyperprior
    packing(network, {"step": 0}, path)
    return Learned(request.param, network.eval(), str(path), packing)


def item(*size, grey=False):
    value = picture(*size)
    return image_item("x", value[..., 1] if grey else value)


def psnr(a, b):
    return 10 * np.log10(255**2 / np.mean((a.astype(float) - b) ** 2))


@pytest.mark.parametrize("grey", [False, True])
def test_quality_is_worth_bits_and_decibels(learned, grey):
    x = item(96, 120, grey=grey)
    rates, gains = [], []
    for quality in (0, 50, 100):
        codec = learned(quality=quality)
        encoded = codec.encode(x)
        decoded = codec.decode(Received(encoded.bits))
        assert decoded.status is Status.OK
        assert decoded.value.shape == x.value.shape
        rates.append(encoded.total_bits)
        gains.append(psnr(decoded.value, x.value))
    assert rates[0] < rates[1] < rates[2]
    assert gains[0] + 2 < gains[1] < gains[2] - 2
    assert gains[2] > 33


def test_the_symbols_decode_as_they_were_encoded(learned):
    x = item(80, 112)
    codec = learned(quality=60, slices=3)
    coarse, fine = codec.symbols(codec.encode(x).bits.to_bytes())
    network = learned.network  # rounded to half precision when it was written
    with torch.no_grad():
        tensor = torch.from_numpy(x.value.transpose(2, 0, 1).copy())[None].float()
        latents = network.encoder(network.normalise(tensor))
        gain, _ = network.gains(interpolation(torch.tensor([60 / 100 * 2]), 3))
    for got, latent, part in (
        (coarse, latents[0], slice(64)),
        (fine, latents[1], slice(64, 192)),
    ):
        expected = latent[0] * gain[0, part, None, None]
        error = np.abs(got * codec.unit - expected.numpy())
        # the hyperprior's encoder rounds some symbols towards their mean, by what they cost
        assert error.max() < (0.51 if codec.name == "cae" else 1)
        assert np.mean(error < 0.51) > 0.95


@pytest.mark.parametrize("quality", [20, 95])
def test_estimated_and_real_rate_agree(learned, quality, monkeypatch):
    # what training estimates is for rounding to the nearest
    monkeypatch.setattr(ConditionalCoder, "_rounded", lambda self, x, *_: np.rint(x).astype(int))
    x = item(192, 192)
    encoded = learned(quality=quality).encode(x)
    payload = encoded.total_bits - encoded.header_bits
    assert encoded.meta["estimated_bpp"] * 192**2 == pytest.approx(payload, rel=0.001, abs=40)
    # and the context in integers says what the network's own, in floating point, does
    with torch.no_grad():
        tensor = torch.from_numpy(x.value.transpose(2, 0, 1).copy())[None].float()
        _, bits = learned.network(tensor, torch.tensor([quality / 50]))
    checks = 8 * (9 if learned.codec is CAE else 8)
    assert bits.item() == pytest.approx(payload - checks, rel=0.01)


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (33, 2), (15, 17), (16, 16), (5, 300)])
@pytest.mark.parametrize("grey", [False, True])
def test_any_size(learned, size, grey):
    x = item(*size, grey=grey)
    codec = learned(quality=80, slices=4)
    decoded = codec.decode(Received(codec.encode(x).bits))
    assert decoded.status is Status.OK
    assert decoded.value.shape == x.value.shape
    assert psnr(decoded.value, x.value) > 25


def test_a_rate_is_met_from_below(learned):
    x = item(128, 128)
    encoded = learned(bpp=0.5).encode(x)
    assert 0.49 <= encoded.total_bits / x.pixels <= 0.5
    assert encoded.meta["bpp_met"]
    assert {type(value) for value in encoded.meta.values()} <= {float, int, bool}


def test_slices_stand_alone(learned):
    x = item(128, 96)
    codec = learned(quality=70, slices=4)
    encoded = codec.encode(x)
    data = bytearray(encoded.bits.to_bytes())
    frame = read_frame(bytes(data), codec.version)
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


def test_slices_of_two_heights_are_those_alone(learned):
    """Five bands over eight rows of latents: each the stream of its rows of latents alone."""
    codec = learned(quality=70, slices=5)
    latents = codec._networks().analyse(picture(128, 48))
    together = codec._encode(latents, (128, 48), False, 70.0)
    data = together.bits.to_bytes()
    frame = read_frame(data, codec.version)
    edges = np.cumsum([frame.end, *frame.lengths]).tolist()
    found = [data[a:b] for a, b in zip(edges, [*edges[1:], None], strict=True)]
    rows = [8 * k // 5 for k in range(6)]
    assert len({b - a for a, b in pairwise(rows)}) == 2
    one = learned(quality=70)
    for stream, (a, b) in zip(found, pairwise(rows), strict=True):
        part = latents[0][:, a:b], latents[1][:, 2 * a : 2 * b]
        alone = one._encode(part, (16 * (b - a), 48), False, 70.0)
        assert stream == alone.bits.to_bytes()[alone.header_bits // 8 :]
    planes = codec.symbols(data)
    # a band of each height damaged: the others are what they were
    hit = bytearray(data)
    hit[edges[0] + 1] ^= 0xFF
    hit[edges[1] + 1] ^= 0xFF
    for plane, sound, scale in zip(codec.symbols(bytes(hit)), planes, (1, 2), strict=True):
        assert np.array_equal(plane[:, scale * rows[2] :], sound[:, scale * rows[2] :])
        assert not np.array_equal(plane, sound)


def test_slices_cost_bits(learned):
    x = item(128, 96)
    one, four = (learned(quality=70, slices=n).encode(x).total_bits for n in (1, 4))
    assert one < four < one + 3 * 300


def test_a_short_stream_keeps_its_beginning(learned):
    x = item(128, 128)
    codec = learned(quality=80)
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


def test_a_decoder_is_total(learned):
    x = item(48, 64)
    rng = np.random.default_rng(0)
    seen = set()
    for slices in (1, 3):
        codec = learned(quality=60, slices=slices)
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


#: Numbers of a header behind the codec's version, and bytes behind it: what no encoder writes.
BOMBS = {
    "beyond the pixels": ([65535, 65535, 200, 1], b""),
    "beyond the sides": ([2**32 - 1, 2**32 - 1, 200, 1], b""),
    "no pixels": ([0, 0, 200, 1], b""),
    "no slices": ([64, 64, 200, 0], b""),
    "more slices than rows": ([1, 1, 200, 255, *[1] * 254], b""),
    "slices beyond the stream": ([65536, 1, 200, 255, *[2**32 - 1] * 254], bytes(range(256))),
    "empty slices": ([65536, 1, 200, 255, *[0] * 254], b""),
    "a quality beyond the top": ([64, 64, 401, 1], bytes(99)),
    "much behind one pixel": ([1, 1, 400, 1], bytes(range(1, 256)) * 4000),
    "large and empty": ([4096, 2048, 200, 1], b""),
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_sealed_headers_that_lie(learned, bomb):
    """Whoever knows the checksum can claim anything: none of it passes as whole or costs much.

    A check of eight bits lets some rubbish pass, which then counts as a part of a picture.
    """
    numbers, rest = BOMBS[bomb]
    codec = learned()
    data = seal(pack_numbers([codec.version, *numbers])) + rest
    started = time.process_time()
    decoded = codec.decode(Received(PackedBits.from_bytes(data)))
    assert decoded.status in (Status.REJECTED, Status.PARTIAL)
    assert decoded.detail
    assert time.process_time() - started < 5
    small = Received(PackedBits.from_bytes(data), max_pixels=100)
    assert codec.decode(small).status is Status.REJECTED


def test_pieces_equal_the_whole(learned, monkeypatch):
    codec = learned(quality=60)
    x = picture(16 * 21, 16 * 20)
    networks = codec._networks()
    whole = networks.analyse(x)
    symbols = codec.symbols(codec.encode(image_item("x", x)).bits.to_bytes())
    inverse = np.full(192, 0.7 * codec.unit, np.float32)
    out = networks.synthesise(symbols, inverse, 1.3, x.shape[:2])
    monkeypatch.setattr(inference, "TILE", 3)
    pieces = networks.analyse(x)
    for a, b in zip(whole, pieces, strict=True):
        assert np.abs(a - b).max() < 1e-3
    again = networks.synthesise(symbols, inverse, 1.3, x.shape[:2])
    assert np.abs(out.astype(int) - again).max() <= 1


def test_a_codec_travels_without_its_weights(learned):
    codec = learned(quality=30)
    x = item(32, 32)
    sent = codec.encode(x)
    other = pickle.loads(pickle.dumps(codec))
    assert "weights" not in other.__dict__
    assert other.encode(x).bits == sent.bits


@pytest.mark.parametrize(
    "options",
    [{"quality": 101}, {"quality": 5, "bpp": 1}, {"bpp": 0}, {"slices": 0}, {"slices": 256}],
)
def test_absurd_options(learned, options):
    with pytest.raises(ValueError):
        learned(**options)


def test_what_is_no_picture(learned):
    codec = learned()
    bad = image_item("x", picture(8, 8))
    object.__setattr__(bad, "value", np.zeros((8, 8, 4), np.uint8))
    with pytest.raises(ValueError, match="uint8"):
        codec.encode(bad)


def test_weights_of_another_network(learned, tmp_path, monkeypatch):
    path = tmp_path / "other.safetensors"
    learned.pack(small(learned.codec), {}, path)
    codec = learned.codec(weights=str(path))
    monkeypatch.delitem(codec.weights.arrays, "network.gains.log_inverse")
    with pytest.raises(ValueError, match=f"no weights of {codec.name}"):
        codec.encode(item(16, 16))


@pytest.mark.parametrize("name", ["cae", "hyperprior"])
def test_importing_the_codec_imports_no_torch(name):
    code = f"import sys, gencomm.codecs.{name}.codec; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_streams_of_one_codec_are_not_anothers(learned):
    data = learned(quality=30).encode(item(32, 32)).bits
    other = HyperpriorCodec if learned.codec is CAE else CAE
    decoded = other(weights=learned.weights).decode(Received(data))
    assert decoded.status is Status.REJECTED

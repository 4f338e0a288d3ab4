"""Streams of learned codecs decode to the same symbols, whatever floating point does.

The encoder's side notes every symbol that it writes; the decoder then runs with other threads, with
a compiled network, or with a network that is plainly another one.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("constriction")

from gencomm.bitstream import range_coding  # noqa: E402
from gencomm.codecs.cae.codec import read_frame  # noqa: E402
from gencomm.codecs.cae.export import pack  # noqa: E402
from gencomm.codecs.cae.network import CompressiveAutoencoder, Shape  # noqa: E402
from gencomm.codecs.contract import Received, Status  # noqa: E402
from gencomm.codecs.hyperprior.export import pack_hyperprior  # noqa: E402
from gencomm.codecs.hyperprior.network import Hyperprior  # noqa: E402
from gencomm.codecs.registry import make_codec  # noqa: E402
from gencomm.items import image_item  # noqa: E402
from gencomm.nn.conditional import Groups  # noqa: E402

LAMBDAS = (0.001, 0.005, 0.03)
SMALL = Shape(width4=8, width8=8, width16=8, blocks4=1, blocks8=1, blocks16=1)

#: Run in a process of its own: what symbols a stream has.
PROGRAM = """
import hashlib, json, sys
from gencomm.codecs.registry import make_codec
codec = make_codec(sys.argv[1])
data = bytes.fromhex(sys.stdin.read())
planes = codec.symbols(data)
print(json.dumps([hashlib.sha256(plane.tobytes()).hexdigest() for plane in planes]))
"""


def picture(height, width):
    rng = np.random.default_rng(1)
    y, x = np.mgrid[:height, :width]
    value = 120 + 60 * np.sin(x / 7 + y / 19)[..., None] * np.array([1, 0.6, -0.4])
    return np.clip(value + rng.normal(0, 12, (height, width, 3)), 0, 255).astype(np.uint8)


@pytest.fixture(scope="module", params=["cae", "hyperprior"])
def spec(request, tmp_path_factory):
    """A codec with a small network, as a spec; every branch of the network does something."""
    torch.manual_seed(3)
    path = tmp_path_factory.mktemp("weights") / "small.safetensors"
    if request.param == "cae":
        network, packing = CompressiveAutoencoder(LAMBDAS, SMALL), pack
    else:
        network, packing = Hyperprior(LAMBDAS, SMALL, Groups(width=16, bridge=8)), pack_hyperprior
    with torch.no_grad():
        for parameter in network.parameters():
            if not parameter.any():
                parameter.normal_(0, 0.03)
    network.calibrate(torch.from_numpy(picture(64, 64).transpose(2, 0, 1).copy())[None].float())
    packing(network, {"step": 0}, path)
    return f"{request.param}(quality=70,slices=2,weights='{path}')"


def written(codec, value, monkeypatch):
    """A stream, and the symbols that the encoder wrote into it, in order."""
    noted = []
    put = range_coding.SymbolEncoder.put

    def spy(self, symbols, indices):
        noted.append((symbols.copy(), indices.copy()))
        put(self, symbols, indices)

    with monkeypatch.context() as patched:
        patched.setattr(range_coding.SymbolEncoder, "put", spy)
        return codec.encode(image_item("x", value)).bits, noted


def read(codec, bits, monkeypatch):
    """What decodes of a stream, and the symbols read from it, in order."""
    noted = []
    get = range_coding.SymbolDecoder.get

    def spy(self, indices):
        symbols = get(self, indices)
        noted.append((symbols.copy(), indices.copy()))
        return symbols

    with monkeypatch.context() as patched:
        patched.setattr(range_coding.SymbolDecoder, "get", spy)
        return codec.decode(Received(bits)), noted


def same(sent, got):
    """Whether symbols and the tables they were coded with are equal, one by one."""
    return len(sent) == len(got) and all(
        np.array_equal(a, b)
        for one, other in zip(sent, got, strict=True)
        for a, b in zip(one, other, strict=True)
    )


def test_one_thread_writes_and_two_read(spec, monkeypatch):
    # BLAS takes its number of threads when it is loaded: hence a process of its own
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        codec = make_codec(spec)
        bits, _ = written(codec, picture(112, 80), monkeypatch)
    finally:
        torch.set_num_threads(before)
    expected = [
        hashlib.sha256(plane.tobytes()).hexdigest() for plane in codec.symbols(bits.to_bytes())
    ]
    for threads in ("1", "2"):
        names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
        environment = os.environ | dict.fromkeys(names, threads)
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, spec],
            input=bits.to_bytes().hex(),
            capture_output=True,
            text=True,
            env=environment,
            check=True,
        )
        assert json.loads(done.stdout) == expected


def test_a_decoder_of_another_network_reads_the_same_symbols(spec, monkeypatch):
    """Adversarial: the float transforms are off by 1e-3, and the symbols are still the same."""
    codec = make_codec(spec)
    bits, sent = written(codec, picture(96, 96), monkeypatch)
    clean, got = read(codec, bits, monkeypatch)
    assert clean.status is Status.OK
    assert same(sent, got)
    network = codec._networks().network
    kept = {name: value.clone() for name, value in network.state_dict().items()}
    try:
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.add_(1e-3 * torch.randn_like(parameter))
        shaken, again = read(codec, bits, monkeypatch)
        assert shaken.status is Status.OK
        assert same(sent, again)
        # the perturbation is no trifle: the picture is another, and so are the latents
        assert not np.array_equal(shaken.value, clean.value)
        other, _ = written(codec, picture(96, 96), monkeypatch)
        assert other != bits
        # what the other encoder writes, the first decoder reads
        frame = read_frame(other.to_bytes(), codec.version)
        assert frame.slices == 2
    finally:
        network.load_state_dict(kept)
    assert read(codec, other, monkeypatch)[0].status is Status.OK


@pytest.mark.slow
@pytest.mark.skipif(not any(map(shutil.which, ("c++", "g++", "clang++"))), reason="no compiler")
def test_compiled_networks_write_and_read_the_same_symbols(spec, monkeypatch):
    codec = make_codec(spec)
    value = picture(96, 96)
    bits, sent = written(codec, value, monkeypatch)
    network = codec._networks().network
    encoder, decoder = network.encoder, network.decoder
    try:
        network.encoder, network.decoder = torch.compile(encoder), torch.compile(decoder)
        compiled, again = written(codec, value, monkeypatch)
        decoded, got = read(codec, bits, monkeypatch)
    finally:
        network.encoder, network.decoder = encoder, decoder
    assert decoded.status is Status.OK
    assert same(sent, got)
    plain, back = read(codec, compiled, monkeypatch)
    assert plain.status is Status.OK
    assert same(again, back)
    assert np.abs(plain.value.astype(int) - decoded.value).max() <= 12


def test_float_sums_in_another_order_would_not_do():
    """Why integers: one product in 32-bit floating point, summed in two orders, differs."""
    rng = np.random.default_rng(0)
    weights = rng.normal(0, 0.1, (64, 512)).astype(np.float32)
    planes = rng.normal(0, 1, (512, 400)).astype(np.float32)
    order = rng.permutation(512)
    one, other = weights @ planes, weights[:, order] @ planes[order]
    assert not np.array_equal(one, other)
    whole, parts = np.rint(weights * 2**15).astype(float), np.rint(planes * 2**10).astype(float)
    assert np.array_equal(whole @ parts, whole[:, order] @ parts[order])

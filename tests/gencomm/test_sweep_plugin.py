"""A codec of thirty lines in a package of its own, installed by pip, used by every verb."""

import hashlib
import os
import subprocess
import sys
import zipfile
from base64 import urlsafe_b64encode

import pytest

CODEC = '''\
import numpy as np

from channels import PackedBits
from gencomm.codecs.contract import Decoded, Encoded


class Coarse:
    """The upper bits of every sample; the shape is side information."""

    name = "coarse"
    modality = "image"
    wants = frozenset()

    def __init__(self, bits: int = 4):
        if not 1 <= bits <= 8:
            raise ValueError(f"bits go from 1 to 8, got {bits}")
        self.bits = bits

    def encode(self, item):
        planes = np.unpackbits(item.value.reshape(-1, 1), axis=1)[:, : self.bits]
        side = np.array(item.value.shape, "<u4").tobytes()
        return Encoded(PackedBits.from_bits(planes.ravel()), side=side)

    def decode(self, received):
        shape = tuple(map(int, np.frombuffer(received.side, "<u4")))
        if received.bits.n_bits != np.prod(shape) * self.bits:
            return Decoded.rejected("another number of bits than the shape needs")
        planes = received.bits.unpack().reshape(-1, self.bits)
        upper = np.packbits(planes, axis=1).ravel()
        return Decoded((upper | (128 >> self.bits)).reshape(shape))
'''


def write_wheel(path):
    """A wheel, as any build tool would make it."""
    info = "coarse_codec-0.3.dist-info"
    files = {
        "coarse_codec.py": CODEC,
        f"{info}/METADATA": "Metadata-Version: 2.1\nName: coarse-codec\nVersion: 0.3\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\n"
        "Tag: py3-none-any\n",
        f"{info}/entry_points.txt": "[gencomm.codecs]\ncoarse = coarse_codec:Coarse\n",
    }
    record = ""
    for name, text in files.items():
        digest = urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        record += f"{name},sha256={digest},{len(text.encode())}\n"
    files[f"{info}/RECORD"] = record + f"{info}/RECORD,,\n"
    with zipfile.ZipFile(path, "w") as wheel:
        for name, text in files.items():
            wheel.writestr(name, text)


@pytest.fixture(scope="module")
def gencomm(tmp_path_factory):
    """The command, in an environment where the package is installed."""
    folder = tmp_path_factory.mktemp("plugin")
    wheel, site = folder / "coarse_codec-0.3-py3-none-any.whl", folder / "site"
    write_wheel(wheel)
    pip = [sys.executable, "-m", "pip", "install", "--no-index", "--no-deps", "--quiet"]
    if subprocess.run([sys.executable, "-m", "pip", "--version"], capture_output=True).returncode:
        pytest.skip("this environment has no pip")
    subprocess.run([*pip, "--target", str(site), str(wheel)], check=True)
    paths = [str(site), *filter(None, [os.environ.get("PYTHONPATH")])]
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    environ.pop("GENCOMM_PLUGINS", None)

    def run(*words, **more):
        code = "import sys; from gencomm.cli import main; sys.exit(main())"
        return subprocess.run(
            [sys.executable, "-c", code, *words],
            env={**environ, **more},
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def test_the_codec_has_thirty_lines():
    assert len([line for line in CODEC.splitlines() if line.strip()]) <= 30


def test_it_is_listed_with_its_package(gencomm):
    text = gencomm("codecs").stdout
    assert "coarse(bits=4)" in text
    assert "coarse-codec 0.3" in text
    assert "coarse" not in gencomm("codecs", GENCOMM_PLUGINS="none").stdout


def test_it_conforms(gencomm):
    done = gencomm("check-codec", "coarse(bits=5)")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "conforms" in done.stdout


def test_it_runs_in_a_sweep_and_the_run_records_it(gencomm, tmp_path):
    config = tmp_path / "c.yaml"
    config.write_text(
        "source: photos(limit=1,size=64)\ncodecs: [coarse, coarse(bits=2)]\n"
        "links: ['bsc({ber})']\ngrid: {ber: [1e-3, 1e-1]}\ntrials: 2\nmetrics: [psnr]\n"
    )
    done = gencomm("sweep", str(config), "--out", str(tmp_path / "run"), "--workers", "1")
    assert done.returncode == 0, done.stderr
    assert "4 of 4 cells, 8 rows" in done.stdout
    assert "coarse-codec 0.3" in (tmp_path / "run" / "environment.json").read_text()
    assert (
        "no codec is called 'coarse'"
        in gencomm("sweep", str(config), GENCOMM_PLUGINS="none").stderr
    )

"""A codec of thirty lines in a package of its own, installed by pip, is a codec like any other."""

import os
import subprocess
import sys
import textwrap
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

CODEC = '''
"""Every sample at four bits: the whole of a codec for gencomm."""

import numpy as np

from channels.bits import PackedBits
from gencomm.codecs.contract import Decoded, Encoded, Status


class Nibbles:
    name = "nibbles"
    modality = "image"
    wants = frozenset()
    min_psnr = 30.0

    def __init__(self, offset: int = 8):
        self.offset = offset

    def encode(self, item):
        shape = np.array([*item.value.shape, 0][:3], ">u4").tobytes()
        samples = (item.value.ravel() >> 4).astype(np.uint8)
        bits = np.unpackbits(samples[:, None], axis=1)[:, 4:].ravel()
        return Encoded(PackedBits.from_bits(bits), side=shape)

    def decode(self, received):
        shape = [n for n in np.frombuffer(received.side, ">u4").tolist() if n]
        bits = np.zeros(4 * int(np.prod(shape)), np.uint8)
        kept = received.bits.unpack()[: bits.size]
        bits[: kept.size] = kept
        value = (np.packbits(bits.reshape(-1, 4), axis=1).ravel() + self.offset).reshape(shape)
        status = Status.OK if received.bits.n_bits == bits.size else Status.PARTIAL
        return Decoded(value.astype(np.uint8), status)
'''

FILES = {
    "gencomm_nibbles.py": CODEC,
    "gencomm_nibbles_ruined.py": "raise OSError('libnibble.so is missing')\n",
    "gencomm_nibbles-1.2.3.dist-info/METADATA": (
        "Metadata-Version: 2.1\nName: gencomm-nibbles\nVersion: 1.2.3\n"
    ),
    "gencomm_nibbles-1.2.3.dist-info/WHEEL": (
        "Wheel-Version: 1.0\nGenerator: a test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    ),
    "gencomm_nibbles-1.2.3.dist-info/entry_points.txt": """
[gencomm.codecs]
nibbles = gencomm_nibbles:Nibbles
absent = gencomm_nibbles:Absent
ruined = gencomm_nibbles_ruined:Codec
jpeg = gencomm_nibbles:Nibbles
""",
}


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A folder into which pip has installed the package, from a wheel written here."""
    pytest.importorskip("pip", reason="the package is installed by pip")
    wheel = tmp_path_factory.mktemp("wheel") / "gencomm_nibbles-1.2.3-py3-none-any.whl"
    record = "gencomm_nibbles-1.2.3.dist-info/RECORD"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, text in FILES.items():
            archive.writestr(name, text)
        archive.writestr(record, "".join(f"{name},,\n" for name in [*FILES, record]))
    target = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index",
         "--disable-pip-version-check", "--target", target, wheel],
        capture_output=True,
        text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return target


def python(installed, code, **environ):
    """Run code where the package is installed; gives what it prints."""
    path = os.pathsep.join([str(installed), str(ROOT)])
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": path, **environ},
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_it_is_thirty_lines():
    assert len([line for line in CODEC.splitlines() if line.strip()]) <= 30


def test_it_appears_with_its_origin_and_harms_nothing(installed):
    out = python(
        installed,
        """
        from gencomm.codecs.registry import CODECS, make_codec
        from channels.spec import SpecError
        print(CODECS.names())
        print(CODECS.entry("nibbles").origin, "|", CODECS.entry("jpeg").origin)
        print(make_codec("nibbles(offset=7)").offset, CODECS.canonical("nibbles(offset=8)"))
        for name in ("absent", "ruined"):
            try:
                make_codec(name)
            except SpecError as error:
                print(error)
        """,
    )
    assert "'nibbles'" in out
    assert "gencomm-nibbles 1.2.3 | built-in" in out
    assert "7 nibbles\n" in out
    assert "can't be loaded: OSError: libnibble.so is missing" in out
    assert "has no attribute 'Absent'" in out


def test_it_passes_the_kit(installed):
    out = python(
        installed,
        """
        from gencomm.testing import check_codec
        report = check_codec("nibbles")
        print(report, report.ok)
        """,
    )
    assert out.rstrip().endswith("conforms True"), out
    assert "threads" in out


def test_plugins_can_be_shut_out(installed):
    out = python(
        installed,
        "from gencomm.codecs.registry import CODECS; print('nibbles' in CODECS)",
        GENCOMM_PLUGINS="none",
    )
    assert out == "False\n"


def test_it_runs_in_a_sweep(installed, tmp_path):
    config = tmp_path / "config.yaml"
    config.write_text(
        """
        name: plugin
        seed: 1
        source: {folder: pictures}
        codecs: [nibbles, raw]
        links: ["bsc({ber})"]
        grid: {ber: [1e-4, 1e-2]}
        trials: {min: 2, max: 2}
        metrics: [psnr]
        """
    )
    (tmp_path / "pictures").mkdir()
    out = python(
        installed,
        f"""
        import os
        from PIL import Image
        from gencomm.testing.samples import sample_picture
        os.chdir({str(tmp_path)!r})
        Image.fromarray(sample_picture(40, 60, 3)).save("pictures/one.png")
        import gencomm
        run = gencomm.sweep("config.yaml", out="run")
        rows = run.rows()
        rows = rows[rows["codec"] == "nibbles"]
        print(len(rows), set(rows["status"]), rows["psnr"].max() > 25)
        """,
    )
    assert out.rstrip().endswith("4 {'ok'} True"), out

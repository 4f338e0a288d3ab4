"""Recorded errors: the file, its damage, and that what is replayed is what was recorded."""

import hashlib
import json
import os
import zlib

import numpy as np
import pytest
from scipy import stats

import channels
from channels.bits import PackedBits, count_errors, count_ones
from channels.conformance import parametrize_channel_checks
from channels.link import Link
from channels.media.trace import from_ring
from channels.noise import NoiseStream
from channels.recording import MAGIC, Recording, RecordingError, read_recording, write_recording
from channels.spec import SpecError

#: A true statement is refused this often.
LEVEL = 1e-6
CODED = "conv|qpsk|awgn(ebno_db=2.5)"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("traces")


@pytest.fixture(scope="module")
def coded(folder):
    path = folder / "conv.trace"
    return path, channels.record(CODED, 100_000, 40, path, seed=3)


@pytest.fixture(scope="module")
def lossy(folder):
    path = folder / "lossy.trace"
    link = "packets(bytes=16, crc=16, policy=pass, header=16)|bsc(3e-3)"
    return path, channels.record(link, 12_800, 30, path)


def zeros(n_bits):
    return PackedBits.from_bits(np.zeros(n_bits, np.uint8))


def windows(packed, n_bits, size=1000):
    """Errors in each whole window."""
    bits = np.unpackbits(packed, axis=-1, count=n_bits)
    whole = n_bits // size
    return bits[..., : whole * size].reshape(-1, size).sum(axis=1)


def test_what_is_recorded_is_what_the_link_left(coded):
    path, recording = coded
    assert recording.link == CODED
    assert (recording.n_bits, recording.trials, recording.seed) == (100_000, 40, 3)
    again = read_recording(path)
    np.testing.assert_array_equal(again.errors, recording.errors)
    assert again.checksum == recording.checksum
    assert again.erased is None
    # the first trials, sent by hand
    rng = NoiseStream(3, "recording", "100000").generator(0)
    sent = PackedBits.from_bytes(rng.bytes(12_500))
    got = Link.parse(CODED).transmit(sent, range(3), NoiseStream(3, CODED))
    masks = recording.errors.reshape(40, -1)
    np.testing.assert_array_equal(masks[:3], got.bits ^ sent.data)
    assert recording.bit_errors == np.unpackbits(recording.errors).sum()


def test_same_arguments_same_bytes(folder):
    files = [folder / "one.trace", folder / "other.trace", folder / "third.trace"]
    done = []
    for file, seed in zip(files, (1, 1, 2), strict=True):
        channels.record("bsc(0.01)", 800, 70, file, seed=seed, progress=done.append)
    assert done[-1] == 70
    one, other, third = (file.read_bytes() for file in files)
    assert one == other != third
    assert [f.name for f in folder.iterdir() if f.name.startswith(".")] == []


def test_bursts_survive(coded):
    """Errors per 1000 bits: as the decoder left them, and far from a BSC of that rate."""
    path, recording = coded
    trace = Link.parse(f"trace({path})")
    fresh = Link.parse(CODED)
    bsc = Link.parse(f"bsc({recording.ber})")
    n_bits, counts = 100_000, []
    for link in (trace, fresh, bsc):
        sent = PackedBits.from_bytes(np.random.default_rng(0).bytes(n_bits // 8))
        got = link.transmit(sent, range(30), NoiseStream(11, "fresh"))
        counts.append(windows(got.bits ^ sent.data, n_bits))
    replayed, original, spread = counts
    edges = [0, 1, 3, 6, 11, 1001]
    tables = [np.histogram(c, edges)[0] for c in counts]
    # two samples of one distribution; and of two distributions
    assert stats.chi2_contingency(np.array([tables[0], tables[1]])).pvalue > LEVEL
    assert stats.chi2_contingency(np.array([tables[0], tables[2]])).pvalue < 1e-100
    dispersion = [c.var() / c.mean() for c in (replayed, original, spread)]
    assert dispersion[2] == pytest.approx(1, abs=0.15), "independent errors are Poisson"
    assert dispersion[0] > 3
    assert dispersion[0] == pytest.approx(dispersion[1], rel=0.35)
    # a BSC of that rate hits most windows, the link few
    assert np.mean(replayed == 0) > 1.5 * np.mean(spread == 0)


def test_mean_rate_is_the_recording_s(coded):
    path, recording = coded
    link = Link.parse(f"trace({path})")
    facts = link.ledger(100).facts
    assert facts["ber"] == recording.bit_errors / 4e6
    assert facts["recorded_bits"] == 4e6
    # over every start once the rate is exact, wherever in the payload
    ring = np.unpackbits(recording.errors[:100])
    packed = recording.errors[:100]
    total = sum(np.unpackbits(from_ring(packed, start, 7), count=7) for start in range(800))
    np.testing.assert_array_equal(total, np.full(7, ring.sum()))


@pytest.mark.parametrize("start", [0, 1, 7, 8, 13, 39])
@pytest.mark.parametrize("n_bits", [0, 1, 8, 27, 40, 41, 200])
def test_rings_by_hand(start, n_bits):
    ring = np.random.default_rng(1).integers(0, 2, 40, np.uint8)
    got = from_ring(np.packbits(ring), start, n_bits)
    expected = ring[(start + np.arange(n_bits)) % 40]
    np.testing.assert_array_equal(got, np.packbits(expected))


def test_starts_are_uniform(folder):
    path = folder / "single.trace"
    mask = np.zeros(64, np.uint8)
    mask[10] = 1
    write_recording(Recording("by hand", 64, 1, 0, np.packbits(mask)), path)
    sent = zeros(64)
    got = Link.parse(f"trace({path})").transmit(sent, range(6400))
    assert (got.bit_errors == 1).all(), "each bit of the ring once"
    places = np.unpackbits(got.bits, axis=1).sum(axis=0)
    assert stats.chisquare(places).pvalue > LEVEL
    twice = Link.parse(f"trace({path})").transmit(zeros(128), range(50))
    assert (twice.bit_errors == 2).all()


def test_erasures_are_erasures_again(lossy):
    path, recording = lossy
    assert recording.erased_bits > 0
    assert recording.bit_errors > 0
    assert not (recording.errors & recording.erased).any(), "lost bits aren't counted twice"
    link = Link.parse(f"trace({path})", ("llr",))
    sent = PackedBits.from_bits(np.ones(recording.total_bits, np.uint8))
    got = link.transmit(sent, range(5))
    assert (count_ones(got.erased) == recording.erased_bits).all()
    errors = count_errors(sent.data, got.bits) - recording.erased_bits  # they read 0
    assert (errors == recording.bit_errors).all()
    facts = link.ledger(1).facts
    assert facts["erasure_rate"] == recording.erased_bits / recording.total_bits
    known = recording.total_bits - recording.erased_bits
    strength = np.log(known / recording.bit_errors - 1)
    np.testing.assert_allclose(np.abs(got.llr[got.llr != 0]), strength, rtol=1e-5)


def check_paths():
    """The kit's tests take texts of links; files get a name that is replaced."""
    return ["trace(CODED)", "trace(LOSSY)", "packets(bytes=16)|trace(CODED)"]


@parametrize_channel_checks(check_paths())
def test_traces_conform(check, spec, coded, lossy):
    check(spec.replace("CODED", str(coded[0])).replace("LOSSY", str(lossy[0])))


def test_a_file_written_anew_is_read_anew(folder):
    path = folder / "changing.trace"
    checksums = []
    for trial, value in enumerate((0x00, 0xFF)):
        write_recording(Recording("x", 8000, 1, 0, np.full(1000, value, np.uint8)), path)
        os.utime(path, ns=(trial, trial))
        link = Link.parse(f"trace({path})")
        checksums.append(link.stages[0].checksum)
        assert link.transmit(zeros(80)).bit_errors.tolist() == [80 * trial]
    assert checksums[0] != checksums[1], "a sweep must not take one for the other"


def test_killed_while_writing(folder, monkeypatch):
    path = folder / "kept.trace"
    channels.record("bsc(0.1)", 80, 2, path)
    before = path.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("channels.recording.os.replace", full)
    with pytest.raises(OSError, match="No space"):
        channels.record("bsc(0.2)", 80, 2, path)
    assert path.read_bytes() == before
    assert not [f for f in folder.iterdir() if f.name.startswith(".kept")]


@pytest.mark.parametrize(
    ("n_bits", "trials", "problem"),
    [
        (0, 1, "n_bits must be a multiple of 8"),
        (12, 1, "n_bits must be a multiple of 8"),
        (8, 0, "trials must lie in 1"),
        (1 << 20, 1 << 20, "trials must lie in 1..4096 for 1048576 bits"),
    ],
)
def test_sizes_that_can_not_be_recorded(folder, n_bits, trials, problem):
    with pytest.raises(ValueError, match=problem):
        channels.record("bsc(0.1)", n_bits, trials, folder / "never.trace")
    assert not (folder / "never.trace").exists()


def sealed(header, *blocks):
    """A file whose checksum is right, whatever it says."""
    line = header if isinstance(header, bytes) else json.dumps(header).encode()
    body = line + b"\n" + b"".join(blocks)
    return MAGIC + hashlib.sha256(body).hexdigest().encode() + b"\n" + body


def sound(**changes):
    block = zlib.compress(bytes(100))
    header = {
        "link": "x",
        "n_bits": 800,
        "trials": 1,
        "seed": 0,
        "bytes": [len(block), 0],
        "bit_errors": 0,
        "erased_bits": 0,
    }
    return header | changes, block


def hostile():
    header, block = sound()
    assert sealed(header, block)
    bomb = zlib.compress(bytes(1 << 20))
    return {
        "empty": (b"", "is not a recording"),
        "foreign": (b"\x89PNG\r\n\x1a\n" + bytes(500), "is not a recording"),
        "pickle": (b"\x80\x05cos\nsystem\n" * 20, "is not a recording"),
        "only a title": (MAGIC + b"0" * 64 + b"\n", "checksum is wrong"),
        "newer": (MAGIC.replace(b"1", b"2") + b"0" * 64 + b"\n", "is not a recording"),
        "no header": (sealed(b"not json", block), "makes no sense"),
        "deep header": (sealed(b"[" * 60_000, block), "makes no sense"),
        "list": (sealed(b"[1, 2]", block), "makes no sense"),
        "long header": (sealed(b" " * 70_000 + b"{}", block), "makes no sense"),
        "negative": (sealed(sound(n_bits=-800, trials=-1)[0], block), "sizes that don't fit"),
        "float": (sealed(sound(n_bits=800.0)[0], block), "sizes that don't fit"),
        "huge": (sealed(sound(n_bits=1 << 60, trials=1 << 60)[0], block), "sizes that don't fit"),
        "long": (sealed(header, block, b"more"), "sizes that don't fit"),
        "bomb": (sealed(sound(bytes=[len(bomb), 0])[0], bomb), "of another length"),
        "short": (sealed(sound(n_bits=8000)[0], block), "of another length"),
        "not zlib": (sealed(sound(bytes=[50, 0])[0], bytes(50)), "can't be unpacked"),
        "half a stream": (sealed(sound(bytes=[8, 0])[0], block[:8]), "of another length"),
        "miscounted": (sealed(sound(bit_errors=3)[0], block), "counts other errors"),
    }


@pytest.mark.parametrize("case", hostile())
def test_hostile_files(folder, case):
    content, problem = hostile()[case]
    path = folder / "hostile.trace"
    path.write_bytes(content)
    with pytest.raises(RecordingError, match=problem):
        read_recording(path)
    with pytest.raises(SpecError, match=problem) as caught:
        Link.parse(f"trace({path})")
    assert caught.value.text[caught.value.start : caught.value.end] == str(path)


def test_every_cut_and_every_flip_is_noticed(folder):
    path = folder / "damaged.trace"
    channels.record("bsc(0.1)", 80, 2, path)
    whole = path.read_bytes()
    for cut in range(len(whole)):
        path.write_bytes(whole[:cut])
        with pytest.raises(RecordingError):
            read_recording(path)
    for place in range(0, len(whole), 3):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        with pytest.raises(RecordingError):
            read_recording(path)


def test_what_is_no_file(folder):
    with pytest.raises(SpecError, match="No such file"):
        Link.parse(f"trace({folder / 'nowhere'})")
    with pytest.raises(SpecError, match="not a regular file"):
        Link.parse(f"trace({folder})")
    if hasattr(os, "mkfifo"):
        os.mkfifo(folder / "pipe")
        with pytest.raises(SpecError, match="not a regular file"):
            Link.parse(f"trace({folder / 'pipe'})")
    path = folder / "giant.trace"
    with open(path, "wb") as file:
        file.write(MAGIC + b"0" * 64 + b"\n")
        file.truncate(1 << 33)  # a hole: takes no room
    with pytest.raises(SpecError, match="too large"):
        Link.parse(f"trace({path})")
    path.unlink()

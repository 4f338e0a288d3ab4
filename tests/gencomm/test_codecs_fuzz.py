"""Thousands of damaged streams for each codec; none may crash, hang or exhaust a decoder."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from channels.bits import PackedBits
from gencomm.codecs.contract import Received, Status
from gencomm.codecs.registry import make_codec
from gencomm.isolation import CodecProcess, Limits
from gencomm.testing.samples import sample_item

CODECS = ["jpeg", "jpeg_restart", "jpeg2000", "webp", "avif(speed=9)", "raw", "block_dct"]
CRASHERS = Path(__file__).parent.parent / "crashers"
BERS = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 0.5)


def damaged(bits, rng):
    """Bit errors, bursts, cuts, repeats and rubbish in turn."""
    array = bits.unpack()
    kind = rng.integers(0, 8)
    if kind < 4:
        array ^= rng.random(array.size) < rng.choice(BERS)
    elif kind == 4:
        start, length = rng.integers(0, array.size), rng.integers(1, 200)
        part = array[start : start + length]
        part[:] = rng.integers(0, 2, part.size)
    elif kind == 5:
        array = array[: rng.integers(0, array.size)]
    elif kind == 6:  # packets lost or repeated
        size = int(rng.integers(8, 400)) // 8 * 8
        pieces = [array[k : k + size] for k in range(0, array.size, size)]
        order = np.flatnonzero(rng.random(len(pieces)) > 0.1)
        array = np.concatenate([pieces[k] for k in order] or [array[:0]])
    else:  # single bytes of the head, which hold sizes and counts
        head = np.packbits(array)
        for _ in range(rng.integers(1, 5)):
            head[rng.integers(0, min(head.size, 400))] = rng.integers(0, 256)
        array = np.unpackbits(head, count=array.size)
    return PackedBits.from_bits(array)


def fuzz(spec, trials, seed):
    rng = np.random.default_rng(seed)
    items = [sample_item(48, 64, 3), sample_item(33, 17, 3), sample_item(40, 24)]
    statuses, bad = Counter(), []
    with CodecProcess(spec, Limits(seconds=10, memory=2**29)) as codec:
        for number in range(0, trials, 50):
            item = items[(number // 50) % 3]
            bits = codec.encode(item).encoded.bits
            streams = [damaged(bits, rng) for _ in range(min(50, trials))]
            received = [Received(s, lenient=bool(k % 4)) for k, s in enumerate(streams)]
            for stream, outcome in zip(
                streams, codec.decode(received, item.value.shape), strict=True
            ):
                status = outcome.decoded.status
                statuses[status] += 1
                if status in (Status.CRASHED, Status.TIMEOUT, Status.MEMORY):
                    bad.append((status, outcome.decoded.detail, stream.to_bytes().hex()[:80]))
    return statuses, bad


@pytest.mark.parametrize("spec", CODECS)
def test_a_hundred_damaged_streams(spec):
    statuses, bad = fuzz(spec, 100, 1)
    assert not bad, bad[:3]
    assert statuses.total() == 100
    assert statuses[Status.OK] + statuses[Status.PARTIAL] > 10


@pytest.mark.slow
@pytest.mark.parametrize("spec", CODECS)
def test_thousands_of_damaged_streams(spec):
    statuses, bad = fuzz(spec, 5000, 2)
    assert not bad, bad[:3]
    assert statuses.total() == 5000


@pytest.mark.parametrize("path", sorted(CRASHERS.glob("*.bin")), ids=lambda path: path.stem)
def test_what_once_broke_something(path):
    """Files are named <codec>-<what happened>.bin."""
    codec = make_codec(path.stem.partition("-")[0])
    for lenient in (True, False):
        found = codec.decode(Received(PackedBits.from_bytes(path.read_bytes()), lenient=lenient))
        assert found.status in (Status.OK, Status.PARTIAL, Status.REJECTED)

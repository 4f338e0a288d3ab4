"""The search for a rate: within budget, as near as the ladder allows, in few encodes."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from channels.bits import PackedBits
from gencomm.codecs.contract import Encoded
from gencomm.codecs.rate import TOLERANCE, check_rate, encode_at_rate
from gencomm.codecs.registry import make_codec
from gencomm.testing.samples import sample_item

ITEM = sample_item(100, 100)


def fake(sizes, calls):
    def encode(quality):
        calls.append(quality)
        return Encoded(PackedBits.from_bits(np.zeros(sizes[quality], np.uint8)))

    return encode


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.integers(0, 400), min_size=1, max_size=120),
    st.floats(0.01, 4),
    st.integers(-1, 130),
)
def test_finds_the_highest_step_within_budget(growth, bpp, guess):
    sizes = np.cumsum(growth).tolist()
    calls = []
    ladder = list(range(len(sizes)))
    start = None if guess < 0 else guess
    found = encode_at_rate(fake(sizes, calls), ladder, ITEM, bpp, start)
    target = bpp * ITEM.pixels
    fitting = [size for size in sizes if size <= target]
    if fitting:
        assert found.meta["bpp_met"]
        assert found.total_bits <= target
        assert found.total_bits >= (1 - TOLERANCE) * min(target, max(fitting))
    else:
        assert not found.meta["bpp_met"]
        assert found.total_bits == sizes[0]
    assert found.meta["bpp"] == found.total_bits / ITEM.pixels
    assert len(calls) == len(set(calls)) == found.meta["encodes"]
    assert len(calls) <= 3 * math.ceil(math.log2(len(sizes) + 1)) + 2


def test_exponential_ladders_take_few_encodes():
    """As real codecs are: the rate grows by a factor a step."""
    sizes = [int(200 * 1.05**k) for k in range(100)]
    for bpp in (0.03, 0.1, 0.5, 1.3):
        calls = []
        encode_at_rate(fake(sizes, calls), list(range(100)), ITEM, bpp, step=1.05)
        assert len(calls) <= 4


def test_side_information_counts():
    def encode(quality):
        return Encoded(PackedBits.from_bytes(bytes(quality)), side=bytes(100))

    found = encode_at_rate(encode, list(range(500)), ITEM, 0.2)
    assert found.total_bits == 2000
    assert found.meta["quality"] == 150


@pytest.mark.parametrize("spec", ["jpeg", "jpeg_restart", "jpeg2000", "webp", "avif"])
@pytest.mark.parametrize("bpp", [0.4, 1.0])
def test_codecs_meet_a_rate(spec, bpp):
    item = sample_item(160, 240, 3)
    extra = ",speed=8" if spec == "avif" else ""
    codec = make_codec(f"{spec}(bpp={bpp}{extra})")
    encoded = codec.encode(item)
    assert encoded.meta["bpp_met"]
    assert 0.9 * bpp < encoded.total_bits / item.pixels <= bpp
    assert encoded.bits == codec.encode(item).bits
    # the quality that it settled on, asked for directly, gives the same stream
    if spec != "jpeg2000":
        again = make_codec(f"{spec}(quality={encoded.meta['quality']}{extra})")
        assert again.encode(item).bits == encoded.bits


def test_jpeg2000_meets_a_rate_closely():
    item = sample_item(256, 256, 3)
    for bpp in (0.1, 0.5, 2.0):
        encoded = make_codec(f"jpeg2000(bpp={bpp})").encode(item)
        assert 0.97 * bpp < encoded.total_bits / item.pixels <= bpp


@pytest.mark.parametrize("spec", ["jpeg", "jpeg2000", "webp", "avif(speed=8)", "block_dct"])
def test_a_rate_below_the_header_gives_the_smallest_stream_and_says_so(spec):
    name, _, rest = spec.partition("(")
    codec = make_codec(f"{name}(bpp=0.01{',' + rest if rest else ')'}")
    encoded = codec.encode(sample_item(8, 8, 3))
    assert encoded.meta["bpp_met"] is False
    assert encoded.meta["bpp"] > 0.01


@pytest.mark.parametrize("bad", [0, -1, math.nan, math.inf, 1e9])
def test_rates_are_checked(bad):
    with pytest.raises(ValueError, match="bits per pixel"):
        check_rate("x", None, bad, 0, 1)

"""Video codecs: their bits, what they make of damage, and where frames go."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest

pytest.importorskip("av")

from channels.bits import PackedBits
from channels.link import Link
from gencomm.codecs.contract import Received, Status
from gencomm.codecs.registry import make_codec
from gencomm.codecs.video.clip import Counts, Shown, assemble, places
from gencomm.codecs.video.streams import (
    lost_bytes,
    nal_type,
    nal_units,
    start_codes,
    temporal_units,
    without,
)
from gencomm.items import video_item
from gencomm.policy import Policy, from_wire, to_wire
from gencomm.sources import make_source
from gencomm.testing import parametrize_with_checks
from gencomm.testing.codecs import psnr
from gencomm.testing.samples import sample_clip
from gencomm.video.pyav import fraction, packet, pyav
from gencomm.video.session import Session

CLIP = sample_clip(14, 64, 80)
QUICK = {
    "mjpeg": "mjpeg",
    "mpeg2": "mpeg2(gop=6)",
    "mpeg4": "mpeg4(gop=6)",
    "h264": "h264(gop=6,preset=veryfast)",
    "hevc": "hevc(gop=6,preset=ultrafast)",
    "av1": "av1(gop=6,preset=12)",
}
#: Those whose streams number their pictures, or whose pictures are all alike.
TIMED = ["mpeg2", "mpeg4", "h264", "hevc"]


def sent(spec, clip=CLIP):
    codec = make_codec(spec)
    return codec, codec.encode(clip)


def decoded(codec, data, side, **more):
    return codec.decode(Received(PackedBits.from_bytes(data), side, **more))


@pytest.mark.slow
@parametrize_with_checks([*QUICK.values(), "per_frame", "per_frame(codec=raw(bits=2))"])
def test_the_kit(check, subject):
    check(subject)


@pytest.mark.parametrize("spec", QUICK.values(), ids=list(QUICK))
def test_clean_streams_come_back_whole(spec):
    codec, encoded = sent(spec)
    data = encoded.bits.to_bytes()
    out = decoded(codec, data, encoded.side)
    assert out.status is Status.OK, out.detail
    by_frame = [psnr(x, y) for x, y in zip(CLIP.value, out.value, strict=True)]
    assert min(by_frame) > 24, by_frame
    assert 0 < encoded.header_bits < encoded.bits.n_bits / 2
    assert len(encoded.side) == 6
    assert sum(encoded.meta["frame_bits"]) == encoded.bits.n_bits
    # the stream is one that anybody can play: no comment of the encoder in it
    assert b"x264" not in data
    assert b"Lavc" not in data


@pytest.mark.parametrize("spec", ["h264(bps=60000,preset=veryfast)", "mpeg2(bpp=0.6)"])
def test_a_rate_is_met_and_never_overdrawn(spec):
    _, encoded = sent(spec)
    seconds = len(CLIP.value) / 25
    target = 60000 * seconds if "bps" in spec else 0.6 * CLIP.pixels
    assert 0.85 * target < encoded.total_bits <= target
    assert encoded.meta["bits_per_second"] == pytest.approx(encoded.total_bits / seconds)


def plain(encoder, clip, crf):
    """FFmpeg's encoder as anybody calls it, preset slow and tuned for PSNR: bits a frame, PSNR.

    Counted are NAL units with three bytes of start code each, supplemental messages left out.
    """
    from gencomm.video.colour import ToRGB, frames

    av = pyav()
    context = av.CodecContext.create(encoder, "w")
    context.width, context.height, context.pix_fmt = (
        clip.value.shape[2],
        clip.value.shape[1],
        "yuv420p",
    )
    context.time_base, context.framerate = Fraction(1, 25), Fraction(25)
    context.thread_count, context.gop_size = 1, 250
    quiet = {"x265-params": "log-level=none:pools=none:frame-threads=1"}
    own = quiet if encoder == "libx265" else {}
    context.options = {"preset": "slow", "tune": "psnr", "crf": str(crf), **own}
    packets = []
    for index, frame in enumerate(frames(clip.value)):
        frame.pts, frame.time_base = index, context.time_base
        packets += context.encode(frame)
    packets += context.encode(None)
    hevc = encoder == "libx265"
    units = [unit for one in packets for unit in nal_units(bytes(one))]
    kept = [u for u in units if nal_type(u, hevc) not in ({39, 40} if hevc else {6})]
    bits = sum(8 * len(u.lstrip(b"\x00")) + 16 for u in kept)
    decoder, to_rgb = av.CodecContext.create("hevc" if hevc else "h264", "r"), ToRGB()
    shown = [f for one in [*packets, None] for f in decoder.decode(one)]
    value = np.stack([to_rgb(frame, *clip.value.shape[1:3]) for frame in shown])
    return bits / len(clip.value), psnr(value, clip.value)


@pytest.mark.parametrize("crf", [36, 42, 51])
@pytest.mark.parametrize("name", ["h264", "hevc"])
def test_no_baseline_costs_more_than_the_plain_encoder_at_its_quality(name, crf):
    """What a frame of 64x64 costs is a slice header to a good part: none may carry ballast."""
    [clip] = make_source("camera_path(names=[coffee],width=64,height=64,frames=40)")
    bits, decibels = plain({"h264": "libx264", "hevc": "libx265"}[name], clip, crf)
    codec, encoded = sent(f"{name}(crf={crf})", clip)
    out = decoded(codec, encoded.bits.to_bytes(), encoded.side)
    ours = encoded.bits.n_bits / 40
    missing = decibels - psnr(out.value, clip.value)
    # a decibel is worth some 17 % of the bits at such rates
    assert ours * (1 + 0.17 * missing) <= 1.03 * bits
    assert b"\x00\x00\x00\x01" not in encoded.bits.to_bytes()


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("h264(crf=60)", "crf goes from 0 to 51"),
        ("h264(crf=20,bpp=1)", "can't both be given"),
        ("mpeg2(bps=0)", "bps must be a positive"),
        ("hevc(gop=0)", "gop is the number of frames"),
        ("h264(slices=2,slice_bytes=100)", "slice_bytes"),
        ("mpeg4(partition=true)", "partition needs resync"),
        ("h264(preset=quick)", "preset must be one of"),
        ("per_frame(codec=h264)", "takes video, not pictures"),
    ],
)
def test_wrong_parameters_are_told(spec, words):
    with pytest.raises(ValueError, match=words):
        make_codec(spec)


def test_a_packet_made_of_bytes_has_padding_behind_it():
    """FFmpeg reads up to 64 bytes past a packet's end and wants zeros there."""
    import ctypes

    made = packet(b"\x01" * 100)
    behind = (ctypes.c_ubyte * 64).from_address(made.buffer_ptr + 100)
    assert bytes(made) == b"\x01" * 100
    assert bytes(behind) == bytes(64)


def test_mpeg4_parsed_from_bytes_decodes_as_the_encoders_own_packets_do():
    """The trap that loses decibels without a word: here both ways must agree to the bit."""
    av = pyav()
    codec, encoded = sent("mpeg4(q=20,gop=250)")
    out = decoded(codec, encoded.bits.to_bytes(), encoded.side)
    cuts = np.cumsum([0, *encoded.meta["frame_bits"]]) // 8
    data = encoded.bits.to_bytes()
    decoder = av.CodecContext.create("mpeg4", "r")
    frames = []
    for a, b in pairwise(cuts):
        frames += decoder.decode(packet(data[a:b]))
    frames += decoder.decode(None)
    from gencomm.video.colour import ToRGB

    to_rgb = ToRGB()
    assert np.array_equal(out.value, [to_rgb(frame, 64, 80) for frame in frames])


@pytest.mark.parametrize("name", TIMED)
@pytest.mark.parametrize("lost", [3, 7])
def test_a_lost_picture_is_held_and_all_others_keep_their_time(name, lost):
    """Without B frames pictures are sent as they are shown: the one lost is known."""
    spec = QUICK[name].replace(")", ",bframes=0)")
    codec, encoded = sent(spec)
    data, lengths = encoded.bits.to_bytes(), np.array(encoded.meta["frame_bits"]) // 8
    ends = np.cumsum(lengths)
    cut = data[: ends[lost - 1]] + data[ends[lost] :]
    out = decoded(codec, cut, encoded.side)
    clean = decoded(codec, data, encoded.side).value
    assert out.status is Status.PARTIAL
    assert "1 missing" in out.detail
    assert np.array_equal(out.value[:lost], clean[:lost])
    assert np.array_equal(out.value[lost], out.value[lost - 1])
    key = 6 * (lost // 6 + 1)  # the next key frame mends everything, at its own time
    assert np.array_equal(out.value[key:], clean[key:])


@pytest.mark.parametrize("name", TIMED)
def test_drop_holds_the_last_frame_until_the_next_key_frame(name):
    spec = QUICK[name].replace(")", ",bframes=0)")
    codec, encoded = sent(spec)
    data, lengths = encoded.bits.to_bytes(), np.array(encoded.meta["frame_bits"]) // 8
    ends = np.cumsum(lengths)
    cut = data[: ends[7]] + data[ends[8] :]
    out = decoded(codec, cut, encoded.side, frames="drop")
    clean = decoded(codec, data, encoded.side).value
    assert np.array_equal(out.value[:8], clean[:8])
    for k in range(8, 12):
        assert np.array_equal(out.value[k], clean[7])
    assert np.array_equal(out.value[12:], clean[12:])


def test_lost_bytes_are_cut_out_to_the_next_unit():
    codec, encoded = sent("h264(gop=6,preset=veryfast,bframes=0)")
    ends = np.cumsum(encoded.meta["frame_bits"])
    erasures = np.zeros(encoded.bits.n_bits, bool)
    erasures[ends[6] + 40 : ends[7] - 40] = True  # the inside of picture 7
    bits = encoded.bits.unpack() * ~erasures
    out = codec.decode(Received(PackedBits.from_bits(bits), encoded.side, erasures=erasures))
    clean = decoded(codec, encoded.bits.to_bytes(), encoded.side).value
    assert np.array_equal(out.value[:7], clean[:7])
    assert np.array_equal(out.value[12:], clean[12:])
    strict = codec.decode(
        Received(PackedBits.from_bits(bits), encoded.side, erasures=erasures, lenient=False)
    )
    assert strict.status is Status.REJECTED


@pytest.mark.parametrize("spec", QUICK.values(), ids=list(QUICK))
@pytest.mark.parametrize("frames", ["pass", "last_frame", "drop"])
def test_damage_of_any_size_ends_in_a_clip_or_a_no(spec, frames):
    codec, encoded = sent(spec)
    for seed, ber in enumerate((1e-4, 1e-3, 1e-2, 1e-1)):
        bits = encoded.bits.unpack()
        bits ^= np.random.default_rng(seed).random(bits.size) < ber
        received = Received(PackedBits.from_bits(bits), encoded.side, frames=frames)
        out = codec.decode(received)
        assert (out.value is None) == (out.status is Status.REJECTED)
        assert out.value is None or out.value.shape == CLIP.value.shape


def test_slices_and_refresh_change_the_stream():
    _, plain = sent("h264(preset=veryfast)")
    codec, sliced = sent("h264(preset=veryfast,slices=4)")
    kinds = [nal_type(unit) for unit in nal_units(sliced.bits.to_bytes())]
    assert sum(kind in (1, 5) for kind in kinds) == 4 * len(CLIP.value)
    assert sliced.bits.n_bits > plain.bits.n_bits
    _, small = sent("h264(preset=veryfast,slice_bytes=100)")
    assert max(map(len, nal_units(small.bits.to_bytes()))) <= 110
    assert codec.name == "h264"


def test_sessions():
    session = Session(300, 288, 352)
    assert Session.from_bytes(session.to_bytes()) == session
    for data in (b"", bytes(6), b"12345"):
        with pytest.raises(ValueError, match="clip"):
            Session.from_bytes(data)
    with pytest.raises(ValueError, match="1 to 65535 frames"):
        Session(70_000, 8, 8)
    codec, encoded = sent("mpeg2")
    assert decoded(codec, encoded.bits.to_bytes(), b"").status is Status.REJECTED


@pytest.mark.parametrize(
    ("rate", "exact"),
    [(29.97, (30000, 1001)), (23.976, (24000, 1001)), (25, (25, 1)), ("30/1", (30, 1))],
)
def test_rates_as_fractions(rate, exact):
    value = fraction(rate)
    assert (value.numerator, value.denominator) == exact


def test_places_of_frames():
    assert places([None] * 4, 4) == [0, 1, 2, 3]
    assert places([0, 1, 3], 4) == [0, 1, 3]
    assert places([0, 1, 900, 3], 4) == [0, 1, 2, 3]  # a time that can't be is not believed
    assert places([0, 3, 1, 2], 4) == [0, None, 1, 2]  # nor one that breaks a longer line
    assert places([None, None], 4) == [0, 1]
    assert places([0, None, None, 1], 4) == [0, None, None, 1]
    assert places([], 3) == []


def test_clips_are_filled_up():
    session, counts = Session(5, 1, 1), Counts()
    one = [np.full((1, 1, 3), 10 * k, np.uint8) for k in range(5)]
    shown = [Shown(one[1], 1, True), Shown(None, 2), Shown(one[3], 3), Shown(one[4], 4, True)]
    value = assemble(shown, session, counts, until_key=False)
    assert value[:, 0, 0, 0].tolist() == [128, 10, 10, 30, 40]
    assert (counts.missing, counts.wrong_size) == (2, 1)
    value = assemble(shown, session, Counts(), until_key=True)
    assert value[:, 0, 0, 0].tolist() == [128, 10, 10, 10, 40]
    assert assemble([], session, Counts(), False) is None


def test_streams_in_bytes():
    data = b"\x00\x00\x00\x01\x67ab\x00\x00\x01\x65cd\x00\x00\x00\x01\x41"
    assert start_codes(data) == [0, 7, 13]
    assert b"".join(nal_units(data)) == data
    assert [nal_type(unit) for unit in nal_units(data)] == [7, 5, 1]
    erasures = np.zeros(8 * len(data), bool)
    erasures[8 * 5 + 3] = True
    runs = lost_bytes(erasures, erasures.size)
    assert runs.tolist() == [[5, 6]]
    assert without(data, runs, (b"\x00\x00\x01",)) == data[:5] + data[7:]
    assert lost_bytes(None, 8) is None
    unit = b"\x12\x00" + b"\x32\x03\x12\x00\x07"  # a delimiter inside a frame's data is none
    assert temporal_units(unit * 3) == [unit] * 3


def test_pictures_frame_by_frame():
    codec, encoded = sent("per_frame(codec=jpeg(quality=60))")
    frames = len(CLIP.value)
    assert 8 * len(encoded.side) == 48 + 8 + 24 * frames  # the table of lengths is counted
    _, fixed = sent("per_frame(codec=raw(bits=2))")
    assert 8 * len(fixed.side) == 48 + 8 + 32
    jpeg = make_codec("jpeg(quality=60)")
    from gencomm.items import image_item

    alone = jpeg.encode(image_item("x", CLIP.value[3]))
    lengths = encoded.meta["frame_bits"]
    assert lengths[3] == alone.bits.n_bits
    out = codec.decode(Received(encoded.bits, encoded.side))
    assert np.array_equal(out.value[3], jpeg.decode(Received(alone.bits)).value)
    bits = encoded.bits.unpack()
    bits[sum(lengths[:3]) : sum(lengths[:4])] = 0  # frame 3 is gone: frame 2 stays
    out = codec.decode(Received(PackedBits.from_bits(bits), encoded.side))
    assert out.status is Status.PARTIAL
    assert np.array_equal(out.value[3], out.value[2])
    assert not np.array_equal(out.value[4], out.value[3])


def test_odd_sides_and_single_frames():
    for spec in QUICK.values():
        clip = video_item("odd", CLIP.value[:1, :33, :51], 25)
        codec, encoded = sent(spec, clip)
        out = codec.decode(Received(encoded.bits, encoded.side))
        assert out.status is Status.OK, (spec, out.detail)
        assert psnr(out.value, clip.value) > 24, spec


def test_units_are_what_a_network_carries_whole():
    codec, encoded = sent("h264(gop=6,slices=2,preset=veryfast)")
    assert encoded.units.sum() == encoded.bits.n_bits
    cuts = np.cumsum([0, *encoded.units]) // 8
    data = encoded.bits.to_bytes()
    assert [data[a:b] for a, b in pairwise(cuts)] == nal_units(data)
    for spec in ("mpeg2", "mjpeg", "av1(preset=12)"):
        _, other = sent(spec)
        assert (np.array(other.meta["frame_bits"]) == other.units).all()
    link = Link.parse(
        "packets(bytes=1400,units=true)|packet_erasure(0.1,bytes=framed)", codec.wants
    )
    policy = Policy(header="protected")
    wire = to_wire(encoded, policy)
    assert wire.units.sum() == wire.payload.n_bits
    batch = link.transmit(wire.payload, range(8), units=wire.units)
    statuses = set()
    for k in range(8):
        out = codec.decode(from_wire(wire, batch, k, policy, codec.wants))
        statuses.add(str(out.status))
        lost = bool(batch.erased[k].any())
        assert out.status is not Status.REJECTED
        assert lost or out.status is Status.OK
    assert statuses <= {"ok", "partial"}

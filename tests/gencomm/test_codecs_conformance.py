"""The kit: every built-in codec passes, and each way of being broken is found by name."""

import sys
from pathlib import Path

import numpy as np
import pytest

from channels.bits import PackedBits
from gencomm.codecs.contract import Decoded, Encoded, Status
from gencomm.codecs.raw import Raw
from gencomm.codecs.registry import CODECS
from gencomm.isolation import IsolationError
from gencomm.testing import check_codec, parametrize_with_checks

QUICK = ["jpeg", "jpeg_restart(bpp=1)", "jpeg2000", "webp", "avif(speed=9)", "raw", "block_dct"]


@parametrize_with_checks(QUICK)
def test_built_in_codecs(check, subject):
    check(subject)


def test_every_classical_codec_is_checked():
    named = {spec.partition("(")[0] for spec in QUICK}
    learned = {"cae", "hyperprior"}  # has its own tests, and needs torch
    optional = {"jpegxl"}
    origins = {name: CODECS.entry(name).origin for name in CODECS.names()}
    built_in = {name for name, origin in origins.items() if origin == "built-in"}
    assert {"jpeg", "raw"} <= named <= built_in
    missing = built_in - named - learned - optional
    assert not {name for name in missing if CODECS.entry(name).target.count(".") == 2}


class Good(Raw):
    """PCM of three bits."""

    name = "good"

    def __init__(self):
        super().__init__(bits=4)


class Nameless(Good):
    name = ""


class Greedy(Good):
    wants = frozenset({"everything"})


class Boastful(Good):
    min_psnr = 60.0


class Liar(Good):
    def encode(self, item):
        encoded = super().encode(item)
        return Encoded(encoded.bits, encoded.header_bits, meta={"bpp": 0.1})


class Overdrawn(Good):
    def encode(self, item):
        encoded = super().encode(item)
        return Encoded(encoded.bits, encoded.header_bits, meta={"bpp_target": 1.0})


class Headstrong(Good):
    def encode(self, item):
        encoded = super().encode(item)
        return Encoded(encoded.bits, encoded.bits.n_bits + 1)


class Moody(Good):
    def encode(self, item):
        encoded = super().encode(item)
        bits = encoded.bits.unpack()
        bits[-1] ^= np.random.default_rng().integers(0, 2)
        bits[-9:-1] ^= np.random.default_rng().integers(0, 2, 8, np.uint8)
        return Encoded(PackedBits.from_bits(bits), encoded.header_bits)


class Grudging(Good):
    count = 0

    def decode(self, received):
        self.count += 1
        found = super().decode(received)
        if found.value is None:
            return found
        value = found.value.copy()
        value.flat[0] = self.count % 251
        return Decoded(value, found.status, found.detail)


class Blocky(Good):
    """Loses what is over a multiple of 8."""

    def encode(self, item):
        height, width = (max(8, n // 8 * 8) for n in item.value.shape[:2])
        value = np.resize(item.value[:height, :width], (height, width, *item.value.shape[2:]))
        return super().encode(type(item)(item.id, item.modality, value, item.hash))


class Brittle(Good):
    """Raises on what it doesn't expect."""

    def decode(self, received):
        if received.bits.n_bits < 1000:
            raise struct_error()
        return super().decode(received)


def struct_error():
    import struct

    return struct.error("unpack requires a buffer of 12 bytes")


class Believing(Good):
    """Takes the size from the last bits, which it calls payload."""

    def encode(self, item):
        encoded = super().encode(item)
        return Encoded(encoded.bits, 1)

    def decode(self, received):
        found = super().decode(received)
        if found.value is None or not received.bits.unpack()[500:600].any():
            return found
        rows = 1 + int(received.bits.unpack()[500:516].sum()) % 3
        return Decoded(found.value[rows:], Status.OK)


class Careless(Good):
    def encode(self, item):
        encoded = super().encode(item)
        item.value.setflags(write=True)
        item.value[0] = 0
        return encoded


class Vague(Good):
    def encode(self, item):
        encoded = super().encode(item)
        return Encoded(encoded.bits, encoded.header_bits, classes=np.zeros(3, np.uint8))


class OneSize(Good):
    fixed_shape = (64, 64, 3)

    def encode(self, item):
        if item.value.shape != self.fixed_shape:
            raise ValueError(f"takes {self.fixed_shape}, not {item.value.shape}")
        return super().encode(item)


class AnySize(Good):
    fixed_shape = (64, 64, 3)


class Stacked(Good):
    """Its batches differ from its single ones."""

    def decode_batch(self, received):
        found = [self.decode(one) for one in received]
        return [found[0], *[Decoded(255 - f.value) for f in found[1:]]]


class Painter(Good):
    """Paints as many rows as the stream says, beyond all memory."""

    def decode(self, received):
        if received.bits.n_bits == 100:
            return Decoded(np.ones((2**34,), np.uint8))
        return super().decode(received)


def failed(report):
    return {outcome.check for outcome in report.failures}


@pytest.mark.parametrize("codec", [Good, OneSize])
def test_good_objects_pass(codec):
    report = check_codec(codec())
    assert report.ok, report
    assert "conforms" in str(report)
    statuses = {outcome.check: outcome.status for outcome in report.outcomes}
    assert statuses["inputs_untouched"] == "passed"
    assert statuses["own_process"] == "not_applicable"


@pytest.mark.parametrize(
    ("codec", "check"),
    [
        (Nameless, "facts"),
        (Greedy, "facts"),
        (Boastful, "round_trip"),
        (Liar, "rate"),
        (Overdrawn, "rate"),
        (Headstrong, "rate"),
        (Moody, "same_bits_twice"),
        (Grudging, "no_memory_between_calls"),
        (Blocky, "odd_sides"),
        (Blocky, "one_pixel"),
        (Brittle, "random_streams"),
        (Brittle, "empty_stream"),
        (Believing, "protected_header"),
        (Careless, "inputs_untouched"),
        (Vague, "classes"),
        (AnySize, "other_sizes_refused"),
    ],
)
def test_broken_objects_fail_by_name(codec, check):
    report = check_codec(codec())
    assert check in failed(report), report
    why = next(outcome.message for outcome in report.outcomes if outcome.check == check)
    assert "why it matters" in why


@pytest.fixture
def here(monkeypatch):
    """This file as a module, for codecs named module:object."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    monkeypatch.syspath_prepend(str(Path(__file__).parent / "plugin_hostile"))
    yield Path(__file__).stem
    sys.modules.pop(Path(__file__).stem, None)


@pytest.mark.parametrize(("name", "check"), [("Stacked", "batches"), ("Painter", "random_streams")])
def test_broken_classes_fail_in_processes_of_their_own(here, name, check):
    report = check_codec(f"{here}:{name}")
    assert check in failed(report), report


def test_a_codec_that_kills_its_process_fails_checks_and_no_more(here):
    report = check_codec("hostile_codecs:Hostile")
    assert {"constant_streams", "empty_stream", "large"} <= failed(report)
    assert len(report.outcomes) == len(check_codec(Good()).outcomes)


def test_expected_failures_and_unexpected_passes():
    report = check_codec(Boastful(), {"round_trip": "it boasts"})
    assert report.ok
    assert "expected failure: it boasts" in str(report)
    report = check_codec(Good(), {"round_trip": "it boasts"})
    assert failed(report) == {"round_trip"}
    assert "unexpected pass" in str(report)
    with pytest.raises(KeyError, match="round_trip"):
        check_codec(Good(), {"roundtrip": "a slip of the pen"})
    with pytest.raises(AssertionError, match="round_trip"):
        check_codec(Boastful(), strict=True)
    with pytest.raises(IsolationError, match="did you mean"):
        check_codec("jpgeg")


class Weights:
    """A codec of another modality: float32 arrays as they are."""

    name = "floats"
    modality = "weights"
    wants = frozenset()

    def encode(self, item):
        return Encoded(PackedBits.from_bytes(item.value.tobytes()))

    def decode(self, received):
        data = received.bits.to_bytes()
        value = np.frombuffer(data[: len(data) // 4 * 4], np.float32)
        if not np.isfinite(value).all():
            return Decoded.rejected("not finite")
        return Decoded(value)


def test_other_modalities_need_items():
    from gencomm.codecs.contract import Item

    statuses = {o.check: o.status for o in check_codec(Weights()).outcomes}
    assert statuses["round_trip"] == "not_applicable"
    item = Item("w", "weights", np.linspace(0, 1, 50, dtype=np.float32), "")
    report = check_codec(Weights(), items=[item])
    statuses = {o.check: o.status for o in report.outcomes}
    assert statuses["round_trip"] == "passed"
    assert failed(report) == {"truncated_stream"}  # it gives another shape

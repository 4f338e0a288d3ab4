"""The checks of the codecs' kit: see `gencomm.testing.codecs`."""

from __future__ import annotations

import math

import numpy as np

from channels.bits import PackedBits
from channels.checking import Kit, NotApplicable
from gencomm.codecs.contract import Received, Status
from gencomm.isolation import IsolationError
from gencomm.isolation.limits import Outcome as Trial
from gencomm.items import hash_value, image_item
from gencomm.testing.samples import sample_clip
from gencomm.testing.subject import Subject

DEFAULT_PSNR = 15.0
#: Failures that no stream whatever may cause.
NEVER = (Status.CRASHED, Status.TIMEOUT, Status.MEMORY)
#: All of them.
CHECKS: Kit[Subject] = Kit()


def _total(trial: Trial, what: str, shape: bool = False) -> None:
    """A stream gave a value of the right kind, or was rejected."""
    status = trial.decoded.status
    assert status not in NEVER, f"{what}: {status}, {trial.decoded.detail}"
    assert not (shape and status is Status.WRONG_SIZE), f"{what}: {trial.decoded.detail}"


def _flipped(bits: PackedBits, ber: float, seed: int, after: int = 0) -> PackedBits:
    rng = np.random.default_rng([seed, bits.n_bits])
    array = bits.unpack()
    array[after:] ^= rng.random(array.size - after) < ber
    return PackedBits.from_bits(array)


def psnr(a: np.ndarray, b: np.ndarray, peak: float = 255.0) -> float:
    """Peak signal-to-noise ratio in dB; infinite for equal arrays."""
    error = float(np.mean((a.astype(float) - b.astype(float)) ** 2))
    return math.inf if error == 0 else 10 * math.log10(peak**2 / error)


@CHECKS.check("names and wants decide how the sweep calls it and what its rows are called")
def facts(subject: Subject) -> None:
    runner = subject.runner
    assert runner.name, "the codec has no name"
    assert runner.modality in ("image", "video", "weights", "embeddings"), runner.modality
    unknown = runner.wants - {"llr", "erasures"}
    assert not unknown, f"wants {sorted(unknown)}; there is llr and erasures"


@CHECKS.check("a codec that is worse than it says makes every comparison with it worthless")
def round_trip(subject: Subject) -> None:
    trial = subject.decode(Received(subject.encoded.bits, subject.encoded.side))
    decoded = trial.decoded
    assert decoded.status is Status.OK, f"undamaged bits give {decoded.status}: {decoded.detail}"
    assert decoded.value is not None
    if subject.item.modality in ("image", "video"):
        floor = float(subject.runner.traits.get("min_psnr") or DEFAULT_PSNR)
        found = psnr(subject.item.value, decoded.value)
        assert found >= floor, f"PSNR is {found:.2f} dB, stated is at least {floor:g} dB"


@CHECKS.check("bits per pixel are what codecs are matched by")
def rate(subject: Subject) -> None:
    encoded, pixels = subject.encoded, subject.item.pixels
    assert 0 <= encoded.header_bits <= encoded.bits.n_bits, "more header than bits"
    bpp, target = encoded.meta.get("bpp"), encoded.meta.get("bpp_target")
    if bpp is not None:
        counted = encoded.total_bits / pixels
        assert math.isclose(bpp, counted, rel_tol=1e-9), f"says {bpp} bpp, counted {counted}"
    if target is not None and encoded.meta.get("bpp_met", True):
        assert encoded.total_bits <= target * pixels, f"asked for {target} bpp, took {bpp}"


@CHECKS.check(
    "an item is encoded once per operating point; a second encoder must find the same bits"
)
def same_bits_twice(subject: Subject) -> None:
    again = subject.runner.encode(subject.item).encoded
    assert again.bits == subject.encoded.bits, "the same codec made other bits"
    with subject.open() as other:
        fresh = other.encode(subject.item).encoded
    assert fresh.bits == subject.encoded.bits, "a codec started anew made other bits"
    assert fresh.side == subject.encoded.side, "a codec started anew made other side information"


@CHECKS.check("what a trial comes to must not depend on the trials before it")
def no_memory_between_calls(subject: Subject) -> None:
    sent = Received(subject.encoded.bits, subject.encoded.side)
    damaged = Received(_flipped(sent.bits, 1e-2, 1), sent.side)
    first, bad = subject.decode(sent), subject.decode(damaged)
    for before in (bad, first):
        assert _same(subject.decode(damaged), bad), f"another value after {before.decoded.status}"
    assert _same(subject.decode(sent), first), "another value after damaged bits"


def _same(a: Trial, b: Trial) -> bool:
    x, y = a.decoded, b.decoded
    if x.value is None or y.value is None:
        return x.status is y.status and x.value is y.value
    return x.status is y.status and np.array_equal(x.value, y.value)


def _sizes(subject: Subject, *sizes: tuple[int, int], colour: bool = True) -> None:
    for height, width in sizes:
        item = subject.picture(height, width, colour)
        encoded = subject.runner.encode(item).encoded
        decoded = subject.decode(Received(encoded.bits, encoded.side), item).decoded
        assert decoded.status is Status.OK, f"{width} x {height}: {decoded.detail}"


@CHECKS.check("real data hold thumbnails")
def one_pixel(subject: Subject) -> None:
    _sizes(subject, (1, 1))


@CHECKS.check("few pictures are multiples of a block")
def odd_sides(subject: Subject) -> None:
    _sizes(subject, (7, 9), (17, 33), (65, 63))


@CHECKS.check("panoramas and strips exist, and sides shorter than a block")
def tall_and_wide(subject: Subject) -> None:
    _sizes(subject, (200, 1), (1, 200), (300, 5))


@CHECKS.check("photographs have megapixels")
def large(subject: Subject) -> None:
    _sizes(subject, (768, 1024))


@CHECKS.check("grey pictures come as (height, width), and must come back so or be refused")
def grey(subject: Subject) -> None:
    try:
        _sizes(subject, (40, 56), colour=False)
    except IsolationError as error:
        if "ValueError" not in str(error):
            raise
        raise NotApplicable("refuses grey pictures, in clear words") from error


@CHECKS.check("a codec that takes one size must refuse others instead of sending something else")
def other_sizes_refused(subject: Subject) -> None:
    shape = subject.runner.traits.get("fixed_shape")
    if not shape:
        raise NotApplicable("takes any size")
    if subject.runner.modality == "video":
        item = sample_clip(2, shape[0] + 1, shape[1])
    else:
        item = image_item("other size", np.zeros((shape[0] + 1, *shape[1:]), np.uint8))
    try:
        subject.runner.encode(item)
    except IsolationError as error:
        if "ValueError" in str(error):
            return
        raise
    raise AssertionError(f"encodes {item.value.shape}, though it states {tuple(shape)}")


@CHECKS.check("a link may lose everything")
def empty_stream(subject: Subject) -> None:
    for lenient in (True, False):
        trial = subject.decode(Received(PackedBits.from_bytes(b""), lenient=lenient))
        _total(trial, "no bits")


@CHECKS.check("a link may lose the end")
def truncated_stream(subject: Subject) -> None:
    bits = subject.encoded.bits.unpack()
    for share in (0.01, 0.2, 0.5, 0.9):
        part = PackedBits.from_bits(bits[: int(share * bits.size)])
        for lenient in (True, False):
            _total(
                subject.decode(Received(part, subject.encoded.side, lenient=lenient)),
                f"{part.n_bits} of {bits.size} bits",
                shape=True,
            )


@CHECKS.check("a link may add bits")
def lengthened_stream(subject: Subject) -> None:
    more = np.concatenate([subject.encoded.bits.unpack(), np.ones(4001, np.uint8)])
    received = Received(PackedBits.from_bits(more), subject.encoded.side)
    _total(subject.decode(received), "4001 bits too many", shape=True)


@CHECKS.check("a dead link gives constant bits")
def constant_streams(subject: Subject) -> None:
    n_bits = subject.encoded.bits.n_bits
    for value in (0, 1):
        bits = PackedBits.from_bits(np.full(n_bits, value, np.uint8))
        _total(subject.decode(Received(bits, subject.encoded.side)), f"all bits {value}")


@CHECKS.check("at a bit error rate of a half, random bits arrive")
def random_streams(subject: Subject) -> None:
    for seed, n_bits in enumerate((1, 7, 8, 100, 1000, subject.encoded.bits.n_bits)):
        bits = np.random.default_rng(seed).integers(0, 2, n_bits, np.uint8)
        received = Received(PackedBits.from_bits(bits), subject.encoded.side)
        _total(subject.decode(received), f"{n_bits} random bits")


@CHECKS.check("this is what the project does all day")
def bit_errors(subject: Subject) -> None:
    sent = subject.encoded
    for ber in (1e-4, 1e-3, 1e-2, 1e-1):
        for seed in range(5):
            received = Received(
                _flipped(sent.bits, ber, seed), sent.side, ber=ber, lenient=seed % 2 == 0
            )
            _total(subject.decode(received), f"bit error rate {ber:g}, draw {seed}")


@CHECKS.check("with its header protected, a stream must not turn into a picture of another size")
def protected_header(subject: Subject) -> None:
    sent = subject.encoded
    if sent.header_bits == 0:
        raise NotApplicable("declares no header")
    for seed in range(10):
        bits = _flipped(sent.bits, 1e-2, seed, after=sent.header_bits)
        _total(subject.decode(Received(bits, sent.side)), f"draw {seed}", shape=True)


@CHECKS.check(
    "decoders run in worker processes, and the next worker must decode what this one encoded"
)
def own_process(subject: Subject) -> None:
    if not subject.isolated:
        raise NotApplicable("an object can't be started elsewhere; name it module:object")
    sent = Received(subject.encoded.bits, subject.encoded.side)
    here = subject.decode(sent)
    with subject.open() as other:
        shape, dtype = subject.item.value.shape, subject.item.value.dtype
        there = other.decode([sent], shape, dtype)[0]
    assert _same(here, there), "another process decodes to something else"


@CHECKS.check("learned codecs decode rubbish where the number of threads changes a rounding")
def threads(subject: Subject) -> None:
    if not subject.isolated:
        raise NotApplicable("an object can't be started elsewhere; name it module:object")
    sent = Received(subject.encoded.bits, subject.encoded.side)
    with subject.open(threads=2) as two:
        again = two.encode(subject.item).encoded
        assert again.bits == subject.encoded.bits, "two threads make other bits"
        trial = two.decode([sent], subject.item.value.shape, subject.item.value.dtype)[0]
    one = subject.decode(sent).decoded.value
    assert trial.decoded.value is not None, "two threads can't decode it"
    assert one is not None, "one thread can't decode it"
    difference = np.abs(one.astype(float) - trial.decoded.value.astype(float)).max()
    tolerance = 1 if one.dtype == np.uint8 else 1e-4
    assert difference <= tolerance, f"two threads give values that differ by {difference:g}"


@CHECKS.check("rows must not depend on how trials are put together")
def batches(subject: Subject) -> None:
    sent = subject.encoded
    streams = [Received(_flipped(sent.bits, ber, 3), sent.side) for ber in (0, 1e-4, 1e-2)]
    value = subject.item.value
    together = subject.runner.decode(streams, value.shape, value.dtype)
    for number, (trial, stream) in enumerate(zip(together, streams, strict=True)):
        assert _same(trial, subject.decode(stream)), f"stream {number} differs when alone"


@CHECKS.check("an encoder that changes its input changes what quality is measured against")
def inputs_untouched(subject: Subject) -> None:
    if subject.isolated:
        raise NotApplicable("in a process of its own it gets a copy")
    sent = subject.runner.encode(subject.item).encoded
    bits = sent.bits.data.copy()
    subject.decode(Received(sent.bits, sent.side))
    assert hash_value(subject.item.value) == subject.untouched, "encode changed the item"
    assert np.array_equal(bits, sent.bits.data), "decode changed the received bits"


@CHECKS.check("links that protect unequally look up the importance of each bit")
def classes(subject: Subject) -> None:
    found = subject.encoded.classes
    if found is None:
        raise NotApplicable("gives no classes")
    n_bits = subject.encoded.bits.n_bits
    assert found.dtype == np.uint8, f"classes are {found.dtype}, not uint8"
    assert found.shape == (n_bits,), f"{found.shape} classes for {n_bits} bits"

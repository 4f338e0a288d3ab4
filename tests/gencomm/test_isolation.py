"""Whatever a codec does, it costs one row and leaves nothing behind."""

import importlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from channels.bits import PackedBits
from gencomm.codecs.contract import Received, Status
from gencomm.isolation import CodecProcess, IsolationError, Limits, LocalCodec, open_codec
from gencomm.items import image_item

PLUGIN = Path(__file__).parent / "plugin_hostile"
LIMITS = Limits(seconds=1.0, memory=2**29, encode_seconds=5, start_seconds=20)

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


@pytest.fixture(scope="module")
def hostile(others):
    sys.path.insert(0, str(PLUGIN))
    yield importlib.import_module("hostile_codecs")
    sys.path.remove(str(PLUGIN))


@pytest.fixture(scope="module")
def codec(hostile):
    with CodecProcess("hostile_codecs:Hostile", LIMITS) as process:
        yield process


@pytest.fixture(scope="module", autouse=True)
def others():
    """What tests of other files left running is not this file's business."""
    OTHERS.update(p.pid for p in psutil.Process().children(recursive=True))
    yield
    OTHERS.clear()


OTHERS: set[int] = set()


def below(pid=None):
    """Processes that descend from this one, zombies too."""
    return [p for p in psutil.Process(pid).children(recursive=True) if p.pid not in OTHERS]


OK, PARTIAL, REJECTED = Status.OK, Status.PARTIAL, Status.REJECTED
CRASHED, TIMEOUT, MEMORY, WRONG = (
    Status.CRASHED,
    Status.TIMEOUT,
    Status.MEMORY,
    Status.WRONG_SIZE,
)
FATE = {
    "segfault": (CRASHED, "SIGSEGV"),
    "abort": (CRASHED, "SIGABRT"),
    "spin": (TIMEOUT, "more than 1 s"),
    "sleep": (TIMEOUT, "more than 1 s"),
    "deaf": (TIMEOUT, "more than 1 s"),
    "allocate": (MEMORY, "Memory"),
    "allocate_in_c": (MEMORY, "memory"),
    "leak": (MEMORY, "MemoryError"),
    "smaller": (WRONG, "[8, 8, 3]"),
    "larger": (WRONG, "[2000, 3000, 3]"),
    "other_type": (WRONG, "<f8"),
    "objects": (WRONG, "|O"),
    "nothing": (CRASHED, "NoneType"),
    "plain_list": (CRASHED, "list"),
    "invented_status": (CRASHED, "timeout"),
    "raise_error": (CRASHED, "ZeroDivisionError: one over nothing"),
    "raise_odd": (CRASHED, "Odd"),
    "recurse": (CRASHED, "RecursionError"),
    "print_much": (OK, ""),
    "leave": (CRASHED, "code 0"),
    "leave_politely": (CRASHED, "SystemExit: 3"),
    "fork_and_both_return": (OK, ""),
    "fork_a_daemon": (OK, ""),
    "fork_and_die": (CRASHED, "SIGSEGV"),
    "write_rubbish": (CRASHED, "nonsense"),
    "write_long": (CRASHED, "nonsense"),
    "write_lies": (CRASHED, "nonsense"),
    "truncate_shared_memory": (OK, ""),
}


def test_every_misdeed_is_tested(hostile):
    assert set(FATE) == set(hostile.CODE)


@pytest.mark.parametrize("name", FATE)
def test_one_bad_trial_costs_one_row(hostile, codec, capfd, name):
    names = [None, None, name, None]
    received = [Received(hostile.stream(n, 40 + k)) for k, n in enumerate(names)]
    outcomes = codec.decode(received, hostile.SHAPE)
    assert len(outcomes) == 4
    for k in (0, 1, 3):
        assert outcomes[k].decoded.status is OK
        assert (outcomes[k].decoded.value == 40 + k).all()
        assert outcomes[k].decoded.value.shape == hostile.SHAPE
    status, words = FATE[name]
    bad = outcomes[2].decoded
    assert bad.status is status, bad
    assert words in bad.detail
    assert (bad.value is None) == status.outage
    assert outcomes[2].cpu >= 0
    assert outcomes[2].cpu > 0.7 or name != "spin"
    assert capfd.readouterr() == ("", "")
    # nothing is left behind: the zygote, the nursery and at most the worker
    wait_until(lambda: len(below()) <= 3, 5)
    assert all(p.status() != psutil.STATUS_ZOMBIE for p in below())


def wait_until(condition, seconds):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "did not come true"
        time.sleep(0.02)


def test_each_of_a_bad_batch_gets_its_own_status(hostile, codec):
    names = ["raise_error", "segfault", "spin", "smaller", "allocate", None, "leave", None]
    outcomes = codec.decode([Received(hostile.stream(n)) for n in names], hostile.SHAPE)
    expected = [FATE[n][0] if n else OK for n in names]
    assert [o.decoded.status for o in outcomes] == expected


def test_a_codec_with_batches_loses_one_row_too(hostile):
    with CodecProcess("hostile_codecs:Batched", LIMITS) as process:
        for name in ("segfault", "raise_error", "smaller", "write_lies"):
            names = [None, name, None]
            outcomes = process.decode([Received(hostile.stream(n)) for n in names], hostile.SHAPE)
            assert [o.decoded.status for o in outcomes] == [OK, FATE[name][0], OK]
        calm = process.decode([Received(hostile.stream(None, k)) for k in range(9)], hostile.SHAPE)
        assert [o.decoded.value[0, 0, 0] for o in calm] == list(range(9))


def test_damage_done_by_a_trial_is_not_paid_for_by_the_next(hostile):
    streams = [PackedBits.from_bytes(bytes([k])) for k in (5, 1, 6, 7)]
    with CodecProcess("hostile_codecs:Damaging", LIMITS) as process:
        outcomes = process.decode([Received(s) for s in streams], hostile.SHAPE)
    assert [o.decoded.status for o in outcomes] == [OK] * 4
    assert [o.decoded.value[0, 0, 0] for o in outcomes] == [5, 1, 6, 7]


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("segfault", CRASHED), ("spin", TIMEOUT), ("allocate", MEMORY), ("raise_error", CRASHED),
        ("nothing", CRASHED), ("smaller", CRASHED), ("leave", CRASHED), ("write_lies", CRASHED),
    ],
)  # fmt: skip
def test_a_hostile_encoder_is_an_error_with_a_status(hostile, codec, name, status):
    quick = CodecProcess("hostile_codecs:Hostile", Limits(memory=2**29, encode_seconds=1))
    with quick:
        with pytest.raises(IsolationError) as caught:
            quick.encode(image_item(name, np.zeros(hostile.SHAPE, np.uint8)))
        assert caught.value.status is status
        assert name in str(caught.value)
        calm = quick.encode(image_item("calm", np.zeros(hostile.SHAPE, np.uint8)))
        assert calm.encoded.bits.to_bytes() == b"\x00\x07"
        assert calm.encoded.header_bits == 8


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("hostile_codecs:Broken", "weights are missing"),
        ("hostile_codecs:DeadOnArrival", "killed it"),
        ("hostile_codecs:Stuck", "more than 2 s"),
        ("hostile_codecs:Absent", "no object"),
        ("no_such_module:Codec", "no codec is called"),
        ("jpgeg", "did you mean 'jpeg'"),
        ("jpeg(quality=5000)", "from 1 to 100"),
        ("jpeg(quality=", "expected"),
    ],
)
def test_a_codec_that_cannot_be_built_says_why(hostile, spec, words):
    with pytest.raises(IsolationError, match=r"(?s).*") as caught:
        CodecProcess(spec, Limits(start_seconds=2))
    assert words in str(caught.value)


def test_not_a_number_is_no_value(hostile):
    with CodecProcess("hostile_codecs:Floats", LIMITS) as process:
        streams = [PackedBits.from_bytes(b"\x00"), PackedBits.from_bytes(b"\x01")]
        good, bad = process.decode([Received(s) for s in streams], (10,), np.float32)
    assert good.decoded.status is OK
    assert np.array_equal(good.decoded.value, np.linspace(0, 1, 10, dtype=np.float32))
    assert bad.decoded.status is CRASHED
    assert "NaN" in bad.decoded.detail


def test_everything_received_and_encoded_crosses_over(hostile):
    with CodecProcess("hostile_codecs:Echo", LIMITS) as process:
        assert process.wants == {"llr", "erasures"}
        encoded = process.encode(image_item("x", np.zeros(hostile.SHAPE, np.uint8))).encoded
        assert encoded.bits.unpack().tolist() == [1, 0, 1]
        assert (encoded.header_bits, encoded.side) == (2, b"side")
        assert encoded.classes.tolist() == [0, 1, 2]
        assert encoded.meta == {"note": [1, "two", None], "n": 3}
        received = Received(
            encoded.bits,
            b"abcde",
            np.array([20, 30, 5], np.float32),
            np.array([True, False, True]),
            0.025,
            False,
            99,
        )
        decoded = process.decode([received], hostile.SHAPE)[0].decoded
    assert decoded.value.ravel()[:10].tolist() == [3, 1, 0, 1, 5, 55, 2, 25, 0, 99]
    assert (decoded.status, decoded.detail) == (PARTIAL, "as told")


@pytest.mark.parametrize("threads", [1, 2])
def test_threads_of_numerical_libraries(hostile, threads):
    with CodecProcess("hostile_codecs:Threads", Limits(threads=threads)) as process:
        value = process.decode([Received(hostile.stream())], hostile.SHAPE)[0].decoded.value
    assert value.ravel()[0] == threads
    assert value.ravel()[1] == 1  # none has been started


def test_an_interrupted_decode_leaves_a_usable_codec(hostile, codec):
    def interrupt(*_):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        with pytest.raises(KeyboardInterrupt):
            codec.decode([Received(hostile.stream("sleep"))], hostile.SHAPE)
    finally:
        signal.signal(signal.SIGALRM, before)
    outcomes = codec.decode([Received(hostile.stream(None, 9))], hostile.SHAPE)
    assert (outcomes[0].decoded.value == 9).all()


def test_a_killed_nursery_or_zygote_is_replaced(hostile):
    from gencomm.isolation.nest import Zygote

    with CodecProcess("hostile_codecs:Hostile", LIMITS) as process:
        for victim in (lambda: process._nest.pid, lambda: Zygote.get(1).process.pid):
            os.kill(victim(), signal.SIGKILL)
            outcomes = process.decode([Received(hostile.stream(None, 9))] * 2, hostile.SHAPE)
            assert [o.decoded.status for o in outcomes][1] is OK


PARENT = """
import signal, sys, time
# a shell that starts tests in the background makes them, and their children, deaf to it
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.path[:0] = {path!r}
import numpy as np
from channels.bits import PackedBits
from gencomm.codecs.contract import Received
from gencomm.isolation import CodecProcess, Limits
import hostile_codecs
process = CodecProcess("hostile_codecs:Hostile", Limits(seconds=60))
process.decode([Received(hostile_codecs.stream("fork_a_daemon"))], hostile_codecs.SHAPE)
print("started", flush=True)
process.decode([Received(hostile_codecs.stream("spin"))], hostile_codecs.SHAPE)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_children_die_with_their_parent(hostile, number):
    code = PARENT.format(path=sys.path)
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as parent:
        assert parent.stdout.readline() == b"started\n"
        wait_until(lambda: len(below(parent.pid)) >= 3, 10)
        children = below(parent.pid)
        parent.send_signal(number)
        parent.wait(20)
    gone, alive = psutil.wait_procs(children, timeout=10)
    for process in alive:
        process.kill()
    assert not alive, f"{len(alive)} of {len(gone) + len(alive)} processes outlived their parent"


def test_a_worker_starts_again_quickly(hostile, codec):
    calm, bad = Received(hostile.stream()), Received(hostile.stream("leave"))
    codec.decode([calm], hostile.SHAPE)
    times = []
    for _ in range(7):
        start = time.perf_counter()
        codec.decode([bad, calm], hostile.SHAPE)
        times.append(time.perf_counter() - start)
    assert np.median(times) < 0.5  # three forks; building a codec anew takes longer


def test_the_way_through_another_process_is_short(hostile):
    from gencomm.testing.samples import sample_item

    item = sample_item(512, 768, 3)
    with CodecProcess("jpeg(quality=30)") as process:
        sent = Received(process.encode(item).encoded.bits)
        process.decode([sent] * 20, item.value.shape)
        worker, here = process.cpu["worker"], time.process_time()
        process.decode([sent] * 60, item.value.shape)
        spent = time.process_time() - here + process.cpu["worker"] - worker
    # about 1 ms of CPU time on a free machine; the bound leaves room for a busy one
    assert spent / 60 < 5e-3


def test_local_codecs_have_the_same_manners(hostile):
    with open_codec("hostile_codecs:Hostile", isolate=False) as codec:
        assert isinstance(codec, LocalCodec)
        for name in ("raise_error", "smaller", "other_type", "nothing", "leave_politely"):
            outcomes = codec.decode([Received(hostile.stream(name))], hostile.SHAPE)
            assert outcomes[0].decoded.status is FATE[name][0]
        with pytest.raises(IsolationError, match="one over nothing"):
            codec.encode(image_item("raise_error", np.zeros(hostile.SHAPE, np.uint8)))


@pytest.mark.parametrize("limit", ["seconds", "memory", "output", "threads"])
@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf")])
def test_limits_are_checked(limit, value):
    with pytest.raises(ValueError, match=limit):
        Limits(**{limit: value})

"""Links: order of stages, the ledger, portions of trials, memory."""

import math
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest

import channels.link
from channels.bits import PackedBits
from channels.link import BATCH_BYTES, BYTES_PER_BIT, Link
from channels.noise import NoiseStream, split
from channels.spec import SpecError

MODULATIONS = ["bpsk", "qpsk", "qam16", "qam64", "qam256", "qam1024"]


@pytest.mark.parametrize(
    ("text", "problem", "marked"),
    [
        ("awgn(ebno_db=3)", "put a modulation before it", "awgn(ebno_db=3)"),
        ("bsc(0.1)|qpsk", "comes after the medium bsc", "qpsk"),
        ("qpsk|bsc(0.1)", "nothing that works on bits can follow a modulation", "bsc(0.1)"),
        ("qpsk|qam16|awgn(ebno_db=3)", "works on bits, but symbols reach it", "qam16"),
        ("qpsk", "ends without a medium; put one after it, such as awgn", "qpsk"),
        ("bscc(0.1)", "did you mean 'bsc'", "bscc(0.1)"),
        ("qpsk(llr=best)|awgn(ebno_db=3)", "llr must be maxlog or exact", "llr=best"),
    ],
)
def test_chains_that_make_no_sense(text, problem, marked):
    with pytest.raises(SpecError) as caught:
        Link.parse(text)
    assert problem in caught.value.problem
    assert text[caught.value.start : caught.value.end] == marked


def test_ledger_by_hand():
    """1000 bits on 64-QAM: 167 symbols of 6 bits are 1002 bits."""
    ledger = Link.parse("qam64|awgn(ebno_db=10)").ledger(1000)
    assert (ledger.payload, ledger.padding, ledger.parity, ledger.framing) == (1000, 2, 0, 0)
    assert (ledger.sent_bits, ledger.channel_uses) == (1002, 167)
    assert ledger.code_rate == 1
    assert ledger.bits_per_use == pytest.approx(1000 / 167)
    assert ledger.facts["ebno_db"] == 10
    assert ledger.facts["esno_db"] == pytest.approx(10 + 10 * math.log10(6))
    # 167 symbols of energy Es carry 1000 bits
    assert ledger.ebno_effective_db == pytest.approx(
        10 + 10 * math.log10(6) + 10 * math.log10(167 / 1000)
    )
    plain = ledger.as_dict()
    assert [line["stage"] for line in plain["stages"]] == ["qam64", "awgn(ebno_db=10)"]
    assert Link.parse("bsc(0.1)").ledger(77).channel_uses == 77
    assert Link.parse("clean").ledger(0).bits_per_use == 0


def test_one_text_for_one_link():
    assert Link.parse("bsc( 1e-3 )").text == Link.parse("bsc:p=0.001").text
    assert Link.parse("qam16(llr=maxlog)|awgn(ebno_db=6.0)").text == "qam16|awgn(ebno_db=6)"


@pytest.mark.parametrize("text", ["bsc(0.01)", "bec(0.1)", "qam64|awgn(ebno_db=8)"])
@pytest.mark.parametrize("wants", [(), ("llr",)])
def test_portions_give_what_all_at_once_gives(monkeypatch, text, wants):
    sent = PackedBits.from_bits(np.random.default_rng(0).integers(0, 2, 1234, np.uint8))
    link = Link.parse(text, wants)
    whole = link.transmit(sent, range(11))
    monkeypatch.setattr(channels.link, "BATCH_BYTES", 3 * BYTES_PER_BIT * 1236)
    parts = list(link.batches(sent, range(11)))
    assert [len(part.bits) for part in parts] == [3, 3, 3, 2]
    again = link.transmit(sent, range(11))
    for name in ("bits", "bit_errors", "llr", "erased"):
        one, other = getattr(whole, name), getattr(again, name)
        assert (one is None) == (other is None)
        assert one is None or np.array_equal(one, other)


def test_no_trials_give_nothing():
    got = Link.parse("bsc(0.1)").transmit(PackedBits.from_bytes(b"abc"), [])
    assert got.bits.shape == (0, 3)
    assert got.bit_errors.shape == (0,)


@pytest.mark.parametrize("modulation", MODULATIONS)
def test_soft_and_hard_receivers_meet_the_same_noise(modulation):
    sent = PackedBits.from_bits(np.random.default_rng(0).integers(0, 2, 60_000, np.uint8))
    text = f"{modulation}|awgn(esno_db=10)"
    hard = Link.parse(text).transmit(sent, range(2))
    soft = Link.parse(text, ("llr",)).transmit(sent, range(2))
    np.testing.assert_array_equal(hard.bits, soft.bits)
    assert hard.llr is None


@pytest.mark.parametrize("modulation", MODULATIONS)
@pytest.mark.parametrize("llr", ["maxlog", "exact"])
def test_working_memory_is_what_is_said(modulation, llr):
    n_bits = 2_400_000
    sent = PackedBits.from_bits(np.zeros(n_bits, np.uint8))
    link = Link.parse(f"{modulation}(llr={llr})|awgn(esno_db=10)", ("llr",))
    link.transmit(PackedBits.from_bytes(b"warm up"))
    tracemalloc.start()
    next(link.batches(sent, range(50)))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < max(BATCH_BYTES, BYTES_PER_BIT * n_bits)


RAW_PICTURE = """
import resource
import numpy as np
from channels import Link, PackedBits
sent = PackedBits(np.full(768 * 512 * 3, 77, np.uint8), 768 * 512 * 3 * 8)
link = Link.parse("qam64|awgn(ebno_db=10)", ("llr",))
link.transmit(PackedBits.from_bytes(b"warm up"))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for part in link.batches(sent, range(5)):
    assert part.llr.shape == (1, sent.n_bits)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in KiB on Linux alone")
def test_a_raw_picture_over_soft_qam64_fits_into_500_megabytes():
    """Kodak, 768 x 512 x 3 bytes uncoded: 9.4 million bits."""
    printed = subprocess.check_output([sys.executable, "-c", RAW_PICTURE], text=True)
    assert int(printed) * 1024 < 250e6


def test_import_is_light():
    code = (
        "import sys, channels; bad = {'numba', 'scipy', 'torch', 'matplotlib'} & set(sys.modules);"
        "channels.Link.parse('bsc(0.1)').transmit(channels.PackedBits.from_bytes(bytes(1000)));"
        "print(bad, {'numba', 'scipy', 'torch'} & set(sys.modules))"
    )
    printed = subprocess.check_output([sys.executable, "-c", code], text=True)
    assert printed.strip() == "set() set()"


def test_streams_are_told_apart_by_each_of_their_names():
    draws = [
        NoiseStream(*names).generator(trial, stage).random()
        for names in ((0, "a", "b"), (1, "a", "b"), (0, "ab", ""), (0, "a", ""), (0, "", "ab"))
        for trial in (0, 1, 2**40)
        for stage in (0, 1)
    ]
    assert len(set(draws)) == len(draws)
    assert NoiseStream(0, "a").generator(3).random() == NoiseStream(0, "a").generator(3).random()


def test_streams_stay_what_they_are():
    """Philox 4x64-10 keyed by SHA-256: another construction would change all published rows."""
    import hashlib
    import json

    digest = hashlib.sha256(json.dumps([7, "bsc(p=0.01)", "item"]).encode()).digest()
    key = [int.from_bytes(digest[i : i + 8], "little") for i in (0, 8)]
    expected = np.random.Philox(counter=[0, 0, 2, 5], key=key).random_raw(8)
    stream = NoiseStream(7, "bsc(p=0.01)", "item")
    got = stream.generator(5, 2).bit_generator.random_raw(8)
    np.testing.assert_array_equal(got, expected)


def test_split_generators_are_apart():
    parts = split(NoiseStream(1).generator(0), 3)
    again = split(NoiseStream(1).generator(0), 3)
    assert len({p.random() for p in parts}) == 3
    parts[0].random(1000)
    assert [p.random() for p in parts[1:]] == [[a.random(), a.random()][1] for a in again[1:]]

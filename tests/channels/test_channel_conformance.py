"""Every registered channel passes the kit, and the kit finds channels that are broken."""

import numpy as np
import pytest

from channels import conformance
from channels.bits import PackedBits
from channels.conformance import CHECKS, check_channel, parametrize_channel_checks
from channels.fec.repetition import RepetitionCode, RepetitionStage
from channels.link import CHANNELS
from channels.media.awgn import AWGN
from channels.media.bsc import BSC
from channels.media.gaps import flip_bits
from channels.media.packet_erasure import PacketErasure
from channels.modulation import QAM16
from channels.noise import NoiseStream

#: Whole links to try each channel in: a line for every name in CHANNELS.
EXAMPLES = {
    "clean": ["clean"],
    "bsc": ["bsc(0)", "bsc(1e-4)", "bsc(0.03)", "bsc(0.5)"],
    "bec": ["bec(0)", "bec(0.2)", "bec(0.9)"],
    "packet_erasure": ["packet_erasure(0.2, bytes=40)", "packet_erasure(0.1, bytes=16, burst=3)"],
    "gilbert_elliott": ["gilbert_elliott(0.05, 20, ber_good=1e-3)", "gilbert_elliott(0.3, 5)"],
    "awgn": ["qpsk|awgn(ebno_db=4)", "bpsk|awgn(esno_db=-10)"],
    "bpsk": ["bpsk|awgn(ebno_db=2)"],
    "qpsk": ["qpsk|awgn(ebno_db=9)"],
    "qam16": ["qam16|awgn(ebno_db=5)", "qam16(llr=exact)|awgn(ebno_db=1)"],
    "qam64": ["qam64|awgn(ebno_db=8)", "qam64(llr=exact)|awgn(ebno_db=8)"],
    "qam256": ["qam256|awgn(ebno_db=12)", "qam256(llr=exact)|awgn(ebno_db=3)"],
    "qam1024": ["qam1024|awgn(ebno_db=20)", "qam1024(llr=exact)|awgn(ebno_db=15)"],
    "rayleigh": [
        "qpsk|rayleigh|awgn(ebno_db=10)",
        "qam16(llr=exact)|rayleigh(block=100)|awgn(ebno_db=9)",
    ],
    "rician": ["qam16|rician(k_db=6)|awgn(ebno_db=8)"],
    "phase": ["qpsk|phase(offset_deg=5)|awgn(ebno_db=8)"],
    "block_interleaver": ["block_interleaver|gilbert_elliott(0.05, 20)"],
    "random_interleaver": ["random_interleaver|bsc(0.01)"],
    "convolutional_interleaver": ["convolutional_interleaver|qpsk|awgn(ebno_db=4)"],
    "packets": [
        "packets(bytes=16)|bsc(3e-3)",
        "packets(bytes=16, crc=11, header=3, policy=pass)|qpsk|awgn(ebno_db=7)",
        "packets(bytes=36, crc=16)|packet_erasure(0.2, bytes=40)",
    ],
}
#: The same for error-correcting codes, whose decoders take their time.
CODES = {
    "repetition": ["repetition|bsc(0.1)"],
    "hamming": ["hamming|bsc(0.01)"],
    "bch": ["bch(n=127, k=64)|bsc(0.02)"],
    "rs": ["rs(n=204, k=188)|bsc(1e-3)"],
    "conv": ["conv|qpsk|awgn(ebno_db=3)"],
    "ldpc": ["ldpc(rate=1/2)|qpsk|awgn(ebno_db=2)"],
    "unequal": [
        "unequal(conv, none)|qpsk|awgn(esno_db=5)",
        "unequal(packets(bytes=16)|conv(rate=3/4), none)|bsc(0.01)",
        "unequal(none, ldpc)|bsc(0.05)",
    ],
    "polar": ["polar|qpsk|awgn(ebno_db=3)"],
}
#: What needs a file to be tried: test_trace.py
ELSEWHERE = {"trace"}


def known(examples):
    return [spec for name, specs in examples.items() if name in CHANNELS for spec in specs]


@parametrize_channel_checks(known(EXAMPLES))
def test_built_in_channels_conform(check, spec):
    check(spec)


@pytest.mark.slow
@parametrize_channel_checks(known(CODES))
def test_built_in_codes_conform(check, spec):
    check(spec)


def test_no_channel_is_left_out():
    built_in = [n for n in CHANNELS.names() if CHANNELS.entry(n).origin == "built-in"]
    missing = [name for name in built_in if name not in EXAMPLES | CODES and name not in ELSEWHERE]
    assert not missing, f"give a link to try {missing} in: EXAMPLES or CODES above"


def test_checks_have_names_and_reasons():
    assert len({check.name for check in CHECKS}) == len(CHECKS)
    assert all(check.why for check in CHECKS)


def failed(spec):
    return {o.check for o in check_channel(spec, strict=False) if o.status == "failed"}


@pytest.fixture
def broken(monkeypatch):
    """Register a channel under a name for the time of a test."""

    def register(channel):
        monkeypatch.setitem(CHANNELS._added, "broken", channel)
        CHANNELS._loaded.pop("broken", None)

    yield register
    CHANNELS._loaded.pop("broken", None)


def test_kit_finds_noise_from_elsewhere(broken):
    class Impure(BSC):
        elsewhere = np.random.default_rng()

        def damage(self, row, erased, n_bits, rng):
            super().damage(row, erased, n_bits, self.elsewhere)

    broken(Impure)
    assert failed("broken(0.1)") >= {"same_seed_same_noise", "noise_does_not_depend_on_the_batch"}


def test_kit_finds_noise_shared_within_a_batch(broken):
    class Shared(BSC):
        def forward(self, batch, rngs):
            return super().forward(batch, [rngs[0]] * len(rngs))

    broken(Shared)
    assert "noise_does_not_depend_on_the_batch" in failed("broken(0.1)")


def test_kit_finds_noise_that_ignores_the_seed(broken):
    class Fixed(BSC):
        def damage(self, row, erased, n_bits, rng):
            super().damage(row, erased, n_bits, np.random.default_rng(0))

    broken(Fixed)
    assert "seeds_and_trials_differ" in failed("broken(0.1)")


def test_kit_finds_noise_that_shifts_with_the_length(broken):
    class Backwards(BSC):
        def damage(self, row, erased, n_bits, rng):
            flip_bits(row, n_bits - 1 - np.flatnonzero(rng.random(n_bits) < self.crossover))

    broken(Backwards)
    assert failed("broken(0.1)") == {"noise_does_not_depend_on_the_length"}


def test_kit_finds_spare_bits(broken):
    class Sloppy(BSC):
        def damage(self, row, erased, n_bits, rng):
            super().damage(row, erased, 8 * row.size, rng)

    broken(Sloppy)
    assert "shapes_types_and_spare_bits" in failed("broken(0.4)")


def test_kit_finds_a_damaged_payload(broken):
    class InPlace(BSC):
        def forward(self, batch, rngs):
            row = batch.bits[0]
            for rng in rngs:
                self.damage(row, row, batch.n_bits, rng)
            return batch.with_(bits=np.repeat(row[None], len(rngs), 0)), None

    broken(InPlace)
    assert "payload_is_left_alone" in failed("broken(0.1)")


def test_kit_takes_a_crash_for_a_failure(broken):
    class Crashing(BSC):
        def damage(self, row, erased, n_bits, rng):
            raise IndexError("off by one")

    broken(Crashing)
    with pytest.raises(AssertionError, match="IndexError: off by one"):
        check_channel("broken(0.1)")


def test_kit_finds_three_decibels(broken):
    class HalfTheNoise(AWGN):
        @property
        def n0(self):
            return super().n0 / 2

    broken(HalfTheNoise)
    assert "error_rate_is_the_closed_form" in failed("qpsk|broken(ebno_db=3)")


def test_kit_finds_a_tenth_of_a_decibel(broken):
    class Slightly(AWGN):
        @property
        def n0(self):
            return super().n0 / 10**0.01

    broken(Slightly)
    assert "error_rate_is_the_closed_form" in failed("qpsk|broken(ebno_db=3)")


def test_kit_finds_wrong_signs_and_scales(broken):
    class Negative(QAM16):
        def backward(self, batch, state):
            out = super().backward(batch, state)
            return out if out.llr is None else out.with_(llr=-out.llr)

    broken(Negative)
    assert "llr_signs" in failed("broken|awgn(ebno_db=5)")

    class Loud(QAM16):
        def backward(self, batch, state):
            out = super().backward(batch, state)
            return out if out.llr is None else out.with_(llr=np.float32(1.2) * out.llr)

    broken(Loud)
    assert failed("broken(llr=exact)|awgn(ebno_db=3)") == {"llr_calibration"}
    assert not failed("qam16(llr=exact)|awgn(ebno_db=3)")


def test_kit_finds_decoders_that_stumble_over_infinite_llrs(broken):
    class Averaging(RepetitionStage):
        """Infinity minus infinity is no number, and no number is not below zero."""

        def __init__(self):
            super().__init__(RepetitionCode(3))

        def backward(self, batch, state):
            llr = batch.llr - batch.llr.sum(axis=1, keepdims=True)
            return super().backward(batch.with_(llr=llr, bits=np.packbits(llr < 0, axis=1)), state)

    broken(Averaging)
    with np.errstate(invalid="ignore"):
        assert "llrs_may_be_infinite_or_zero" in failed("broken|bpsk|awgn(ebno_db=6)")


def test_kit_finds_that_maxlog_is_an_approximation(broken):
    class Boastful(QAM16):
        def __init__(self):
            super().__init__("maxlog")
            self.calibrated = True

    broken(Boastful)
    assert failed("broken|awgn(ebno_db=0)") == {"llr_calibration"}


def test_kit_finds_symbols_that_nobody_counted(broken):
    class Hidden(QAM16):
        def sizes(self, n_in):
            sizes = super().sizes(n_in)
            return type(sizes)(sizes.n_out, symbols=sizes.symbols)

    broken(Hidden)
    assert "ledger_adds_up" in failed("broken|awgn(ebno_db=5)")


def test_kit_finds_erased_bits_that_are_shown(broken):
    class Leaky(PacketErasure):
        def backward(self, batch, state):
            return batch

    broken(Leaky)
    assert "erased_bits_read_zero" in failed("broken(0.3, bytes=20)")


def test_expected_failures_are_declared_with_a_reason(broken):
    class Slightly(AWGN):
        @property
        def n0(self):
            return super().n0 / 10**0.01

    broken(Slightly)
    spec, reason = "qpsk|broken(ebno_db=3)", "its amplifier is 0.1 dB too good"
    with pytest.raises(AssertionError, match=r"(?s)error_rate_is_the_closed_form.*why it matters"):
        check_channel(spec)
    outcomes = check_channel(spec, {"error_rate_is_the_closed_form": reason})
    assert [o.message for o in outcomes if o.status == "expected_failure"] == [reason]
    with pytest.raises(AssertionError, match="was expected to fail"):
        check_channel("bsc(0.1)", {"ledger_adds_up": "never counted"})
    with pytest.raises(KeyError, match="no such check: ledger_ads_up"):
        check_channel("bsc(0.1)", {"ledger_ads_up": "typo"})


def test_parametrised_form_marks_expected_failures():
    mark = parametrize_channel_checks(["bsc(0.1)"], {"bsc(0.1)": {"llr_signs": "why not"}})
    cases = mark.args[1]
    assert len(cases) == len(CHECKS)
    marked = [case for case in cases if case.marks]
    assert [case.id for case in marked] == ["bsc(0.1)-llr_signs"]
    assert marked[0].marks[0].kwargs == {"reason": "why not", "strict": True}


def test_payloads_are_the_same_each_time():
    assert conformance.payload(99) == conformance.payload(99)
    assert conformance.payload(99) != conformance.payload(99, seed=2)
    assert isinstance(conformance.payload(0), PackedBits)
    assert NoiseStream(1, "a").generator(0).random() != NoiseStream(1, "b").generator(0).random()

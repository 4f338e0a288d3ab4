"""What every channel must keep to, as checks that anybody can run on their own.

>>> from channels.conformance import check_channel
>>> report = check_channel("qam16|awgn(esno_db=12)")

raises at the first check that fails. In a test file, one test a check:

>>> from channels.conformance import parametrize_channel_checks
>>> @parametrize_channel_checks(["bsc(1e-2)", "qpsk|awgn(ebno_db=3)"])
... def test_my_channels(check, spec):
...     check(spec)
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from itertools import pairwise, takewhile
from typing import Any

import numpy as np

from channels.bits import PackedBits, count_errors, count_ones
from channels.checking import Kit, NotApplicable, Outcome
from channels.link import Link, ReceivedBatch
from channels.noise import NoiseStream
from channels.stage import Batch

#: Sizes in bits that packed arrays, symbols and blocks easily get wrong.
SIZES = (0, 1, 7, 8, 9, 63, 65, 1000, 4097)
#: A check that is true fails with less than about this probability (5.3 standard deviations).
DEVIATIONS = 5.3


#: All of them.
CHECKS: Kit[str] = Kit()


def check_channel(
    spec: str, expected_failures: Mapping[str, str] | None = None, strict: bool = True
) -> list[Outcome]:
    """Run all checks on a link.

    Parameters
    ----------
    spec : str
        A whole link, such as ``bsc(1e-2)`` or ``qpsk|awgn(ebno_db=3)``.
    expected_failures : mapping of check name to reason
        Checks that are known not to hold. One that holds after all is a failure too.
    strict : bool
        Raise at the first failure; otherwise go on and say in the outcomes what failed.

    Raises
    ------
    AssertionError
        A check failed, with its name and why it matters.
    KeyError
        `expected_failures` names a check that doesn't exist.
    SpecError
        There is no such link.
    """
    Link.parse(spec)
    outcomes = []
    for outcome in CHECKS.outcomes(spec, expected_failures or {}):
        if strict and outcome.bad:
            raise AssertionError(outcome.message)
        outcomes.append(outcome)
    return outcomes


def parametrize_channel_checks(
    specs: Iterable[str], expected_failures: Mapping[str, Mapping[str, str]] | None = None
) -> Any:
    """Decorate a test of ``(check, spec)`` so that it runs for each check and link.

    Parameters
    ----------
    specs : iterable of str
    expected_failures : mapping of spec to mapping of check name to reason
        Turned into strict expected failures of pytest.
    """
    return CHECKS.parametrize(specs, "spec", expected_failures)


def payload(n_bits: int, seed: int = 1) -> PackedBits:
    """Random bits, the same for the same arguments."""
    rng = NoiseStream(seed, "conformance").generator(n_bits)
    return PackedBits.from_bits(rng.integers(0, 2, n_bits, np.uint8))


def _same(a: ReceivedBatch, b: ReceivedBatch, what: str) -> None:
    assert np.array_equal(a.bits, b.bits), f"bits differ {what}"
    for name in ("llr", "erased"):
        one, other = getattr(a, name), getattr(b, name)
        assert (one is None) == (other is None), f"{name} is there only sometimes: {what}"
        assert one is None or np.array_equal(one, other), f"{name} differ {what}"


@CHECKS.check("a result that can't be drawn again can't be checked, resumed or explained")
def same_seed_same_noise(spec: str) -> None:
    sent = payload(3001)
    stream = NoiseStream(7, "link", "item")
    for wants in ((), ("llr",)):
        link, again = Link.parse(spec, wants), Link.parse(spec, wants)
        first = link.transmit(sent, range(4), stream)
        _same(first, link.transmit(sent, range(4), stream), "when sent again")
        _same(first, again.transmit(sent, range(4), stream), "in a link parsed anew")


@CHECKS.check("rows must not depend on how many workers there are and how they share the trials")
def noise_does_not_depend_on_the_batch(spec: str) -> None:
    sent = payload(2003)
    link = Link.parse(spec, ("llr",))
    together = link.transmit(sent, range(5))
    backwards = link.transmit(sent, [4, 3, 2, 1, 0])
    assert np.array_equal(together.bits, backwards.bits[::-1]), "bits differ with the order"
    for trial in range(5):
        alone = link.transmit(sent, [trial])
        assert np.array_equal(alone.bits[0], together.bits[trial]), f"trial {trial} differs alone"
        if together.llr is not None:
            assert alone.llr is not None, "LLRs are there only sometimes"
            assert np.array_equal(alone.llr[0], together.llr[trial]), "LLRs differ alone"


@CHECKS.check("trials that repeat one another make intervals look narrower than they are")
def seeds_and_trials_differ(spec: str) -> None:
    sent = payload(20_000)
    link = Link.parse(spec)
    one = link.transmit(sent, range(2), NoiseStream(1, "link"))
    other = link.transmit(sent, range(2), NoiseStream(2, "link"))
    damage = [one.bits[0], one.bits[1], other.bits[0], other.bits[1]]
    marks = [count_errors(sent.data, bits) for bits in damage]
    if min(marks) == 0:
        raise NotApplicable("too few errors to tell trials apart")
    for i in range(4):
        for j in range(i):
            assert not np.array_equal(damage[i], damage[j]), "two draws of noise are the same"


@CHECKS.check("codecs of different rate are compared on the same noise only if it doesn't shift")
def noise_does_not_depend_on_the_length(spec: str) -> None:
    link = Link.parse(spec)
    if link.ledger(1200).padding or any(
        not stage.medium and not stage.bits_per_symbol for stage in link.stages
    ):
        raise NotApplicable("the link moves bits about: it codes, frames or interleaves")
    long = payload(60_000)
    short = PackedBits(long.data[:150].copy(), 1200)
    a, b = link.transmit(long, range(6)), link.transmit(short, range(6))
    assert np.array_equal(a.bits[:, :150], b.bits), "a shorter payload meets other noise"


@CHECKS.check(
    "codecs index what comes back: a byte too few is a crash, a spare bit set is an error"
)
def shapes_types_and_spare_bits(spec: str) -> None:
    for n_bits in SIZES:
        sent, n_bytes = payload(n_bits), (n_bits + 7) // 8
        for wants in ((), ("llr",)):
            got = Link.parse(spec, wants).transmit(sent, range(3))
            assert got.n_bits == n_bits
            assert got.bits.shape == (3, n_bytes), f"bits {got.bits.shape} for {n_bits} bits"
            assert got.bits.dtype == np.uint8, f"bits are {got.bits.dtype}"
            assert got.bit_errors.shape == (3,), f"bit_errors {got.bit_errors.shape}"
            spare = 0xFF >> (n_bits % 8) if n_bits % 8 else 0
            assert not n_bytes or not (got.bits[:, -1] & spare).any(), "spare bits are set"
            assert np.array_equal(got.bit_errors, count_errors(sent.data, got.bits))
            if got.erased is not None:
                assert got.erased.shape == got.bits.shape, f"erased {got.erased.shape}"
                assert got.erased.dtype == np.uint8, f"erased is {got.erased.dtype}"
                assert not n_bytes or not (got.erased[:, -1] & spare).any(), "spare bits erased"
            if "llr" in wants and got.llr is not None:
                assert got.llr.shape == (3, n_bits), f"llr {got.llr.shape} for {n_bits} bits"
                assert got.llr.dtype == np.float32, f"llr is {got.llr.dtype}"
            assert "llr" in wants or got.llr is None, "LLRs nobody asked for take 32 times the room"


@CHECKS.check("an encoded item is sent many times; damage to it would be in all later trials")
def payload_is_left_alone(spec: str) -> None:
    sent = payload(999)
    before = sent.data.copy()
    sent.data.setflags(write=False)
    for wants in ((), ("llr",)):
        got = Link.parse(spec, wants).transmit(sent, range(3))
        assert np.array_equal(sent.data, before), "the payload was changed"
        assert not np.shares_memory(got.bits, sent.data), "what came back shares its memory"


@CHECKS.check(
    "streams have long runs of zeros and ones; a link that needs randomness must scramble"
)
def constant_payloads(spec: str) -> None:
    link = Link.parse(spec)
    n_bits = 40_000
    ber = link.ledger(n_bits).facts.get("ber")
    ones = PackedBits.from_bits(np.ones(n_bits, np.uint8))
    zeros = PackedBits.from_bits(np.zeros(n_bits, np.uint8))
    errors = [link.transmit(p, range(24)).bit_errors.astype(float) for p in (zeros, ones)]
    assert all(np.isfinite(e).all() for e in errors)
    if ber is None:
        raise NotApplicable("no closed form to compare with")
    # labels are not alike for zeros and ones; on average over both every bit value is as likely
    # only where each symbol is: so no more is asked for than the order of size
    mean = sum(e.mean() for e in errors) / (2 * n_bits)
    if ber * n_bits > 100:
        assert ber / 8 < mean < 8 * ber, f"BER {mean:.3g}, closed form {ber:.3g}"


@CHECKS.check(
    "a curve that is off its closed form by a tenth of a dB misleads everything built on it"
)
def error_rate_is_the_closed_form(spec: str) -> None:
    link = Link.parse(spec)
    n_bits = 50_400  # whole symbols for every modulation
    ber = link.ledger(n_bits).facts.get("ber")
    if ber is None:
        raise NotApplicable("the link states no closed form")
    sent = [payload(n_bits, seed) for seed in range(4)]
    trials = range(16)
    errors = np.concatenate(
        [link.transmit(p, trials, NoiseStream(3, str(i))).bit_errors for i, p in enumerate(sent)]
    ).astype(float)
    expected = ber * n_bits
    # errors within a trial may come in bursts: the spread between trials counts where it is wider
    spread = max(float(errors.var(ddof=1)), expected * (1 - ber), 1e-9)
    z = (errors.mean() - expected) / math.sqrt(spread / errors.size)
    assert abs(z) < DEVIATIONS, (
        f"BER {errors.mean() / n_bits:.4g}, closed form {ber:.4g}: {z:+.1f} standard deviations"
    )


@CHECKS.check("energy per bit and rate are only comparable if every bit and symbol is counted once")
def ledger_adds_up(spec: str) -> None:
    link = Link.parse(spec)
    for n_bits in SIZES:
        ledger = link.ledger(n_bits)
        added = ledger.parity + ledger.framing + ledger.padding
        assert ledger.payload == n_bits
        assert ledger.sent_bits == n_bits + added, "sent bits are not the sum of their parts"
        assert min(ledger.parity, ledger.framing, ledger.padding) >= 0, "a part is negative"
        per_use = link.bits_per_symbol or 1
        assert ledger.channel_uses * per_use == ledger.sent_bits, (
            f"{ledger.channel_uses} uses of {per_use} bits are not {ledger.sent_bits} bits"
        )
        if ledger.channel_uses:
            carried = n_bits / ledger.channel_uses
            assert math.isclose(ledger.bits_per_use, carried), "bits per use"
        facts = ledger.facts
        if "esno_db" in facts and "ebno_db" in facts:
            gap = 10 * math.log10(link.rate * link.bits_per_symbol)
            assert math.isclose(facts["esno_db"] - facts["ebno_db"], gap, abs_tol=1e-9), (
                "Es/N0 and Eb/N0 differ by something else than the bits per symbol"
            )
    assert 0 < link.rate <= 1, f"code rate {link.rate}"


@CHECKS.check("a lost bit that reads like a received one is believed by whoever ignores the mask")
def erased_bits_read_zero(spec: str) -> None:
    sent = payload(8000)
    got = Link.parse(spec, ("llr",)).transmit(sent, range(8))
    if got.erased is None:
        raise NotApplicable("the link has no erasures")
    assert not count_ones(got.bits & got.erased).any(), "erased bits read 1"
    if got.llr is not None:
        mask = np.unpackbits(got.erased, axis=1, count=sent.n_bits).astype(bool)
        assert (got.llr[mask] == 0).all(), "an erased bit has an LLR"


@CHECKS.check("a decoder fed LLRs of the wrong sign decodes the complement and nobody knows why")
def llr_signs(spec: str) -> None:
    sent = payload(24_000)
    got = Link.parse(spec, ("llr",)).transmit(sent, range(4))
    if got.llr is None:
        raise NotApplicable("the link gives no LLRs")
    assert np.isfinite(got.llr).all(), "an LLR is infinite or no number"
    hard = np.unpackbits(got.bits, axis=1, count=sent.n_bits)
    known = got.llr != 0
    assert ((got.llr < 0) == hard)[known].all(), "hard bits are not the signs of the LLRs"
    right = 1 - 2.0 * sent.unpack()
    if known.any():
        assert float((got.llr * right)[known].mean()) > 0, "LLRs speak against what was sent"


@CHECKS.check(
    "a noiseless symbol has infinite LLRs and an erased bit zero ones; neither may stop a sweep"
)
def llrs_may_be_infinite_or_zero(spec: str) -> None:
    link = Link.parse(spec, ("llr",))
    stages = list(takewhile(lambda s: s.takes == s.gives == "bits" and not s.medium, link.stages))
    if not stages:
        raise NotApplicable("nothing stands between the bits and the modulation or medium")
    rng = np.random.default_rng(0)
    for n_bits in (0, 1, 9, 1000, 4097):
        sent = payload(n_bits)
        batch, states = Batch(n_bits, bits=sent.data[None, :]), []
        for number, stage in enumerate(stages):
            stream = NoiseStream(1, spec).generator(0, number)
            batch, state = stage.forward(batch, [stream])
            states.append(state)
        assert batch.bits is not None
        sure = 1 - 2 * np.unpackbits(batch.bits, axis=1, count=batch.n_bits).astype(np.float32)
        lies = rng.choice(np.array([-1, 0, 1], np.float32), sure.shape)
        with np.errstate(invalid="ignore"):  # 0 times infinity marks what is told nothing of
            cases = {
                "infinite LLRs": sure * np.float32(np.inf),
                "LLRs of zero": np.zeros_like(sure),
                "infinite LLRs, many wrong, and zeros": np.nan_to_num(
                    lies * np.float32(np.inf), nan=0.0, posinf=np.inf, neginf=-np.inf
                ),
            }
        for what, llr in cases.items():
            got = Batch(batch.n_bits, bits=np.packbits(llr < 0, axis=1), llr=llr)
            for stage, state in zip(reversed(stages), reversed(states), strict=True):
                got = stage.backward(got, state)
            assert got.bits is not None, f"{what} of {n_bits} bits: no bits came back"
            assert got.n_bits == n_bits, f"{what}: {got.n_bits} bits for {n_bits}"
            assert got.bits.shape == (1, (n_bits + 7) // 8), f"{what}: shape {got.bits.shape}"
            assert got.llr is None or not np.isnan(got.llr).any(), f"{what}: LLRs are no numbers"
            if what == "infinite LLRs":
                assert np.array_equal(got.bits[0], sent.data), f"{what} of {n_bits} bits: errors"
                lost = got.erased is not None and got.erased.any()
                assert not lost, f"{what} of {n_bits} bits: some were called lost"


@CHECKS.check("decoders weigh bits by their LLRs: a scale that is off by 3 dB costs tenths of a dB")
def llr_calibration(spec: str) -> None:
    link = Link.parse(spec, ("llr",))
    if not all(stage.calibrated for stage in link.stages):
        raise NotApplicable("a stage says that its LLRs are approximations")
    sent = payload(12_000)
    got = link.transmit(sent, range(128))
    if got.llr is None:
        raise NotApplicable("the link gives no LLRs")
    wrong = (got.llr < 0) != sent.unpack().astype(bool)[None, :]
    strength = np.abs(got.llr)
    known = strength > 0
    if not known.any():
        raise NotApplicable("no bit is known any better than by guessing")
    edges = np.unique(np.quantile(strength[known], np.linspace(0, 1, 13)))
    if edges.size == 1:
        edges = np.array([edges[0], edges[0]])
    for low, high in pairwise(edges):
        here = known & (strength >= low) & ((strength < high) | (high == edges[-1]))
        model = np.where(here, 1 / (1 + np.exp(strength.astype(float))), 0.0)
        misfit = np.where(here, wrong - model, 0.0).sum(axis=1)  # one a trial: bursts stay within
        spread = max(float((misfit**2).sum()), float((model * (1 - model)).sum()), 1e-9)
        z = float(misfit.sum()) / math.sqrt(spread)
        assert abs(z) < DEVIATIONS, (
            f"of bits with |LLR| in {low:.3g}..{high:.3g}, {wrong[here].mean():.4g} are wrong "
            f"where {model[here].mean():.4g} were promised ({z:+.1f} standard deviations)"
        )

"""The K = 7 code: beside commpy, a plain decoder, published spectra and union bounds."""

import json
import math
from fractions import Fraction
from itertools import product
from pathlib import Path

import commpy
import numpy as np
import pytest
from scipy.stats import binom

from channels import Link, PackedBits, SpecError
from channels.fec import viterbi_kernel as kernel
from channels.fec.convolutional import PUNCTURING, TAPS_A, TAPS_B, ConvolutionalCode
from channels.theory import q_function

SPECTRA = json.loads((Path(__file__).parents[1] / "references/conv_spectra.json").read_text())
TRELLIS = commpy.Trellis(7, [0o133, 0o171])
RATES = list(PUNCTURING)
HALF = Fraction(1, 2)


def code_bits(window: int) -> tuple[int, int]:
    """A and B for the last seven bits, the newest as bit 0."""
    return sum(window >> d & 1 for d in TAPS_A) % 2, sum(window >> d & 1 for d in TAPS_B) % 2


def noisy(code, frames, ebno_db, rng):
    """Random bits, and the LLRs of their code bits after BPSK over AWGN."""
    bits = rng.integers(0, 2, (frames, code.k), np.uint8)
    n0 = 10 ** (-ebno_db / 10) / code.rate
    received = 1 - 2.0 * code.encode(bits) + rng.normal(0, math.sqrt(n0 / 2), (frames, code.n))
    return bits, (4 * received / n0).astype(np.float32)


def plain_viterbi(soft: np.ndarray, k: int, around: int = 0) -> np.ndarray:
    """Plain Viterbi decoder without any of the kernel's tricks.

    `soft` holds LLRs of A and B, shape (frames, steps, 2), of any type; of two equal paths the one
    from the lower state wins. Terminated, or `around` > 0 steps beyond either end of a frame.
    """
    frames, steps, _ = soft.shape
    wide = soft.astype(np.int64 if soft.dtype.kind == "i" else np.float64)
    new = np.arange(64)
    came = np.stack([new >> 1, (new >> 1) + 32])  # the two states before each state
    metrics = np.zeros((frames, 64))
    if not around:
        metrics[:, 1:] = -1e9
    sign = np.array(
        [[code_bits(before << 1 | (s & 1)) for s, before in enumerate(r)] for r in came]
    )
    sign = 1 - 2 * sign  # (2, 64, 2)
    choices = []
    for t in range(-around, steps + around):
        branch = np.einsum("fc,rsc->frs", wide[:, t % steps], sign)
        candidates = metrics[:, came] + branch
        upper = candidates[:, 1] > candidates[:, 0]
        choices.append(upper)
        metrics = np.where(upper, candidates[:, 1], candidates[:, 0])
    state = metrics.argmax(1) if around else np.zeros(frames, int)
    bits = np.empty((frames, len(choices)), np.uint8)
    for t in range(len(choices) - 1, -1, -1):
        bits[:, t] = state & 1
        state = came[choices[t][np.arange(frames), state].astype(int), state]
    return bits[:, around : around + k]


def mother(code, values: np.ndarray) -> np.ndarray:
    """Place received values among the unpunctured code bits, zero elsewhere."""
    full = np.zeros((values.shape[0], 2 * code.steps), values.dtype)
    full[:, code.positions] = values
    return full.reshape(values.shape[0], code.steps, 2)


# --- the code ------------------------------------------------------------------------------------


def test_encoder_agrees_with_commpy():
    bits = np.random.default_rng(1).integers(0, 2, (3, 77), np.uint8)
    expected = [commpy.ConvolutionalEncoder(TRELLIS).encode(row)[0] for row in bits]
    assert np.array_equal(ConvolutionalCode(77).encode(bits), expected)


def test_tail_biting_encoder_starts_in_its_last_state():
    rng = np.random.default_rng(2)
    bits = rng.integers(0, 2, (3, 40), np.uint8)
    for row, coded in zip(
        bits, ConvolutionalCode(40, ending="tailbiting").encode(bits), strict=True
    ):
        state = sum(int(b) << i for i, b in enumerate(row[-6:]))
        expected, last = commpy.ConvolutionalEncoder(TRELLIS).encode(row, state, terminate=False)
        assert last == state
        assert np.array_equal(coded, expected)


def test_rotating_a_tail_biting_block_rotates_its_code_bits():
    code = ConvolutionalCode(30, ending="tailbiting")
    bits = np.random.default_rng(3).integers(0, 2, (4, 30), np.uint8)
    rotated = code.encode(np.roll(bits, 7, axis=1))
    assert np.array_equal(rotated, np.roll(code.encode(bits), 14, axis=1))


@pytest.mark.parametrize(
    ("rate", "sent"),
    [
        ("2/3", "A0 B0 A1 A2 B2 A3"),  # IEEE 802.11-2020 figure 17-9
        ("3/4", "A0 B0 A1 B2 A3 B3 A4 B5"),
        ("5/6", "A0 B0 A1 B2 A3 B4 A5 B5 A6 B7"),  # figure 19-11
    ],
)
def test_order_of_punctured_bits(rate, sent):
    code = ConvolutionalCode(100, Fraction(rate))
    names = [f"{'AB'[p % 2]}{p // 2}" for p in code.positions]
    assert names[: len(sent.split())] == sent.split()


def spectrum(rate: Fraction, terms: int, free_distance: int) -> list[int]:
    """Information weight by distance over all error events that begin within one period."""
    pattern_a, pattern_b = PUNCTURING[rate]
    period, top = len(pattern_a), free_distance + terms
    total = np.zeros(top, int)
    for phase in range(period):
        # paths by (state, distance): how many, and their summed information weight
        count, weight = np.zeros((2, 64, top), int)
        t = phase
        count[0, 0] = 1
        while count.any():
            next_count, next_weight = np.zeros((2, 64, top), int)
            for state, bit in product(range(64), range(2)):
                if not count[state].any() or (t == phase and bit == 0):
                    continue
                a, b = code_bits(state << 1 | bit)
                d = a * int(pattern_a[t % period]) + b * int(pattern_b[t % period])
                new = (state << 1 | bit) & 63
                next_count[new, d:] += count[state, : top - d]
                next_weight[new, d:] += (weight[state] + bit * count[state])[: top - d]
            total += next_weight[0]
            next_count[0] = next_weight[0] = 0
            count, weight, t = next_count, next_weight, t + 1
    assert not total[:free_distance].any()
    return total[free_distance:].tolist()


@pytest.mark.parametrize("rate", RATES, ids=str)
def test_distance_spectrum_is_the_published_one(rate):
    published = SPECTRA["spectra"][str(rate)]
    assert spectrum(rate, 4, published["free_distance"]) == published["c"][:4]


# --- the decoder ---------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["terminated", "tailbiting"])
@pytest.mark.parametrize("rate", RATES, ids=str)
def test_clean_blocks_come_back(rate, ending):
    rng = np.random.default_rng(4)
    for k in (6, 7, 31, 100):
        code = ConvolutionalCode(k, rate, ending)
        bits = rng.integers(0, 2, (40, k), np.uint8)
        coded = code.encode(bits)
        assert coded.shape == (40, code.n)
        llr = np.where(coded, -1.5, 1.5).astype(np.float32)
        # short punctured blocks without a tail need not be decodable at all
        if ending == "terminated" or k >= 31:
            for received in (llr, coded):
                result = code.decode(received)
                assert np.array_equal(result.bits, bits)
                assert result.ok.all()


@pytest.mark.parametrize("rate", RATES, ids=str)
@pytest.mark.parametrize("ending", ["terminated", "tailbiting"])
def test_kernel_agrees_bit_for_bit_with_a_plain_decoder(rate, ending):
    """Whole-numbered LLRs of few values: many ties, infinities, zeros."""
    rng = np.random.default_rng(5)
    code = ConvolutionalCode(131, rate, ending)  # beyond what is tried from every state
    soft = rng.integers(-4, 5, (70, code.n)).astype(np.float32)
    soft[1] = 0
    soft[2] = np.where(rng.random(code.n) < 0.5, np.inf, -np.inf)
    soft[3, ::3] = np.inf
    quantised = np.empty((code.steps, 2 * kernel.LANES), np.int16)
    whole = np.empty((70, code.steps, 2), np.int16)
    for first in range(0, 70, kernel.LANES):
        rows = soft[first : first + kernel.LANES]
        kernel.quantise(rows, code.positions, quantised)
        lanes = quantised.reshape(code.steps, 2, kernel.LANES)[:, :, : len(rows)]
        whole[first : first + kernel.LANES] = lanes.transpose(2, 0, 1)
    expected = plain_viterbi(whole, code.k, code.wrap or 0)
    assert np.array_equal(code.decode(soft).bits, expected)


def test_metrics_may_wrap_around():
    """The largest LLRs through a long block: metrics overflow int16 often, decisions don't."""
    rng = np.random.default_rng(6)
    code = ConvolutionalCode(3000)
    bits, _ = noisy(code, 33, 5, rng)
    coded = code.encode(bits)
    flipped = coded ^ (rng.random(coded.shape) < 0.06)
    assert 2 * kernel.LIMIT * code.steps > 20 * 2**15
    soft = np.where(flipped, -np.inf, np.inf).astype(np.float32)
    whole = mother(code, np.where(flipped, -1, 1))
    assert np.array_equal(code.decode(soft).bits, plain_viterbi(whole, code.k))


@pytest.mark.parametrize("decision", ["hard", "soft"])
def test_decoded_words_are_as_likely_as_those_of_commpy(decision):
    rng = np.random.default_rng(7)
    code = ConvolutionalCode(120, decision=decision)
    bits, llr = noisy(code, 6, 1.0 if decision == "soft" else 3.0, rng)
    ours = code.decode(llr).bits
    assert (ours != bits).any()
    for row, mine in zip(llr, ours, strict=True):
        received = row if decision == "soft" else (row < 0).astype(int)
        theirs = commpy.viterbi_decode(TRELLIS, received, decision)
        weights = np.sign(row) if decision == "hard" else row
        merit = [
            weights @ (1.0 - 2 * code.encode(b[None].astype(np.uint8))[0]) for b in (mine, theirs)
        ]
        assert merit[0] == pytest.approx(merit[1], rel=1e-3)


@pytest.mark.parametrize("scale", [1e-35, 1e-6, 1.0, 1e6, 1e33])
def test_llrs_of_any_scale_decode_alike(scale):
    code = ConvolutionalCode(200)
    _, llr = noisy(code, 40, 2.0, np.random.default_rng(8))
    expected = plain_viterbi(mother(code, llr), code.k)
    scaled = (llr.astype(float) * scale).astype(np.float32)
    assert (code.decode(scaled).bits != expected).any(axis=1).sum() <= 1


def test_a_few_huge_or_missing_llrs_do_no_harm():
    rng = np.random.default_rng(9)
    code = ConvolutionalCode(500)
    bits, llr = noisy(code, 40, 4.0, rng)
    sent = 1 - 2.0 * code.encode(bits)
    for value in (np.inf, 3e38, 1e9):
        damaged = llr.copy()
        damaged[:, 100::100] = value * sent[:, 100::100]
        damaged[:, 50::100] = 0
        damaged[:, 51::100] = np.nan
        assert (code.decode(damaged).bits != bits).mean() < 1e-3


def test_no_information_gives_no_error_and_any_bits():
    for ending in ("terminated", "tailbiting"):
        code = ConvolutionalCode(64, ending=ending)
        for value in (0.0, np.nan):
            result = code.decode(np.full((3, code.n), value, np.float32))
            assert result.bits.shape == (3, 64)
            assert result.ok.all()
        assert code.decode(np.zeros((0, code.n), np.float32)).bits.shape == (0, 64)


@pytest.mark.parametrize(("fading", "ebno_db"), [(False, 2.0), (True, 4.0)])
def test_quantisation_costs_less_than_003_db(fading, ebno_db):
    """Errors of the quantised and an unquantised decoder on the same noise.

    At these error rates a decade takes 1 dB or more, so 0.03 dB is 7 % of them. Rayleigh fading
    makes LLRs range wider.
    """
    rng = np.random.default_rng(10)
    code = ConvolutionalCode(400)
    bits = rng.integers(0, 2, (1500, code.k), np.uint8)
    n0 = 10 ** (-ebno_db / 10) / code.rate
    gain = np.sqrt(rng.exponential(size=(1500, code.n))) if fading else 1.0
    received = gain * (1 - 2.0 * code.encode(bits))
    received += rng.normal(0, math.sqrt(n0 / 2), received.shape)
    llr = (4 * gain * received / n0).astype(np.float32)
    exact = plain_viterbi(mother(code, llr), code.k)
    ours, best = (code.decode(llr).bits != bits).sum(), (exact != bits).sum()
    assert best > 1500
    assert abs(ours / best - 1) < 0.035


def test_hard_decisions_use_erasures():
    rng = np.random.default_rng(11)
    code = ConvolutionalCode(300, decision="hard")
    bits = rng.integers(0, 2, (50, 300), np.uint8)
    coded = code.encode(bits)
    erased = rng.random(coded.shape) < 0.2
    received = np.where(erased, 0, coded).astype(np.uint8)
    assert np.array_equal(code.decode(received, erased).bits, bits)
    assert (code.decode(received).bits != bits).mean() > 1e-3


@pytest.mark.parametrize("k", [8, 12])
def test_short_tail_biting_blocks_are_decoded_by_maximum_likelihood(k):
    """Blocks short enough to compare all code words."""
    rng = np.random.default_rng(12)
    code = ConvolutionalCode(k, ending="tailbiting")
    words = np.array(list(product((0, 1), repeat=k)), np.uint8)
    bits, llr = noisy(code, 4000, 2.0, rng)
    best = words[np.argmax(llr @ (1 - 2.0 * code.encode(words)).T, axis=1)]
    fer_best = (best != bits).any(1).mean()
    result = code.decode(llr)
    assert result.ok.all()
    assert (result.bits != bits).any(1).mean() == pytest.approx(fer_best, rel=0.05)


# --- performance ---------------------------------------------------------------------------------


def union_bound(rate: Fraction, ebno_db: float, decision: str = "soft") -> float:
    """Upper bound of the bit error rate of maximum-likelihood decoding over BPSK and AWGN."""
    published = SPECTRA["spectra"][str(rate)]
    esno = 10 ** (ebno_db / 10) * float(rate)
    distances = published["free_distance"] + np.arange(len(published["c"]))
    if decision == "soft":
        pairwise = q_function(np.sqrt(2 * distances * esno))
    else:
        p = float(q_function(math.sqrt(2 * esno)))
        half = distances // 2
        even = np.where(distances % 2 == 0, 0.5 * binom.pmf(half, distances, p), 0)
        pairwise = even + binom.sf(half, distances, p)
    return float(np.dot(published["c"], pairwise)) / rate.numerator


def measured(spec: str, blocks: int, k: int) -> float:
    """Bit error rate of a link over `blocks` random blocks; Eb/N0 is for the rate without tail."""
    link = Link.parse(spec)
    errors = 0
    per_run = 2000
    for number in range(-(-blocks // per_run)):
        rng = np.random.default_rng(number)
        bits = rng.integers(0, 2, per_run * k, np.uint8)
        payload = PackedBits.from_bits(bits)
        errors += int(link.transmit(payload, trials=[number]).bit_errors[0])
    return errors / (per_run * k * -(-blocks // per_run))


@pytest.mark.parametrize(
    ("rate", "ebno_db"),
    [("1/2", 3.4), ("2/3", 3.8), ("3/4", 4.4), ("5/6", 5.1), ("7/8", 5.7)],
)
def test_error_rate_meets_the_union_bound(rate, ebno_db):
    """Near 1e-4 the bound lies up to 0.15 dB above the truth (less for its terms left out)."""
    code = f"conv(rate={rate},k=2400,ending=tailbiting)"
    ber = measured(f"{code}|qpsk|awgn(ebno_db={ebno_db})", 2000, 2400)
    rate = Fraction(rate)
    assert union_bound(rate, ebno_db + 0.3) < ber < 1.5 * union_bound(rate, ebno_db)


def test_hard_decisions_meet_their_bound():
    code = "conv(rate=1/2,k=2400,ending=tailbiting,decision=hard)"
    ber = measured(f"{code}|qpsk|awgn(ebno_db=5.6)", 2000, 2400)
    assert union_bound(HALF, 6.0, "hard") < ber < union_bound(HALF, 5.6, "hard")


@pytest.mark.slow
def test_error_rate_1e5_where_the_literature_has_it():
    """Soft: 1e-5 at 4.2 +- 0.15 dB; hard: about 2 dB more (Heller and Jacobs 1971, figures 5, 6).

    The tail's energy counts: k = 1024 of 1030 steps is 0.025 dB.
    """
    crossing = {}
    for decision, grid in (("soft", (4.0, 4.2, 4.4)), ("hard", (6.1, 6.4, 6.7))):
        rates = [
            measured(
                f"conv(rate=1/2,k=1024,decision={decision})|qpsk|awgn(ebno_db={e})", 40_000, 1024
            )
            for e in grid
        ]
        crossing[decision] = float(np.interp(5, -np.log10(rates), grid))
    assert crossing["soft"] == pytest.approx(4.2, abs=0.15)
    assert crossing["hard"] - crossing["soft"] == pytest.approx(2.1, abs=0.3)


# --- as a stage ----------------------------------------------------------------------------------


@pytest.mark.parametrize("n_bits", [0, 1, 99, 100, 101, 1000])
@pytest.mark.parametrize("ending", ["terminated", "tailbiting"])
def test_any_payload_goes_through(n_bits, ending):
    link = Link.parse(f"conv(rate=3/4,k=100,ending={ending})|qpsk|awgn(ebno_db=12)")
    bits = np.random.default_rng(13).integers(0, 2, n_bits, np.uint8)
    payload = PackedBits.from_bits(bits)
    received = link.transmit(payload, trials=range(3))
    assert received.bits.shape == (3, payload.data.size)
    assert not received.bit_errors.any()
    ledger = link.ledger(n_bits)
    assert ledger.payload + ledger.parity + ledger.padding + ledger.framing == ledger.sent_bits
    assert link.rate == 100 / ConvolutionalCode(100, Fraction(3, 4), ending).n


def test_ebno_counts_the_tail():
    ledger = Link.parse("conv(rate=1/2,k=100)|qpsk|awgn(ebno_db=3)").ledger(1000)
    assert ledger.facts["esno_db"] == pytest.approx(3 + 10 * math.log10(2 * 100 / 212))


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("conv(rate=4/5)", "1/2, 2/3, 3/4, 5/6, 7/8"),
        ("conv(k=0)", "k must lie in 1..100000"),
        ("conv(k=5,ending=tailbiting)", "k must lie in 6..100000"),
        ("conv(k=1000000)", "100000"),
        ("conv(ending=open)", "terminated or tailbiting"),
        ("conv(decision=firm)", "soft or hard"),
    ],
)
def test_wrong_parameters_say_what_is_right(spec, says):
    with pytest.raises(SpecError) as caught:
        Link.parse(f"{spec}|qpsk|awgn(ebno_db=3)")
    assert says in str(caught.value)


def test_wrong_shapes_say_what_is_right():
    code = ConvolutionalCode(10)
    with pytest.raises(ValueError, match=r"\(blocks, 32\), got \(2, 31\)"):
        code.decode(np.zeros((2, 31), np.float32))
    with pytest.raises(TypeError, match=r"uint8 \(hard bits\) or floating \(LLRs\), got int64"):
        code.decode(np.zeros((2, 32), np.int64))
    with pytest.raises(ValueError, match=r"\(blocks, 10\), got \(10,\)"):
        code.encode(np.zeros(10, np.uint8))

"""Reed-Solomon codes beside galois, commpy, all code words of a small code, and closed forms."""

import json
from pathlib import Path

import commpy
import numpy as np
import pytest
from scipy.stats import binom, norm

from channels import Link, PackedBits, SpecError
from channels.conformance import parametrize_channel_checks
from channels.fec.reed_solomon import ReedSolomonCode
from channels.theory import q_function

REFERENCES = Path(__file__).parents[1] / "references"
VECTORS = json.loads((REFERENCES / "algebraic_codes.json").read_text())["rs"]
CURVES = json.loads((REFERENCES / "aff3ct_algebraic.json").read_text())["curves"]


def build(vector):
    if "CCSDS" in vector["name"]:
        return ReedSolomonCode(vector["n"], vector["k"], field_name="ccsds")
    return ReedSolomonCode(vector["n"], vector["k"], vector["first_root"])


def random_words(code, blocks, rng):
    messages = rng.integers(0, 256, (blocks, code.k_bytes), np.uint8)
    return messages, code.encode_bytes(messages)


def damage(words, errors, erasures, rng):
    """Wrong bytes, and erased ones whose value is random; returns words and the erasure mask."""
    words, mask = words.copy(), np.zeros(words.shape, bool)
    for word, lost in zip(words, mask, strict=True):
        places = rng.permutation(words.shape[1])[: errors + erasures]
        word[places[:errors]] ^= rng.integers(1, 256, errors, np.uint8)
        word[places[errors:]] = rng.integers(0, 256, erasures, np.uint8)
        lost[places[errors:]] = True
    return words, mask


@pytest.mark.parametrize("vector", VECTORS, ids=lambda v: v["name"])
def test_encoder_agrees_with_galois(vector):
    message = np.frombuffer(bytes.fromhex(vector["message"]), np.uint8)
    coded = build(vector).encode_bytes(message[None])
    assert coded.tobytes().hex() == vector["codeword"]


@pytest.mark.parametrize("vector", VECTORS, ids=lambda v: v["name"])
def test_corrects_up_to_the_last_error_and_erasure(vector):
    """2 errors + erasures <= n - k, at every mixture that just fits."""
    code, rng = build(vector), np.random.default_rng(1)
    r = code.n_bytes - code.k_bytes
    for errors in range(r // 2 + 1):
        messages, words = random_words(code, 8, rng)
        received, erased = damage(words, errors, r - 2 * errors, rng)
        decoded, ok = code.decode_bytes(received, erased)
        assert ok.all()
        assert np.array_equal(decoded, messages)


def test_16_errors_and_32_erasures_and_not_one_more():
    code, rng = ReedSolomonCode(255, 223), np.random.default_rng(2)
    messages, words = random_words(code, 200, rng)
    for errors, erasures in ((16, 0), (0, 32)):
        received, erased = damage(words, errors, erasures, rng)
        decoded, ok = code.decode_bytes(received, erased if erasures else None)
        assert ok.all()
        assert np.array_equal(decoded, messages)
    for errors, erasures in ((17, 0), (0, 33), (16, 1), (1, 31), (40, 0), (0, 255)):
        received, erased = damage(words, errors, erasures, rng)
        decoded, ok = code.decode_bytes(received, erased)
        assert not ok.any() or (errors, erasures) == (1, 31)
        assert np.array_equal(decoded[~ok], received[~ok, :223])


def test_failure_leaves_the_word_as_it_came():
    code, rng = ReedSolomonCode(255, 239), np.random.default_rng(3)
    _, words = random_words(code, 50, rng)
    received, _ = damage(words, 60, 0, rng)
    before = received.copy()
    decoded, ok = code.decode_bytes(received)
    assert np.array_equal(received, before)
    assert not ok.any()
    assert np.array_equal(decoded, before[:, :239])


def test_rate_of_miscorrection_is_the_known_one():
    """A random word lies within t of some code word with chance sum C(n,i) 255^i / 256^(n-k)."""
    code, rng = ReedSolomonCode(20, 16), np.random.default_rng(4)
    received = rng.integers(0, 256, (40_000, 20), np.uint8)
    _, ok = code.decode_bytes(received)
    balls = sum(binom_coefficient(20, i) * 255.0**i for i in range(3))
    chance = balls / 256.0**4
    low, high = binom.ppf([1e-4, 1 - 1e-4], len(ok), chance)
    assert low <= ok.sum() <= high


def binom_coefficient(n, k):
    return round(np.prod([(n - i) / (i + 1) for i in range(k)]))


@pytest.mark.parametrize("n", [5, 6, 7])
def test_decoder_finds_what_a_search_of_all_words_finds(n):
    """All 65,536 words of codes with two information bytes, random words and erasures."""
    code, rng = ReedSolomonCode(n, 2, first_root=n), np.random.default_rng(5)
    everything = np.indices((256, 256)).reshape(2, -1).T.astype(np.uint8)
    words = code.encode_bytes(everything)
    for trial in range(150):
        # near some word or other: that many places wrong or erased, more than can be repaired too
        sent = words[rng.integers(len(words))]
        spoilt = rng.integers(0, 4)
        received, mask = damage(sent[None], spoilt, rng.integers(0, n - 1 - spoilt), rng)
        distances = ((words != received) & ~mask).sum(axis=1)
        near = np.flatnonzero(2 * distances + mask.sum() <= n - 2)
        decoded, ok = code.decode_bytes(received, mask)
        assert near.size <= 1
        assert ok[0] == bool(near.size), trial
        expected = everything[near[0]] if near.size else received[0, :2]
        assert np.array_equal(decoded[0], expected)


def test_commpy_decodes_what_we_encode_and_encodes_what_we_decode():
    theirs, rng = commpy.ReedSolomonCode(8, 239), np.random.default_rng(6)
    ours = ReedSolomonCode(255, 239)
    message = rng.integers(0, 256, (1, 239), np.uint8)
    received, _ = damage(ours.encode_bytes(message), 8, 0, rng)
    # commpy has the lowest power first
    decoded, _, errors = theirs.decode(received[0, ::-1])
    assert errors == 8
    assert np.array_equal(decoded[::-1], message[0])
    received, _ = damage(theirs.encode(message[0, ::-1])[None, ::-1].astype(np.uint8), 8, 0, rng)
    assert np.array_equal(ours.decode_bytes(received)[0], message)


def rs_curves():
    for curve in CURVES:
        if curve["title"].startswith("RS"):
            _, n, k, t = (
                int(x) for x in curve["title"].replace("RS (", "0,").strip(")").split(",")
            )
            for point in curve["points"]:
                yield pytest.param(n, k, t, point, id=f"{n}-{k}-{point['ebno_db']}dB")


@pytest.mark.parametrize(("n", "k", "t", "point"), list(rs_curves()))
def test_error_rates_beside_aff3ct_and_closed_form(n, k, t, point):
    """A block is lost exactly where more than t bytes are wrong."""
    blocks = 3000
    p = float(q_function(np.sqrt(2 * k / n * 10 ** (point["ebno_db"] / 10))))
    wrong_byte = 1 - (1 - p) ** 8
    exact = binom.sf(t, n, wrong_byte)
    published = point["frame_errors"] / point["frames"]
    assert published == pytest.approx(exact, abs=4 * np.sqrt(exact / point["frames"]))
    code, rng = ReedSolomonCode(n, k), np.random.default_rng(7)
    bits = rng.integers(0, 2, (blocks, 8 * k), np.uint8)
    received = code.encode(bits) ^ (rng.random((blocks, 8 * n)) < p)
    result = code.decode(received)
    wrong = (result.bits != bits).any(axis=1)
    low, high = binom.ppf([1e-4, 1 - 1e-4], blocks, exact)
    assert low <= wrong.sum() <= high
    assert not (wrong & result.ok).any()  # chance of a miscorrection: 1 / 8! of 1000 failures
    errors = (result.bits != bits).sum(axis=1)
    spread = errors.std() / np.sqrt(blocks)
    z = (errors.mean() / (8 * k) - point["ber"]) * 8 * k / spread
    assert abs(z) < norm.isf(1e-4) + 0.02 * errors.mean() / spread  # published to three figures


def test_bits_and_bytes_agree_and_one_erased_bit_erases_its_byte():
    code, rng = ReedSolomonCode(40, 32), np.random.default_rng(8)
    bits = rng.integers(0, 2, (5, 256), np.uint8)
    coded = code.encode(bits)
    assert np.array_equal(np.packbits(coded, 1), code.encode_bytes(np.packbits(bits, 1)))
    erased = np.zeros(coded.shape, bool)
    erased[:, 3:64:8] = True  # a bit in each of eight bytes
    spoilt = coded.copy()
    spoilt[:, :64] ^= rng.integers(0, 2, (5, 64), np.uint8)
    assert np.array_equal(code.decode(spoilt, erased).bits, bits)
    silent = np.where(spoilt, -2.0, 2.0).astype(np.float32)
    silent[erased] = 0  # no LLR is an erasure too
    result = code.decode(silent)
    assert result.ok.all()
    assert np.array_equal(result.bits, bits)
    endless = np.where(coded, -np.inf, np.inf).astype(np.float32)
    endless[:, 5] = np.nan
    assert np.array_equal(code.decode(endless).bits, bits)


def test_erasures_of_a_medium_are_used():
    """3 % of bytes lost in packets: 20 of 255 on average, beyond 16 errors, within 32 erasures."""
    payload = PackedBits.from_bits(np.random.default_rng(9).integers(0, 2, 223 * 80, np.uint8))
    link = Link.parse("rs(n=255,k=223)|random_interleaver(unit=8)|packet_erasure(0.075,bytes=1)")
    received = link.transmit(payload, trials=range(5))
    assert not received.bit_errors.any()


def test_chain_of_dvb_s_is_quasi_error_free_where_the_standard_says():
    """EN 300 421: 2e-4 behind the Viterbi decoder is error-free behind the Reed-Solomon one.

    Rate 1/2 is at 2e-4 near 3.2 dB Eb/N0, and 188 of 204 bytes are another 0.35 dB.
    """
    bits = np.random.default_rng(10).integers(0, 2, 8 * 188 * 200, np.uint8)
    payload = PackedBits.from_bits(bits)
    inner = "conv(rate=1/2,k=20000)|qpsk"
    chain = f"rs(n=204,k=188,first_root=0)|convolutional_interleaver(12,17)|{inner}"
    link = Link.parse(f"{chain}|awgn(ebno_db=3.6)")
    esno_db = link.ledger(payload.n_bits).facts["esno_db"]
    alone = Link.parse(f"{inner}|awgn(esno_db={esno_db})").transmit(payload, range(4))
    assert 1e-4 < alone.bit_errors.mean() / payload.n_bits < 4e-4
    assert not link.transmit(payload, range(4)).bit_errors.any()


@parametrize_channel_checks(
    [
        "rs(n=40,k=32)|qpsk|awgn(ebno_db=5)",
        "rs(n=30,k=20,field=ccsds)|bec(0.02)",
        "rs(n=255,k=223)|bsc(5e-3)",
    ]
)
def test_links_conform(check, spec):
    check(spec)


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("rs(n=256,k=223)", "1 <= k < n <= 255"),
        ("rs(n=10,k=10)", "1 <= k < n <= 255"),
        ("rs(n=10,k=0)", "1 <= k < n <= 255"),
        ("rs(field=ccsds,first_root=1)", "no first_root"),
        ("rs(n=10,k=5,field=ccsds)", "even n - k"),
        ("rs(field=0x11b)", "0x11d or ccsds"),
    ],
)
def test_wrong_parameters_say_what_is_right(spec, says):
    with pytest.raises(SpecError) as caught:
        Link.parse(f"{spec}|bsc(0.01)")
    assert says in str(caught.value)

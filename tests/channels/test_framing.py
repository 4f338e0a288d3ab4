"""Packets: what is on the air, what the check drops, what it misses, what is handed on."""

import math
import zlib
from fractions import Fraction

import numpy as np
import pytest
from scipy import stats

from channels.bits import PackedBits, count_ones
from channels.framing import Packets
from channels.link import Link
from channels.noise import NoiseStream
from channels.spec import SpecError
from channels.stage import Batch, Context

#: A true statement is refused this often.
LEVEL = 1e-6


def payload(n_bits, seed=0):
    return PackedBits.from_bits(np.random.default_rng(seed).integers(0, 2, n_bits, np.uint8))


def frame(stage, sent):
    """What goes out, and what is needed to take it back."""
    stage.configure(Context())
    batch, state = stage.forward(Batch(sent.n_bits, bits=sent.data[None, :]), [])
    return batch, state


def deframe(stage, batch, state, bits, erased=None):
    packed = np.packbits(np.atleast_2d(bits), axis=-1)
    lost = None if erased is None else np.packbits(np.atleast_2d(erased), axis=-1)
    back = stage.backward(Batch(batch.n_bits, bits=packed, erased=lost), state)
    unpack = [np.unpackbits(a, axis=1, count=back.n_bits) for a in (back.bits, back.erased)]
    return unpack[0], unpack[1].astype(bool)


def test_packets_on_the_air_by_hand():
    """Header, payload, CRC-32 as zlib has it; the last packet as long as what is left."""
    sent = PackedBits.from_bytes(bytes(range(37)))
    batch, _ = frame(Packets(bytes=16, header=24), sent)
    expected = b""
    for number in range(3):
        covered = number.to_bytes(3, "big") + bytes(range(37))[16 * number : 16 * number + 16]
        expected += covered + zlib.crc32(covered).to_bytes(4, "big")
    assert batch.bits.tobytes() == expected
    assert batch.n_bits == 8 * len(expected)
    assert Packets(bytes=16, header=24).sizes(37 * 8).framing == 3 * 7 * 8


@pytest.mark.parametrize("n_bits", [0, 1, 7, 127, 128, 129, 1000])
@pytest.mark.parametrize("spec", ["bytes=16", "bytes=3, crc=11, header=5", "bytes=1, crc=0"])
def test_sizes_are_what_is_sent(n_bits, spec):
    link = Link.parse(f"packets({spec})|clean")
    stage = link.stages[0]
    batch, _ = frame(stage, payload(n_bits))
    packets = -(-n_bits // stage.size)
    assert link.ledger(n_bits).framing == packets * (stage.header + stage.width)
    assert batch.n_bits == stage.sizes(n_bits).n_out == n_bits + link.ledger(n_bits).framing
    got = link.transmit(payload(n_bits), range(2))
    assert not got.bit_errors.any()
    assert not count_ones(got.erased).any()


def test_framing_costs_energy_but_is_no_code():
    """128 payload bytes of 134: the energy per payload bit rises by 10 log10(134 / 128) dB."""
    ledger = Link.parse("packets|conv|qpsk|awgn(ebno_db=4)").ledger(1024 * 8)
    assert ledger.framing == 8 * 48
    assert ledger.code_rate == pytest.approx(1024 / 2060)
    assert ledger.facts["ebno_db"] == 4
    plain = Link.parse("packets|qpsk|awgn(ebno_db=4)").ledger(1024 * 8)
    assert plain.ebno_effective_db == pytest.approx(4 + 10 * math.log10(134 / 128))
    assert "ber" not in plain.facts
    assert plain.facts["channel_ber"] == pytest.approx(0.5 * math.erfc(10**0.2), rel=1e-9)


@pytest.mark.parametrize("policy", ["drop", "pass"])
@pytest.mark.parametrize("where", ["header", "payload", "check"])
def test_one_wrong_bit(policy, where):
    stage, sent = Packets(bytes=8, crc=16, header=8, policy=policy), payload(300)
    batch, state = frame(stage, sent)
    clean = np.unpackbits(batch.bits[0], count=batch.n_bits)
    length = 8 + 64 + 16
    start, size = {"header": (0, 8), "payload": (8, 64), "check": (72, 16)}[where]
    for packet in range(5):
        tail = packet == 4  # 300 - 256 = 44 bits
        begin = packet * length + start - (20 if tail and where == "check" else 0)
        for offset in range(44 if tail and where == "payload" else size):
            bits = clean.copy()
            bits[begin + offset] ^= 1
            got, lost = deframe(stage, batch, state, bits)
            hit = np.zeros(300, bool)
            hit[64 * packet : 64 * packet + 64] = True
            right = sent.unpack()
            if policy == "drop" or where == "header":
                np.testing.assert_array_equal(lost[0], hit)
                np.testing.assert_array_equal(got[0], np.where(hit, 0, right))
            else:
                assert not lost.any()
                wrong = np.flatnonzero(got[0] != right)
                expected = [64 * packet + offset] if where == "payload" else []
                assert wrong.tolist() == expected


def test_damage_that_the_check_misses_is_delivered():
    """A multiple of the CRC's polynomial is a codeword: added to a packet, nobody sees it."""
    stage, sent = Packets(bytes=8, crc=16, header=8), payload(128)
    batch, state = frame(stage, sent)
    bits = np.unpackbits(batch.bits[0], count=batch.n_bits)
    for power in (16, 12, 5, 0):  # CRC-CCITT, from the last bit of the last packet
        bits[-1 - power] ^= 1
    got, lost = deframe(stage, batch, state, bits)
    assert not lost.any()
    wrong = np.flatnonzero(got[0] != sent.unpack())
    assert wrong.tolist() == [127], "of the four bits, x**16 lies in the payload"


@pytest.mark.parametrize("crc", [6, 11])
def test_rate_of_missed_damage(crc):
    """Random bits in place of a packet pass a check of w bits with probability 2**-w."""
    packets = 40_000
    stage, sent = Packets(bytes=4, crc=crc, header=0), payload(32 * packets)
    batch, state = frame(stage, sent)
    noise = np.random.default_rng(5).integers(0, 2, batch.n_bits, np.uint8)
    got, lost = deframe(stage, batch, state, noise)
    passed = ~lost[0].reshape(packets, 32).any(axis=1)
    assert stats.binomtest(int(passed.sum()), packets, 2.0**-crc).pvalue > LEVEL
    delivered = got[0].reshape(packets, 32)[passed]
    sent_too = sent.unpack().reshape(packets, 32)[passed]
    assert (delivered != sent_too).any(axis=1).mean() > 0.99, "what it misses is wrong"


@pytest.mark.parametrize(("medium", "ber"), [("bsc(2e-3)", 2e-3), ("qpsk|awgn(esno_db=9)", None)])
def test_dropped_packets_are_those_with_an_error(medium, ber):
    link = Link.parse(f"packets(bytes=16, crc=24)|{medium}")
    sent = payload(16 * 8 * 300)
    ber = link.ledger(8).facts["channel_ber"] if ber is None else ber
    got = link.transmit(sent, range(20))
    lost = np.unpackbits(got.erased, axis=1).reshape(-1, 128)
    assert (lost.all(axis=1) == lost.any(axis=1)).all(), "packets are lost as a whole"
    expected = 1 - (1 - ber) ** (128 + 16 + 24)
    assert stats.binomtest(int(lost[:, 0].sum()), len(lost), expected).pvalue > LEVEL
    assert not count_ones((got.bits ^ sent.data) & ~got.erased).any(), "what is delivered is right"


def test_passed_on_are_all_but_damaged_headers():
    p, header = 5e-3, 16
    link = Link.parse(f"packets(bytes=16, policy=pass, header={header})|bsc({p})")
    sent = payload(16 * 8 * 400)
    got = link.transmit(sent, range(20))
    lost = np.unpackbits(got.erased, axis=1).reshape(-1, 128)[:, 0]
    assert stats.binomtest(int(lost.sum()), lost.size, 1 - (1 - p) ** header).pvalue > LEVEL
    wrong = int(count_ones((got.bits ^ sent.data) & ~got.erased).sum())
    kept = int((1 - lost).sum()) * 128
    assert stats.binomtest(wrong, kept, p).pvalue > LEVEL, "payload bits err as the medium has it"


@pytest.mark.parametrize("policy", ["drop", "pass"])
def test_lost_packets_stay_lost(policy):
    """All-zero payload: a lost packet reads as one whose CRC holds, were it not for the flags."""
    zeros = PackedBits.from_bits(np.zeros(40 * 8 * 100, np.uint8))
    for crc, header in ((16, 0), (16, 16), (0, 0)):
        on_air = 40 + (crc + header) // 8
        text = f"packet_erasure(0.3, bytes={on_air})"
        link = Link.parse(f"packets(bytes=40, crc={crc}, header={header}, policy={policy})|{text}")
        got = link.transmit(zeros, range(10))
        lost = np.unpackbits(got.erased, axis=1).reshape(-1, 320)
        assert (lost.all(axis=1) == lost.any(axis=1)).all()
        assert stats.binomtest(int(lost[:, 0].sum()), len(lost), 0.3).pvalue > LEVEL
        # framed or not, the same packets are lost in the same trials
        bare = Link.parse(text).transmit(
            PackedBits.from_bits(np.zeros(8 * on_air * 100, np.uint8)),
            range(10),
            NoiseStream(0, "other"),
        )
        assert bare.erased.shape[1] == on_air * 100


def test_single_lost_bits():
    """A packet with lost bits in it fails; passed on, only they are marked."""
    sent = payload(64 * 3)
    for policy, expected in (("drop", 64), ("pass", 2)):
        stage = Packets(bytes=8, crc=16, header=8, policy=policy)
        batch, state = frame(stage, sent)
        bits = np.unpackbits(batch.bits[0])
        erased = np.zeros_like(bits)
        erased[[88 + 8, 88 + 20]] = 1
        bits[erased == 1] = 0
        _, lost = deframe(stage, batch, state, bits, erased)
        assert lost.sum() == expected
        assert lost[0, [64, 76]].all()
        header = np.zeros_like(bits)
        header[3] = 1
        _, lost = deframe(stage, batch, state, bits & ~header & 1, header)
        assert lost[0, :64].all(), "without its header a packet has no place"


def test_over_coded_links():
    """What the decoder leaves comes in bursts: few packets are hit, and the check finds them."""
    sent = payload(1000 * 128)
    plain = Link.parse("ldpc(k=1056, rate=1/2)|qpsk|awgn(ebno_db=1.2)")
    framed = Link.parse("packets(bytes=126)|ldpc(k=1056, rate=1/2)|qpsk|awgn(ebno_db=1.2)")
    assert framed.ledger(126 * 8).sent_bits == 2112, "one packet fills one block"
    bler = np.mean([plain.transmit(payload(1056, i), range(100)).bit_errors > 0 for i in range(20)])
    got = framed.transmit(sent, range(4))
    lost = np.unpackbits(got.erased, axis=1)[:, : 1008 * 126].reshape(-1, 1008)[:, 0]
    assert 0.3 * bler < lost.mean() < 3 * bler
    assert not count_ones((got.bits ^ sent.data) & ~got.erased).any()


def test_inside_a_code_that_corrects_erasures():
    """RS(255, 223) over packets of 5 symbols: of 51 it can do without six, for 32 symbols in all.

    As errors, more than three of them would have been too many.
    """
    blocks, p = 400, 1e-3
    link = Link.parse(f"rs|packets(bytes=5)|bsc({p})")
    sent = payload(223 * 8 * blocks)
    got = link.transmit(sent)
    failed = (got.bits ^ sent.data).reshape(blocks, 223).any(axis=1)
    lost = 1 - (1 - p) ** (40 + 16 + 32)
    expected = stats.binom.sf(6, 51, lost)
    assert stats.binomtest(int(failed.sum()), blocks, expected).pvalue > LEVEL
    assert stats.binom.sf(3, 51, lost) > 4 * expected


def posterior(p, length, width, passed):
    """By counting all error patterns: P(first bit wrong | what the check said), exactly in
    rationals, where the check misses damage with probability 2**-width."""
    right = Fraction(1)
    for _ in range(length):
        right *= 1 - p
    miss = Fraction(1, 2**width)
    wrong = p * miss if passed else p * (1 - miss)
    all_of_it = right + (1 - right) * miss if passed else (1 - right) * (1 - miss)
    return wrong / all_of_it


@pytest.mark.parametrize("crc", [6, 16])
@pytest.mark.parametrize("p", [1e-4, 0.01])
def test_llrs_take_note_of_the_check(crc, p):
    link = Link.parse(f"packets(bytes=4, crc={crc}, header=4, policy=pass)|bsc({p})", ("llr",))
    sent = payload(32 * 2000)
    got = link.transmit(sent, range(10))
    kept = np.unpackbits(got.erased, axis=1) == 0
    strength = np.unique(np.abs(got.llr[kept]))
    expected = [
        min(math.log((1 - q) / q), 100)
        for q in (posterior(Fraction(p), 32 + crc, crc, passed) for passed in (False, True))
    ]
    for value in strength:
        assert min(abs(value - e) for e in expected) < 2e-3 * value + 1e-3
    assert (got.llr[~kept] == 0).all()


def test_sequence_numbers_wrap():
    stage = Packets(bytes=1, crc=0, header=2)
    batch, _ = frame(stage, PackedBits.from_bits(np.zeros(8 * 6, np.uint8)))
    bits = np.unpackbits(batch.bits[0], count=batch.n_bits).reshape(6, 10)
    assert (bits[:, :2] @ [2, 1]).tolist() == [0, 1, 2, 3, 0, 1]
    long = Packets(bytes=1, crc=0, header=40)
    batch, _ = frame(long, PackedBits.from_bits(np.zeros(8 * 300, np.uint8)))
    bits = np.unpackbits(batch.bits[0]).reshape(300, 48)
    assert np.packbits(bits[299, :40]).tolist() == [0, 0, 0, 1, 43]


def test_shortcut_gives_what_checking_everything_gives(monkeypatch):
    sent = payload(5003)
    for text in (
        "packets(bytes=7, crc=11, header=3)|bsc(3e-3)",
        "packets(bytes=7, policy=pass)|bec(3e-3)",
        "packets(bytes=1, crc=6, header=0)|bsc(0.02)",
    ):
        link = Link.parse(text, ("llr",))
        quick = link.transmit(sent, range(6))
        everything = lambda self, batch, sent, pieces: np.ones(  # noqa: E731
            (batch.bits.shape[0], pieces.size), bool
        )
        with monkeypatch.context() as patch:
            patch.setattr(Packets, "_touched", everything)
            slow = link.transmit(sent, range(6))
        for name in ("bits", "erased", "llr"):
            np.testing.assert_array_equal(getattr(quick, name), getattr(slow, name))


@pytest.mark.parametrize(
    ("text", "problem", "marked"),
    [
        ("packets(bytes=0)|clean", "bytes must lie in 1..", "bytes=0"),
        ("packets(crc=12)|clean", "crc 12 is not known: 32, 24, 16, 11, 6, 0", "crc=12"),
        ("packets(crc=crc24)|clean", "did you mean 'crc24", "crc=crc24"),
        ("packets(header=-1)|clean", "header must lie in 0..4096", "header=-1"),
        ("packets(policy=keep)|clean", "policy must be drop or pass", "policy=keep"),
        ("packets(bytes=1e300)|clean", "bytes must lie in 1..", "bytes=1e300"),
    ],
)
def test_bad_parameters(text, problem, marked):
    with pytest.raises(SpecError) as caught:
        Link.parse(text)
    assert problem in caught.value.problem
    assert text[caught.value.start : caught.value.end] == marked

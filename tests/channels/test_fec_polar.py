"""5G NR polar codes: construction, encoder, list decoder and error rates."""

import json
from fractions import Fraction
from itertools import pairwise, product
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import fisher_exact

from channels.bits import PackedBits
from channels.conformance import parametrize_channel_checks
from channels.fec.crc import CRCS
from channels.fec.polar import PolarCode, polar
from channels.fec.polar_construction import construct, mother_length, sequence, tree_nodes
from channels.link import Link

REFERENCES = Path(__file__).parents[1] / "references"
#: A check that is true fails with less than this probability.
RARE = 1e-6
#: P(i) of TS 38.212 Table 5.4.1.1-1
P = [0, 1, 2, 4, 3, 5, 6, 7, 8, 16, 9, 17, 10, 18, 11, 19]
P += [12, 20, 13, 21, 14, 22, 15, 23, 24, 25, 26, 28, 27, 29, 30, 31]


def standard(k: int, n: int, parity: int) -> tuple[int, list[int], list[int], list[int]]:
    """N, information set, sub-block order and sent places by the loops of the standard."""
    exponent = int(np.ceil(np.log2(n)))
    if n <= 9 / 8 * 2 ** (exponent - 1) and k / n < 9 / 16:
        exponent -= 1
    length = 2 ** max(min(exponent, int(np.ceil(np.log2(8 * k))), 10), 5)
    order = []
    for i in range(length):
        j = 32 * i // length
        order.append(P[j] * (length // 32) + i % (length // 32))
    frozen = set()
    if n < length:
        if k / n <= 7 / 16:
            frozen |= {order[i] for i in range(length - n)}
            if n >= 3 * length / 4:
                frozen |= set(range(int(np.ceil(3 * length / 4 - n / 2))))
            else:
                frozen |= set(range(int(np.ceil(9 * length / 16 - n / 4))))
            matched = [order[i + length - n] for i in range(n)]
        else:
            frozen |= {order[i] for i in range(n, length)}
            matched = [order[i] for i in range(n)]
    else:
        matched = [order[i % length] for i in range(n)]
    free = [int(q) for q in sequence() if q < length and q not in frozen]
    return length, free[-(k + parity) :], order, matched


def triangle(sent: list) -> list:
    """The interleaver of section 5.4.1.3, cell by cell."""
    side = int(np.ceil((np.sqrt(8 * len(sent) + 1) - 1) / 2))
    cells, k = {}, 0
    for i in range(side):
        for j in range(side - i):
            if k < len(sent):
                cells[i, j] = sent[k]
            k += 1
    return [cells[i, j] for j in range(side) for i in range(side - j) if (i, j) in cells]


def generator(length: int) -> np.ndarray:
    g = np.ones((1, 1), np.uint8)
    while g.shape[0] < length:
        g = np.kron(g, np.array([[1, 0], [1, 1]], np.uint8))
    return g


def encode(message: np.ndarray, k: int, n: int, parity: int, light: int) -> np.ndarray:
    """One block with CRC, by TS 38.212 sections 5.3.1.2, 5.4.1.2 and 5.4.1.3."""
    length, chosen, _, matched = standard(k, n, parity)
    checks = set(chosen[: parity - light])
    if light:
        strong = chosen[parity:]
        weight = min(bin(q).count("1") for q in strong)
        checks |= set([q for q in strong if bin(q).count("1") == weight][-light:])
    u, y, bits = np.zeros(length, np.uint8), [0] * 5, iter(message)
    for i in range(length):
        y = [*y[1:], y[0]]
        if i in checks:
            u[i] = y[0]
        elif i in chosen:
            u[i] = next(bits)
            y[0] ^= int(u[i])
    d = u @ generator(length) % 2
    return np.array(triangle([d[j] for j in matched]))


def noisy(code: PolarCode, blocks: int, ebno_db: float, seed: int):
    rng = np.random.default_rng(seed)
    bits = rng.integers(0, 2, (blocks, code.k), np.uint8)
    variance = 1 / (2 * code.rate * 10 ** (ebno_db / 10))
    received = 1 - 2.0 * code.encode(bits)
    received += np.sqrt(variance) * rng.standard_normal(received.shape)
    return bits, (2 * received / variance).astype(np.float32)


def test_the_sequence_ranks_degraded_bit_channels_first():
    # A bit channel improves when a 0 of its index becomes 1, whatever the channel
    rank = np.argsort(sequence())
    assert sorted(sequence()) == list(range(1024))
    assert sequence()[:16].tolist() == [0, 1, 2, 4, 8, 16, 32, 3, 5, 64, 9, 6, 17, 10, 18, 128]
    assert sequence()[-9:].tolist() == [1018, 991, 1020, 1007, 1015, 1019, 1021, 1022, 1023]
    for i in range(1024):
        for bit in range(10):
            if not i >> bit & 1:
                assert rank[i | 1 << bit] > rank[i]


CASES = [
    # k, n: repetition, puncturing with many and few bits out, shortening, whole lengths
    (20, 40),
    (12, 30),
    (19, 30),
    (12, 216),
    (19, 300),
    (40, 100),
    (64, 256),
    (64, 300),
    (100, 140),
    (100, 600),
    (200, 288),
    (300, 700),
    (500, 1024),
    (900, 1000),
    (1012, 1023),
    (30, 2000),
]


@pytest.mark.parametrize(("k", "n"), CASES)
def test_codewords_are_those_of_the_standards_loops(k, n):
    crc = CRCS["crc6" if k <= 19 else "crc11"]
    parity = 3 if k <= 19 else 0
    light = int(parity and n - (k + crc.width) + 3 > 192)
    bits = np.random.default_rng(k).integers(0, 2, (9, k), np.uint8)
    coded = PolarCode(k, n).encode(bits)
    assert coded.shape == (9, n)
    assert coded.dtype == np.uint8
    for message, got in zip(crc.attach(bits), coded, strict=True):
        assert np.array_equal(encode(message, k + crc.width, n, parity, light), got)


def test_the_mother_code_and_its_information_set_for_many_sizes():
    for k, n in product(
        (23, 31, 64, 111, 300, 500), (32, 36, 37, 72, 73, 100, 144, 288, 576, 1500)
    ):
        if k < min(n, 1024):
            length, chosen, _, matched = standard(k, n, 0)
            if len(chosen) < k:
                with pytest.raises(ValueError, match="don't fit"):
                    construct(k, n, interleave=False)
                continue
            built = construct(k, n, interleave=False)
            assert built.length == length == mother_length(k, n)
            assert built.info.tolist() == sorted(chosen)
            assert built.place.tolist() == matched


def test_long_messages_go_in_two_parts():
    for k, n, parts in ((360, 1087, 1), (360, 1088, 2), (1012, 1080, 1), (1013, 1300, 2)):
        assert PolarCode(k, n).parts == parts
    code = PolarCode(1013, 1301)
    bits = np.random.default_rng(0).integers(0, 2, (1, 1013), np.uint8)
    filled = np.concatenate((np.zeros((1, 1), np.uint8), bits), axis=1)
    whole = [CRCS["crc11"].attach(filled[:, i : i + 507])[0] for i in (0, 507)]
    expected = [encode(whole[0], 518, 650, 0, 0), encode(whole[1], 518, 651, 0, 0)]
    assert np.array_equal(code.encode(bits)[0], np.concatenate(expected))


@pytest.mark.parametrize("list_size", [1, 2, 8, 32])
def test_clean_blocks_come_back_whatever_their_size(list_size):
    rng = np.random.default_rng(1)
    for k, n in (*CASES, (1013, 1300), (1706, 3000)):
        code = PolarCode(k, n, list_size=list_size)
        bits = rng.integers(0, 2, (2, k), np.uint8)
        coded = code.encode(bits)
        for received in (coded, (3 - 6.0 * coded).astype(np.float32)):
            result = code.decode(received)
            assert np.array_equal(result.bits, bits), (k, n)
            assert result.ok.all()
        assert code.decode(coded[:0]).bits.shape == (0, k)
        assert code.encode(bits[:0]).shape == (0, n)


def test_llrs_that_are_infinite_zero_or_no_numbers():
    code = PolarCode(100, 300)
    rng = np.random.default_rng(2)
    bits = rng.integers(0, 2, (4, 100), np.uint8)
    coded = code.encode(bits)
    sure = np.where(coded == 1, -np.inf, np.inf).astype(np.float32)
    for hole in (0.0, np.nan):
        llr = sure.copy()
        llr[:, rng.permutation(300)[:90]] = hole
        result = code.decode(llr)
        assert np.array_equal(result.bits, bits)
        assert result.ok.all()
    erased = rng.random(coded.shape) < 0.3
    hard = np.where(erased, 1, coded).astype(np.uint8)
    assert np.array_equal(code.decode(hard, erased).bits, bits)
    lies = np.where(rng.random((50, 300)) < 0.5, -np.inf, np.inf).astype(np.float32)
    result = code.decode(lies)
    assert set(np.unique(result.bits)) <= {0, 1}
    assert result.ok.sum() < 5  # the CRC has 11 bits for eight paths: some 0.4 % pass


def plain_list(llr: np.ndarray, kind: np.ndarray, list_size: int) -> np.ndarray:
    """List decoding as it is defined: every bit a leaf, every path a copy; whole numbers."""

    def at_leaf(values: np.ndarray, decided: list[int], index: int, size: int) -> int:
        """LLR of bit `index` of a code of `size` bits, given the bits before it."""
        if size == 1:
            return int(values[0])
        half = size // 2
        a, b = values[:half], values[half:]
        if index < half:
            least = np.minimum(np.abs(a), np.abs(b))
            return at_leaf(np.where((a < 0) != (b < 0), -least, least), decided, index, half)
        sums = np.array(decided[:half]) @ generator(half) % 2
        return at_leaf(b + (1 - 2 * sums) * a, decided[half:], index - half, half)

    paths: list[tuple[int, list[int]]] = [(0, [])]
    for index in range(kind.size):
        grown = []
        for metric, decided in paths:
            leaf = at_leaf(llr, decided, index, kind.size)
            bits = (0, 1) if kind[index] == 1 else (0,)
            grown += [
                (metric + (abs(leaf) if bit != (leaf < 0) else 0), [*decided, bit]) for bit in bits
            ]
        paths = sorted(grown, key=lambda path: path[0])[:list_size]
    return np.array(paths[0][1])


@pytest.mark.parametrize("list_size", [1, 2, 4, 8])
def test_kernel_agrees_with_plain_list_decoding(list_size):
    code = PolarCode(32, 64, list_size=list_size, crc=None, interleave=False)
    (built,) = code._constructions
    _, llr = noisy(code, 8, 1.0, seed=list_size)
    decoded = code.decode(llr).bits
    for row, got in zip(llr, decoded, strict=True):
        mother = np.zeros(64, int)
        mother[built.place] = np.rint(row * np.float32(64)).astype(int)
        assert np.array_equal(plain_list(mother, built.kind, list_size)[built.info], got)


@pytest.mark.parametrize(("n", "k"), [(32, 5), (50, 5), (90, 4)])
def test_a_list_of_all_codewords_is_maximum_likelihood(n, k):
    code = PolarCode(k, n, list_size=32, crc=None)
    messages = np.array(list(product((0, 1), repeat=k)), np.uint8)
    signs = 1 - 2.0 * code.encode(messages)
    _, llr = noisy(code, 400, -1.0, seed=n)
    best = messages[np.argmax(llr @ signs.T, axis=1)]
    got = code.decode(llr)
    assert got.ok.all()
    same = (got.bits == best).all(axis=1)
    assert same.mean() > 0.99  # LLRs are held in steps of 1/64: near ties may fall otherwise


def test_frozen_and_repetition_subtrees_cover_the_tree():
    kind = construct(60, 128).kind
    nodes = tree_nodes(kind)
    assert nodes[0, 0] == 0
    assert (nodes[1:, 0] == nodes[:-1, 0] + (1 << nodes[:-1, 1])).all()
    assert nodes[-1, 0] + (1 << nodes[-1, 1]) == 128
    for start, log, what in nodes:
        part = kind[start : start + (1 << log)]
        assert not part[:-1].any()
        assert part[-1] == what
    assert (nodes[:, 2] == 1).sum() == 60


def test_a_block_does_not_depend_on_what_is_decoded_beside_it():
    code = PolarCode(100, 200)
    _, llr = noisy(code, 30, 1.0, seed=3)
    together = code.decode(llr)
    order = np.random.default_rng(0).permutation(30)
    assert np.array_equal(code.decode(llr[order]).bits, together.bits[order])
    assert np.array_equal(code.decode(llr[:1]).bits, together.bits[:1])


def test_errors_do_not_depend_on_the_codeword():
    code = PolarCode(64, 128, list_size=4)
    rng = np.random.default_rng(11)
    failed = []
    for ones in (0, 1):
        bits = rng.integers(0, 2, (3000, 64), np.uint8) * np.uint8(ones)
        y = 1 - 2.0 * code.encode(bits) + rng.standard_normal((3000, 128)) * 0.8
        failed.append(
            (code.decode((2 * y / 0.64).astype(np.float32)).bits != bits).any(axis=1).mean()
        )
    assert min(failed) > 0.01
    assert abs(failed[0] - failed[1]) < 5 * np.sqrt(2 * np.mean(failed) / 3000)


def count(code: PolarCode, ebno_db: float, blocks: int) -> tuple[int, int]:
    bits, llr = noisy(code, blocks, ebno_db, seed=round(1000 * ebno_db))
    return int((code.decode(llr).bits != bits).any(axis=1).sum()), blocks


def assert_more_often(ours: tuple[int, int], theirs: tuple[int, int], alternative: str) -> None:
    table = [[ours[0], ours[1] - ours[0]], [theirs[0], theirs[1] - theirs[0]]]
    p = fisher_exact(table, alternative=alternative).pvalue
    assert p > RARE, f"{ours[0] / ours[1]:.3g} against {theirs[0] / theirs[1]:.3g}: {p:.1g}"


def references() -> list:
    curves = json.loads((REFERENCES / "nr_polar.json").read_text())["curves"]
    return [
        pytest.param(c, point, id=f"{c['title']}, {point['ebno_db']} dB")
        for c in curves
        for point in c["points"]
    ]


@pytest.mark.parametrize(("reference", "point"), references())
def test_reference_curves_are_met_within_a_tenth_of_a_db(reference, point):
    code = PolarCode(
        reference["k"], reference["n"], list_size=reference["list"], crc=reference["crc"]
    )
    theirs = (point["frame_errors"], point["frames"])
    blocks = 2500 if reference["list"] == 1 else 1200
    assert_more_often(count(code, point["ebno_db"] + 0.1, blocks), theirs, "greater")
    assert_more_often(count(code, point["ebno_db"] - 0.15, blocks), theirs, "less")


def test_longer_lists_fail_less():
    bits, llr = noisy(PolarCode(128, 256), 1000, 2.0, seed=5)
    failed = []
    for size in (1, 2, 4, 8, 16, 32):
        result = PolarCode(128, 256, list_size=size).decode(llr)
        wrong = (result.bits != bits).any(axis=1)
        assert (wrong & result.ok).mean() < 0.01
        assert not (~wrong & ~result.ok).any(), "a right block is called wrong"
        failed.append(wrong.mean())
    assert failed[0] > 2 * failed[2] > 3 * failed[4]
    assert all(a >= b for a, b in pairwise(failed))


@pytest.mark.parametrize(
    "spec",
    [
        "polar()|qpsk|awgn(ebno_db=4)",
        "polar(k=100,rate=2/3)|qam16|awgn(ebno_db=12)",
        "polar(k=12,n=40,list=1)|bsc(0.001)",
        "polar(k=300,rate=0.3,crc=none,interleave=false)|bpsk|awgn(ebno_db=5)",
    ],
)
def test_as_a_stage_of_a_link(spec):
    link = Link.parse(spec)
    for n_bits in (0, 1, 7, 999, 5001):
        sent = PackedBits.from_bits(np.random.default_rng(n_bits).integers(0, 2, n_bits, np.uint8))
        assert link.transmit(sent, range(3)).bit_errors.tolist() == [0, 0, 0], n_bits


@parametrize_channel_checks(
    ["polar(k=100,list=4)|qpsk|awgn(ebno_db=2)", "polar(k=30,rate=1/3,list=2)|bsc(0.1)"]
)
def test_conformance(check, spec):
    check(spec)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: PolarCode(11, 40), "12 to 1706 bits, got k=11"),
        (lambda: PolarCode(1707, 4000), "12 to 1706"),
        (lambda: PolarCode(100, 110), "111 bits with CRC and parity don't fit into 110"),
        (lambda: PolarCode(100, 200, list_size=3), "list must be one of 1, 2, 4, 8, 16, 32"),
        (lambda: PolarCode(100, 200, crc="crc8"), "crc must be uplink or none"),  # type: ignore[arg-type]
        (lambda: polar(rate=Fraction(3, 2)), "between 0 and 1"),
        (lambda: PolarCode(40, 90).decode(np.zeros((2, 91), np.float32)), r"\(blocks, 90\)"),
        (lambda: PolarCode(40, 90).encode(np.zeros(40, np.uint8)), r"\(blocks, 40\)"),
    ],
)
def test_what_can_not_be_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(("k", "n"), [(20, 40), (100, 140), (300, 600), (500, 1000), (64, 256)])
def test_encoder_equals_sionnas(k, n):
    torch = pytest.importorskip("torch")
    sionna = pytest.importorskip("sionna.phy.fec.polar")
    bits = np.random.default_rng(k).integers(0, 2, (5, k), np.uint8)
    expected = sionna.Polar5GEncoder(k, n)(torch.tensor(bits, dtype=torch.float32)).numpy()
    assert np.array_equal(PolarCode(k, n).encode(bits), expected)

"""Structure, encoder and decoders of the 5G NR LDPC codes; see also _stage and _curves."""

import subprocess
import sys
from fractions import Fraction
from importlib.resources import files

import numpy as np
import pytest

from channels.fec import ldpc_kernels
from channels.fec.ldpc_block import LDPCBlock
from channels.fec.ldpc_graph import (
    LIFTING_SIZES,
    base_graph,
    choose_base_graph,
    choose_lifting,
)

LIFTINGS = [(z, i) for i, sizes in enumerate(LIFTING_SIZES) for z in sizes]
#: info columns, rows, columns
SHAPES = {1: (22, 46, 68), 2: (10, 42, 52)}


def shifts(graph: int, set_index: int) -> list[tuple[int, int, int]]:
    """Row, column and shift, read from the table without the package's own reader."""
    text = files("channels.fec").joinpath("ldpc_base_graphs.txt").read_text()
    lines = [line.split() for line in text.splitlines() if line[:1] == str(graph)]
    return [(int(w[1]), int(w[2]), int(w[3 + set_index])) for w in lines]


def syndrome(word: np.ndarray, graph: int, z: int, set_index: int) -> np.ndarray:
    """H x for words (blocks, columns * z): check i of a row sees bit (i + shift) mod z."""
    columns = word.reshape(word.shape[0], -1, z)
    result = np.zeros((word.shape[0], SHAPES[graph][1], z), np.uint8)
    for row, column, shift in shifts(graph, set_index):
        result[:, row] ^= np.roll(columns[:, column], -(shift % z), axis=1)
    return result


def mother_word(code: LDPCBlock, bits: np.ndarray) -> np.ndarray:
    """The whole codeword, punctured and filler bits included, from what a long block sends."""
    info, _, columns = SHAPES[code.graph]
    whole = LDPCBlock(
        code.k,
        columns * code.z - 2 * code.z - (info * code.z - code.k),
        graph=code.graph,
    )
    assert (whole.z, whole.set_index) == (code.z, code.set_index)
    sent = whole.encode(bits)
    word = np.zeros((bits.shape[0], columns * code.z), np.uint8)
    word[:, : code.k] = bits
    assert np.array_equal(sent[:, : code.k - 2 * code.z], bits[:, 2 * code.z :])
    word[:, info * code.z :] = sent[:, code.k - 2 * code.z :]
    return word


def rate_matched(word: np.ndarray, k: int, z: int, graph: int, n: int, order: int) -> np.ndarray:
    """The loops of TS 38.212 sections 5.3.2, 5.4.2.1 (rv 0) and 5.4.2.2, on one codeword."""
    info = SHAPES[graph][0]
    buffer = word[2 * z :]
    filler = range(k - 2 * z, info * z - 2 * z)
    chosen, j = [], 0
    while len(chosen) < n:
        if j % buffer.size not in filler:
            chosen.append(buffer[j % buffer.size])
        j += 1
    rows = n // order
    out = list(chosen)
    for j in range(rows):
        for i in range(order):
            out[i + j * order] = chosen[i * rows + j]
    return np.array(out)


def noisy(code, blocks: int, ebno_db: float, seed: int):
    """Random blocks and their LLRs over BPSK and AWGN."""
    rng = np.random.default_rng(seed)
    bits = rng.integers(0, 2, (blocks, code.k), np.uint8)
    variance = 1 / (2 * code.rate * 10 ** (ebno_db / 10))
    sent = 1 - 2.0 * code.encode(bits)
    received = sent + np.sqrt(variance) * rng.standard_normal(sent.shape)
    return bits, (2 * received / variance).astype(np.float32)


def test_tables_have_the_structure_of_the_standard():
    for graph, edges in ((1, 316), (2, 197)):
        info, rows, columns = SHAPES[graph]
        base = base_graph(graph)
        assert (base.rows, base.columns, base.info_columns) == (rows, columns, info)
        assert base.row.size == edges
        assert len(set(zip(base.row, base.column, strict=True))) == edges
        for set_index, sizes in enumerate(LIFTING_SIZES):
            at = {(r, c): v for r, c, v in shifts(graph, set_index)}
            assert len(at) == edges
            assert all(0 <= v < sizes[-1] for v in at.values())
            for row in range(4, rows):  # a parity column of its own, unshifted
                assert at[row, info + row] == 0
                assert sum(c == info + row for _, c in at) == 1
            # double diagonal of the core: one column of three, two of them alike
            first = [at[r, info] for r in range(4) if (r, info) in at]
            assert len(first) == 3
            assert len(set(first)) == 2
            assert first[0] == first[2]
            for step in range(1, 4):
                column = [at.get((r, info + step)) for r in range(4)]
                assert column.count(0) == 2
                assert column.count(None) == 2
    degrees = np.bincount(base_graph(1).row)
    assert degrees[:5].tolist() == [19, 19, 19, 19, 3]
    assert np.bincount(base_graph(2).row)[:5].tolist() == [8, 10, 8, 10, 4]


def test_lifting_sizes_are_those_of_table_5_3_2_1():
    assert len(LIFTINGS) == 51
    assert sorted(z for z, _ in LIFTINGS)[:9] == [2, 3, 4, 5, 6, 7, 8, 9, 10]
    assert LIFTING_SIZES[1] == (3, 6, 12, 24, 48, 96, 192, 384)
    assert LIFTING_SIZES[7] == (15, 30, 60, 120, 240)


@pytest.mark.parametrize(
    ("k", "rate", "graph"),
    [
        (292, 0.9, 2),
        (293, 0.9, 1),
        (3824, Fraction(67, 100), 2),
        (3825, Fraction(67, 100), 1),
        (3824, 0.68, 1),
        (8000, Fraction(1, 4), 2),
        (8000, 0.26, 1),
    ],
)
def test_base_graph_is_chosen_as_in_section_6_2_2(k, rate, graph):
    assert choose_base_graph(k, rate) == graph


@pytest.mark.parametrize(
    ("graph", "k", "z", "set_index"),
    [
        (1, 8448, 384, 1),
        (1, 8449 - 22, 384, 1),
        (1, 22 * 352, 352, 5),
        (2, 3840, 384, 1),
        (2, 641, 72, 4),  # ten columns
        (2, 640, 72, 4),  # nine: 9 * 72 = 648
        (2, 560, 72, 4),  # eight
        (2, 192, 32, 0),  # six
        (2, 12, 2, 0),
    ],
)
def test_lifting_size_is_the_least_that_holds_the_block(graph, k, z, set_index):
    assert choose_lifting(base_graph(graph), k, k) == (z, set_index)


@pytest.mark.parametrize("graph", [1, 2])
def test_codewords_satisfy_every_check_for_every_lifting_size(graph):
    rng = np.random.default_rng(graph)
    info = SHAPES[graph][0]
    for z, set_index in LIFTINGS:
        # as full as the size gets; base graph 2 fills fewer of its columns for short blocks
        filled = info if graph == 1 or z > 64 else 9 if z > 62 else 8 if z > 24 else 6
        code = LDPCBlock(filled * z, 3 * info * z, graph=graph)
        if (code.z, code.set_index) != (z, set_index):
            assert graph == 2
            continue
        bits = rng.integers(0, 2, (3, code.k), np.uint8)
        word = mother_word(code, bits)
        assert word.any()
        assert not syndrome(word, graph, z, set_index).any(), (z, set_index)


@pytest.mark.parametrize(
    ("k", "n", "order"),
    [
        (100, 200, 1),
        (100, 198, 2),
        (1040, 2080, 1),
        (1000, 1500, 4),
        (300, 324, 6),
        (20, 100, 1),
        (20, 301, 4),  # repetition, and an order that doesn't divide
        (5000, 6000, 8),
        (641, 3500, 1),
    ],
)
def test_sent_bits_are_those_of_the_standards_loops(k, n, order):
    code = LDPCBlock(k, n, interleave=order)
    bits = np.random.default_rng(n).integers(0, 2, (9, k), np.uint8)
    words = mother_word(code, bits)
    coded = code.encode(bits)
    assert coded.shape == (9, n)
    assert coded.dtype == np.uint8
    for word, got in zip(words, coded, strict=True):
        assert np.array_equal(rate_matched(word, k, code.z, code.graph, n, order), got)


@pytest.mark.parametrize("decoder", ["min_star", "min_sum", "sum_product"])
def test_clean_blocks_come_back_whatever_their_size(decoder):
    rng = np.random.default_rng(7)
    cases = [(12, 14), (13, 40), (20, 22), (20, 28), (63, 100), (292, 330), (293, 310), (500, 2600)]
    cases += [(561, 1000), (640, 1281), (1040, 2080), (3824, 5700)]
    cases += [] if decoder == "sum_product" else [(8448, 9100), (8448, 30_000)]
    for k, n in cases:
        code = LDPCBlock(k, n, decoder=decoder)
        bits = rng.integers(0, 2, (3, k), np.uint8)
        coded = code.encode(bits)
        for received in (coded, (6 - 12.0 * coded).astype(np.float32)):
            result = code.decode(received)
            assert np.array_equal(result.bits, bits), (k, n)
            assert result.ok.all()
            assert result.iterations is not None
            assert (result.iterations >= 1).all()
        assert code.decode(coded[:0]).bits.shape == (0, k)
        assert code.encode(bits[:0]).shape == (0, n)


@pytest.mark.parametrize("decoder", ["min_star", "min_sum", "sum_product"])
def test_llrs_that_are_infinite_zero_or_no_numbers(decoder):
    code = LDPCBlock(200, 400, decoder=decoder)
    rng = np.random.default_rng(8)
    bits = rng.integers(0, 2, (4, 200), np.uint8)
    coded = code.encode(bits)
    sure = np.where(coded == 1, -np.inf, np.inf).astype(np.float32)
    for hole in (0.0, np.nan):
        llr = sure.copy()
        llr[:, rng.permutation(400)[:80]] = hole
        result = code.decode(llr)
        assert np.array_equal(result.bits, bits)
        assert result.ok.all()
    erased = rng.random(coded.shape) < 0.2
    assert np.array_equal(
        code.decode(np.where(erased, 1, coded).astype(np.uint8), erased).bits, bits
    )
    lost = code.decode(np.zeros((2, 400), np.float32))
    assert not lost.ok.any(), "nothing was received, yet the decoder is sure"
    lies = np.where(rng.random((3, 400)) < 0.5, -np.inf, np.inf).astype(np.float32)
    result = code.decode(lies)
    assert not result.ok.any()
    assert set(np.unique(result.bits)) <= {0, 1}


def peeled(code: LDPCBlock, word: np.ndarray, known: np.ndarray) -> np.ndarray:
    """What erasure decoding knows in the end: checks with one unknown bit give it away."""
    columns = word.size // code.z
    known = known.copy().reshape(columns, code.z)
    edges = [e for e in shifts(code.graph, code.set_index) if e[0] < code.lifted.row_start.size - 1]
    while True:
        unknown = np.zeros((code.lifted.row_start.size - 1, code.z), int)
        for row, column, shift in edges:
            unknown[row] += ~np.roll(known[column], -(shift % code.z))
        before = known.sum()
        for row, column, shift in edges:
            known[column] |= np.roll(unknown[row] == 1, shift % code.z)
        if known.sum() == before:
            return known.ravel()


@pytest.mark.parametrize("decoder", ["min_star", "min_sum", "sum_product"])
def test_erasures_are_filled_exactly_where_peeling_fills_them(decoder):
    # On an erasure channel message passing is peeling: an independent answer, block by block
    code = LDPCBlock(96, 192, decoder=decoder, iterations=200)
    rng = np.random.default_rng(9)
    bits = rng.integers(0, 2, (60, 96), np.uint8)
    words, coded = mother_word(code, bits), code.encode(bits)
    erased = rng.random(coded.shape) < np.linspace(0.3, 0.55, 60)[:, None]
    result = code.decode(coded, erased)
    place = np.concatenate((np.arange(2 * code.z, 96), np.arange(10 * code.z, 52 * code.z)))[:192]
    solved = []
    for block in range(60):
        known = np.zeros(words.shape[1], bool)
        known[96 : 10 * code.z] = True  # filler
        known[place[~erased[block]]] = True
        solved.append(peeled(code, words[block], known)[:96].all())
    assert 10 < sum(solved) < 50
    assert result.ok.tolist() == solved
    assert np.array_equal(result.bits[solved], bits[solved])


def plain_layered(code: LDPCBlock, llr: np.ndarray, star: bool):
    """The integer decoders as one would write them first: check by check, no lanes."""
    z, rows = code.z, code.lifted.row_start.size - 1
    info = SHAPES[code.graph][0]
    steps = np.zeros(code.lifted.columns * z)
    buffer = np.concatenate((np.arange(2 * z, code.k), np.arange(info * z, steps.size)))
    np.add.at(steps, np.resize(buffer, code.n), llr.astype(float))
    value = np.clip(np.rint(steps * 16), -2047, 2047).astype(int)
    value[code.k : info * z] = 2047
    empty = range(-(-code.k // z), info)
    table = [e for e in shifts(code.graph, code.set_index) if e[0] < rows and e[1] not in empty]
    message: dict[tuple[int, int], int] = {}

    def correction(x: int) -> int:
        return max(0, 10 - x // 4)

    def boxplus(a: int, b: int) -> int:
        return max(0, min(a, b) + correction(a + b) - correction(abs(a - b)))

    for iteration in range(1, code.iterations + 1):
        for row in range(rows):
            edges = [(c, s % z) for r, c, s in table if r == row]
            for i in range(z):
                at = [c * z + (i + s) % z for c, s in edges]
                t = [value[v] - message.get((v, row), 0) for v in at]
                sizes = [abs(x) for x in t]
                odd = sum(x < 0 for x in t) % 2
                weakest = min(sizes)
                rest = 16383
                low = 16383
                for size in sizes:
                    rest = boxplus(rest, max(low, size))
                    low = min(low, size)
                for v, x in zip(at, t, strict=True):
                    others = list(sizes)
                    others.remove(abs(x))
                    if star:
                        size = rest if abs(x) == weakest else boxplus(weakest, rest)
                        size = min(size, 1023)
                    else:
                        size = (min(*others, 1023) * 11 + 8) // 16
                    new = -size if odd != (x < 0) else size
                    message[v, row] = new
                    value[v] = max(-8191, min(8191, x + new))
        word = (value < 0).astype(np.uint8)
        padded = np.zeros((1, SHAPES[code.graph][2] * z), np.uint8)
        padded[0, : word.size] = word
        satisfied = not syndrome(padded, code.graph, z, code.set_index)[0, :rows].any()
        if satisfied and value[: code.k].all():
            return word[: code.k], True, iteration
    return word[: code.k], False, iteration


@pytest.mark.parametrize("decoder", ["min_star", "min_sum"])
@pytest.mark.parametrize(("k", "n", "graph"), [(30, 66, 2), (66, 100, 1), (20, 300, 2)])
def test_kernels_agree_bit_for_bit_with_a_plain_decoder(decoder, k, n, graph):
    code = LDPCBlock(k, n, graph=graph, decoder=decoder, iterations=6)
    _, llr = noisy(code, 12, 1.5, seed=k)
    result = code.decode(llr)
    assert result.ok.any()
    for block in range(12):
        bits, ok, iterations = plain_layered(code, llr[block], decoder == "min_star")
        assert np.array_equal(bits, result.bits[block])
        assert (ok, iterations) == (result.ok[block], result.iterations[block])


def test_sum_product_agrees_with_the_tanh_rule():
    code = LDPCBlock(30, 66, decoder="sum_product", iterations=5)
    _, llr = noisy(code, 10, 1.0, seed=1)
    result = code.decode(llr)
    z, rows = code.z, code.lifted.row_start.size - 1
    table = [e for e in shifts(2, code.set_index) if e[0] < rows and not (-(-30 // z) <= e[1] < 10)]
    for block in range(10):
        value = np.zeros(code.lifted.columns * z)
        value[np.r_[2 * z : 30, 10 * z : value.size][:66]] = llr[block]
        value[30 : 10 * z] = 40
        message = np.zeros((rows, value.size))
        spent = 0
        satisfied = False
        while not satisfied and spent < 5:
            spent += 1
            for row in range(rows):
                for i in range(z):
                    at = [c * z + (i + s) % z for r, c, s in table if r == row]
                    t = value[at] - message[row, at]
                    th = np.tanh(t / 2)
                    for j, v in enumerate(at):
                        message[row, v] = 2 * np.arctanh(np.prod(np.delete(th, j)))
                    value[at] = t + message[row, at]
            padded = np.zeros((1, 52 * z), np.uint8)
            padded[0, : value.size] = value < 0
            satisfied = not syndrome(padded, 2, z, code.set_index)[0, :rows].any()
        assert np.array_equal(value[:30] < 0, result.bits[block])
        assert spent == result.iterations[block]


def test_a_block_does_not_depend_on_what_is_decoded_beside_it():
    code = LDPCBlock(300, 600)
    _, llr = noisy(code, 50, 1.0, seed=3)
    together = code.decode(llr)
    order = np.random.default_rng(0).permutation(50)
    mixed = code.decode(llr[order])
    assert np.array_equal(mixed.bits, together.bits[order])
    assert np.array_equal(mixed.iterations, together.iterations[order])
    for size in (1, 3):
        few = code.decode(llr[:size])
        assert np.array_equal(few.bits, together.bits[:size])


def test_errors_do_not_depend_on_the_codeword():
    code = LDPCBlock(200, 400)
    rng = np.random.default_rng(11)
    noise = rng.standard_normal((2, 4000, 400)) * np.sqrt(1 / 10 ** (1.5 / 10))
    failed = []
    for bits, n in zip((0, 1), noise, strict=True):
        sent = rng.integers(0, 2, (4000, 200), np.uint8) * np.uint8(bits)
        y = 1 - 2.0 * code.encode(sent) + n
        failed.append((code.decode((4 * y).astype(np.float32)).bits != sent).any(axis=1).mean())
    spread = np.sqrt(2 * np.mean(failed) / 4000)
    assert min(failed) > 0.01
    assert abs(failed[0] - failed[1]) < 5 * spread


def test_numba_is_imported_when_the_first_block_is_coded_and_not_before():
    code = "import sys, channels.fec.ldpc, channels.fec.polar; assert 'numba' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_kernels_are_what_decode_uses(monkeypatch):
    """Guards the tests above: they compare kernels, so decode must not go around them."""
    calls = []
    real = ldpc_kernels.min_sum
    monkeypatch.setattr(ldpc_kernels, "min_sum", lambda *a: (calls.append(1), real(*a)))
    code = LDPCBlock(40, 90)
    code.decode(np.ones((1, 90), np.float32))
    assert calls


@pytest.mark.parametrize(
    ("k", "n", "order"),
    [
        (12, 40, None),
        (100, 200, 2),
        (600, 900, None),
        (1040, 2080, 4),
        (4000, 6000, 6),
        (8448, 8960, 8),
    ],
)
def test_encoder_equals_sionnas(k, n, order):
    torch = pytest.importorskip("torch")
    sionna = pytest.importorskip("sionna.phy.fec.ldpc")
    bits = np.random.default_rng(k).integers(0, 2, (5, k), np.uint8)
    theirs = sionna.LDPC5GEncoder(k, n, num_bits_per_symbol=order)
    expected = theirs(torch.tensor(bits, dtype=torch.float32)).numpy()
    assert np.array_equal(LDPCBlock(k, n, interleave=order or 1).encode(bits), expected)

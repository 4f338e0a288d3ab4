import binascii

import numpy as np
import pytest

from channels.fec.crc import CRCS, CRCCode

# Exponents of the generator polynomials as TS 38.212 section 5.1 writes them, and of CRC-32
EXPONENTS = {
    "crc24a": (24, 23, 18, 17, 14, 11, 10, 7, 6, 5, 4, 3, 1, 0),
    "crc24b": (24, 23, 6, 5, 1, 0),
    "crc24c": (24, 23, 21, 20, 17, 15, 13, 12, 8, 4, 2, 1, 0),
    "crc16": (16, 12, 5, 0),
    "crc11": (11, 10, 9, 5, 0),
    "crc6": (6, 5, 0),
}
# Catalogue of parametrised CRC algorithms (reveng): CRC-24/LTE-A, CRC-24/LTE-B, CRC-16/XMODEM
CHECK_VALUES = {"crc24a": 0xCDE703, "crc24b": 0x23EF52, "crc16": 0x31C3, "crc32": 0xCBF43926}


def bits_of(data: bytes) -> np.ndarray:
    return np.unpackbits(np.frombuffer(data, np.uint8))[None, :]


def number(bits: np.ndarray) -> int:
    return int("".join(map(str, bits)), 2)


def divide(message: int, length: int, exponents: tuple[int, ...]) -> int:
    """Remainder of message * D**width, by long division on whole numbers."""
    width = exponents[0]
    generator = sum(1 << e for e in exponents)
    rest = message << width
    for shift in range(length - 1, -1, -1):
        if rest >> (shift + width) & 1:
            rest ^= generator << shift
    return rest


@pytest.mark.parametrize("name", CHECK_VALUES)
def test_catalogued_check_values(name):
    assert number(CRCS[name].of(bits_of(b"123456789"))[0]) == CHECK_VALUES[name]


@pytest.mark.parametrize("name", EXPONENTS)
def test_is_the_remainder_of_long_division(name):
    rng = np.random.default_rng(1)
    for length in (*range(1, 40), 100, 523, 8447):
        bits = rng.integers(0, 2, (3, length), np.uint8)
        bits[0, : length // 2] = 0
        got = CRCS[name].of(bits)
        assert got.shape == (3, EXPONENTS[name][0])
        assert got.dtype == np.uint8
        for block, check in zip(bits, got, strict=True):
            assert number(check) == divide(number(block), length, EXPONENTS[name])


def test_crc32_is_that_of_binascii():
    rng = np.random.default_rng(2)
    for length in (0, 1, 9, 1500):
        data = rng.bytes(length)
        assert number(CRCS["crc32"].of(bits_of(data))[0]) == binascii.crc32(data)


@pytest.mark.parametrize("name", CRCS)
def test_every_burst_as_long_as_the_check_is_seen(name):
    crc = CRCS[name]
    rng = np.random.default_rng(3)
    good = crc.attach(rng.integers(0, 2, (1, 61 if name != "crc32" else 64), np.uint8))
    assert crc.check(good).all()
    bursts = []
    for start in range(good.shape[1]):
        burst = good[0].copy()
        length = min(crc.width, good.shape[1] - start)
        pattern = rng.integers(0, 2, length, np.uint8)
        pattern[0] = 1
        burst[start : start + length] ^= pattern
        bursts.append(burst)
    assert not crc.check(np.array(bursts)).any()


def test_a_random_word_passes_as_often_as_two_to_the_minus_width():
    rng = np.random.default_rng(4)
    passed = CRCS["crc6"].check(rng.integers(0, 2, (64_000, 90), np.uint8)).sum()
    assert abs(passed - 1000) < 5 * 1000**0.5


def test_as_a_code():
    code = CRCCode(100, CRCS["crc11"])
    assert (code.k, code.n) == (100, 111)
    bits = np.random.default_rng(5).integers(0, 2, (6, 100), np.uint8)
    coded = code.encode(bits)
    assert np.array_equal(code.decode(coded).bits, bits)
    assert code.decode((1 - 2.0 * coded).astype(np.float32)).ok.all()
    coded[2, 5] ^= 1
    erased = np.zeros(coded.shape, bool)
    erased[4, 0] = True
    assert code.decode(coded, erased).ok.tolist() == [True, True, False, True, False, True]
    assert code.decode(coded[:0]).bits.shape == (0, 100)


def test_what_is_no_block_is_refused():
    with pytest.raises(TypeError, match="blocks of bits are uint8 of shape"):
        CRCS["crc16"].of(np.zeros(8, np.uint8))
    with pytest.raises(TypeError, match="float64"):
        CRCS["crc16"].of(np.zeros((1, 8)))
    with pytest.raises(ValueError, match="can't end in 24"):
        CRCS["crc24a"].check(np.zeros((1, 8), np.uint8))
    with pytest.raises(ValueError, match="at least one bit"):
        CRCCode(0, CRCS["crc6"])


@pytest.mark.parametrize("name", EXPONENTS)
def test_equals_sionna(name):
    torch = pytest.importorskip("torch")
    sionna = pytest.importorskip("sionna.phy.fec.crc")
    bits = np.random.default_rng(6).integers(0, 2, (4, 57), np.uint8)
    theirs = sionna.CRCEncoder(name.upper(), k=57)
    expected = theirs(torch.tensor(bits, dtype=torch.float32)).numpy()
    assert np.array_equal(CRCS[name].attach(bits), expected)

"""How fast decoders are, beside commpy and Sionna decoding the same blocks.

Rates count information bits. Blocks come from this project's encoders over BPSK-like AWGN, so that
all decoders see the same LLRs (turned round for Sionna, whose LLRs are ln P(1)/P(0)).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib.util import find_spec

import numpy as np
from channel_speed import row

from channels.fec.code import Code
from channels.fec.convolutional import ConvolutionalCode
from channels.fec.ldpc import ldpc_code
from channels.fec.polar import PolarCode
from channels.fec.reed_solomon import ReedSolomonCode
from channels.link import Link
from channels.stage import Batch

#: (k, Eb/N0 in dB, blocks, target in Mbit/s) of the LDPC cases.
LDPC_CASES = ((1040, 1.4, 1000, 10.0), (8448, 1.15, 100, 6.0))
ITERATIONS = 20
#: Blocks that slow peers get.
FEW = {"commpy": 2, "sionna": 64}


def missing() -> list[str]:
    """Peers that can't be measured here."""
    return [name for name in ("commpy", "sionna") if find_spec(name) is None]


def measure_all(repeat: int) -> list[dict]:
    """One row a case, as :func:`channel_speed.measure_all`."""
    rows = []
    code = ConvolutionalCode(1024)
    bits, llr = noisy(code, 2000, 4.0)
    runs = {"gencomm": (lambda: code.decode(llr), bits.size)}
    runs |= commpy_viterbi(code, llr) | sionna_viterbi(code, llr)
    rows.append(row("Viterbi, K = 7, rate 1/2, soft, k = 1024, 4 dB", runs, 1e6, 25.0, repeat))
    for k, ebno_db, blocks, target in LDPC_CASES:
        rows.append(ldpc_row(k, ebno_db, blocks, target, repeat))
    rows.append(reed_solomon_row(repeat))
    polar = PolarCode(512, n=1024)
    _, polar_llr = noisy(polar, 400, 2.0)
    runs = {"gencomm": (lambda: polar.decode(polar_llr), 400 * 512)}
    rows.append(row("polar, k = 512, n = 1024, list 8, 2 dB", runs, 1e6, None, repeat))
    rows.append(demapper_row(repeat))
    return rows


def noisy(code: Code, blocks: int, ebno_db: float) -> tuple[np.ndarray, np.ndarray]:
    """Random blocks and the LLRs of their code bits over binary AWGN."""
    rng = np.random.default_rng(7)
    bits = rng.integers(0, 2, (blocks, code.k), np.uint8)
    coded = code.encode(bits)
    # amplitude 1, variance s on the axis: Eb/N0 = n / k / (2 s), LLR = 2 y / s
    variance = 1 / (2 * code.rate * 10 ** (ebno_db / 10))
    received = 1 - 2.0 * coded + np.sqrt(variance) * rng.standard_normal(coded.shape)
    return bits, (2 / variance * received).astype(np.float32)


def ldpc_row(k: int, ebno_db: float, blocks: int, target: float, repeat: int) -> dict:
    """Base graph 2 at rate 1/2 on both sides for k = 1040; whatever 38.212 picks for 8448."""
    codes = {
        name: ldpc_code(k, iterations=ITERATIONS, decoder=name, crc=False)
        for name in ("min_sum", "min_star")
    }
    bits, llr = noisy(codes["min_sum"], blocks, ebno_db)
    runs = {
        f"gencomm, {name}": (partial(code.decode, llr), bits.size) for name, code in codes.items()
    }
    runs |= sionna_ldpc(k, llr)
    case = f"NR LDPC, rate 1/2, k = {k}, {ebno_db:g} dB, {ITERATIONS} iterations"
    return row(case, runs, 1e6, target, repeat)


def reed_solomon_row(repeat: int) -> dict:
    """RS(255, 223) with 8 byte errors in each block."""
    code, rng, blocks = ReedSolomonCode(255, 223), np.random.default_rng(8), 1000
    sent = code.encode_bytes(rng.integers(0, 256, (blocks, 223), np.uint8))
    for block in sent:
        block[rng.choice(255, 8, replace=False)] ^= rng.integers(1, 256, 8, np.uint8)
    runs: dict[str, tuple[Callable, int]] = {
        "gencomm": (lambda: code.decode_bytes(sent), blocks * 223 * 8)
    }
    if find_spec("commpy") is not None:
        from commpy import ReedSolomonCode as Peer

        # its generator has other roots, so it gets a word of its own
        peer = Peer(8, 223)
        word = np.array(peer.encode(rng.integers(0, 256, 223)))
        word[rng.choice(255, 8, replace=False)] ^= rng.integers(1, 256, 8)
        runs["commpy"] = (lambda: peer.decode(word), 223 * 8)
    return row("RS(255, 223), 8 errors", runs, 1e6, 150.0, repeat)


def demapper_row(repeat: int) -> dict:
    """Max-log LLRs of 256-QAM alone, noise not included."""
    link = Link.parse("qam256|awgn(esno_db=24)", ["llr"])
    modulation, rng = link.stages[0], np.random.default_rng(9)
    symbols = rng.standard_normal((1, 1_000_000)) + 1j * rng.standard_normal((1, 1_000_000))
    batch = Batch(8_000_000, symbols=symbols.astype(np.complex64), noise=10**-2.4)
    state = modulation.forward(Batch(8_000_000, bits=np.zeros((1, 10**6), np.uint8)), [])[1]
    runs = {"gencomm": (lambda: modulation.backward(batch, state), 8_000_000)}
    return row("256-QAM, max-log demapper alone", runs, 1e6, 130.0, repeat)


def commpy_viterbi(code: ConvolutionalCode, llr: np.ndarray) -> dict:
    """commpy decodes one block at a time."""
    if find_spec("commpy") is None:
        return {}
    from commpy import Trellis, viterbi_decode

    trellis, few = Trellis(7, (0o133, 0o171)), llr[: FEW["commpy"]]
    return {
        "commpy": (
            lambda: [viterbi_decode(trellis, block, "soft") for block in few],
            len(few) * code.k,
        )
    }


def sionna_viterbi(code: ConvolutionalCode, llr: np.ndarray) -> dict:
    """Sionna's decoder on torch tensors."""
    if find_spec("sionna") is None:
        return {}
    import torch
    from sionna.phy.fec.conv import ViterbiDecoder

    torch.set_num_threads(1)
    decoder = ViterbiDecoder(gen_poly=("1011011", "1111001"), method="soft_llr", terminate=True)
    few = torch.from_numpy(-llr[: FEW["sionna"]])
    return {"sionna": (lambda: decoder(few), len(few) * code.k)}


def sionna_ldpc(k: int, llr: np.ndarray) -> dict:
    """Sionna's decoder has no early stop."""
    if find_spec("sionna") is None:
        return {}
    import torch
    from sionna.phy.fec.ldpc import LDPC5GDecoder, LDPC5GEncoder

    torch.set_num_threads(1)
    encoder = LDPC5GEncoder(k, 2 * k)
    decoder = LDPC5GDecoder(encoder, cn_update="minsum", num_iter=ITERATIONS)
    few = torch.from_numpy(-llr[: 8 if k > 4000 else FEW["sionna"]])
    return {"sionna": (lambda: decoder(few), len(few) * k)}

"""From simulated points to dB and verdicts; everything is computed from the tables."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.stats import binom

from channels import Link, theory
from channels.fec.hamming import HammingCode
from channels.finite_blocklength import required_ebno_db, shannon_ebno_db
from channels.intervals import clopper_pearson

if TYPE_CHECKING:
    from recipe import Curve

#: What "works" means in the figure of spectral efficiency.
BLER = 1e-2
#: Bit error rate at which convolutional codes are quoted.
BER = 1e-5


def crossing(rows: pd.DataFrame, rate: str, level: float) -> tuple[float, float, float]:
    """Eb/N0 in dB at which a rate falls through `level`, with its 95 % interval.

    Points are joined by straight lines in the logarithm of the rate; the bounds are where the
    lines through the ends of their intervals cross. Where nothing was wrong, half an error stands
    for it, and the lower bound lies at the point before. NaN where the points don't reach so far.
    """
    rows = rows.sort_values("ebno_db")
    x = rows["ebno_db"].to_numpy(float)
    sent = rows["blocks"] * (rows["block_bits"] if rate == "ber" else 1)
    middle = np.maximum(rows[rate], 0.5 / sent).to_numpy(float)
    low, high = (rows[f"{rate}_{end}"].to_numpy(float) for end in ("low", "high"))
    return _cross(x, middle, level), _cross(x, low, level), _cross(x, high, level)


def _cross(x: np.ndarray, y: np.ndarray, level: float) -> float:
    below = np.flatnonzero(y <= level)
    if not below.size or below[0] == 0:
        return math.nan
    i = int(below[0])
    if y[i] == 0:
        return float(x[i - 1])
    above, under = math.log(y[i - 1]), math.log(y[i])
    return float(x[i - 1] + (x[i] - x[i - 1]) * (above - math.log(level)) / (above - under))


def required(results: pd.DataFrame, curves: list[Curve]) -> pd.DataFrame:
    """Of each curve in the figures: bits per use, and Eb/N0 for `BLER`, beside what theory allows.

    `shannon_db` is the least Eb/N0 for that many bits per use; `constellation_db` the same with
    its constellation's points equally likely; `normal_db` the normal approximation at its length.
    """
    lines = []
    for curve in curves:
        if curve.family == "reference":
            continue
        rows = results[results.curve == curve.name]
        ebno_db, low, high = crossing(rows, "bler", BLER)
        ber_db, ber_low, ber_high = crossing(rows, "ber", BER)
        link = Link.parse(f"{curve.link}|awgn(ebno_db=0)")
        k = int(rows.block_bits.iloc[0])
        uses = link.ledger(k).channel_uses
        name = link.constellation or ""
        nominal = link.rate * link.bits_per_symbol
        coded = link.rate < 1
        kind = "binary" if link.bits_per_symbol <= 2 else "gaussian"
        lines.append({
            "curve": curve.name, "k": k, "bits_per_use": nominal,
            "ebno_db": ebno_db, "low": low, "high": high,
            "ber_ebno_db": ber_db, "ber_low": ber_low, "ber_high": ber_high,
            "shannon_db": shannon_ebno_db(nominal),
            "constellation_db": constellation_ebno_db(name, nominal) if coded else math.nan,
            "normal_db": required_ebno_db(k, 2 * uses, BLER, kind) if coded else math.nan,
        })  # fmt: skip
    return pd.DataFrame(lines)


def constellation_ebno_db(modulation: str, bits_per_use: float) -> float:
    """Least Eb/N0 in dB for so many bits per use with the points of `modulation`."""
    from scipy.optimize import brentq

    def excess(esno_db: float) -> float:
        return float(theory.capacity_constellation(modulation, esno_db)) - bits_per_use

    esno_db = float(brentq(excess, -20, 40))  # type: ignore
    return esno_db - 10 * math.log10(bits_per_use)


def claims(results: pd.DataFrame, references: pd.DataFrame, exact: pd.DataFrame) -> list[dict]:
    """What the tables say."""
    at = {name: rows for name, rows in results.groupby("curve")}
    found = []
    soft, hard = (crossing(at[name], "ber", BER) for name in ("conv-1/2", "conv-hard"))
    found.append(_claim(
        "K=7 rate 1/2, soft Viterbi: Eb/N0 in dB for BER 1e-5",
        "usual figure for (133, 171), e.g. Proakis, Digital Communications",
        "4.2 within 0.15", soft, 4.2, 0.15))  # fmt: skip
    found.append(_claim(
        "dB that hard decisions cost it at BER 1e-5",
        "theory: 2 (Heller and Jacobs 1971)", "2 within 0.5",
        _difference(hard, soft), 2.0, 0.5))  # fmt: skip
    default = crossing(at["default-ldpc-1040"], "bler", BLER)
    own = crossing(at["sionna-ldpc-1040"], "bler", BLER)
    what = "NR LDPC, BG2, k = 1040, rate 1/2"
    found.append(_claim(
        f"{what}: dB by which the default decoder is behind our sum-product (50 iterations) at "
        "BLER 1e-2", "results.csv", "0.15 at most",
        _difference(default, own), 0.0, 0.15))  # fmt: skip
    theirs = references[references.curve == "sionna-ldpc-1040"]
    value, error, points = offset_db(at["default-ldpc-1040"], theirs, "block")
    found.append(_claim(
        f"{what}: dB by which it is behind Sionna's sum-product (40 iterations, flooding), mean of "
        f"{points} points down to BLER {(theirs.block_errors / theirs.blocks).min():.2g}",
        _source(references, "sionna-ldpc-1040"), "0.15 at most",
        (value, value - 1.96 * error, value + 1.96 * error), 0.0, 0.15))  # fmt: skip
    normal = required_ebno_db(1040, 2080, BLER)
    gap = default[0] - normal, default[1] - normal, default[2] - normal
    found.append({
        "claim": f"{what}: dB behind the normal approximation ({normal:.2f} dB) at BLER 1e-2",
        "source": "Polyanskiy, Poor, Verdu 2010", "target": "above 0 (no code is better)",
        "value": round(gap[0], 3), "low": round(gap[1], 3), "high": round(gap[2], 3),
        "verdict": "met" if gap[1] > 0 else "refuted",
    })  # fmt: skip
    for name, what, tolerance in (
        ("sionna-polar-8", "NR polar (1024, 512), list 8, CRC 11", 0.2),
        ("aff3ct-polar-sc", "NR polar (1024, 512), successive cancellation", 0.1),
        ("sionna-ldpc-1040", "NR LDPC (2080, 1040), sum-product", 0.1),
        ("aff3ct-ldpc-512", "NR LDPC (1024, 512), sum-product, 10 iterations", 0.1),
        ("aff3ct-ldpc-6144", "NR LDPC (12288, 6144), sum-product, 10 iterations", 0.1),
        ("aff3ct-ldpc-20", "NR LDPC (40, 20), sum-product, 10 iterations", 0.1),
        ("aff3ct-rs-223", "RS (255, 223)", 0.05),
        ("aff3ct-rs-239", "RS (255, 239)", 0.05),
        ("aff3ct-bch-64", "BCH (127, 64)", 0.05),
        ("aff3ct-bch-215", "BCH (255, 215)", 0.05),
        ("aff3ct-bpsk", "BPSK without a code", 0.05),
        ("aff3ct-qam16", "16-QAM without a code", 0.05),
    ):
        theirs = references[references.curve == name]
        uncoded = name in ("aff3ct-bpsk", "aff3ct-qam16")
        value, error, points = offset_db(at[name], theirs, "bit" if uncoded else "block")
        found.append(_claim(
            f"{what}: dB behind the reference, mean of {points} points",
            _source(references, name), f"0 within {tolerance:g}",
            (value, value - 1.96 * error, value + 1.96 * error), 0.0, tolerance))  # fmt: skip
    found.append(closed_forms(at))
    found += reed_solomon(exact)
    return found


def offset_db(ours: pd.DataFrame, theirs: pd.DataFrame, what: str) -> tuple[float, float, int]:
    """By how many dB our curve lies behind a reference, all common points together.

    Each point's ratio of error rates over the slope of the reference, weighted by its certainty.

    Parameters
    ----------
    what : {"block", "bit"}
        Which errors are compared.

    Returns
    -------
    offset, error : float
        Mean (positive: we need more) and its standard deviation.
    points : int
    """
    both = ours.merge(theirs, on="ebno_db", suffixes=("", "_ref")).sort_values("ebno_db")
    if what == "block":
        n, e = both.blocks, both.block_errors
        n_ref, e_ref = both.blocks_ref, both.block_errors_ref
    else:
        n, e = both.blocks * both.block_bits, both.bit_errors
        # the reference's blocks have 4003 bits
        n_ref, e_ref = both.blocks_ref * 4003, both.bit_errors_ref.astype(float)
    keep = (e > 0) & (e < n)
    p, q = e[keep] / n[keep], e_ref[keep] / n_ref[keep]
    slope = np.gradient(np.log(q), both.ebno_db[keep])
    offsets = -np.log(p / q) / slope
    weights = slope**2 / ((1 - p) / e[keep] + (1 - q) / e_ref[keep])
    total = float(weights.sum())
    return float((offsets * weights).sum()) / total, 1 / math.sqrt(total), int(keep.sum())


def closed_forms(at: dict[str, pd.DataFrame]) -> dict:
    """Share of points of hard-decision block codes whose 99 % interval holds the closed form."""
    inside = n = 0
    for name in ("rs", "bch", "hamming", "repetition"):
        for row in at[name].itertuples():
            expected = block_error_closed_form(name, row.ebno_db, row.block_bits)
            low, high = clopper_pearson(row.block_errors, row.blocks, 0.99)
            inside += int(low <= expected <= high)
            n += 1
    low, high = clopper_pearson(inside, n, 0.95)
    allowed = int(binom.ppf(0.999, n, 0.01))
    return {
        "claim": f"RS, BCH, Hamming, repetition: share of {n} points whose 99 % interval holds the "
        "block error rate of bounded-distance decoding",
        "source": "binomial sums over the QPSK error rate",
        "target": f"0.99 (at most {allowed} of {n} outside, by chance)",
        "value": round(inside / n, 4), "low": round(float(low), 4), "high": round(float(high), 4),
        "verdict": "met" if n - inside <= allowed else "short",
    }  # fmt: skip


def block_error_closed_form(name: str, ebno_db: float, block_bits: int) -> float:
    """Block error rate over QPSK of codes whose decoders correct up to t errors and no more."""
    rate = {"rs": Fraction(223, 255), "bch": Fraction(64, 127), "hamming": Fraction(4, 7),
            "repetition": Fraction(1, 3)}[name]  # fmt: skip
    p = float(theory.ber_awgn("qpsk", theory.ebno_to_esno_db(ebno_db, 2, float(rate))))
    if name == "rs":
        word, k = binom.sf(16, 255, -math.expm1(8 * math.log1p(-p))), 1784
    elif name == "bch":
        word, k = binom.sf(10, 127, p), 64
    elif name == "hamming":
        word, k = _hamming_word_error(p), 4
    else:  # LLRs are added: three times the energy on one decision, as without a code
        word, k = float(theory.ber_awgn("qpsk", theory.ebno_to_esno_db(ebno_db, 2))), 1
    return -math.expm1(block_bits / k * math.log1p(-float(word)))


def _hamming_word_error(p: float) -> float:
    """Probability that information bits are wrong after decoding, over all 128 error patterns."""
    patterns = (np.arange(128)[:, None] >> np.arange(7) & 1).astype(np.uint8)
    wrong = HammingCode(3).decode(patterns).bits.any(axis=1)
    weight = patterns.sum(axis=1)
    return float((p**weight * (1 - p) ** (7 - weight))[wrong].sum())


def reed_solomon(exact: pd.DataFrame) -> list[dict]:
    """Words that come back right at the limit, and one error or erasure beyond it."""
    found = []
    within = exact[2 * exact.errors + exact.erasures <= 32]
    beyond = exact.drop(within.index)
    for what, part, target, good in (
        ("up to 16 errors, 32 erasures, or 8 and 16", within, 1.0, "1"),
        ("one error or erasure more than it corrects", beyond, 0.0, "0"),
    ):
        right, words = int(part.right.sum()), int(part.words.sum())
        low, high = clopper_pearson(right, words, 0.95)
        found.append({
            "claim": f"RS (255, 223), {what}: share of {words} words that come back right",
            "source": "2 errors + erasures <= 32", "target": good,
            "value": right / words, "low": round(float(low), 6), "high": round(float(high), 6),
            "verdict": "met" if right / words == target else "short",
        })  # fmt: skip
    return found


def _source(references: pd.DataFrame, name: str) -> str:
    return references.loc[references.curve == name, "source"].iloc[0]


def _difference(a: tuple, b: tuple) -> tuple[float, float, float]:
    """a - b of two independent values with intervals: half widths add as squares."""
    value = a[0] - b[0]
    down = math.hypot(a[0] - a[1], b[2] - b[0])
    up = math.hypot(a[2] - a[0], b[0] - b[1])
    return value, value - down, value + up


def _claim(
    what: str,
    source: str,
    target: str,
    value: tuple[float, float, float],
    aim: float,
    within: float,
) -> dict:
    """Met where the whole interval is within reach of the aim, partly where the value is."""
    middle, low, high = value
    if not all(map(math.isfinite, value)):
        raise ValueError(f"the points of results.csv don't reach far enough for: {what}")
    sure = abs(low - aim) <= within and abs(high - aim) <= within
    near = abs(middle - aim) <= within
    return {
        "claim": what, "source": source, "target": target, "value": round(middle, 3),
        "low": round(low, 3), "high": round(high, 3),
        "verdict": "met" if sure else "partly" if near else "short",
    }  # fmt: skip

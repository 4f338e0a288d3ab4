"""Which part of a fixed-length code's resilience is owed to what?

``GENCOMM_DATA=... python experiments/ablation/recipe.py`` sends test faces of ``faces64.npz``
through every codec of `points.py` over channels with errors, and writes results.csv, table.md,
soft.csv, protection.csv, figure.png and claims.json beside this file. Scores of single faces lie
in by_face.csv: what stands there is not measured again (remove it to begin anew).
``--faces N`` takes fewer faces, ``--claims`` makes tables, figure and claims alone.
"""

from __future__ import annotations

import argparse
import csv
import json
from pathlib import Path

import drawing
import measuring
import numpy as np
from measuring import Scores, interval, resampled
from points import (
    BERS,
    POINTS,
    PROTECTION,
    SHOWN,
    SOFT,
    SOFT_ESNO_DB,
    UEP_CODECS,
    UEP_EBNO_DB,
    UEP_FACES,
    protected_link,
)

from gencomm.codecs.registry import make_codec
from gencomm.items import Item
from gencomm.sources.packed import Packed

HERE = Path(__file__).resolve().parent
FACES = 200
#: Links of unequal protection, which fewer faces go over.
PROTECTED = {protected_link(name, ebno) for name in PROTECTION for ebno in UEP_EBNO_DB}
#: How far below its own quality without errors a code is when it counts as broken, in dB.
DROP = 3.0
ENDS = ("", "_low", "_high")


def bsc(ber: float) -> str:
    """The link of a bit error rate."""
    return f"bsc({ber:g})" if ber else "clean"


def ready(codec: str) -> bool:
    """Whether its weights are there."""
    try:
        getattr(make_codec(codec), "versions", dict)()
    except ValueError as error:
        print(f"{codec} is left out: {error}", flush=True)
        return False
    return True


def plan() -> list[tuple[str, list[str]]]:
    """Codecs and their links."""
    wanted: dict[str, list[str]] = {}
    for point in POINTS:
        wanted.setdefault(point.codec, []).extend(bsc(ber) for ber in (0.0, *BERS))
    for pair in SOFT:
        for codec in pair:
            links = wanted.setdefault(codec, [])
            links.extend(awgn(ber) for ber in SOFT_ESNO_DB)
    for codec in UEP_CODECS:
        links = wanted.setdefault(codec, [])
        links.extend(protected_link(p, e) for p in PROTECTION for e in UEP_EBNO_DB)
    return list(wanted.items())


def awgn(ber: float) -> str:
    """Uncoded BPSK at which so many bits are wrong."""
    return f"bpsk|awgn(esno_db={SOFT_ESNO_DB[ber]:g})"


def measure_all(scores: Scores, items: list[Item], path: Path) -> None:
    """Fill in what is missing, and keep it at once."""
    for codec, links in plan():
        few = [link for link in links if link in PROTECTED]
        rest = [link for link in links if link not in PROTECTED]
        for part, some in ((items, rest), (items[:UEP_FACES], few)):
            missing = [link for link in some if (codec, link, "psnr") not in scores]
            if not missing or not ready(codec):
                continue
            for link, found in measuring.measure(codec, missing, part):
                for metric in measuring.METRICS:
                    scores[codec, link, metric] = found[metric]
                scores[codec, "payload", "bits"] = np.array([found["bits"]])
                print(f"{codec} {link} {found['psnr'].mean():.2f} dB", flush=True)
            measuring.write(path, scores)


def tolerated(scores: Scores, codec: str) -> tuple[float, float, float]:
    """Bit error rate at which the mean is `DROP` below that without errors, and its interval.

    Interpolated in the logarithm of the rate; the highest rate measured where it is never reached.
    """
    curve = np.stack([scores[codec, bsc(ber), "psnr"] for ber in (0.0, *BERS)])
    means = resampled(curve).mean(2)
    whole = curve.mean(1)
    found = [crossing(whole), *(crossing(column) for column in means.T)]
    low, high = np.quantile(found[1:], [0.025, 0.975])
    return found[0], float(low), float(high)


def crossing(means: np.ndarray) -> float:
    """Where a curve over (0, *BERS) falls `DROP` below its first value."""
    lost = np.maximum.accumulate(means[0] - means[1:])
    if lost[-1] < DROP:
        return BERS[-1]
    if lost[0] >= DROP:
        return BERS[0]
    k = int(np.argmax(lost >= DROP))
    share = (DROP - lost[k - 1]) / (lost[k] - lost[k - 1])
    return float(np.exp(np.log(BERS[k - 1]) + share * np.log(BERS[k] / BERS[k - 1])))


def table(scores: Scores) -> list[dict]:
    """Lines of results.csv: figures of each point, and what it gains over the one without."""
    rows = []
    for point in POINTS:
        codec, against = point.codec, point.against
        if (codec, bsc(BERS[-1]), "psnr") not in scores:
            continue
        clean = scores[codec, "clean", "psnr"]
        row: dict = {
            "cause": point.cause,
            "codec": codec,
            "against": against,
            "faces": clean.size,
            "payload_bits": round(float(scores[codec, "payload", "bits"][0]), 1),
        }
        for name, link in (("clean", "clean"), *((f"{b:g}", bsc(b)) for b in SHOWN)):
            psnr = scores[codec, link, "psnr"]
            row |= named(f"psnr_{name}", interval(psnr))
            row[f"ssim_{name}"] = round(float(scores[codec, link, "ssim"].mean()), 4)
            gain = psnr - scores[against, link, "psnr"] if against else None
            row |= named(f"gain_{name}", interval(gain) if gain is not None else ("", "", ""))
        rate = tolerated(scores, codec)
        row |= {f"ber_at_3db{end}": f"{v:.3g}" for end, v in zip(ENDS, rate, strict=True)}
        rows.append(row)
    return rows


def named(name: str, values: tuple) -> dict:
    """A figure and its interval as columns."""
    ends = zip(ENDS, values, strict=True)
    return {f"{name}{end}": round(v, 3) if v != "" else v for end, v in ends}


def soft_table(scores: Scores) -> list[dict]:
    """What LLRs gain over hard decisions of a decoder that knows the error rate."""
    rows = []
    for hard, soft in SOFT:
        for ber in SOFT_ESNO_DB:
            pair = [scores.get((codec, awgn(ber), "psnr")) for codec in (hard, soft)]
            if pair[0] is None or pair[1] is None:
                continue
            # mean squared error, which soft decoding makes least, and mean PSNR, which it need not
            error = [10 ** (-one / 10) for one in pair]
            mean = [resampled(e).mean(1) for e in error]
            gains = 10 * np.log10(mean[0] / mean[1])
            gain = 10 * np.log10(error[0].mean() / error[1].mean())
            low, high = np.quantile(gains, [0.025, 0.975])
            row = {"hard": hard, "soft": soft, "ber": ber, "faces": pair[0].size}
            row |= named("psnr_hard", interval(pair[0])) | named("psnr_soft", interval(pair[1]))
            row |= named("gain_psnr", interval(pair[1] - pair[0]))
            rows.append(row | named("gain_mse_db", (float(gain), float(low), float(high))))
    return rows


def protection_table(scores: Scores) -> list[dict]:
    """Quality over energy for each way of protecting; gains over equal protection."""
    rows = []
    for codec in UEP_CODECS:
        for ebno in UEP_EBNO_DB:
            links = {name: protected_link(name, ebno) for name in PROTECTION}
            base = scores.get((codec, links["equal, one block"], "psnr"))
            for name, link in links.items():
                psnr = scores.get((codec, link, "psnr"))
                if psnr is None or base is None:
                    continue
                row = {"codec": codec, "protection": name, "ebno_db": ebno, "faces": psnr.size}
                row |= named("psnr", interval(psnr))
                rows.append(row | named("gain", interval(psnr - base)))
    return rows


#: Losses against no errors that the issue asks for, in dB: codec, bit error rate, at most.
LOSSES = (
    ("ncode_joint", 1e-2, 2.0),
    ("ncode_joint(labels=annealed)", 1e-2, 2.0),
    ("ncode_joint(design_ber=0.05)", 1e-2, 0.5),
    ("ncode_joint(design_ber=0.05)", 5e-2, 2.0),
)
#: Energies at which claims are made of unequal protection: below and above what the code stands.
CLAIMED_EBNO_DB = (0.0, 3.0)


def claims(scores: Scores, soft: list[dict], protection: list[dict]) -> list[dict]:
    """What was asked, and what the scores of faces say."""
    found = []
    for point in POINTS:
        pair = [scores.get((c, bsc(5e-2), "psnr")) for c in (point.codec, point.against)]
        if pair[0] is None or pair[1] is None:
            continue
        words = f"{point.cause}: {point.codec} over {point.against} at BER 5e-2, dB"
        found.append(gain_claim(words, interval(pair[0] - pair[1])))
    for codec, ber, most in LOSSES:
        loss = scores[codec, "clean", "psnr"] - scores[codec, bsc(ber), "psnr"]
        value, low, high = (round(v, 3) for v in interval(loss))
        verdict = "met" if value <= most else "partly" if low <= most else "short"
        words = f"{codec} loses dB at BER {ber:g}"
        found.append(claim(words, f"at most {most:g}", value, low, high, verdict))
    for row in soft:
        words = f"{row['soft']} over BPSK at BER {row['ber']:g}: less mean squared error than "
        ends = (row["gain_mse_db"], row["gain_mse_db_low"], row["gain_mse_db_high"])
        found.append(gain_claim(words + "with hard decisions of a told decoder, dB", ends))
    for row in protection:
        if row["protection"].startswith("unequal") and row["ebno_db"] in CLAIMED_EBNO_DB:
            words = f"{row['codec']}, {row['protection']} over one block of rate 1/2 at "
            ends = (row["gain"], row["gain_low"], row["gain_high"])
            found.append(gain_claim(f"{words}Eb/N0 {row['ebno_db']:g} dB: PSNR, dB", ends))
    return found


def gain_claim(words: str, ends: tuple[float, float, float]) -> dict:
    """That something gains: its mean and interval decide."""
    value, low, high = (round(v, 3) for v in ends)
    verdict = "met" if low > 0 else "refuted" if high < 0 else "partly"
    return claim(words, "above 0", value, low, high, verdict)


def claim(words: str, target: str, value: float, low: float, high: float, verdict: str) -> dict:
    """A line of claims.json."""
    return {
        "claim": words,
        "source": "issue 11, splitting resilience into its causes",
        "target": target,
        "value": value,
        "low": low,
        "high": high,
        "verdict": verdict,
    }


def markdown(rows: list[dict]) -> str:
    """The table as the README's readers see it."""
    names = ("clean", "0.01", "0.05")
    heads = ["cause", "codec", "bits", "clean", "BER 1e-2", "BER 5e-2", "BER at -3 dB"]
    heads += [f"gain {name}" for name in ("clean", "1e-2", "5e-2")]
    lines = [f"| {' | '.join(heads)} |", f"|{' --- |' * len(heads)}"]
    for row in rows:
        cells = [row["cause"], f"`{row['codec']}`", f"{row['payload_bits']:.0f}"]
        cells += [f"{row[f'psnr_{n}']:.2f} / {row[f'ssim_{n}']:.3f}" for n in names]
        rate, low, high = (f"{float(row[f'ber_at_3db{e}']):.2g}" for e in ("", "_low", "_high"))
        cells.append(f"{rate} ({low} to {high})")
        for n in names:
            ends = [row[f"gain_{n}{e}"] for e in ("", "_low", "_high")]
            mean, *rest = (f"{v:+.2f}" for v in ends) if row["against"] else ("",)
            cells.append(f"{mean} ({' to '.join(rest)})" if rest else mean)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def write(path: Path, rows: list[dict]) -> None:
    """A table as CSV."""
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--claims", action="store_true", help="from by_face.csv, nothing measured")
    parser.add_argument("--faces", type=int, default=FACES)
    args = parser.parse_args()
    path = HERE / "by_face.csv"
    scores = measuring.read(path)
    if not args.claims:
        items = list(Packed("${GENCOMM_DATA}/faces64.npz", args.faces, split="test"))
        measure_all(scores, items, path)
    rows, soft, protection = table(scores), soft_table(scores), protection_table(scores)
    for name, lines in (("results", rows), ("soft", soft), ("protection", protection)):
        write(HERE / f"{name}.csv", lines)
    (HERE / "table.md").write_text(markdown(rows))
    text = json.dumps(claims(scores, soft, protection), indent=2) + "\n"
    (HERE / "claims.json").write_text(text)
    drawing.draw(scores, soft, protection, HERE / "figure.png")


if __name__ == "__main__":
    main()

"""ncode_video beside the lowest rates of other codecs, on the test clips of the packed sets.

    GENCOMM_DATA=data python experiments/video/bars.py [--weights FOLDER] [--strips FOLDER]

Whole streams, session included: bits a frame, PSNR and SSIM without errors and at bit error rates
up to 1e-1, which the receiver knows. Writes bars/results.csv and bars/claims.json beside this file.
Weights are those of the package; or, with --weights, files of the same names in a folder. Strips of
frames show persons, and stay out of the repository.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from channels.bits import PackedBits
from gencomm.codecs.contract import Received
from gencomm.codecs.registry import make_codec
from gencomm.files import write_atomically
from gencomm.items import strip
from gencomm.metrics import Panel
from gencomm.sources import make_source

HERE = Path(__file__).resolve().parent / "bars"

#: Lowest rate of any classical codec, H.264's (measured by the makers of the sets in November 2026
#: with PyAV 18): bits a frame, PSNR, SSIM.
BARS = {
    "heads64": (132, 19.07, 0.426),
    "actions64": (117, 24.41, 0.574),
    "rccar64": (206, 18.94, 0.576),
}
WEIGHTS = {name: f"ncode_video_{name.removesuffix('64')}" for name in BARS}
BERS = (0.0, 1e-3, 1e-2, 5e-2, 1e-1)
#: Operating points, besides the weights, that each set is measured at; the first is the claim's.
POINTS = ("", "design_ber=0.01", "design_ber=0.05", "mode=predict", "mode=predict, design_ber=0.01")
#: Frames of a strip.
FRAMES = 8


def spec(point: str, weights: str) -> str:
    """The codec of an operating point."""
    return f"ncode_video({', '.join(part for part in (point, f'weights={weights}') if part)})"


def measure(name: str, codec_spec: str, strips: Path | None) -> list[dict]:
    """Means over all frames of a set's test clips at each bit error rate, one draw a clip."""
    codec, panel = make_codec(codec_spec), Panel(["psnr", "ssim"])
    totals = np.zeros((len(BERS), 3))
    frames, shown = 0, []
    for item in make_source(f"packed_clips(path='${{GENCOMM_DATA}}/{name}.npz',split=test)"):
        encoded = codec.encode(item)
        sent, prepared = encoded.bits.unpack(), panel.prepare(item.value)
        rng, rows = np.random.default_rng(1), [strip(item.value, FRAMES)]
        for total, ber in zip(totals, BERS, strict=True):
            arrived = PackedBits.from_bits(sent ^ (rng.random(sent.size) < ber))
            decoded = codec.decode(Received(arrived, encoded.side, ber=ber))
            assert decoded.value is not None, decoded.detail
            scores = panel.measure(prepared, decoded.value[None])
            quality = [float(scores[key][0]) * len(item.value) for key in ("psnr", "ssim")]
            total += [encoded.total_bits, *quality]
            rows.append(strip(decoded.value, FRAMES))
        frames += len(item.value)
        shown.append(np.concatenate(rows))
    if strips is not None:
        strips.mkdir(parents=True, exist_ok=True)
        for number, picture in enumerate(shown[:3]):
            Image.fromarray(picture).save(strips / f"{name}-{number}.png")
    lines = totals / frames
    return [
        {"ber": ber, "bits": bits, "psnr": psnr, "ssim": ssim}
        for ber, (bits, psnr, ssim) in zip(BERS, lines.tolist(), strict=True)
    ]


def claims_of(name: str, rows: list[dict]) -> list[dict]:
    """PSNR and SSIM beside the bar, and what a bit error rate of 1e-2 costs."""
    bits, *bars = BARS[name]
    clean = next(row for row in rows if row["ber"] == 0)
    noisy = next(row for row in rows if row["ber"] == 1e-2)
    found = [
        {
            "claim": f"{name}: {key.upper()} of ncode_video at {clean['bits']:.0f} bits a frame",
            "target": f"above H.264's {bar:g} at {bits} bits a frame",
            "value": round(clean[key], 3),
            "verdict": "met" if clean[key] > bar else "short",
        }
        for key, bar in zip(("psnr", "ssim"), bars, strict=True)
    ]
    found.append(
        {
            "claim": f"{name}: dB of PSNR that a bit error rate of 1e-2 costs ncode_video",
            "target": "at most 3",
            "value": round(clean["psnr"] - noisy["psnr"], 2),
            "verdict": "met" if clean["psnr"] - noisy["psnr"] <= 3 else "short",
        }
    )
    return [{**one, "source": "results.csv", "low": None, "high": None} for one in found]


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--weights", type=Path, help="a folder of weights")
    parser.add_argument("--strips", type=Path, help="a folder for strips")
    parser.add_argument("--sets", nargs="+", default=list(BARS), choices=list(BARS))
    parser.add_argument("--points", nargs="+", default=list(POINTS))
    parser.add_argument("--out", type=Path, default=HERE)
    args = parser.parse_args()
    lines, claims = [], []
    for name in args.sets:
        own = WEIGHTS[name]
        if args.weights:
            own = str(args.weights / f"{own}.safetensors")
        points = [spec(point, own) for point in args.points]
        points += [spec("", "ncode_joint")] if name == "heads64" else []
        for number, codec in enumerate(points):
            rows = measure(name, codec, args.strips if number == 0 else None)
            text = codec.replace(own, WEIGHTS[name])
            lines += [{"set": name, "codec": text, **row} for row in rows]
            print(name, text, *(f"{r['psnr']:.2f}/{r['ssim']:.3f}" for r in rows), flush=True)
            claims += claims_of(name, rows) if number == 0 else []
    args.out.mkdir(parents=True, exist_ok=True)
    table = pd.DataFrame(lines).round(4).to_csv(index=False)
    write_atomically(args.out / "results.csv", table.encode())
    write_atomically(args.out / "claims.json", (json.dumps(claims, indent=1) + "\n").encode())


if __name__ == "__main__":
    main()

"""One face that may be published, as codecs show it at three rates without errors: sheet.png.

``python experiments/faces/sheet.py`` needs no data set: the face of NASA's photograph `astronaut`,
which comes with scikit-image and is in the public domain, framed as the training faces are. Codecs
with a quality take the one whose payload, header granted free, comes nearest to the rate. Learned
codecs whose weights are not there are left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from measuring import family, payload_bits
from points import ready

from gencomm.codecs.contract import Received
from gencomm.codecs.registry import make_codec
from gencomm.figures.sheet import Tile, contact_sheet
from gencomm.items import Item
from gencomm.metrics import make_metric
from gencomm.sources.face import Face

HERE = Path(__file__).resolve().parent
RATES = (512, 1024, 1349)
#: Rows: a spec with {bits} or {quality}, and the qualities to choose from.
ROWS = [
    ("klt", "klt(bits={bits})", None),
    ("ncode_joint", "ncode_joint(bits={bits})", None),
    ("ncode_joint,\nperceptual", "ncode_joint(bits={bits},weights=ncode_joint_perceptual)", None),
    ("ncode", "ncode(bits={bits})", None),
    ("cae, faces", "cae(quality={quality},weights=cae_faces64)", range(0, 101, 2)),
    ("cae, photographs", "cae(quality={quality})", range(0, 41, 2)),
    ("AVIF", "avif(quality={quality},speed=2)", range(31)),
    ("WebP", "webp(quality={quality})", range(11)),
    ("JPEG 2000", "jpeg2000(bpp={quality})", np.arange(0.3, 0.7, 0.01).round(2)),
    ("JPEG", "jpeg(quality={quality})", range(1, 16)),
]
#: Payloads that learned codes of fixed length have, as near as they come.
FIXED = {"ncode": {512: 512, 1024: 1000}}


def points() -> Iterator[tuple[str, int, str, float]]:
    """Row, rate, spec and payload bits of every place that can be filled."""
    item = Face().read(0)
    for row, text, qualities in ROWS:
        if qualities is None:
            for rate in RATES[:2]:
                bits = FIXED.get(family(text.format(bits=rate)), {}).get(rate, rate)
                spec = text.format(bits=bits)
                if ready(spec):
                    yield row, rate, spec, float(bits)
            continue
        specs = [text.format(quality=q) for q in qualities]
        if not ready(specs[0]):
            continue
        sizes = {spec: _payload(spec, item) for spec in specs}
        shown = set()
        for rate in RATES:
            spec = min(specs, key=lambda one: abs(np.log(sizes[one] / rate)))
            if spec not in shown and abs(np.log(sizes[spec] / rate)) < np.log(1.2):
                shown.add(spec)
                yield row, rate, spec, sizes[spec]


def _payload(spec: str, item: Item) -> float:
    return max(1.0, payload_bits(spec, [make_codec(spec).encode(item)]))


def main() -> None:
    item, metric = Face().read(0), make_metric("psnr")
    state = metric.prepare(item.value)
    tiles = []
    for row, rate, spec, payload in points():
        codec = make_codec(spec)
        encoded = codec.encode(item)
        decoded = codec.decode(Received(encoded.bits, encoded.side))
        if decoded.value is None:
            raise RuntimeError(f"{spec} does not decode: {decoded.detail}")
        psnr = float(metric.measure(state, decoded.value[None])[0])
        caption = f"{payload:,.0f} ({encoded.total_bits:,})  {psnr:.1f} dB"
        tiles.append(Tile(row, f"about {rate:,} bits", decoded.value, caption))
    note = (
        "Captions: bits with the header granted free\n(bits of the whole stream), PSNR.\n"
        "Empty: no operating point within 20 %.\n"
        "Original: Eileen Collins, NASA, public domain."
    )
    title = "One face of 64 x 64, without errors"
    contact_sheet(tiles, item.value, title, note, width=5.4).savefig(HERE / "sheet.png", dpi=150)


if __name__ == "__main__":
    main()

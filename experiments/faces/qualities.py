"""Which qualities of `cae` on faces have means of 512, 1,024 and 1,349 bits behind the header.

``GENCOMM_DATA=... python experiments/faces/qualities.py`` asks faces of validation, so that
operating points (`points.CAE_FACES`) owe nothing to the test faces. ``--weights`` names others.
"""

from __future__ import annotations

import argparse

import numpy as np

from gencomm.codecs.registry import make_codec
from gencomm.items import Item
from gencomm.sources.packed import Packed

TARGETS, FACES = (512, 1024, 1349), 40


def payload(weights: str, quality: float, items: list[Item]) -> float:
    """Mean bits behind the header."""
    codec = make_codec(f"cae(quality={quality:g},weights='{weights}')")
    encoded = [codec.encode(item) for item in items]
    return float(np.mean([one.total_bits - one.header_bits for one in encoded]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--weights", default="cae_faces64")
    weights = parser.parse_args().weights
    items = list(Packed("${GENCOMM_DATA}/faces64.npz", split="validation", limit=FACES))
    grid = np.arange(0, 101, 20.0)
    bits = [payload(weights, quality, items) for quality in grid]
    for quality, found in zip(grid, bits, strict=True):
        print(f"quality {quality:g}: {found:.0f} bits")
    for target in TARGETS:
        if not bits[0] <= target <= bits[-1]:
            print(f"{target} bits lie outside of what these weights reach")
            continue
        # the rate's logarithm is nearly linear in the quality
        quality = round(float(np.interp(np.log(target), np.log(bits), grid)))
        print(f"{target} bits: quality {quality}, {payload(weights, quality, items):.0f} bits")


if __name__ == "__main__":
    main()

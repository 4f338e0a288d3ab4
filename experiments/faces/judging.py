"""The judges of the extra ``judges`` on received faces: LPIPS, identity, realism as a set."""

from __future__ import annotations

from functools import cache

import numpy as np
from measuring import SEED, interval, received_faces

from gencomm.analysis.realism import compare
from gencomm.items import Item
from gencomm.metrics import make_metric
from gencomm.metrics.efficientnet import features
from gencomm.metrics.identity import THRESHOLD

FIELDS = (
    "codec", "ber", "faces", "lpips", "lpips_low", "lpips_high",
    "identity_distance", "identity_distance_low", "identity_distance_high",
    "identity", "identity_low", "identity_high",
    "kernel_distance", "kernel_distance_low", "kernel_distance_high", "frechet_distance",
)  # fmt: skip


class Judges:
    """What is the same for all codecs is worked out once.

    Parameters
    ----------
    items : list of Item
        Originals.
    """

    def __init__(self, items: list[Item]):
        self.items = items
        self.lpips, self.distance = make_metric("lpips"), make_metric("identity_distance")
        self.persons = [self.distance.prepare(item.value) for item in items]

    @cache  # noqa: B019
    def originals(self) -> np.ndarray:
        """Features of the originals, for realism."""
        return features([item.value for item in self.items])

    def judge(self, spec: str, bers: tuple[float, ...]) -> list[dict]:
        """Lines of judges.csv for one operating point; realism without errors only."""
        runs = received_faces(spec, self.items, bers)
        next(runs)
        return [self.line(spec, ber, values) for ber, values, _ in runs]

    def line(self, spec: str, ber: float, values: np.ndarray) -> dict:
        """Of received faces, uint8 (n, 64, 64, 3), in the order of the originals."""
        seen = [
            self.lpips.measure(self.lpips.prepare(item.value), value[None])[0]
            for item, value in zip(self.items, values, strict=True)
        ]
        apart = np.array(
            [
                self.distance.measure(state, value[None])[0]
                for state, value in zip(self.persons, values, strict=True)
            ]
        )
        row: dict = {"codec": spec, "ber": ber, "faces": len(values)}
        for name, scores in (
            ("lpips", np.array(seen)),
            ("identity_distance", apart),
            ("identity", (apart < THRESHOLD).astype(float)),
        ):
            row |= {f"{name}{k}": v for k, v in interval(scores).items()}
        if ber == 0:
            found = compare(features(list(values)), self.originals(), SEED)
            row |= {
                "kernel_distance": round(found.kernel, 4),
                "kernel_distance_low": round(found.low, 4),
                "kernel_distance_high": round(found.high, 4),
                "frechet_distance": round(found.frechet, 2),
            }
        print(row, flush=True)
        return row

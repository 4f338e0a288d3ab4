"""Whether a face recogniser takes the received face for the one that was sent."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from gencomm.metrics.base import check_reference, check_values
from gencomm.weights.foreign import MissingJudge, foreign_file

#: dlib's face network (ResNet, 128 numbers; Davis King, CC0), and the library that runs it
#: (Boost licence).
PACKAGE, LIBRARY = "face_recognition_models", "dlib-bin"
FILE = "face_recognition_models/models/dlib_face_recognition_resnet_model_v1.dat"
SHA256 = "55533b28a95800a551ba546ba62fe69625c7e95a7061c338adffead08719da30"
#: Sides of the picture that the network takes.
SIDE = 150
#: The part of an aligned 64 x 64 face that it was trained to look at: left, top, right, bottom.
CROP = (7.28, 8.98, 57.09, 58.82)
FRAME = 64
#: Distance below which two faces count as one person's: that of 1 % false accepts among the
#: 1,816,354 pairs of different persons in the test part of faces64 (0.6286); 96 % of the 14,387
#: pairs of one person lie below it (area under the curve 0.994).
THRESHOLD = 0.63


class IdentityDistance:
    """Distance of the received face from the one sent, in the 128 numbers of dlib's network.

    Euclidean; below 0.63 a recogniser with 1 % false accepts takes them for one person. For
    aligned faces of 64 x 64 pixels (framing: see the source ``face``); other sizes are refused.
    Needs the extra ``judges``.
    """

    name = "identity_distance"
    label = "Identity distance"
    unit = ""
    higher_is_better = False
    range = (0.0, 4.0)
    modality = "image"
    averages = "Euclidean distance of two descriptors; tables average it"

    def __init__(self) -> None:
        foreign_file(PACKAGE, FILE, SHA256)  # says how to get it where it is missing

    def prepare(self, reference: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The descriptor of the original.

        Raises
        ------
        ValueError
            Not a picture of 64 x 64 pixels.
        MissingJudge
            dlib is not installed.
        """
        reference = check_reference(reference)
        return reference, descriptors(reference[None])[0]

    def measure(self, state: tuple[np.ndarray, np.ndarray], values: np.ndarray) -> np.ndarray:
        reference, expected = state
        found = descriptors(check_values(values, reference))
        return np.sqrt(((found - expected) ** 2).sum(axis=1))


class Identity(IdentityDistance):
    """Whether a face recogniser with 1 % false accepts takes the received face for the one sent.

    1 where `IdentityDistance` is below 0.63, else 0: means are shares of faces recognised.
    """

    name = "identity"
    label = "Recognised"
    higher_is_better = True
    range = (0.0, 1.0)
    averages = "1 for a face recognised, else 0; tables give the share"

    def measure(self, state: tuple[np.ndarray, np.ndarray], values: np.ndarray) -> np.ndarray:
        return (super().measure(state, values) < THRESHOLD).astype(np.float64)


def descriptors(pictures: np.ndarray) -> np.ndarray:
    """128 numbers of each face: uint8 (n, 64, 64, channels) -> float64 (n, 128)."""
    if pictures.shape[1:3] != (FRAME, FRAME):
        raise ValueError(
            f"identity is judged on aligned faces of {FRAME} x {FRAME} pixels, "
            f"got {pictures.shape[2]} x {pictures.shape[1]}"
        )
    from PIL import Image

    network = _network()
    colour = np.broadcast_to(pictures, (*pictures.shape[:3], 3))
    chips = [
        np.asarray(
            Image.fromarray(np.ascontiguousarray(one)).resize(
                (SIDE, SIDE), Image.Resampling.BICUBIC, box=CROP
            )
        )
        for one in colour
    ]
    found = [np.array(network.compute_face_descriptor(chip)) for chip in chips]
    return np.array(found).reshape(len(pictures), 128)


@lru_cache(maxsize=1)
def _network() -> Any:
    file = foreign_file(PACKAGE, FILE, SHA256)
    try:
        import dlib
    except ImportError as error:
        raise MissingJudge(
            f"the package {LIBRARY} can't be imported ({error}); "
            "install the judges: pip install 'gencomm[judges]'"
        ) from error
    return dlib.face_recognition_model_v1(str(file))

"""What the video code is made for: sizes, rates, and the sets that its weights are trained on."""

from __future__ import annotations

from typing import NamedTuple

#: Bits of a key frame in weights of this codec's own, and principal values they are spent on.
BITS, VALUES = 512, 320

#: Bits of a frame's residual, and principal values they are spent on. With a key frame every 12
#: frames they make 131 bits a frame, as key frames alone do every 4.
RESIDUAL_BITS, RESIDUAL_VALUES = 96, 96

#: No predictor keeps more than this of the frame before: so errors die out before the next reset
#: (a tenth is left of one after 44 frames, half after 14).
MOST_KEPT = 0.95


class ClipSet(NamedTuple):
    """What a network is trained on.

    Attributes
    ----------
    file : str
        A packed set of clips.
    pictures : str
        A packed set of single pictures of the same domain; empty for none.
    mirrored : bool
        Whether a clip's mirror image is as likely as the clip.
    start : str
        Weights in the package to begin from; empty for principal components of the clips.
    """

    file: str
    pictures: str
    mirrored: bool
    start: str


SETS = {
    "heads64": ClipSet("heads64.npz", "faces64.npz", True, "ncode_joint"),
    "actions64": ClipSet("actions64.npz", "", False, ""),
    "rccar64": ClipSet("rccar64.npz", "", False, ""),
}

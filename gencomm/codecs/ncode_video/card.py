"""What the cards of the weights say."""

from __future__ import annotations

CARD = """
A code of fixed length for clips of 64x64 pixels: 512 bits for each key frame, every fourth by
default, and none for the frames between, which lie between the key frames in principal values. Or
96 bits for each frame's residual, and a key frame every 12. Principal values are dealt to groups of
five; 256 vectors for each group, one byte; the posterior mean of the values given the bytes that
arrived and the bit error rate. A convolutional network corrects the picture made of them, told the
error rate, what the code was designed for, the point in time, and how the key frames differ.

## Data and terms
"""

DATA = {
    "heads64": """
Two talking heads (akiyo, and a speaker of vtc1nw; 660 frames, standard test sequences that have
long been exchanged for codec work), and 23,802 faces of CelebA (Liu, Luo, Wang and Tang 2015),
moved as if in clips. Begun from the weights of `ncode_joint`. CelebA is for non-commercial research
only: use these weights so, too.
""",
    "actions64": """
Five persons of the Weizmann human action data set (Gorelick, Blank, Shechtman, Irani and Basri,
"Actions as Space-Time Shapes"), 20 clips of 1,448 frames, cut and reduced by the authors of
MoCoGAN: for research. None of them is in the validation and test sets; the wall behind them is.
""",
    "rccar64": """
84 clips, 4,200 frames, of the forward camera of a Donkeycar (chahed21/mycar on GitHub, which names
no licence). Test clips are of other days and the same course.
""",
}


def card_of(name: str) -> str:
    """The words of the card of weights trained on a set."""
    return CARD + DATA[name].strip() + "\n"

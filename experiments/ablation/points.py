"""What the table has a line for: a cause, the codec with it, and the one without."""

from __future__ import annotations

from typing import NamedTuple

#: Bit error rates of the table, and those in between for curves.
SHOWN = (1e-2, 5e-2)
BERS = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 2e-2, 5e-2, 1e-1, 2e-1)


class Point(NamedTuple):
    """A line of the table.

    Attributes
    ----------
    cause : str
    codec : str
    against : str
        The codec that differs in this alone, or as little as can be; empty for the first.
    """

    cause: str
    codec: str
    against: str = ""


JPEG2000, DCT, KLT = "jpeg2000(bpp=0.48)", "block_dct(bpp=0.5)", "klt"
NATURAL = "klt(labels=natural)"
JOINT = "ncode_joint(know_ber=false)"
TOLD = "ncode_joint"
POINTS = [
    Point("entropy coded", JPEG2000),
    Point("fixed length alone", DCT, JPEG2000),
    Point("domain: principal components", KLT, DCT),
    Point("labels: natural", NATURAL, KLT),
    Point("labels: folded", "klt(labels=folded)", KLT),
    Point("labels: learnt", "klt(labels=learnt)", KLT),
    Point("told the error rate", "klt(know_ber=true)", KLT),
    Point("quantisers for BER 1e-2", "klt(design_ber=0.01)", NATURAL),
    Point("quantisers for BER 5e-2", "klt(design_ber=0.05)", NATURAL),
    Point("the same, labels learnt", "klt(design_ber=0.05,labels=learnt)", "klt(labels=learnt)"),
    Point("learned vectors and decoder", JOINT, KLT),
    Point("without the encoder's search", "ncode_joint(know_ber=false,search=0)", JOINT),
    Point("told the error rate", TOLD, JOINT),
    Point("labels: natural", "ncode_joint(labels=natural)", TOLD),
    Point("labels: Gray", "ncode_joint(labels=gray)", TOLD),
    Point("labels: annealed", "ncode_joint(labels=annealed)", TOLD),
    Point("trained for BER 1e-2", "ncode_joint(design_ber=0.01)", TOLD),
    Point("trained for BER 5e-2", "ncode_joint(design_ber=0.05)", TOLD),
    Point("the same, labels annealed", "ncode_joint(design_ber=0.05,labels=annealed)", TOLD),
    Point("the same, not told", "ncode_joint(design_ber=0.05,know_ber=false)", JOINT),
    Point("with a GAN", "ncode_joint(weights=ncode_joint_perceptual)", TOLD),
    Point(
        "with a GAN, trained for BER 5e-2",
        "ncode_joint(design_ber=0.05,weights=ncode_joint_perceptual)",
        "ncode_joint(design_ber=0.05)",
    ),
]  # fmt: skip

#: Soft decoding: over uncoded BPSK, energies per symbol at which 1, 5 and 10 bits in 100 are wrong.
SOFT_ESNO_DB = {1e-2: 4.323, 5e-2: 1.313, 1e-1: -0.856}
#: Hard decisions of a decoder that is told, and the same with LLRs.
SOFT = [
    ("klt(know_ber=true)", "klt(decode=soft)"),
    ("klt(design_ber=0.05,know_ber=true)", "klt(design_ber=0.05,decode=soft)"),
    ("ncode_joint", "ncode_joint(decode=soft)"),
    ("ncode_joint(design_ber=0.05)", "ncode_joint(design_ber=0.05,decode=soft)"),
]

#: Unequal protection: 512 bits by polar codes in 1,024 uses of BPSK; each class is a quarter.
UEP_EBNO_DB = (-1.0, 0.0, 1.0, 2.0, 3.0, 4.0)
PROTECTION = {
    "equal, one block": "polar(k=512,rate=1/2)",
    "equal, four blocks": f"unequal({', '.join(['polar(k=128,rate=1/2)'] * 4)})",
    "unequal 1/3, 1/2, 2/3, 2/3": "unequal(polar(k=128,rate=1/3), polar(k=128,rate=1/2), "
    "polar(k=128,rate=2/3), polar(k=128,rate=2/3))",
    "unequal 1/4, 1/2, none, none": "unequal(polar(k=128,rate=1/4), polar(k=128,rate=1/2), "
    "none, none)",
    "no code, twice the energy": "",
}
UEP_CODECS = ("klt", "ncode_joint(labels=annealed)")
#: Faces that go over these links: the first so many.
UEP_FACES = 100
BITS, USES = 512, 1024


def protected_link(protection: str, ebno_db: float) -> str:
    """The link that spends the energy of `ebno_db` a bit; uncoded bits get all of it."""
    code = PROTECTION[protection]
    esno_db = ebno_db - (3.0103 if code else 0.0)
    return f"{code}{'|' if code else ''}bpsk|awgn(esno_db={esno_db:.4f})"

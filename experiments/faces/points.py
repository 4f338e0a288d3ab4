"""Operating points: to add a codec, a line in `POINTS`, and in `JUDGED` for the judges."""

from __future__ import annotations

from gencomm.codecs.registry import make_codec

BERS = (0.0, 1e-2, 5e-2, 1e-1)

#: Qualities at which `cae` has means of about 512, 1,024 and 1,349 bits behind the header.
CAE_FACES = (20, 66, 83)

FIXED = [
    *(f"klt(bits={bits})" for bits in (128, 256, 512, 1024)),
    "klt(decode=soft)",
    "klt(design_ber=0.01)",
    "klt(design_ber=0.05)",
    *(f"ncode_joint(bits={bits})" for bits in (256, 512, 1024)),
    "ncode_joint(design_ber=0.01)",
    *(f"ncode_joint(bits={bits},design_ber=0.05)" for bits in (256, 512, 1024)),
    *(f"ncode_joint(bits={bits},weights=ncode_joint_perceptual)" for bits in (256, 512, 1024)),
    *(f"ncode(bits={bits})" for bits in (100, 512, 1000)),
]
ENTROPY_CODED = [
    *(f"cae(quality={q},weights=cae_faces64)" for q in CAE_FACES),
    *(f"cae(quality={q})" for q in (0, 10, 20)),
    *(f"jpeg(quality={q})" for q in (2, 5, 10, 14)),
    *(f"jpeg2000(bpp={b})" for b in (0.32, 0.4, 0.48, 0.8)),
    *(f"webp(quality={q})" for q in (0, 2, 5)),
    *(f"avif(quality={q},speed=2)" for q in (0, 6, 12, 20)),
]
POINTS = [*FIXED, *ENTROPY_CODED]

#: What the judges see: those that differ without errors.
JUDGED = [spec for spec in POINTS if "decode=soft" not in spec and "design_ber=0.01" not in spec]


def ready(spec: str) -> bool:
    """Whether the codec and its weights are there; says so if not."""
    try:
        codec = make_codec(spec)
        versions = getattr(codec, "versions", None)
        if versions:
            versions()
    except ValueError as error:
        print(f"{spec} is left out: {error}", flush=True)
        return False
    return True

"""How figures look: colours by name, labels, the plain frame that all share."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable, Sequence
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes

#: Told apart under the common forms of colour blindness: the first seven are Okabe and Ito's
#: (Color Universal Design, 2008), the rest from Paul Tol's "muted" scheme (2021).
PALETTE = (
    "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000",
    "#882255", "#999933", "#332288", "#AA4499", "#44AA99",
)  # fmt: skip

#: The codecs that stand in most figures have their colour in all of them.
FIXED = {
    "jpeg": "#D55E00",
    "jpeg_restart": "#E69F00",
    "jpeg2000": "#0072B2",
    "webp": "#009E73",
    "avif": "#CC79A7",
    "jpegxl": "#56B4E9",
    "block_dct": "#882255",
    "raw": "#777777",
    "cae": "#000000",
    "hyperprior": "#332288",
    "generative": "#C1002B",
    "ncode_joint": "#4C00FF",
    "ncode": "#006400",
    "klt": "#7A5C3E",
}
#: Drawn heavier and over the others: the codes that this project is about.
HEAVY = frozenset({"generative", "ncode_joint", "ncode"})
MARKERS = "osD^vP*X<>"
DASHES: tuple[Any, ...] = ("-", (0, (5, 1.5)), (0, (3, 1, 1, 1)), (0, (1.2, 1.2)))

AXIS_LABELS = {
    "ber": "bit error rate of the channel",
    "p": "bit error rate of the channel",
    "ebno_db": r"$E_\mathrm{b}/N_0$ (dB, per information bit)",
    "esno_db": r"$E_\mathrm{s}/N_0$ (dB, per symbol)",
    "snr_db": "SNR (dB)",
    "loss": "packet loss rate",
    "bpp": "bits per pixel",
    "cbr": "channel uses per source sample",
}

_RC: Any = {
    "font.size": 8,
    "axes.labelsize": 8.5,
    "axes.titlesize": 9,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.fontsize": 7.5,
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.direction": "out",
    "ytick.direction": "out",
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "xtick.minor.width": 0.5,
    "ytick.minor.width": 0.5,
    "lines.linewidth": 1.4,
    "lines.markersize": 3.6,
    "savefig.dpi": 200,
    "pdf.fonttype": 42,  # text stays text, as publishers ask
    "svg.fonttype": "none",
    "svg.hashsalt": "gencomm",  # the same figure gives the same file
}


def styled():
    """A context in which axes are made; nothing outside it changes."""
    return rc_context(_RC)


def family(codec: str) -> str:
    """A codec's name without its operating point."""
    return codec.split("(", 1)[0].split(":", 1)[0].strip()


def colours(codecs: Iterable[str]) -> dict[str, str]:
    """A colour for each family of codecs.

    Families of `FIXED` always have theirs. Others have one that follows from their name, and the
    next free one where two would meet in one figure.
    """
    found: dict[str, str] = {}
    names = list(dict.fromkeys(family(codec) for codec in codecs))
    for name in [n for n in names if n in FIXED] + sorted(n for n in names if n not in FIXED):
        if name in FIXED:
            found[name] = FIXED[name]
            continue
        start = zlib.crc32(name.encode()) % len(PALETTE)
        order = [PALETTE[(start + i) % len(PALETTE)] for i in range(len(PALETTE))]
        taken = set(found.values())
        found[name] = next((colour for colour in order if colour not in taken), order[0])
    return found


def lines(codecs: Sequence[str]) -> list[dict[str, Any]]:
    """Colour, marker and dashes of each curve: colour by family, dashes within a family.

    Families of `HEAVY` are drawn thicker, and over the others.
    """
    by_family = colours(codecs)
    order = list(by_family)
    seen: dict[str, int] = {}
    found = []
    for codec in codecs:
        name = family(codec)
        index = seen[name] = seen.get(name, -1) + 1
        found.append(
            {
                "color": by_family[name],
                "marker": MARKERS[(order.index(name) + 3 * index) % len(MARKERS)],
                "linestyle": DASHES[index % len(DASHES)],
                "linewidth": 2.4 if name in HEAVY else 1.3,
                "zorder": 4 if name in HEAVY else 3,
            }
        )
    return found


def short_axis_label(axis: str) -> str:
    """The label of an axis without its explanation: ``bit error rate``."""
    return re.sub(r", per [a-z ]+| of the channel", "", AXIS_LABELS.get(axis, axis))


def metric_label(metric: str) -> str:
    """``PSNR (dB)``: name and unit of a metric, or its column's name where it is not known."""
    from gencomm.metrics import METRICS

    if metric not in METRICS:
        return metric
    known = METRICS.load(metric)
    return f"{known.label} ({known.unit})" if known.unit else known.label


def score_text(metric: str, value: float) -> str:
    """``31.1 dB`` or ``0.934``."""
    from gencomm.metrics import METRICS

    unit = METRICS.load(metric).unit if metric in METRICS else ""
    return f"{value:.1f} {unit}" if unit else f"{value:.3f}"


def frame(axes: Axes) -> None:
    """Light horizontal lines behind the curves."""
    axes.grid(True, which="major", color="#e4e4e4", linewidth=0.6)
    axes.set_axisbelow(True)


def number_text(value: float) -> str:
    """A value of an axis in a caption, to two or three digits; small ones as powers of ten."""
    if value and (abs(value) < 0.01 or abs(value) >= 1e5):
        mantissa, _, exponent = f"{value:.1e}".partition("e")
        power = rf"10^{{{int(exponent)}}}"
        plain = f"{float(mantissa):g}"
        return f"${power}$" if plain == "1" else rf"${plain}\cdot{power}$"
    return f"{value:.2g}" if abs(value) < 1 else f"{value:.3g}"

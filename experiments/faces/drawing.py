"""The figure: quality against bits, headers granted free above, whole files below."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator, PercentFormatter
from measuring import family

from gencomm.figures import style

#: Column of results.csv or judges.csv, and its label.
PANELS = (
    ("psnr", "PSNR (dB)"),
    ("ssim", "SSIM"),
    ("lpips", "LPIPS (VGG16)"),
    ("identity", "faces recognised"),
)
ROWS = (("payload_bits", "bits, header granted free"), ("file_bits", "bits of the whole stream"))
TICKS = (128, 256, 512, 1024, 2048, 4096)
#: Of a curve: its label, colour, marker and dashes.
LOOKS = {
    "klt": ("klt (linear, fixed length)", "#8B4513", "s", "-"),
    "ncode_joint": ("ncode_joint (fixed length)", "#4C00FF", "o", "-"),
    "ncode_joint_perceptual": ("ncode_joint, perceptual", "#C1002B", "o", "--"),
    "ncode": ("ncode (fixed length)", "#1A5E20", "D", "-"),
    "cae_faces64": ("cae trained on faces", "#000000", "^", "-"),
    "cae": ("cae trained on photographs", "#000000", "^", ":"),
    "avif": ("AVIF", "#CC79A7", "v", "-"),
    "webp": ("WebP", "#009E73", "P", "-"),
    "jpeg2000": ("JPEG 2000", "#0072B2", "X", "-"),
    "jpeg": ("JPEG", "#D55E00", "d", "-"),
}


def curve_of(spec: str) -> str | None:
    """The curve that a point belongs to; None for what is made for a noisy channel."""
    if "design_ber" in spec or "decode=soft" in spec:
        return None
    _, found, weights = spec.rstrip(")").partition("weights=")
    return weights if found else family(spec)


def draw(results: list[dict], judged: list[dict]) -> Figure:
    """Four panels of quality without errors over payload, and the same over whole streams."""
    clean = {r["codec"]: dict(r) for r in results if float(r["ber"]) == 0}
    for row in judged:
        if float(row["ber"]) == 0 and row["codec"] in clean:
            sizes = {k: v for k, v in clean[row["codec"]].items() if k != "faces"}
            clean[row["codec"]] = {**row, **sizes}
    with style.styled():
        figure = Figure(figsize=(10.2, 5.6), layout="constrained")
        axes = figure.subplots(len(ROWS), len(PANELS), sharey="col", squeeze=False)
        for line, (size, words) in zip(axes, ROWS, strict=True):
            for ax, (name, label) in zip(line, PANELS, strict=True):
                _panel(ax, clean, size, name)
                ax.set_ylabel(label)
                ax.set_xlabel(words)
        handles, labels = axes[0, 0].get_legend_handles_labels()
        axes[0, 2].invert_yaxis()  # LPIPS, of both rows: up is better in every panel
        figure.legend(handles, labels, loc="outside lower center", ncols=5, frameon=False)
    return figure


def _panel(ax: Axes, clean: dict[str, dict], size: str, name: str) -> None:
    for curve, (label, colour, marker, dashes) in LOOKS.items():
        rows = [r for spec, r in clean.items() if curve_of(spec) == curve and r.get(name)]
        rows.sort(key=lambda r: float(r[size]))
        if not rows:
            continue
        x = [float(r[size]) for r in rows]
        y, low, high = ([float(r[name + k]) for r in rows] for k in ("", "_low", "_high"))
        looks = {"color": colour, "marker": marker, "linestyle": dashes}
        ax.plot(x, y, label=label, markersize=4, **looks)
        ax.vlines(x, low, high, colors=colour, linewidth=1)
    ax.set_xscale("log")
    ax.xaxis.set_major_locator(FixedLocator(TICKS))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    ax.set_xlim(110, 6000)
    ax.grid(visible=True, linewidth=0.4, alpha=0.5)
    if name == "identity":
        ax.yaxis.set_major_formatter(PercentFormatter(1))

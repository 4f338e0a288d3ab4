"""The figures of this experiment."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from gencomm.figures import style
from gencomm.figures.saving import save
from gencomm.metrics import decibels

#: Rates that the figure shows, in bits per pixel.
SHOWN = (0.08, 1.25)
NAMES = {
    "cae": "cae (learned)", "hyperprior": "hyperprior (learned)", "jpeg": "JPEG",
    "jpeg2000": "JPEG 2000", "webp": "WebP", "avif": "AVIF",
}  # fmt: skip


def draw_rates(results: pd.DataFrame, path: Path) -> None:
    """PSNR and MS-SSIM over the rate, means of all pictures at each operating point."""
    means = results.groupby(["family", "codec"], sort=False)[["bpp", "psnr", "ms_ssim"]].mean()
    means["ms_ssim"] = decibels(means["ms_ssim"].to_numpy())
    names = list(dict.fromkeys(results["family"]))
    looks = dict(zip(names, style.lines(names), strict=True))
    with style.styled():
        figure = Figure(figsize=(7.2, 3.6), layout="constrained")
        panels = figure.subplots(1, 2)
        for panel, metric, label in zip(
            panels,
            ("psnr", "ms_ssim"),
            ("PSNR over RGB (dB)", r"MS-SSIM, $-10\,\log_{10}(1-x)$ (dB)"),
            strict=True,
        ):
            style.frame(panel)
            shown = []
            for name in names:
                part = means.loc[name].sort_values("bpp")
                learned = {"linewidth": 2.0} if "learned" in NAMES[name] else {"linewidth": 1.1}
                panel.plot(
                    part["bpp"], part[metric], **{**looks[name], **learned}, label=NAMES[name]
                )
                inside = part["bpp"].between(*SHOWN)
                shown.append(part.loc[inside, metric])
            heights = pd.concat(shown)
            panel.set_xlim(*SHOWN)
            panel.set_ylim(heights.min() - 0.3, heights.max() + 0.3)
            panel.set_xlabel("bits per pixel, whole streams")
            panel.set_ylabel(label)
        count = results["item"].nunique()
        figure.suptitle(
            f"Kodak, {count} pictures, means at each operating point", fontsize=9, x=0.01, ha="left"
        )
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(
            handles, labels, loc="outside lower left", ncols=len(labels), frameon=False,
            handlelength=2.2, columnspacing=1.2,
        )  # fmt: skip
        save(figure, path)


def draw_training(source: Path, path: Path) -> None:
    """Rate that a network needs for the quality of its first evaluation's points, over steps.

    `source` has a line for each evaluation and operating point of a training log: recipe, phase,
    step, seconds, point, bpp (estimated), psnr.
    """
    log = pd.read_csv(source)
    with style.styled():
        figure = Figure(figsize=(5.6, 2.9), layout="constrained")
        panel = figure.subplots()
        style.frame(panel)
        for recipe, part in log.groupby("recipe", sort=False):
            colour = style.colours([str(recipe)])[str(recipe)]
            labels = set()
            for phase, of_phase in part.groupby("phase", sort=False):
                steps, rates = _rates_at(part, of_phase)
                dashed = str(phase).startswith("decay")
                label = f"{recipe}{', falling learning rate' if dashed else ''}"
                panel.plot(
                    steps / 1000, rates, color=colour, marker="o", markersize=3,
                    linestyle="--" if dashed else "-",
                    label=None if label in labels else label,
                )  # fmt: skip
                labels.add(label)
        panel.set_xlabel("thousands of steps with the entropy model of today")
        panel.set_ylabel("rate at equal PSNR (%),\n100 at each one's first evaluation")
        panel.legend(frameon=False)
        panel.set_title("Validation pictures, estimated rate", loc="left", fontsize=9)
        save(figure, path)


def _rates_at(whole: pd.DataFrame, part: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Steps, and the mean rate there relative to the first evaluation of `whole` at equal PSNR."""
    first = whole[whole["step"] == whole["step"].min()].sort_values("psnr")
    levels = np.linspace(first["psnr"].min() + 1, first["psnr"].max() - 1, 20)
    start = np.interp(levels, first["psnr"], np.log(first["bpp"]))
    steps, rates = [], []
    for step, points in part.groupby("step"):
        points = points.sort_values("psnr")
        here = np.interp(levels, points["psnr"], np.log(points["bpp"]))
        steps.append(step)
        rates.append(100 * np.exp(np.mean(here - start)))
    return np.array(steps), np.array(rates)

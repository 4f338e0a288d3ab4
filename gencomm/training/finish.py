"""What a training run ends with: the file that the codec reads, and a card beside it."""

from __future__ import annotations

import hashlib
import importlib
import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from gencomm.training.loop import Run


def finish(run: Run, out: Path, history: str = "") -> Path:
    """Write ``<recipe>.safetensors`` and ``<recipe>.md`` into a run's folder.

    The weights are those of the decay, if there was one. Where the recipe's codec has an
    ``export`` module they are written as the codec reads them (``cae(weights=...)``), else as
    training left them.

    Parameters
    ----------
    run : Run
        At its end.
    out : Path
        Its folder.
    history : str
        What went before this run, for the card.

    Returns
    -------
    Path of the weights.
    """
    decayed = run.schedule.decay_from is not None
    trained = out / ("decayed-weights.safetensors" if decayed else "weights.safetensors")
    weights = out / f"{run.recipe.name}.safetensors"
    package = type(run.recipe).__module__.rpartition(".")[0]
    exporter = f"{package}.export"
    if package and find_spec(exporter) is not None:
        importlib.import_module(exporter).export(trained, weights, history)
    else:
        weights = trained
    entries = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    text = run_card(run, entries[-1], hashlib.sha256(weights.read_bytes()).hexdigest(), history)
    weights.with_suffix(".md").write_text(text, encoding="utf-8")
    return weights


def run_card(run: Run, entry: dict[str, Any], checksum: str, history: str = "") -> str:
    """The card of a run's weights, Markdown.

    Its figures are those of the last validation: estimated rates on pictures kept back.
    `gencomm.training.card` measures whole streams for weights that are to be published.
    """
    names = list(dict.fromkeys(name for point in entry["points"] for name in point))
    rows = [
        "| " + " | ".join(f"{point[n]:.4g}" if n in point else "" for n in names) + " |"
        for point in entry["points"]
    ]
    lines = [
        f"# Weights of `{run.recipe.name}`",
        "",
        run.recipe.card.strip(),
        "",
        "## Training",
        f"{run.step} steps in {run.seconds / 3600:.2f} hours on {run.device}, on "
        f"{len(run.data.train)} pictures ({run.data.train.pixels / 1e6:.1f} Mpixel)"
        + (", with a falling learning rate at the end" if run.schedule.decay_from else "")
        + (f"; {history}" if history else "")
        + ".",
        "",
        "## Measured",
        f"On {len(run.data.validation)} pictures kept back; rates are the network's own estimate.",
        "",
        "| " + " | ".join(names) + " |",
        "| " + " | ".join("---" for _ in names) + " |",
        *rows,
        "",
        f"SHA-256 of the file: `{checksum}`",
        "",
    ]
    return "\n".join(lines)

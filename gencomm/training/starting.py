"""`gencomm.train`, which the verb calls too. Imports torch when it is called."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

#: What training needs beyond the package's own dependencies: the extra ``[learned]``.
NEEDED = ("torch", "safetensors", "constriction")


@dataclass(frozen=True)
class Trained:
    """What a training run left.

    Attributes
    ----------
    folder : Path
        Checkpoints, log and sample sheets; the same call goes on from there.
    weights : Path
        As the codec reads them: ``cae(weights=...)``.
    card : Path
        What they were trained on, for how long, and what they reach on pictures kept back.
    step : int
    seconds : float
        Over all calls.
    """

    folder: Path
    weights: Path
    card: Path
    step: int
    seconds: float

    def log(self) -> pd.DataFrame:
        """One line per evaluation and operating point: step, seconds, score and its numbers."""
        import pandas as pd

        lines = []
        for text in (self.folder / "log.jsonl").read_text(encoding="utf-8").splitlines():
            entry = json.loads(text)
            head = {name: entry.get(name) for name in ("step", "seconds", "learning_rate", "score")}
            lines += [{**head, "point": k, **point} for k, point in enumerate(entry["points"])]
        return pd.DataFrame(lines)


def train(
    recipe: str,
    data: str | Path | None = None,
    out: str | Path | None = None,
    *,
    hours: float = 1.0,
    steps: int | None = None,
    decay_steps: int = 0,
    weights: str | Path | None = None,
    device: str | None = None,
    threads: int | None = None,
    seed: int = 0,
    history: str = "",
) -> Trained:
    """Train a learned codec, or go on training it where its folder holds a checkpoint.

    Parameters
    ----------
    recipe : str
        A name of `gencomm.training.registry.RECIPES` with options of its own, such as ``cae`` or
        ``cae(distortion=ms_ssim)``.
    data : path, optional
        A folder of pictures, a packed set (``.npz``) or a folder of packed sets; by default the
        environment variable GENCOMM_DATA.
    out : path, optional
        The run's folder; ``runs/<recipe>`` by default.
    hours : float
        Wall-clock time of this call.
    steps : int, optional
        Stop at this step, if it comes first.
    decay_steps : int
        When positive, lower the learning rate to zero over so many steps, from the checkpoint of
        the constant phase, which stays as it is.
    weights : path, optional
        Weights to begin from where there is no checkpoint.
    device : str, optional
        "cpu" or "cuda"; the latter where there is one by default.
    threads : int, optional
        Of torch; one per core by default.
    seed : int
    history : str
        What went before, for the card.

    Raises
    ------
    ValueError
        No such recipe, no pictures, torch isn't installed, or a number makes no sense.
    """
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise ValueError(
            f"training needs {', '.join(missing)}: pip install 'gencomm[learned]' (where there is "
            "no GPU, torch's own index of CPU wheels saves gigabytes)"
        )
    for name, value, least in (("hours", hours, 0), ("decay_steps", decay_steps, 0)):
        if not value >= least:
            raise ValueError(f"{name} must be {least} or more, got {value}")
    for name, value in (("steps", steps), ("threads", threads)):
        if value is not None and value < 1:
            raise ValueError(f"{name} must be 1 or more, got {value}")
    import torch

    from gencomm.training.closed import Fitted, fit
    from gencomm.training.finish import finish
    from gencomm.training.loop import train as run_loop
    from gencomm.training.registry import RECIPES

    made = RECIPES.create(recipe)
    folder = Path(out) if out is not None else Path("runs") / made.name
    if isinstance(made, Fitted):
        path, seconds = fit(made, None if data is None else str(data), folder)
        return Trained(folder, path, path.with_suffix(".md"), 0, seconds)
    chosen = device or ("cuda" if torch.cuda.is_available() else "cpu")
    if chosen.startswith("cuda") and not torch.cuda.is_available():
        raise ValueError(f"device is {chosen}, but torch sees no CUDA here; use cpu")
    if weights is not None and not Path(weights).is_file():
        raise ValueError(f"weights: {weights} doesn't exist")
    run = run_loop(
        made,
        None if data is None else str(data),
        folder,
        3600 * hours,
        steps=steps,
        decay_steps=decay_steps,
        weights=weights,
        device=chosen,
        threads=threads or os.cpu_count() or 1,
        seed=seed,
    )
    written = finish(run, folder, history)
    return Trained(folder, written, written.with_suffix(".md"), run.step, run.seconds)

"""The one training loop.

A run is a folder: ``checkpoint.safetensors`` (weights, their moving average, optimiser, random
states, step), ``decayed.safetensors`` (the same for a decay of the learning rate, if one was
run), ``weights.safetensors`` and ``decayed-weights.safetensors`` (their moving averages alone,
half precision), ``log.jsonl`` (each evaluation) and ``sheet-*.png``. The same command goes on
from where it stopped.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from gencomm.training.checkpoint import (
    flatten_optimiser,
    read_checkpoint,
    restore_optimiser,
    strip_prefix,
    with_prefix,
    write_checkpoint,
)
from gencomm.training.clips import Windows, load_windows
from gencomm.training.data import Pictures, data_path, load_pictures
from gencomm.training.optimiser import Muon
from gencomm.training.recipe import Recipe
from gencomm.training.registry import RECIPES, recipe_spec
from gencomm.training.schedule import Schedule

#: Crops that a start is found from, where the recipe doesn't ask for more.
START_COUNT = 32
#: Sets that come in parts: the recipe's ``train_split`` and ``validation_split`` name theirs.
SPLITS = ("train", "validation")
#: Pictures that validation measures, and the side that they are cut to.
VALIDATION_COUNT, VALIDATION_SIDE = 20, 256
#: Pictures of the monitor set.
MONITOR_COUNT = 6
#: What a line shows of each operating point, and how.
SHOWN = {"bpp": ".3f", "psnr": ".2f", "ms_ssim": ".4f"}


@dataclass(frozen=True)
class Intervals:
    """Seconds between checkpoints, evaluations, evaluations with monitor and sheet, and lines on
    how training goes.
    """

    checkpoint: float = 180
    evaluate: float = 300
    monitor: float = 1500
    line: float = 30


@dataclass(frozen=True)
class Data:
    """Pictures to train on, to validate on, and to watch without selecting by."""

    train: Pictures | Windows
    validation: list[np.ndarray]
    monitor: list[np.ndarray]


class Run:
    """A network in training: everything that a checkpoint holds.

    Parameters
    ----------
    recipe : Recipe
    data : Data
    device : str
        "cpu" or "cuda".
    seed : int
        Of crops, noise and the network's start.
    """

    def __init__(self, recipe: Recipe, data: Data, device: str = "cpu", seed: int = 0):
        self.recipe, self.data, self.device = recipe, data, device
        torch.manual_seed(seed)
        self.rng = np.random.default_rng(seed)
        self.generator = torch.Generator(device).manual_seed(seed)
        network = recipe.network().to(device)
        self.network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        groups = recipe.groups(self.network)
        self.factors = [group.pop("factor", 1.0) for group in groups]
        self.optimiser = Muon(groups, lr=0.0)
        self.step, self.seconds = 0, 0.0
        self.schedule = Schedule(recipe.warmup)
        self.ema: dict[str, Tensor] = {}

    def start(self) -> None:
        """Begin at step 0."""
        crops = self._crops(getattr(self.recipe, "start_crops", START_COUNT))
        self.recipe.start(self.network, crops)
        self.ema = {name: value.clone() for name, value in self.network.state_dict().items()}

    def _crops(self, count: int) -> Tensor:
        crops = self.data.train.crops(self.rng, count, self.recipe.side)
        return torch.from_numpy(crops).to(self.device)

    def one_step(self) -> dict[str, float]:
        """Draw a batch, follow its gradient, and move the average along."""
        rate = self.recipe.learning_rate * self.schedule(self.step)
        for group, factor in zip(self.optimiser.param_groups, self.factors, strict=True):
            group["lr"] = rate * factor
        self._prepare(self.network)
        self.network.train()
        loss, numbers = self.recipe.loss(
            self.network, self._crops(self.recipe.batch), self.generator
        )
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), self.recipe.clip_norm)
        if torch.isfinite(norm):
            self.optimiser.step()
        decay = self.schedule.ema(self.recipe.ema, self.step)
        with torch.no_grad():
            for name, value in self.network.state_dict().items():
                self.ema[name].lerp_(value, 1 - decay)
        self.step += 1
        return numbers

    def _prepare(self, network: nn.Module) -> None:
        before = getattr(self.recipe, "before_step", None)
        if before is not None:
            before(network, self.step)

    def save(self, path: Path) -> None:
        """Write a checkpoint."""
        tensors = {
            **with_prefix("network", self.network.state_dict()),
            **with_prefix("ema", self.ema),
            **with_prefix("optimiser", flatten_optimiser(self.optimiser)),
            "generator": self.generator.get_state(),
        }
        state = {
            "recipe": self.recipe.name,
            "step": self.step,
            "seconds": self.seconds,
            "rng": self.rng.bit_generator.state,
            "schedule": asdict(self.schedule),
        }
        write_checkpoint(path, tensors, state)

    def load(self, path: Path) -> None:
        """Go on from a checkpoint.

        Raises
        ------
        ValueError
            It is another recipe's, or no checkpoint.
        """
        tensors, state = read_checkpoint(path)
        if state.get("recipe") != self.recipe.name:
            raise ValueError(f"{path} is of recipe {state.get('recipe')!r}, not {self.recipe.name}")
        self.network.load_state_dict(strip_prefix("network", tensors))
        self.ema = {n: t.to(self.device) for n, t in strip_prefix("ema", tensors).items()}
        restore_optimiser(self.optimiser, strip_prefix("optimiser", tensors))
        self.generator.set_state(tensors["generator"])
        self.rng.bit_generator.state = state["rng"]
        self.step, self.seconds = state["step"], state["seconds"]
        self.schedule = Schedule(**state["schedule"])

    def load_weights(self, path: Path) -> None:
        """Begin at step 0 from weights alone, a run's or a codec's, for want of a checkpoint."""
        tensors, _ = read_checkpoint(path)
        tensors = strip_prefix("network", tensors) or tensors
        self.network.load_state_dict({name: value.float() for name, value in tensors.items()})
        self.ema = {name: value.clone() for name, value in self.network.state_dict().items()}

    def averaged(self) -> nn.Module:
        """A network of its own with the averaged weights, in evaluation mode."""
        network = self.recipe.network().to(self.device)
        network.load_state_dict(self.ema)
        self._prepare(network)
        return network.to(memory_format=torch.channels_last).eval()  # type: ignore[call-overload]

    def save_weights(self, path: Path) -> None:
        """Write the averaged weights in half precision."""
        half = {name: value.half() for name, value in self.ema.items()}
        state = {"recipe": self.recipe.name, "step": self.step, "seconds": self.seconds}
        write_checkpoint(path, half, state)


def load_data(recipe: Recipe, data: str | None) -> Data:
    """Read the recipe's sets; without a validation set, every 50th training picture is kept back.

    Parameters
    ----------
    recipe : Recipe
    data : str or None
        As `gencomm.training.data.data_path` takes it.
    """
    if getattr(recipe, "frames", 1) > 1:
        return Data(*load_windows(recipe, data), [])
    where = data_path(data, recipe.train_set)
    packed = where.endswith(recipe.train_set)
    parts = [getattr(recipe, f"{k}_split", None) if packed else None for k in SPLITS]
    train = load_pictures(where, parts[0]).at_least(recipe.side)
    if not len(train):
        raise ValueError(f"{where} holds no picture of {recipe.side} pixels or more a side")
    beside = Path(where).parent
    side = VALIDATION_SIDE if parts[1] is None else recipe.side
    if packed and (beside / recipe.validation_set).is_file():
        held_out = load_pictures(beside / recipe.validation_set, parts[1])
    else:
        held_out, train = train.hold_out(50)
        # what networks take without padding, and all of the largest picture for want of more
        side = min(side, max(recipe.side, int(held_out.shapes.min(1).max()) // 16 * 16))
    number = getattr(recipe, "validation_count", VALIDATION_COUNT)
    validation = list(held_out.centres(number, side))
    monitor: list[np.ndarray] = []
    if recipe.monitor_set and (beside / recipe.monitor_set).is_file():
        watched = load_pictures(beside / recipe.monitor_set, limit=MONITOR_COUNT)
        monitor = [watched[i].transpose(2, 0, 1) for i in range(len(watched))]
    return Data(train, validation, monitor)


def report(run: Run, out: Path, end: float, monitor: bool) -> dict[str, Any]:
    """Evaluate the averaged weights, print a line, and write log, sheet and weights."""
    network = run.averaged()
    result = run.recipe.evaluate(network, run.data.validation)
    entry: dict[str, Any] = {
        "step": run.step,
        "seconds": round(run.seconds),
        "learning_rate": run.recipe.learning_rate * run.schedule(run.step),
        **result,
    }
    _say(run, "validation", result, end)
    if monitor and run.data.monitor:
        entry["monitor"] = run.recipe.evaluate(network, run.data.monitor)
        _say(run, "monitor", entry["monitor"], end)
    if monitor:
        sheet = run.recipe.sheet(network, run.data.validation[:3])
        Image.fromarray(sheet).save(out / f"sheet-{run.step:07d}.png")
        decayed = run.schedule.decay_from is not None
        run.save_weights(
            out / ("decayed-weights.safetensors" if decayed else "weights.safetensors")
        )
    with open(out / "log.jsonl", "a", encoding="utf-8") as log:
        log.write(json.dumps(entry) + "\n")
    return entry


def _say(run: Run, what: str, result: dict[str, Any], end: float) -> None:
    points = " ".join(
        "/".join(f"{point[key]:{form}}" for key, form in SHOWN.items() if key in point)
        for point in result["points"]
    )
    left = max(end - run.seconds, 0)
    print(
        f"step {run.step}  {run.seconds / 3600:.2f} h  left {left / 3600:.2f} h  "
        f"{what} {result['score']:.4f}  {points}",
        flush=True,
    )


def _progress(
    run: Run, numbers: list[dict[str, float]], pace: float, end: float, steps: int | None
) -> None:
    """A line on the steps since the last one, and when this call will be done."""
    means = {k: np.mean([one[k] for one in numbers]) for k in numbers[0]}
    words = "  ".join(f"{key} {value:.4f}" for key, value in means.items())
    left, schedule = end - run.seconds, run.schedule
    if steps is not None:
        left = min(left, (steps - run.step) * pace)
    if schedule.decay_from is not None:
        left = min(left, (schedule.decay_from + schedule.decay_steps - run.step) * pace)
    done = f"{max(left, 0) / 3600:.2f} h" if left >= 3600 else f"{max(left, 0) / 60:.1f} min"
    print(f"step {run.step}  training: {words}  {pace:.3f} s a step, done in {done}", flush=True)


def train(
    recipe: str | Recipe,
    data: str | None = None,
    out: str | Path = "run",
    seconds: float = 3600,
    *,
    steps: int | None = None,
    decay_steps: int = 0,
    weights: str | Path | None = None,
    device: str = "cpu",
    threads: int = 1,
    seed: int = 0,
    options: dict[str, str] | None = None,
    intervals: Intervals | None = None,
) -> Run:
    """Train a network, or go on training it.

    Parameters
    ----------
    recipe : str or Recipe
        A learned codec's name, such as "cae", or the recipe itself.
    data : str, optional
        A folder of packed sets, one packed set, or a folder of pictures; by default the
        environment variable GENCOMM_DATA.
    out : path
        The run's folder. If it holds a checkpoint, training goes on from there.
    seconds : float
        Wall-clock time of this call.
    steps : int, optional
        Stop at this step, if it comes first.
    decay_steps : int
        When positive, lower the learning rate to zero over so many steps, from the checkpoint of
        the constant phase, which stays as it is; a decay that was interrupted goes on.
    weights : path, optional
        Weights to begin from where there is no checkpoint.
    device : str
    threads : int
        Of torch.
    seed : int
    options : dict, optional
        Of the recipe, such as ``{"distortion": "ms_ssim"}``.
    intervals : Intervals, optional
        By default those of `Intervals`, with sheets as the recipe's ``sheet_seconds`` say.

    Returns
    -------
    Run
        As it stands at the end.
    """
    torch.set_num_threads(threads)
    chosen = load_recipe(recipe, **(options or {})) if isinstance(recipe, str) else recipe
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    run = Run(chosen, load_data(chosen, data), device, seed)
    constant, decayed = out / "checkpoint.safetensors", out / "decayed.safetensors"
    target = decayed if decay_steps else constant
    if target.is_file() or constant.is_file():
        run.load(target if target.is_file() else constant)
    elif weights is not None:
        run.load_weights(Path(weights))
    else:
        run.start()
    if decay_steps and run.schedule.decay_from is None:
        run.schedule = Schedule(chosen.warmup, run.step, decay_steps)
    end = run.seconds + seconds
    if intervals is None:
        intervals = Intervals(monitor=getattr(chosen, "sheet_seconds", Intervals.monitor))
    print(f"{chosen.name}: {run.data.train.pixels / 1e6:.1f} Mpixel, step {run.step}", flush=True)
    _loop(run, out, target, end, steps, intervals)
    return run


def _loop(
    run: Run, out: Path, target: Path, end: float, steps: int | None, intervals: Intervals
) -> None:
    start = time.monotonic() - run.seconds
    saved = evaluated = watched = told = run.seconds
    numbers: list[dict[str, float]] = []
    while True:
        run.seconds = time.monotonic() - start
        enough = steps is not None and run.step >= steps
        last = run.seconds >= end or enough or run.schedule.finished(run.step)
        if last or run.seconds - saved >= intervals.checkpoint:
            run.save(target)
            saved = run.seconds
        evaluate = last or run.seconds - evaluated >= intervals.evaluate
        if numbers and (evaluate or run.seconds - told >= intervals.line):
            _progress(run, numbers, (run.seconds - told) / len(numbers), end, steps)
            numbers.clear()
            told = run.seconds
        if evaluate:
            monitor = last or run.seconds - watched >= intervals.monitor
            evaluated = run.seconds
            watched = run.seconds if monitor else watched
            report(run, out, end, monitor)
            told = time.monotonic() - start
        if last:
            return
        numbers.append(run.one_step())


def load_recipe(name: str, **options: str) -> Recipe:
    """The recipe of that name, with options put to it; see `gencomm.training.registry`.

    Raises
    ------
    ValueError
        There is none of that name, it can't be loaded, or takes no such option.
    """
    return RECIPES.create(recipe_spec(name, options))

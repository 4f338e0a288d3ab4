"""How the video code is trained."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gencomm.codecs.ncode_joint.points import DESIGNS
from gencomm.codecs.ncode_video.card import card_of
from gencomm.codecs.ncode_video.keys import between, key_frames
from gencomm.codecs.ncode_video.network import SIDE, VideoCode, follow
from gencomm.codecs.ncode_video.points import BITS, SETS
from gencomm.codecs.ncode_video.start import fit_basis, fit_keys, fit_residuals
from gencomm.nn.losses import squared_error
from gencomm.nn.vector_code import flip
from gencomm.weights import load_weights

#: Frames from key frame to key frame in training, and of a window: three such gaps, of which the
#: middle one is trained, so that its key frames are fitted to frames on both sides.
GAP, FRAMES = 4, 13

#: Points in time decoded of each window in a step.
SHOWN = 3

#: A batch is cut into so many parts, each with a design and an error rate of its own.
PARTS = 4

#: Share of parts whose frames are predicted one from the other.
PREDICTED = 0.2

#: Share of parts without errors, by design, and the range of error rates of the others.
CLEAN, LOWEST, HIGHEST = {0.0: 0.6, 0.01: 0.3, 0.05: 0.2}, 1e-3, 0.15

#: Share of parts whose decoder is not told the error rate.
UNTOLD = 0.1

#: Standard deviations of what happens to windows: turning (radians), scale, shift (of half a side)
#: and brightness, each of them between the first frame and the last too, where nothing else moves.
TURN, SCALE, MOVE, LIGHT = 0.04, 0.03, 0.04, 0.04

#: Windows that principal components are found from, with so many frames of each, and windows that
#: prediction is found from.
START_WINDOWS, START_FRAMES, START_CHAINS = 1200, 3, 300

#: What validation measures: design, bit error rate, whether frames are predicted.
POINTS = (
    (0.0, 0.0, False),
    (0.0, 1e-2, False),
    (0.01, 1e-2, False),
    (0.05, 5e-2, False),
    (0.0, 0.0, True),
    (0.01, 1e-2, True),
)

#: Operating points that the card measures.
MEASURED = (
    "",
    "design_ber=0.01, ",
    "design_ber=0.05, ",
    "every=2, ",
    "every=8, ",
    "search=0, ",
    "mode=predict, ",
    "mode=predict, design_ber=0.01, ",
)


class VideoRecipe:
    """The logarithm of each frame's mean squared error, of key frames and of frames between.

    Parameters
    ----------
    set : {"heads64", "actions64", "rccar64"}
        What it is trained on: one network a domain.
    """

    train_split, validation_split = "train", "validation"
    monitor_set = ""
    side, batch = SIDE, 16
    #: Windows; a quarter of them of every second frame.
    frames, strides = FRAMES, (1, 1, 1, 2)
    start_crops = START_WINDOWS
    warmup, clip_norm, ema = 100, 1.0, 0.995
    factors = {"codes": 0.3, "decoder": 1.0}  # noqa: RUF012

    def __init__(self, set: str = "heads64"):
        if set not in SETS:
            raise ValueError(f"set is one of {', '.join(SETS)}, not {set!r}")
        self.set = SETS[set]
        self.train_set = self.validation_set = self.set.file
        self.picture_set, self.mirrored = self.set.pictures, self.set.mirrored
        #: Principal components of few clips know few places; faces stand where they always do.
        self.shift = 0 if self.set.start else 2
        self.name = f"ncode_video_{set.removesuffix('64')}"
        self.card = card_of(set)
        #: What the card measures.
        self.measured = [f"ncode_video({one}weights={self.name})" for one in MEASURED]
        #: Weights that are good already take smaller steps.
        self.learning_rate = 3e-4 if self.set.start else 2e-3

    def network(self) -> nn.Module:
        """A fresh network."""
        return VideoCode()

    @torch.no_grad()
    def start(self, network: nn.Module, crops: Tensor) -> None:
        """Principal components and codes, or those of other weights; then the predictor's."""
        assert isinstance(network, VideoCode)
        windows = crops.view(len(crops), FRAMES, 3, SIDE, SIDE)
        if self.set.start:
            arrays = load_weights(self.set.start).part("network")
            network.load_joint(
                {n: torch.from_numpy(a.astype(np.float32)) for n, a in arrays.items()}
            )
        else:
            chosen = np.linspace(0, FRAMES - 1, START_FRAMES).astype(int)
            frames = windows[:, chosen].flatten(0, 1).float()
            fit_basis(network, frames)
            fit_keys(network, torch.cat([network.basis.analyse(p) for p in frames.split(500)]))
        generator = torch.Generator().manual_seed(0)
        values = [
            network.basis.analyse(augment(part.float(), generator).flatten(0, 1))
            for part in windows[:START_CHAINS].split(50)
        ]
        fit_residuals(network, torch.cat(values).view(-1, FRAMES, len(network.basis.deviation)))

    def groups(self, network: nn.Module) -> list[dict[str, Any]]:
        """Vectors and decoder."""
        return [
            {"params": list(getattr(network, name).parameters()), "factor": factor}
            for name, factor in self.factors.items()
        ]

    def loss(
        self, network: nn.Module, crops: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, dict[str, float]]:
        """Mean logarithm of the error over some frames of each window."""
        assert isinstance(network, VideoCode)
        x = augment(crops.view(len(crops), FRAMES, 3, SIDE, SIDE).float(), generator)
        values = network.basis.analyse(x.flatten(0, 1)).view(len(x), FRAMES, -1)
        shown, known, targets = [], [], []
        for pictures, part in zip(x.chunk(PARTS), values.chunk(PARTS), strict=True):
            draws = torch.rand(5, generator=generator).tolist()
            design = DESIGNS[int(draws[0] * len(DESIGNS))]
            noisy = draws[1] >= CLEAN[design]
            ber = LOWEST * (HIGHEST / LOWEST) ** draws[2] if noisy else 0.0
            told, predicted = draws[3] >= UNTOLD, draws[4] < PREDICTED
            make = _predicted if predicted else _interpolated
            first, second, time, frames = make(network, part, design, ber, told, generator)
            shown.append((first, second, time))
            believed = ber if told else None
            known.append(network.conditions(time, BITS, design, believed, predicted))
            targets.append(pictures[:, frames].transpose(0, 1).flatten(0, 1))
        first, second, time = (torch.cat(parts) for parts in zip(*shown, strict=True))
        with torch.autocast(x.device.type, torch.bfloat16):
            out = network.show(first, second, time, torch.cat(known))
        error = squared_error(out, torch.cat(targets))
        loss = error.log().mean()
        return loss, {"log_error": loss.item(), "rmse": error.mean().sqrt().item()}

    @torch.no_grad()
    def evaluate(self, network: nn.Module, pictures: list[np.ndarray]) -> dict[str, Any]:
        """Mean PSNR of the frames of clips at each of `POINTS`; the score is minus their mean."""
        points = []
        for design, ber, predicted in POINTS:
            generator = torch.Generator().manual_seed(0)
            found = []
            for clip in pictures:
                x = torch.from_numpy(clip.copy()).float()
                error = squared_error(send(network, x, design, ber, predicted, generator), x)
                found.append(10 * (255**2 / error).log10())
            psnr = torch.cat(found).mean().item()
            points.append({"design": design, "ber": ber, "predicted": predicted, "psnr": psnr})
        return {"score": -float(np.mean([point["psnr"] for point in points])), "points": points}

    @torch.no_grad()
    def sheet(self, network: nn.Module, pictures: list[np.ndarray]) -> np.ndarray:
        """Nine frames in a row; below, clean and at a bit error rate of 1e-2, then predicted."""
        rows = []
        for clip in pictures:
            x = torch.from_numpy(clip.copy()).float()[:9]
            rows.append(x)
            for design, ber, predicted in POINTS[:3:2] + POINTS[4:]:
                generator = torch.Generator().manual_seed(0)
                rows.append(send(network, x, design, ber, predicted, generator))
        whole = torch.cat([torch.cat(list(row), 2) for row in rows], 1)
        return whole.byte().permute(1, 2, 0).numpy().repeat(2, 0).repeat(2, 1)


def augment(x: Tensor, generator: torch.Generator) -> Tensor:
    """Light windows a little; move those in which nothing moves.

    Parameters
    ----------
    x : float32 (windows, frames, 3, side, side), 0 to 255
    """
    count, frames = x.shape[:2]
    normal = torch.randn(2, 5, count, 1, generator=generator)
    still = (x[:, :1] == x[:, -1:]).flatten(1).all(1)
    if bool(still.any()):
        time = torch.linspace(-1, 1, frames)
        turn, scale, right, down = (
            size * (normal[0, k] + normal[1, k] * time)
            for k, size in enumerate((TURN, SCALE, MOVE, MOVE))
        )
        cos, sin = (1 + scale) * turn.cos(), (1 + scale) * turn.sin()
        rows = [torch.stack([cos, -sin, right], -1), torch.stack([sin, cos, down], -1)]
        paths = torch.stack(rows, -2)[still].flatten(0, 1)
        x = x.clone()
        moving = x[still].flatten(0, 1)
        grid = F.affine_grid(paths, list(moving.shape), align_corners=False)
        moved = F.grid_sample(moving, grid, "bicubic", "reflection", align_corners=False)
        x[still] = moved.view(-1, *x.shape[1:])
    return (x * (1 + LIGHT * normal[0, 4])[..., None, None, None]).clamp(0, 255)


_Parts = tuple[Tensor, Tensor, Tensor, Sequence[int]]


def _interpolated(
    network: VideoCode,
    values: Tensor,
    design: float,
    ber: float,
    told: bool,
    generator: torch.Generator,
) -> _Parts:
    """Values of the key frames of the middle gap as they arrive, and frames to look at.

    Returns
    -------
    first, second : float (SHOWN x windows, n)
    time : float (SHOWN x windows,)
    frames : list of int
        Numbers of the frames in the window.
    """
    fit = _fit().to(values.dtype)
    keys = torch.einsum("kf,bfn->kbn", fit, values)[1:3].flatten(0, 1)
    first, second = network.key_code(BITS, design)(keys, ber, generator, told).chunk(2)
    chosen = sorted(torch.randperm(GAP + 1, generator=generator)[:SHOWN].tolist())
    time = torch.tensor(chosen).repeat_interleave(len(values)) / GAP
    frames = [GAP + k for k in chosen]
    return first.repeat(SHOWN, 1), second.repeat(SHOWN, 1), time, frames


def _predicted(
    network: VideoCode,
    values: Tensor,
    design: float,
    ber: float,
    told: bool,
    generator: torch.Generator,
) -> _Parts:
    """The same of some frames in succession that were predicted from the first of the window."""
    code = network.key_code(BITS, design)
    sent = code.choose(values[:, 0])
    count = values.shape[2]
    theirs = code.look_up(flip(sent, ber, generator), ber if told else design, count)
    start = code.look_up(sent, design, count).detach(), theirs
    last = int(torch.randint(SHOWN, FRAMES, (1,), generator=generator))
    steps = values[:, 1 : last + 1].unbind(1)
    _, shown = follow(network, design, start, steps, ber, generator, told)
    states = [theirs, *shown]
    frames = list(range(last + 1 - SHOWN, last + 1))
    first, second = (torch.cat([states[k + off] for k in frames]) for off in (-1, 0))
    return first, second, torch.ones(len(first)), frames


def _fit() -> Tensor:
    """Values of key frames from those of a window's frames, (keys, FRAMES)."""
    where = between(key_frames(FRAMES, GAP), FRAMES)
    return torch.from_numpy(where.fit(np.eye(FRAMES)))


def send(
    network: nn.Module,
    clip: Tensor,
    design: float,
    ber: float,
    predicted: bool,
    generator: torch.Generator,
) -> Tensor:
    """What arrives of a clip (frames, 3, 64, 64), rounded, float32; nothing is searched."""
    assert isinstance(network, VideoCode)
    values, code = network.basis.analyse(clip), network.key_code(BITS, design)
    if predicted:
        starts, steps = [], []
        for k in range(0, len(values), FRAMES - 1):
            part = values[k : k + FRAMES - 1]
            sent = code.choose(part[:1])
            mine = code.look_up(sent, design, values.shape[1])
            theirs = code.look_up(flip(sent, ber, generator), ber, values.shape[1])
            rest = [row[None] for row in part[1:]]
            starts.append(len(steps))
            steps.append(theirs)
            if rest:
                steps += follow(network, design, (mine, theirs), rest, ber, generator)[1]
        second = torch.cat(steps)
        first = torch.cat([second[:1], second[:-1]])
        first[starts] = second[starts]
        time = torch.ones(len(clip))
    else:
        where = between(key_frames(len(clip), GAP), len(clip))
        keys = torch.from_numpy(where.fit(values.double().numpy())).float()
        keys = code(keys, ber, generator)
        first, second = keys[where.before], keys[where.after]
        time = torch.from_numpy(where.share)
    known = network.conditions(time, BITS, design, ber, predicted)
    found = []
    with torch.autocast(clip.device.type, torch.bfloat16):
        for a, b, t, k in zip(*(v.split(64) for v in (first, second, time, known)), strict=True):
            found.append(network.show(a, b, t, k))
    return torch.cat(found).clamp(0, 255).round()


recipe = VideoRecipe

"""The trained networks at work on clips."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from gencomm.codecs.ncode_joint.points import RATES
from gencomm.codecs.ncode_video.keys import Between, between, key_frames
from gencomm.codecs.ncode_video.network import VideoCode
from gencomm.codecs.ncode_video.points import BITS, RESIDUAL_BITS
from gencomm.nn.vector_code import COUNT as VECTORS
from gencomm.nn.vector_code import WIDTH, VectorCode
from gencomm.weights import Weights

#: Frames at a time, always so many: sums in single precision depend on the shape of a batch.
BATCH = 8

#: How far a step of the encoder's search goes: see `gencomm.codecs.ncode_joint.inference`.
STEP = 0.5


class Networks:
    """Codes and decoder with trained weights.

    Parameters
    ----------
    weights : Weights
        This codec's own, or ncode_joint's: its decoder then makes a picture of interpolated values
        as it would of values that were sent.

    Raises
    ------
    ValueError
        The weights are of another network.
    """

    def __init__(self, weights: Weights):
        self.joint = weights.state.get("recipe_spec", "").startswith("ncode_joint")
        try:
            self.network = VideoCode(weights.state["channels"], self.joint)
            arrays = weights.part("network")
            if self.joint:
                tensors = {n: torch.from_numpy(a.astype(np.float32)) for n, a in arrays.items()}
                self.network.load_joint(tensors)
            else:
                self.network.load_state_dict(unpacked(arrays))
        except (KeyError, TypeError, RuntimeError) as error:
            raise ValueError(
                f"{weights.name} holds no weights of ncode_video or ncode_joint: {error}"
            ) from error
        self.network.eval().requires_grad_(False)
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        #: Bits of a key frame that there are codes for.
        self.rates = RATES if self.joint else (BITS,)
        self.code = lru_cache(maxsize=8)(self._code)

    def encode(
        self, clip: np.ndarray, bits: int, design: float, every: int, search: int
    ) -> np.ndarray:
        """Bytes of key frames.

        The values of key frames are those with the least squared error over all frames, as far as
        frames between are interpolated; then the encoder looks at what the decoder makes of
        quantised values, and allows for it, as ncode_joint's encoder does.

        Parameters
        ----------
        clip : uint8 (frames, 64, 64, 3)
        bits, design
            Of the code.
        every : int
            Frames from key frame to key frame.
        search : int
            How many times the encoder looks.

        Returns
        -------
        uint8 (keys, bits / 8)
        """
        code = self.code(bits, design)
        where = between(key_frames(len(clip), every), len(clip))
        values = self._analyse(clip)
        aimed = torch.from_numpy(where.fit(values))
        chosen = code.choose(aimed)
        for _ in range(search):
            sent = code.look_up(chosen, design, aimed.shape[1]).detach()
            slope = self._slope(clip, sent, where, bits, design)
            better = sent - torch.from_numpy(where.solve(slope))
            aimed = aimed.lerp(better, STEP)
            chosen = code.choose(aimed)
        return chosen.T.numpy().astype(np.uint8)

    def _analyse(self, clip: np.ndarray) -> np.ndarray:
        """Values of frames, float64."""
        found = [self.network.basis.analyse(part).double().numpy() for part in pictures(clip)]
        return np.concatenate(found)[: len(clip)]

    def _slope(
        self, clip: np.ndarray, sent: Tensor, where: Between, bits: int, design: float
    ) -> np.ndarray:
        """Gradient of half the squared error over all frames, by the values of key frames."""
        frames = torch.from_numpy(where.share)
        found = np.zeros((len(clip), 2, sent.shape[1]))
        parts = zip(_batches(np.arange(len(clip))), pictures(clip), strict=True)
        for index, part in parts:
            ends = [sent[side[index]].float() for side in (where.before, where.after)]
            first, second = (end.requires_grad_() for end in ends)
            time = frames[index]
            known = self.network.conditions(time, bits, design, design)
            out = self.network.show(first, second, time, known)
            error = (out - part).square().sum() / 2
            slopes = torch.autograd.grad(error, (first, second))
            found[index] = torch.stack(slopes, 1).double().numpy()
        total = np.zeros(sent.shape)
        np.add.at(total, where.before, found[:, 0])
        np.add.at(total, where.after, found[:, 1])
        return total

    @torch.no_grad()
    def encode_predicted(
        self, clip: np.ndarray, bits: int, design: float, reset: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Bytes of key frames, and of residuals of the frames between.

        Returns
        -------
        keys : uint8 (keys, bits / 8)
        residuals : uint8 (frames - keys, RESIDUAL_BITS / 8)
        """
        key, residual = self.code(bits, design), self.code(RESIDUAL_BITS, design, True)
        values = torch.from_numpy(self._analyse(clip))
        starts = key_frames(len(clip), reset)
        chosen = key.choose(values[starts])
        mine = key.look_up(chosen, design, values.shape[1])
        kept = self.network.basis.kept.double()
        sent = torch.zeros(len(clip), RESIDUAL_BITS // WIDTH, dtype=torch.int64)
        for step in range(1, reset):
            index = starts + step
            index = index[index < len(clip)]
            if not len(index):
                break
            predicted = kept * mine[: len(index)]
            sent[index] = residual.choose(values[index] - predicted).T
            mine = predicted + residual.look_up(sent[index].T, design, values.shape[1])
        found = np.delete(sent.numpy(), starts, axis=0)
        return chosen.T.numpy().astype(np.uint8), found.astype(np.uint8)

    @torch.no_grad()
    def values(
        self, received: np.ndarray, bits: int, design: float, ber: float | None, residual: bool
    ) -> np.ndarray:
        """Posterior means of values of what arrived, float64 (n, values).

        Parameters
        ----------
        received : uint8 (n, bits / 8) or float64 (n, bits)
            Bytes, or LLRs ln(P(0) / P(1)).
        bits, design
            Of the code.
        ber : float or None
            None where it isn't known: then the one designed for is assumed.
        residual : bool
            Whether they are residuals.
        """
        code = self.code(RESIDUAL_BITS if residual else bits, design, residual)
        count = len(self.network.basis.deviation)
        if not len(received):
            return np.zeros((0, count))
        if received.dtype == np.uint8:
            arrived = torch.from_numpy(received.astype(np.int64)).T
            return code.look_up(arrived, design if ber is None else ber, count).numpy()
        return code.soft(torch.from_numpy(received).double(), count).numpy()

    def accumulate(
        self, keys: np.ndarray, residuals: np.ndarray, starts: np.ndarray, frames: int
    ) -> np.ndarray:
        """Values of all frames from those of key frames and residuals.

        Parameters
        ----------
        keys : float64 (keys, values)
        residuals : float64 (frames, values)
            Rows of key frames are not looked at.
        starts : int (keys,)
            Numbers of the key frames, rising.
        frames : int
        """
        kept = self.network.basis.kept.double().numpy()
        found, number = np.zeros((frames, keys.shape[1])), {int(s): k for k, s in enumerate(starts)}
        for t in range(frames):
            if t in number:
                found[t] = keys[number[t]]
            else:
                found[t] = residuals[t] + (kept * found[t - 1] if t else 0)
        return found

    @torch.no_grad()
    def show(
        self,
        first: Callable[[np.ndarray], np.ndarray],
        second: Callable[[np.ndarray], np.ndarray],
        time: np.ndarray,
        bits: int,
        design: float,
        ber: float | None,
        predicted: bool,
    ) -> np.ndarray:
        """Pictures of frames, uint8 (frames, 64, 64, 3).

        Parameters
        ----------
        first, second : function
            Values, float64 (n, values), of the key frames before and after given frames.
        time : float32 (frames,)
            Where between them each frame stands.
        bits, design, ber, predicted
            See `VideoCode.conditions`.
        """
        shares, found = torch.from_numpy(time.astype(np.float32)), []
        for index in _batches(np.arange(len(time))):
            a, b = (torch.from_numpy(side(index)).float() for side in (first, second))
            known = self.network.conditions(shares[index], bits, design, ber, predicted)
            out = self.network.show(a, b, shares[index], known)
            found.append(out.clamp(0, 255).round().byte().permute(0, 2, 3, 1).numpy())
        return np.concatenate(found)[: len(time)]

    def importance(self, bits: int, design: float, residual: bool = False) -> np.ndarray:
        """Mean squared change of the values when a bit is flipped, float64 (bits,)."""
        code = self.code(bits, design, residual)
        table, number = code.table(0.0).detach(), torch.arange(VECTORS)
        found = []
        for k in range(WIDTH - 1, -1, -1):
            change = (table[:, number ^ (1 << k)] - table).square().sum(2)
            found.append((code.probability * change).sum(1))
        return torch.stack(found, 1).flatten().double().numpy()

    def importance_of_residuals(self, design: float) -> np.ndarray:
        """The same of a residual's bits, float64 (RESIDUAL_BITS,)."""
        return self.importance(RESIDUAL_BITS, design, True)

    @property
    def most_kept(self) -> float:
        """The largest share of a value that the predictor keeps from frame to frame."""
        return float(self.network.basis.kept.max())

    def _code(self, bits: int, design: float, residual: bool = False) -> VectorCode:
        """A code in double precision."""
        own = self.network
        trained = own.residual_code(design) if residual else own.key_code(bits, design)
        code = VectorCode(*trained.members.shape, design)
        code.load_state_dict(trained.state_dict())
        return code.double().eval().requires_grad_(False)


def pictures(clip: np.ndarray) -> list[Tensor]:
    """Frames in batches, float32 (BATCH, 3, 64, 64), the last filled up with its last frame."""
    return [
        torch.from_numpy(clip[index].transpose(0, 3, 1, 2).copy()).float()
        for index in _batches(np.arange(len(clip)))
    ]


def _batches(numbers: np.ndarray) -> list[np.ndarray]:
    missing = -len(numbers) % BATCH
    whole = np.concatenate([numbers, np.repeat(numbers[-1:], missing)])
    return np.split(whole, len(whole) // BATCH)


def packed(tensors: dict[str, Tensor]) -> dict[str, np.ndarray]:
    """Arrays for a file: half precision, principal components in 8 bits with a unit each."""
    arrays = {name: np.ascontiguousarray(t.half().numpy()) for name, t in tensors.items()}
    rows = tensors["basis.components"]
    unit = rows.abs().amax(1, keepdim=True).clamp_min(1e-12) / 127
    arrays["basis.components"] = (rows / unit).round().to(torch.int8).numpy()
    arrays["basis.unit"] = unit.numpy()
    return arrays


def unpacked(arrays: dict[str, np.ndarray]) -> dict[str, Tensor]:
    """The inverse of `packed`; raises `KeyError` where something is missing."""
    tensors = {name: torch.from_numpy(a.astype(np.float32)) for name, a in arrays.items()}
    tensors["basis.components"] = tensors["basis.components"] * tensors.pop("basis.unit")
    return tensors

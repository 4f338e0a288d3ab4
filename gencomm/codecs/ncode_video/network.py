"""Principal values of frames, their quantisers, and a decoder that sees two key frames."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gencomm.codecs.ncode_joint.network import CHANNELS, colour_matrix
from gencomm.codecs.ncode_joint.points import DESIGNS, RATES
from gencomm.codecs.ncode_joint.points import VALUES as JOINT_VALUES
from gencomm.codecs.ncode_video.points import BITS, RESIDUAL_BITS, RESIDUAL_VALUES, VALUES
from gencomm.nn.conditions import BER_POINTS, ber_weights
from gencomm.nn.gains import interpolation
from gencomm.nn.layers import Stack, leaky, silence
from gencomm.nn.vector_code import WIDTH, VectorCode, flip

SIDE = 64

#: Samples of a picture after `planes`.
SAMPLES = SIDE * SIDE * 3 // 2

#: Points in time between two key frames that the decoder knows apart, and interpolates between.
TIMES = 5

#: What the decoder is told: as in ncode_joint, then the time, and whether the frame was predicted.
CONDITIONS = len(RATES) + len(DESIGNS) + BER_POINTS + TIMES + 1


def planes(pictures: Tensor) -> Tensor:
    """A sum of colours and two differences at half the resolution: an orthonormal projection.

    float32 (batch, 3, 64, 64) -> (batch, SAMPLES).
    """
    mixed = torch.einsum("nchw,kc->nkhw", pictures, colour_matrix().to(pictures.device))
    return torch.cat([mixed[:, 0].flatten(1), 2 * F.avg_pool2d(mixed[:, 1:], 2).flatten(1)], 1)


def from_planes(samples: Tensor) -> Tensor:
    """The transpose of `planes`."""
    half = SIDE // 2
    light = samples[:, : SIDE * SIDE].view(-1, 1, SIDE, SIDE)
    colour = samples[:, SIDE * SIDE :].view(-1, 2, half, half) / 2
    whole = torch.cat([light, colour.repeat_interleave(2, 2).repeat_interleave(2, 3)], 1)
    return torch.einsum("nkhw,kc->nchw", whole, colour_matrix().to(samples.device))


class Basis(nn.Module):
    """Principal components of frames, not trained; in single precision always.

    ``kept`` is how much of a value the predictor keeps from one frame to the next.
    """

    def __init__(self, count: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(SAMPLES))
        self.register_buffer("components", torch.zeros(count, SAMPLES))
        self.register_buffer("deviation", torch.ones(count))
        self.register_buffer("kept", torch.zeros(count))

    def analyse(self, pictures: Tensor) -> Tensor:
        """Values of pictures, (batch, 3, 64, 64), samples 0 to 255."""
        with torch.autocast(pictures.device.type, enabled=False):
            return (planes(pictures.float()) - self.mean) @ self.components.T

    def synthesise(self, values: Tensor) -> Tensor:
        """Pictures of values."""
        return self.difference(values) + from_planes(self.mean[None])

    def difference(self, values: Tensor) -> Tensor:
        """Differences of pictures, of differences of values."""
        with torch.autocast(values.device.type, enabled=False):
            return from_planes(values.float() @ self.components)


class Decoder(nn.Module):
    """What a convolutional network adds to a picture that lies between two key frames.

    As ncode_joint's, but it also sees the difference of the key frames: where they differ something
    moves, and what the mean of two places shows twice can be put in its own.

    Parameters
    ----------
    channels : int
        At 1/4 of the resolution; twice as many at 1/8.
    blocks : (int, int, int)
        Before, at, and after 1/8.
    """

    def __init__(self, channels: int, blocks: tuple[int, int, int] = (1, 2, 2)):
        super().__init__()
        self.enter = nn.Conv2d(96, channels, 3, padding=1)
        self.place = nn.Parameter(0.02 * torch.randn(1, channels, SIDE // 4, SIDE // 4))
        self.before = Stack(blocks[0], channels, CONDITIONS)
        self.down = nn.Conv2d(channels, 2 * channels, 2, stride=2)
        self.deep = Stack(blocks[1], 2 * channels, CONDITIONS)
        self.up = silence(nn.Conv2d(2 * channels, 4 * channels, 1))
        self.after = Stack(blocks[2], channels, CONDITIONS)
        self.leave = silence(nn.Conv2d(channels, 48, 3, padding=1))

    def forward(self, pictures: Tensor, change: Tensor, conditions: Tensor) -> Tensor:
        """Two times float (batch, 3, 64, 64), and (batch, CONDITIONS): float32."""
        x = F.pixel_unshuffle(torch.cat([pictures / 64 - 2, change / 64], 1), 4)
        x = self.enter(x.contiguous(memory_format=torch.channels_last)) + self.place
        x = self.before(x, conditions)
        deep = self.deep(self.down(x), conditions)
        x = self.after(x + F.pixel_shuffle(self.up(leaky(deep)), 2), conditions)
        return 64 * F.pixel_shuffle(self.leave(leaky(x)), 4).float()


class VideoCode(nn.Module):
    """Basis, codes of key frames and of residuals, and the decoder.

    Parameters
    ----------
    channels : int
        Of the decoder.
    joint : bool
        With ncode_joint's codes, which are of three rates, and none of residuals.
    """

    def __init__(self, channels: int = CHANNELS, joint: bool = False) -> None:
        super().__init__()
        sizes = JOINT_VALUES if joint else {BITS: VALUES}
        self.basis = Basis(max(sizes.values()))
        self.codes = nn.ModuleDict()
        for design in DESIGNS:
            for bits, count in sizes.items():
                self.codes[code_name(bits, design)] = _code(bits, count, design)
            if not joint:
                name = code_name(RESIDUAL_BITS, design, "r")
                self.codes[name] = _code(RESIDUAL_BITS, RESIDUAL_VALUES, design)
        self.decoder = Decoder(channels)

    def key_code(self, bits: int, design: float) -> VectorCode:
        """The quantisers of key frames."""
        return self._found(code_name(bits, design))

    def residual_code(self, design: float) -> VectorCode:
        """The quantisers of what prediction leaves."""
        return self._found(code_name(RESIDUAL_BITS, design, "r"))

    def _found(self, name: str) -> VectorCode:
        code = self.codes[name]
        assert isinstance(code, VectorCode)
        return code

    def conditions(
        self,
        time: Tensor,
        bits: int,
        design: float,
        ber: float | Tensor | None = None,
        predicted: bool = False,
    ) -> Tensor:
        """What the decoder is told, (batch, CONDITIONS).

        Parameters
        ----------
        time : float (batch,)
            0 at the earlier key frame, 1 at the later.
        bits, design
            Of the code.
        ber : float or float (batch,), optional
            None where it isn't known.
        predicted : bool
            Whether frames are key frames with residuals added.
        """
        told = torch.zeros(len(time), CONDITIONS, device=time.device)
        told[:, RATES.index(bits)] = 1
        first = len(RATES)
        told[:, first + DESIGNS.index(design)] = 1
        first += len(DESIGNS)
        if ber is not None:
            rates = torch.as_tensor(ber, dtype=torch.float32, device=time.device)
            told[:, first : first + BER_POINTS] = ber_weights(rates.expand(len(time)))
        told[:, -1 - TIMES : -1] = interpolation((TIMES - 1) * time, TIMES)
        told[:, -1] = float(predicted)
        return told

    def show(self, first: Tensor, second: Tensor, time: Tensor, conditions: Tensor) -> Tensor:
        """Pictures between key frames with such values, float32, not yet clipped.

        Parameters
        ----------
        first, second : float32 (batch, n)
            Values of the key frames before and after.
        time : float32 (batch,)
        conditions : float32 (batch, CONDITIONS)
        """
        change = second - first
        rough = self.basis.synthesise(first + time[:, None] * change)
        return rough + self.decoder(rough, self.basis.difference(change), conditions)

    def load_joint(self, tensors: Mapping[str, Tensor]) -> None:
        """Take over what there is in weights of ncode_joint; the rest stays silent.

        Raises
        ------
        KeyError, RuntimeError
            They are of another network.
        """
        parts = {name: tensor.float() for name, tensor in tensors.items()}
        rows = parts["basis.components"]
        odd = parts["basis.odd"][:, None]
        count = len(self.basis.deviation)
        self.basis.components.copy_(unfold(rows * (1 - odd), rows * odd)[:count])
        mean = parts["basis.mean"][None]
        self.basis.mean.copy_(unfold(mean, torch.zeros_like(mean))[0])
        self.basis.deviation.copy_(parts["basis.deviation"][:count])
        for name, code in self.codes.items():
            if name.startswith("b"):
                start = f"codes.{name}."
                own = {n[len(start) :]: t for n, t in parts.items() if n.startswith(start)}
                code.load_state_dict(own)
        for name, target in self.decoder.state_dict().items():
            source = parts[f"decoder.{name}"]
            target.zero_()
            target[tuple(slice(n) for n in source.shape)] = source


def unfold(even: Tensor, odd: Tensor) -> Tensor:
    """Samples as of `planes` from ncode_joint's even and odd halves, (n, SAMPLES)."""
    found, start = [], 0
    for side in (SIDE, SIDE // 2, SIDE // 2):
        stop = start + side * side // 2
        e, o = (half[:, start:stop].reshape(-1, side, side // 2) for half in (even, odd))
        found.append((torch.cat([e + o, (e - o).flip(2)], 2) * 0.5**0.5).flatten(1))
        start = stop
    return torch.cat(found, 1)


def follow(
    network: VideoCode,
    design: float,
    start: tuple[Tensor, Tensor],
    values: Sequence[Tensor],
    ber: float = 0.0,
    generator: torch.Generator | None = None,
    told: bool = True,
) -> tuple[list[Tensor], list[Tensor]]:
    """Send residuals frame after frame, and follow what encoder and decoder have.

    Parameters
    ----------
    network : VideoCode
    design : float
        Of the residuals' code.
    start : (float (batch, n), float (batch, n))
        Values of the key frame as encoder and decoder have them.
    values : sequence of float (batch, n)
        Of the frames after it.
    ber, generator, told
        As `VectorCode.forward` takes them.

    Returns
    -------
    bytes : list of int64 (groups, batch)
        As sent.
    shown : list of float (batch, n)
        Values as the decoder has them.
    """
    code, kept = network.residual_code(design), network.basis.kept.to(values[0].dtype)
    mine, theirs = start
    count, chosen, shown = mine.shape[1], [], []
    for value in values:
        predicted = kept * mine
        sent = code.choose(value - predicted, code.training)
        chosen.append(sent)
        mine = predicted + code.look_up(sent, design, count).detach()
        arrived = flip(sent, ber, generator)
        theirs = kept * theirs + code.look_up(arrived, ber if told else design, count)
        shown.append(theirs)
    return chosen, shown


def _code(bits: int, values: int, design: float) -> VectorCode:
    groups = bits // WIDTH
    return VectorCode(groups, -(-values // groups), design)


def code_name(bits: int, design: float, kind: str = "b") -> str:
    """In a file of weights, such as ``b512_d1`` or ``r96_d0``: the design in percent."""
    return f"{kind}{bits}_d{round(100 * design)}"

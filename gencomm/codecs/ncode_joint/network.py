"""Principal values, vector quantisers, and a convolutional decoder that knows the channel."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gencomm.codecs.faces import SIDE
from gencomm.codecs.ncode_joint.points import DESIGNS, RATES, VALUES
from gencomm.nn.conditions import BER_POINTS, ber_weights
from gencomm.nn.layers import Stack, leaky, silence
from gencomm.nn.vector_code import WIDTH, VectorCode

#: Values of a picture, and samples of each half of it after `fold`.
COUNT, HALF = max(VALUES.values()), 3072

#: An orthonormal change of colour: a sum and two differences.
COLOUR = ((1, 1, 1), (1, 0, -1), (0.5, -1, 0.5))

#: Of the correction at 1/4 of the resolution.
CHANNELS = 96

#: What a network is told: rate, design, and the bit error rate.
CONDITIONS = len(RATES) + len(DESIGNS) + BER_POINTS


def colour_matrix() -> Tensor:
    """Rows are orthonormal."""
    rows = torch.tensor(COLOUR)
    return rows / rows.norm(dim=1, keepdim=True)


def fold(pictures: Tensor) -> tuple[Tensor, Tensor]:
    """Even and odd part of pictures about the middle, without the finest detail of colour.

    Sums and differences of colours, the differences at half the resolution, then even and odd
    halves: an orthonormal projection from 12288 to twice 3072 numbers. What it leaves out is
    noise at 44 dB.

    Parameters
    ----------
    pictures : float32 (batch, 3, 64, 64)

    Returns
    -------
    even, odd : float32 (batch, 3072)
    """
    planes = torch.einsum("nchw,kc->nkhw", pictures, colour_matrix().to(pictures.device))
    coarse = 2 * F.avg_pool2d(planes[:, 1:], 2)
    parts = [planes[:, 0], coarse[:, 0], coarse[:, 1]]
    halves: tuple[list[Tensor], list[Tensor]] = [], []
    for part in parts:
        middle = part.shape[2] // 2
        left, right = part[:, :, :middle], part[:, :, middle:].flip(2)
        halves[0].append((left + right).flatten(1))
        halves[1].append((left - right).flatten(1))
    even, odd = (torch.cat(half, 1) * 0.5**0.5 for half in halves)
    return even, odd


def unfold(even: Tensor, odd: Tensor) -> Tensor:
    """The transpose of `fold`: pictures, float32 (batch, 3, 64, 64)."""
    planes, start = [], 0
    for side in (SIDE, SIDE // 2, SIDE // 2):
        stop = start + side * side // 2
        e, o = (half[:, start:stop].reshape(-1, side, side // 2) for half in (even, odd))
        planes.append(torch.cat([e + o, (e - o).flip(2)], 2) * 0.5**0.5)
        start = stop
    colour = torch.stack(planes[1:], 1).repeat_interleave(2, 2).repeat_interleave(2, 3) / 2
    whole = torch.cat([planes[0][:, None], colour], 1)
    return torch.einsum("nkhw,kc->nchw", whole, colour_matrix().to(even.device))


class Basis(nn.Module):
    """Principal components of aligned faces, each even or odd about the middle; not trained.

    In single precision also where networks run in half.

    Parameters
    ----------
    count : int
        Of components.
    """

    def __init__(self, count: int = COUNT) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(HALF))
        self.register_buffer("components", torch.zeros(count, HALF))
        self.register_buffer("odd", torch.zeros(count))
        self.register_buffer("deviation", torch.ones(count))

    def analyse(self, pictures: Tensor) -> Tensor:
        """Values (batch, count) of pictures (batch, 3, 64, 64), samples 0 to 255."""
        return self._values(pictures, self.mean)

    def project(self, differences: Tensor) -> Tensor:
        """Values of differences of pictures."""
        return self._values(differences, torch.zeros_like(self.mean))

    def _values(self, pictures: Tensor, mean: Tensor) -> Tensor:
        with torch.autocast(pictures.device.type, enabled=False):
            even, odd = fold(pictures.float())
            components = self.components.T
            return torch.where(self.odd > 0, odd @ components, (even - mean) @ components)

    def synthesise(self, values: Tensor) -> Tensor:
        """Pictures of values."""
        with torch.autocast(values.device.type, enabled=False):
            values = values.float()
            odd = values * self.odd
            return unfold((values - odd) @ self.components + self.mean, odd @ self.components)


class Correction(nn.Module):
    """What a convolutional network adds to a picture, told where it is and the conditions.

    At 1/4 and 1/8 of the resolution; a learnt map says where in the face a place lies, which
    convolutions can't know. Adds nothing at the start.

    Parameters
    ----------
    channels : int
        At 1/4; twice as many at 1/8.
    blocks : (int, int, int)
        Before, at, and after 1/8.
    """

    def __init__(self, channels: int, blocks: tuple[int, int, int]):
        super().__init__()
        self.enter = nn.Conv2d(48, channels, 3, padding=1)
        self.place = nn.Parameter(0.02 * torch.randn(1, channels, SIDE // 4, SIDE // 4))
        self.before = Stack(blocks[0], channels, CONDITIONS)
        self.down = nn.Conv2d(channels, 2 * channels, 2, stride=2)
        self.deep = Stack(blocks[1], 2 * channels, CONDITIONS)
        self.up = silence(nn.Conv2d(2 * channels, 4 * channels, 1))
        self.after = Stack(blocks[2], channels, CONDITIONS)
        self.leave = silence(nn.Conv2d(channels, 48, 3, padding=1))

    def forward(self, pictures: Tensor, conditions: Tensor) -> Tensor:
        """float (batch, 3, 64, 64), samples 0 to 255, and (batch, CONDITIONS): float32."""
        x = F.pixel_unshuffle(pictures / 64 - 2, 4).contiguous(memory_format=torch.channels_last)
        x = self.before(self.enter(x) + self.place, conditions)
        deep = self.deep(self.down(x), conditions)
        x = self.after(x + F.pixel_shuffle(self.up(leaky(deep)), 2), conditions)
        return 64 * F.pixel_shuffle(self.leave(leaky(x)), 4).float()


class JointCode(nn.Module):
    """Codes for each rate and design, and the decoder, which the encoder runs too.

    The encoder takes principal values; the decoder takes the posterior mean of the values, makes a
    picture of it, and adds a correction that knows rate, design and bit error rate. What the
    correction will add need not be sent: the encoder subtracts it beforehand (`aim`). Without
    correction this is a linear code.

    Parameters
    ----------
    channels : int
        Of the correction at 1/4 of the resolution.
    """

    def __init__(self, channels: int = CHANNELS) -> None:
        super().__init__()
        self.basis = Basis()
        self.codes = nn.ModuleDict()
        for bits in RATES:
            for design in DESIGNS:
                groups = bits // WIDTH
                size = -(-VALUES[bits] // groups)
                self.codes[code_name(bits, design)] = VectorCode(groups, size, design)
        self.decoder = Correction(channels, (1, 2, 2))

    def code(self, bits: int, design: float) -> VectorCode:
        """The quantisers of a rate and a design."""
        code = self.codes[code_name(bits, design)]
        assert isinstance(code, VectorCode)
        return code

    def conditions(
        self, count: int, bits: int, design: float, ber: float | Tensor | None = None
    ) -> Tensor:
        """What networks are told, (count, CONDITIONS); no error rate where it is not known."""
        device = self.basis.mean.device
        told = torch.zeros(count, CONDITIONS, device=device)
        told[:, RATES.index(bits)] = 1
        told[:, len(RATES) + DESIGNS.index(design)] = 1
        if ber is not None:
            rates = torch.as_tensor(ber, dtype=torch.float32, device=device).expand(count)
            told[:, -BER_POINTS:] = ber_weights(rates)
        return told

    @torch.no_grad()
    def aim(self, values: Tensor, sent: Tensor, conditions: Tensor) -> Tensor:
        """Values less those of the correction that the decoder is going to add.

        Parameters
        ----------
        values : float32 (batch, COUNT)
            Of the pictures.
        sent : float32 (batch, COUNT)
            As the decoder would have them.
        conditions : float32 (batch, CONDITIONS)
            As the encoder expects them: the error rate is that of the design.
        """
        added = self.decoder(self.basis.synthesise(sent), conditions)
        return values - self.basis.project(added)

    def synthesise(self, values: Tensor, conditions: Tensor) -> Tensor:
        """Pictures, float32, not yet clipped."""
        rough = self.basis.synthesise(values)
        return rough + self.decoder(rough, conditions)


def code_name(bits: int, design: float) -> str:
    """Of a rate and a design in a file of weights, such as ``b512_d1``: the design in percent."""
    return f"b{bits}_d{round(100 * design)}"

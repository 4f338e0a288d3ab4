"""The trained networks at work, in batches."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from gencomm.bitstream.index_assignment import learnt_labels
from gencomm.codecs.ncode_joint.network import COUNT, JointCode
from gencomm.nn.vector_code import COUNT as VECTORS
from gencomm.nn.vector_code import WIDTH, VectorCode
from gencomm.weights import Weights

#: Pictures at a time, always so many: sums in single precision depend on the shape of a batch, and
#: a picture must not depend on its neighbours.
BATCH = 8

#: How far a step of the search goes; at 1 later steps undo what earlier ones gained.
STEP = 0.5

#: Exchanges tried for each vector where labels are annealed.
EXCHANGES = 100


class Networks:
    """Codes and decoder with trained weights.

    Parameters
    ----------
    weights : Weights
        ``network.*`` arrays, and in the state the number of ``channels``.

    Raises
    ------
    ValueError
        The weights are of another network.
    """

    def __init__(self, weights: Weights):
        try:
            self.network = JointCode(weights.state["channels"])
            arrays = weights.part("network").items()
            tensors = {name: torch.from_numpy(array.astype(np.float32)) for name, array in arrays}
            self.network.load_state_dict(tensors)
        except (KeyError, TypeError, RuntimeError) as error:
            raise ValueError(f"{weights.name} holds no weights of ncode_joint: {error}") from error
        self.network.eval().requires_grad_(False)
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.code = lru_cache(maxsize=16)(self._code)

    def encode(
        self, pictures: np.ndarray, bits: int, design: float, labels: str, search: int
    ) -> np.ndarray:
        """Bytes of pictures.

        Quantised, a value can't be had as it is, and the decoder adds what it thinks likely. So
        the encoder looks at what would come out, moves the values against the gradient of the
        squared error, and chooses again.

        Parameters
        ----------
        pictures : uint8 (n, 64, 64, 3)
        bits, design, labels :
            Of the code.
        search : int
            How many times.

        Returns
        -------
        uint8 (n, bits / 8)
        """
        code, found = self.code(bits, design, labels), []
        for part in batches(pictures):
            x = torch.from_numpy(np.ascontiguousarray(part.transpose(0, 3, 1, 2))).float()
            aimed = self.network.basis.analyse(x).double()
            known = self.network.conditions(len(x), bits, design, design)
            chosen = code.choose(aimed)
            for _ in range(search):
                sent = code.look_up(chosen, design, COUNT).detach().requires_grad_()
                error = (self.network.synthesise(sent, known) - x).square().sum() / 2
                (slope,) = torch.autograd.grad(error, sent)
                aimed = aimed.lerp(sent.detach() - slope, STEP)
                chosen = code.choose(aimed)
            found.append(chosen.T.numpy().astype(np.uint8))
        return np.concatenate(found)[: len(pictures)]

    @torch.no_grad()
    def decode(
        self,
        received: np.ndarray,
        bits: int,
        design: float,
        labels: str,
        ber: float | None,
    ) -> np.ndarray:
        """Pictures of what arrived at one bit error rate.

        Parameters
        ----------
        received : uint8 (n, bits / 8) or float (n, bits)
            Bytes, or LLRs ln(P(0) / P(1)).
        bits : int
        design : float
        labels : str
        ber : float or None
            None where it isn't known.

        Returns
        -------
        uint8 (n, 64, 64, 3)
        """
        code, found = self.code(bits, design, labels), []
        assumed = design if ber is None else ber
        for part in batches(received):
            if part.dtype == np.uint8:
                arrived = torch.from_numpy(part.astype(np.int64)).T
                values = code.look_up(arrived, assumed, COUNT)
            else:
                values = code.soft(torch.from_numpy(part).double(), COUNT)
            known = self.network.conditions(len(part), bits, design, ber)
            out = self.network.synthesise(values.float(), known)
            found.append(out.clamp(0, 255).round().byte().permute(0, 2, 3, 1).numpy())
        return np.concatenate(found)[: len(received)]

    @torch.no_grad()
    def values(
        self, sent: np.ndarray, bits: int, design: float, labels: str, ber: float
    ) -> np.ndarray:
        """Values of bits (n, bits) that arrived at an error rate, float64 (n, COUNT)."""
        arrived = torch.from_numpy(np.packbits(sent, axis=1).astype(np.int64)).T
        return self.code(bits, design, labels).look_up(arrived, ber, COUNT).numpy()

    def importance(self, bits: int, design: float, labels: str) -> np.ndarray:
        """Mean squared change of the values when a bit is flipped, float64 (bits,).

        The components are orthonormal, so it is the squared change of a picture's samples before
        the correction.
        """
        code = self.code(bits, design, labels)
        table, number = code.table(design).detach(), torch.arange(VECTORS)
        found = []
        for k in range(WIDTH - 1, -1, -1):
            change = (table[:, number ^ (1 << k)] - table).square().sum(2)
            found.append((code.probability * change).sum(1))
        return torch.stack(found, 1).flatten().double().numpy()

    def _code(self, bits: int, design: float, labels: str) -> VectorCode:
        """The code of a rate and a design in double precision, its vectors numbered anew."""
        trained = self.network.code(bits, design)
        groups, size = trained.members.shape
        code = VectorCode(groups, size, design)
        code.load_state_dict(trained.state_dict())
        code.double().eval()
        if labels != "learnt":
            source = annealed(code) if labels == "annealed" else ruled(code, labels == "gray")
            rows = torch.arange(len(source))[:, None]
            code.vectors.data = code.vectors.data[rows, source]
            code.probability.copy_(code.probability[rows, source])
        return code


def batches(rows: np.ndarray) -> list[np.ndarray]:
    """Rows in parts of exactly BATCH, the last filled up with its own last row."""
    missing = -len(rows) % BATCH
    whole = np.concatenate([rows, np.repeat(rows[-1:], missing, axis=0)])
    return np.split(whole, len(whole) // BATCH)


def annealed(code: VectorCode) -> Tensor:
    """Which vector gets each byte, that one wrong bit costs least; int64 (groups, 256)."""
    table, share = code.table(0.0).detach().numpy(), code.probability.numpy()
    learnt, found = np.arange(VECTORS), []
    for levels, probability in zip(table, share, strict=True):
        label = learnt_labels(levels, probability, [learnt], EXCHANGES)
        found.append(torch.from_numpy(np.argsort(label)))
    return torch.stack(found)


def ruled(code: VectorCode, gray: bool) -> Tensor:
    """Which vector gets each byte, in order along the axis or in Gray's; int64 (groups, 256)."""
    order, place = along_axis(code), torch.arange(VECTORS)
    source = torch.empty_like(order)
    source[:, place ^ (place >> 1) if gray else place] = order
    return source


def along_axis(code: VectorCode) -> Tensor:
    """Vectors of each group in their order along its principal axis, int64 (groups, 256)."""
    table = code.table(0.0).detach()
    share = code.probability[..., None]
    centred = table - (share * table).sum(1, keepdim=True)
    axis = torch.linalg.eigh((share * centred).mT @ centred).eigenvectors[..., -1:]
    return (centred @ axis)[..., 0].argsort(1)

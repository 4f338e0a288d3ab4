"""The bits of `klt` and `ncode_joint`: their values, their importance, their probabilities."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from gencomm.bitstream.labelling import number_bits
from gencomm.codecs.generative import codec as cells
from gencomm.codecs.klt.codec import KLT
from gencomm.codecs.ncode_joint import codec as joint
from gencomm.codecs.ncode_joint.network import COUNT
from gencomm.nn.vector_code import WIDTH


def values(codec, bits: np.ndarray) -> np.ndarray:
    """What bits (n, bits) stand for, taken at their word."""
    if isinstance(codec, KLT):
        return codec._plan[1].decode(bits)
    code = joint._networks(codec.weights).code(*codec._point)
    numbers = torch.from_numpy(np.packbits(bits, axis=1).astype(np.int64)).T
    return code.look_up(numbers, 0.0, COUNT).detach().numpy()


def quantised(codec, found: np.ndarray) -> np.ndarray:
    """Bits of values."""
    if isinstance(codec, KLT):
        return codec._plan[1].encode(found)
    code = joint._networks(codec.weights).code(*codec._point)
    chosen = code.choose(torch.from_numpy(found)).T.numpy().astype(np.uint8)
    return np.unpackbits(chosen, axis=1)


def mixed(codec, one: np.ndarray, other: np.ndarray, shares: Sequence[float]) -> np.ndarray:
    """Codes on the straight line between the values of two."""
    ends = values(codec, np.stack([one, other]))
    return quantised(codec, np.stack([(1 - s) * ends[0] + s * ends[1] for s in shares]))


def exchanged(codec, one: np.ndarray, other: np.ndarray, shares: Sequence[float]) -> np.ndarray:
    """Codes with a share of the differing bits taken from the other, least important first."""
    places = order(codec)[::-1]
    places = places[one[places] != other[places]]
    rows = np.repeat(one[None], len(shares), 0)
    for row, share in zip(rows, shares, strict=True):
        taken = places[: round(share * places.size)]
        row[taken] = other[taken]
    return rows


def single_errors(codec) -> np.ndarray:
    """Mean squared change of the values by each flipped bit, in closed form."""
    if isinstance(codec, KLT):
        return codec._plan[1].sensitivity(codec.design_ber)
    return joint._networks(codec.weights).importance(*codec._point)


def order(codec) -> np.ndarray:
    """Bits by falling importance."""
    return np.argsort(-single_errors(codec), kind="stable")


def cell_order(codec, budget: int) -> list[np.ndarray]:
    """Bits of a cell of `generative` by falling importance, each as the places of its copies."""
    plan = cells._layout(codec.weights, budget)
    weight = codec.weights.arrays["code.importance"].astype(float)[plan.value]
    moved = cells._code(codec.weights, budget, codec.labels).sensitivity()[plan.source] * weight
    own, first = np.unique(plan.source, return_index=True)
    ranked = own[np.argsort(-moved[first], kind="stable")]
    return [np.flatnonzero(plan.source == bit) for bit in ranked]


def drawn(codec, count: int, seed: int) -> np.ndarray:
    """Random codes (count, bits), every value as often as its code says."""
    rng = np.random.default_rng(seed)
    if isinstance(codec, KLT):
        parts = [
            number_bits(q.label[rng.choice(q.levels.size, count, p=q.probability)], q.width)
            for q in codec._plan[1].quantisers
        ]
        return np.concatenate([part.reshape(count, -1) for part in parts], axis=1)
    share = joint._networks(codec.weights).code(*codec._point).probability.numpy()
    numbers = [rng.choice(share.shape[1], count, p=p / p.sum()) for p in share]
    return number_bits(np.stack(numbers, 1), WIDTH).reshape(count, -1)

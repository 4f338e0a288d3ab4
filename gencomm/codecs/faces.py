"""What codes of fixed length for aligned faces share: only bits and pictures differ."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from channels.bits import PackedBits
from gencomm.codecs.contract import Decoded, Encoded, Item, Received
from gencomm.codecs.fixed_length import check_choice, reliabilities
from gencomm.codecs.weighted import Weighted

SIDE = 64
SHAPE = (SIDE, SIDE, 3)


class FaceCode(Weighted):
    """So many bits for each aligned face of 64x64 pixels, without header; each pattern a picture.

    Parameters
    ----------
    bits : int
        Of each picture.
    design_ber : float
        Bit error rate that the code is designed for, and that a decoder assumes which knows none.
    decode : {"hard", "soft"}
        Whether the decoder uses LLRs and erasures where the link has them.
    know_ber : bool
        Whether it may use the link's mean bit error rate, where that is known.
    weights : str or None
        See `Weighted`.
    """

    modality: ClassVar[str] = "image"
    wants: frozenset[str]
    fixed_shape: ClassVar[tuple[int, ...]] = SHAPE

    def __init__(
        self, bits: int, design_ber: float, decode: str, know_ber: bool, weights: str | None
    ):
        super().__init__(weights)
        check_choice("decode", decode, ("hard", "soft"))
        self.bits, self.design_ber = bits, float(design_ber)
        self.soft, self.know_ber = decode == "soft", know_ber
        self.wants = frozenset({"llr", "erasures"} if self.soft else ())

    @abstractmethod
    def _send(self, pictures: np.ndarray) -> np.ndarray:
        """Packed bits of pictures: uint8 (n, 64, 64, 3) -> uint8 (n, bits / 8, rounded up)."""

    @abstractmethod
    def _receive(self, received: np.ndarray, ber: float | None) -> np.ndarray:
        """Pictures of what arrived, uint8 (n, 64, 64, 3).

        Parameters
        ----------
        received : uint8 (n, bits / 8, rounded up) or float64 (n, bits)
            Packed bits, or LLRs ln(P(0) / P(1)).
        ber : float or None
            The bit error rate, 0 to 0.5; None where the decoder doesn't know it.
        """

    @abstractmethod
    def _importance(self) -> np.ndarray:
        """Importance class of each bit, uint8 (bits,), 0 the most important."""

    def encode(self, item: Item) -> Encoded:
        """Bits of a face.

        Raises
        ------
        ValueError
            The item is not a colour picture of 64 x 64 pixels.
        """
        return self.encode_batch([item])[0]

    def encode_batch(self, items: Sequence[Item]) -> list[Encoded]:
        """The same for a list, several times as fast."""
        for item in items:
            if item.value.dtype != np.uint8 or item.value.shape != SHAPE:
                raise ValueError(
                    f"{self.name} takes aligned faces, uint8 of shape {SHAPE}; {item.id} is "
                    f"{item.value.dtype} of shape {item.value.shape}"
                )
        if not items:
            return []
        rows, classes = self._send(np.stack([item.value for item in items])), self._importance()
        return [
            Encoded(
                PackedBits(row.copy(), self.bits),
                classes=classes,
                meta={"bpp": self.bits / item.pixels},
            )
            for row, item in zip(rows, items, strict=True)
        ]

    def decode(self, received: Received) -> Decoded:
        """Every pattern of so many bits is a picture; other lengths are rejected."""
        return self.decode_batch([received])[0]

    def decode_batch(self, received: Sequence[Received]) -> list[Decoded]:
        """The same for a list, several times as fast."""
        out = [
            Decoded.rejected(f"{one.bits.n_bits} bits where {self.bits} belong") for one in received
        ]
        alike: dict[tuple[bool, float | None], list[int]] = {}
        for k, one in enumerate(received):
            if one.bits.n_bits == self.bits:
                alike.setdefault((self._is_soft(one), self._ber(one)), []).append(k)
        for (soft, ber), members in alike.items():
            assumed = self.design_ber if ber is None else ber
            chosen = [received[k] for k in members]
            rows = [reliabilities(one, assumed) if soft else one.bits.data for one in chosen]
            for k, picture in zip(members, self._receive(np.stack(rows), ber), strict=True):
                out[k] = Decoded(picture)
        return out

    def _is_soft(self, received: Received) -> bool:
        return self.soft and (received.llr is not None or received.erasures is not None)

    def _ber(self, received: Received) -> float | None:
        """The bit error rate as far as the decoder may know it, at most 0.5."""
        if not self.know_ber or received.ber is None or not received.ber >= 0:
            return None
        return min(float(received.ber), 0.5)

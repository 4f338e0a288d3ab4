"""Clips in a fixed number of bits a frame: latents of key frames, and of what prediction leaves."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from channels.bits import PackedBits
from gencomm.codecs.contract import Decoded, Encoded, Item, Received, Status
from gencomm.codecs.fixed_length import check_choice, importance_classes, reliabilities
from gencomm.codecs.ncode_joint.points import DESIGNS, RATES
from gencomm.codecs.ncode_video.keys import between, key_frames
from gencomm.codecs.ncode_video.layout import Layout
from gencomm.codecs.video.clip import GREY, Counts
from gencomm.codecs.weighted import Weighted
from gencomm.items import frame_rate
from gencomm.video.session import Session
from gencomm.weights import Weights

if TYPE_CHECKING:
    from gencomm.codecs.ncode_video.inference import Networks

SIDE = 64
CLASSES = 4
MAX_SEARCH = 16
MODES = ("keys", "predict")


class NCodeVideo(Weighted):
    """Latents of key frames alone, and frames between them from latents in between.

    After Santurkar, Budden and Shavit (arXiv 1703.01467): a decoder that makes pictures of latents
    makes a plausible picture of a mixture of two, so that frames between key frames need no bits.
    The number of bits depends on the number of frames and on nothing else, and any bits are a clip.
    The session (frames, height, width; 48 bits) is side information, which counts as sent.

    Mixtures are of the posterior means that the decoder has of two key frames, given the bit error
    rate. The encoder chooses key frames' latents for the least error over all frames. Frames after
    the last key frame show it. A key frame of which nothing arrives is passed over: the frames
    around it lie between those that did arrive.

    Parameters
    ----------
    mode : {"keys", "predict"}
        ``predict`` sends every frame: a key frame at each reset, and for the others 96 bits of what
        is left when the frame before, drawn a little towards the mean, is subtracted. An error
        fades, and ends with the next reset.
    every : int
        Frames from key frame to key frame in mode ``keys``, 1 to 64.
    reset : int
        The same in mode ``predict``.
    bits : {256, 512, 1024}
        Of a key frame. Weights of this codec's own have 512 only, those of ncode_joint all three.
    design_ber : {0, 0.01, 0.05}
        Bit error rate that vectors and the choice between them are made for.
    decode : {"hard", "soft"}
        Whether the decoder uses LLRs where the link has them.
    know_ber : bool
        Whether the decoder may use the link's mean bit error rate, where that is known.
    search : int
        How many times the encoder looks at what the decoder would make of its choice of key frames,
        in mode ``keys``, and chooses again, 0 to 16.
    weights : str, optional
        ``ncode_joint``, made for aligned faces, whose decoder sees mixtures only; weights of this
        codec, whose decoder also sees how two key frames differ; or a file. Mode ``predict`` needs
        the latter.
    """

    name = "ncode_video"
    modality: ClassVar[str] = "video"
    libraries: ClassVar[tuple[str, ...]] = ("torch",)
    wants: frozenset[str]
    fixed_shape: ClassVar[tuple[int, ...]] = (SIDE, SIDE, 3)
    #: On what the weights have never seen.
    min_psnr: ClassVar[float] = 10.0

    def __init__(
        self,
        mode: Literal["keys", "predict"] = "keys",
        every: int = 4,
        reset: int = 12,
        bits: int = 512,
        design_ber: float = 0.0,
        decode: Literal["hard", "soft"] = "hard",
        know_ber: bool = True,
        search: int = 1,
        weights: str | None = None,
    ):
        super().__init__(weights or "ncode_joint")
        check_choice("mode", mode, MODES)
        check_choice("bits", bits, RATES)
        check_choice("design_ber", design_ber, DESIGNS)
        check_choice("decode", decode, ("hard", "soft"))
        for name, value, least, most in (
            ("every", every, 1, 64),
            ("reset", reset, 1, 1000),
            ("search", search, 0, MAX_SEARCH),
        ):
            if not least <= value <= most:
                raise ValueError(f"{name} goes from {least} to {most}, got {value}")
        self.predicted = mode == "predict"
        self.step = reset if self.predicted else every
        self.bits, self.design_ber, self.search = bits, float(design_ber), search
        self.soft, self.know_ber = decode == "soft", know_ber
        self.wants = frozenset({"erasures", "llr"} if self.soft else {"erasures"})

    def _prepare(self) -> None:
        _importance(self._networks(), self.bits, self.design_ber, self.predicted)

    def _networks(self) -> Networks:
        """The networks, which have what is asked for.

        Raises
        ------
        ValueError
            They lack it.
        """
        networks = _networks(self.weights)
        if self.bits not in networks.rates:
            known = ", ".join(map(str, networks.rates))
            raise ValueError(f"the weights {self.weights_name} have codes of {known} bits a frame")
        if self.predicted and networks.joint:
            raise ValueError(
                f"mode=predict needs codes of residuals, which {self.weights_name} lack; "
                "train them with gencomm train ncode_video"
            )
        return networks

    def encode(self, item: Item) -> Encoded:
        """Bits of a clip.

        Raises
        ------
        ValueError
            The item is no clip of 64 x 64 pixels, or the weights have no code such as asked for.
        """
        if item.modality != "video":
            raise ValueError(f"{self.name} takes clips; {item.id} is {item.modality}")
        frames, height, width, _ = item.value.shape
        session = Session(frames, height, width)
        if (height, width) != (SIDE, SIDE):
            raise ValueError(
                f"{self.name} takes clips of {SIDE} x {SIDE} pixels; {item.id} has {width} x "
                f"{height}. Sources cut and reduce: clip(file, size={SIDE})"
            )
        networks, layout = self._networks(), self._layout(frames)
        point = self.bits, self.design_ber
        if self.predicted:
            keys, residuals = networks.encode_predicted(item.value, *point, self.step)
        else:
            keys = networks.encode(item.value, *point, self.step, self.search)
            residuals = np.zeros((0, 0), np.uint8)
        data = layout.join(keys, residuals)
        side = session.to_bytes()
        seconds = frames / float(frame_rate(item))
        return Encoded(
            PackedBits(data, layout.n_bits),
            side=side,
            classes=self._classes(networks, layout),
            meta={
                "bits_per_second": (layout.n_bits + 8 * len(side)) / seconds,
                "frame_bits": layout.lengths.tolist(),
            },
            units=layout.lengths[layout.lengths > 0],
        )

    def _layout(self, frames: int) -> Layout:
        return Layout(frames, key_frames(frames, self.step), self.bits, self.predicted)

    def _classes(self, networks: Networks, layout: Layout) -> np.ndarray:
        """Classes of all bits: those of a frame's code, weighed by how many frames it bears on."""
        key, residual, kept = _importance(networks, self.bits, self.design_ber, self.predicted)
        parts = []
        for t in np.flatnonzero(layout.lengths):
            one = key if t in layout.starts else residual
            if self.predicted:
                left = self.step - t % self.step  # frames that it bears on, each keeping a part
                one = one * (1 - kept ** (2 * left)) / (1 - kept**2)
            parts.append(one)
        return importance_classes(np.concatenate(parts), CLASSES)

    def decode(self, received: Received) -> Decoded:
        """Any bits of the right number are a clip; of fewer, as many frames as are whole."""
        try:
            session = Session.from_bytes(received.side)
        except ValueError as error:
            return Decoded.rejected(str(error))
        if (session.height, session.width) != (SIDE, SIDE):
            return Decoded.rejected(f"a session of {session.width} x {session.height} pixels")
        layout = self._layout(session.frames)
        n_bits = received.bits.n_bits
        if n_bits > layout.n_bits or (n_bits < layout.n_bits and not received.lenient):
            return Decoded.rejected(f"{n_bits} bits where {layout.n_bits} belong")
        erased = layout.erased(received.erasures, n_bits)
        if not received.lenient and erased.any():
            return Decoded.rejected(f"{int(erased.sum())} bits are lost")
        arrived = layout.arrived(erased)
        starts = layout.starts[arrived[layout.starts]]
        if not len(starts):
            return Decoded.rejected("no key frame arrived")
        counts = Counts(missing=layout.missing(arrived))
        value = self._shown(received, layout, erased, arrived, starts)
        if received.frames != "pass" and counts.missing:
            value = self._held(value, layout, arrived, counts, received.frames == "drop")
        detail = str(counts)
        return Decoded(value, Status.PARTIAL if detail else Status.OK, detail)

    def _shown(
        self,
        received: Received,
        layout: Layout,
        erased: np.ndarray,
        arrived: np.ndarray,
        starts: np.ndarray,
    ) -> np.ndarray:
        """All frames, from what arrived of them."""
        networks, ber = self._networks(), self._ber(received)
        point = self.bits, self.design_ber, ber
        soft = bool(erased.any()) or (self.soft and received.llr is not None)
        rows = self._soft_rows(received, layout, erased, ber) if soft else received.bits.data
        keys = networks.values(layout.take(rows, starts), *point, False)
        if not self.predicted:
            where = between(starts, layout.frames)

            def first(index: np.ndarray) -> np.ndarray:
                return keys[where.before[index]]

            def second(index: np.ndarray) -> np.ndarray:
                return keys[where.after[index]]

            return networks.show(first, second, where.share, *point, False)
        others = np.setdiff1d(np.flatnonzero(arrived), layout.starts)
        found = networks.values(layout.take(rows, others), *point, True)
        residuals = np.zeros((layout.frames, keys.shape[1]))
        residuals[others] = found
        values = networks.accumulate(keys, residuals, starts, layout.frames)
        before = np.arange(layout.frames) - 1
        before[starts] = starts
        before[: starts[0]] = starts[0]
        values[: starts[0]] = values[starts[0]]
        time = np.ones(layout.frames)
        return networks.show(lambda k: values[before[k]], lambda k: values[k], time, *point, True)

    def _soft_rows(
        self, received: Received, layout: Layout, erased: np.ndarray, ber: float | None
    ) -> np.ndarray:
        """What is known of each bit, float64 (n_bits,): nothing of those that are lost."""
        assumed = self.design_ber if ber is None else ber
        plain = received
        if not self.soft:
            plain = Received(received.bits)
        llr = np.zeros(layout.n_bits)
        llr[: received.bits.n_bits] = reliabilities(plain, assumed)
        return np.where(erased, 0.0, llr)

    def _held(
        self,
        value: np.ndarray,
        layout: Layout,
        arrived: np.ndarray,
        counts: Counts,
        until_key: bool,
    ) -> np.ndarray:
        """By policy, the frame before in place of one that is lost; or until the next key frame."""
        value, lost = value.copy(), layout.lost(arrived)
        broken = False
        for t in range(layout.frames):
            key = bool(arrived[t]) and t in layout.starts
            broken = bool(lost[t]) or (broken and until_key and not key)
            if broken:
                counts.held += not lost[t]
                value[t] = value[t - 1] if t else GREY
        return value

    def _ber(self, received: Received) -> float | None:
        if not self.know_ber or received.ber is None or not received.ber >= 0:
            return None
        return min(float(received.ber), 0.5)


@lru_cache(maxsize=2)
def _networks(weights: Weights) -> Networks:
    from gencomm.codecs.ncode_video.inference import Networks

    return Networks(weights)


@lru_cache(maxsize=16)
def _importance(
    networks: Networks, bits: int, design: float, predicted: bool
) -> tuple[np.ndarray, np.ndarray, float]:
    """Importance of a key frame's and a residual's bits, and what the predictor keeps of both."""
    key = networks.importance(bits, design)
    if not predicted:
        return key, key[:0], 0.0
    return key, networks.importance_of_residuals(design), networks.most_kept

"""A link: the parsed chain of everything between the codec's bits and the bits that come back.

A link is compiled once and run many times: tables and constellations are built when it is parsed,
after which :meth:`Link.transmit` only draws noise and counts.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from channels.bits import PackedBits, count_errors
from channels.ledger import Ledger, count_classes, together
from channels.noise import NoiseStream
from channels.registry import Registry
from channels.spec import Chain, parse_chain
from channels.stage import Batch, ClassSizes, Context, Stage, StageSizes

CHANNELS = Registry(
    "gencomm.channels",
    {
        "clean": "channels.media.clean:Clean",
        "bsc": "channels.media.bsc:BSC",
        "bec": "channels.media.bec:BEC",
        "packet_erasure": "channels.media.packet_erasure:PacketErasure",
        "gilbert_elliott": "channels.media.gilbert_elliott:GilbertElliott",
        "awgn": "channels.media.awgn:AWGN",
        "bpsk": "channels.modulation:BPSK",
        "qpsk": "channels.modulation:QPSK",
        "qam16": "channels.modulation:QAM16",
        "qam64": "channels.modulation:QAM64",
        "qam256": "channels.modulation:QAM256",
        "qam1024": "channels.modulation:QAM1024",
        "rayleigh": "channels.media.fading:Rayleigh",
        "rician": "channels.media.fading:Rician",
        "phase": "channels.media.phase:Phase",
        "block_interleaver": "channels.interleaving:BlockInterleaver",
        "random_interleaver": "channels.interleaving:RandomInterleaver",
        "convolutional_interleaver": "channels.interleaving:ConvolutionalInterleaver",
        "repetition": "channels.fec.repetition:repetition",
        "hamming": "channels.fec.hamming:hamming",
        "bch": "channels.fec.bch:bch",
        "rs": "channels.fec.reed_solomon:rs",
        "conv": "channels.fec.convolutional:conv",
        "ldpc": "channels.fec.ldpc:ldpc",
        "packets": "channels.framing:Packets",
        "unequal": "channels.fec.unequal:Unequal",
        "trace": "channels.media.trace:Trace",
        "polar": "channels.fec.polar:polar",
    },
    "channel",
)

#: Trials are sent in groups of about this many bytes of working memory.
BATCH_BYTES = 64 * 2**20
#: What a trial takes at most for each bit on the medium: 8 for a symbol sent (BPSK), 8 for the
#: symbol received, 4 for an LLR, less than 1 for packed bits; what is left is for decoders.
BYTES_PER_BIT = 24


@dataclass(frozen=True)
class ReceivedBatch:
    """What came back, for a batch of trials.

    Attributes
    ----------
    n_bits : int
        Payload bits per trial.
    bits : uint8 array, shape (trials, ceil(n_bits / 8))
        Hard decisions, packed.
    bit_errors : int64 array, shape (trials,)
        How many of them differ from what was sent.
    llr : float32 array, shape (trials, n_bits), or None
        Where asked for and where the chain gives them.
    erased : uint8 array, shape (trials, ceil(n_bits / 8)), or None
        Packed mask of bits known to be lost; None where the chain has no erasures.
    weight : float
        Probability of the condition under which the trials were drawn; 1 where there was none.
        With `at_least_one` a mean over all noise is ``(1 - weight) * clean + weight * mean``.
    """

    n_bits: int
    bits: np.ndarray
    bit_errors: np.ndarray
    llr: np.ndarray | None = None
    erased: np.ndarray | None = None
    weight: float = 1.0


class Link:
    """A compiled chain of stages. Build it with :meth:`parse`."""

    def __init__(self, chain: Chain, stages: Sequence[Stage], wants: frozenset[str]):
        self.chain, self.stages, self.wants = chain, tuple(stages), wants
        self.text = "|".join(CHANNELS.canonical(spec) for spec in chain)
        self._check_order()
        self._check_ratio()
        rate = math.prod(stage.rate for stage in self.stages)
        per_symbol = max((stage.bits_per_symbol for stage in self.stages), default=0)
        names = [stage.constellation for stage in self.stages if stage.bits_per_symbol]
        self.constellation = constellation = names[0] if len(names) == 1 else None
        soft = "llr" in wants
        for stage in self.stages:
            stage.configure(Context(float(rate), per_symbol, soft, constellation))
            soft = soft or stage.soft_input
        self.rate, self.bits_per_symbol = float(rate), per_symbol

    @classmethod
    def parse(cls, text: str | Chain, wants: Iterable[str] = ()) -> Link:
        """Parse and compile a chain such as ``qam16|awgn(ebno_db=6)``.

        Parameters
        ----------
        text : str
            Stages in sending order, the medium last.
        wants : set of {"llr", "erasures"}
            What the receiver of the bits would like besides hard bits.

        Raises
        ------
        SpecError
            With a caret under the token that is wrong.
        """
        chain = text if isinstance(text, Chain) else parse_chain(text)
        stages = []
        for spec in chain:
            stage = CHANNELS.create(spec)
            stage.spec = spec
            stages.append(stage)
        return cls(chain, stages, frozenset(wants))

    def _check_order(self) -> None:
        carried, medium = "bits", None
        for stage, spec in zip(self.stages, self.chain, strict=True):
            if medium is not None and not stage.medium:
                raise spec.error(
                    f"{spec.name} comes after the medium {medium}; stages stand in sending "
                    "order, the medium last"
                )
            if stage.class_rates and stage is not self.stages[0]:
                raise spec.error(
                    f"{spec.name} knows bits by their place in the payload, which nothing may "
                    "change before it: it comes first"
                )
            if stage.takes != carried:
                hint = (
                    "put a modulation before it (bpsk, qpsk, qam16, ...)"
                    if stage.takes == "symbols"
                    else "nothing that works on bits can follow a modulation"
                )
                raise spec.error(
                    f"{spec.name} works on {stage.takes}, but {carried} reach it; {hint}"
                )
            if stage.needs_packets and not any(one.makes_packets for one in self.stages):
                raise spec.error(
                    f"{spec.name} takes packets as they are framed, and nothing frames them; put "
                    "packets(...) before it, or say how many bytes a packet has"
                )
            carried = stage.gives
            medium = spec.name if stage.medium else medium
        if medium is None:
            last = self.chain.stages[-1]
            media = "awgn(ebno_db=6)" if carried == "symbols" else "bsc(1e-3) or clean"
            raise last.error(f"the chain ends without a medium; put one after it, such as {media}")

    def _check_ratio(self) -> None:
        """Refuse an Eb/N0 where the code rate is the payload's affair."""
        if len(set(self.stages[0].class_rates)) < 2:
            return
        for spec in self.chain:
            for number, (name, _) in enumerate(spec.kwargs):
                if name == "ebno_db":
                    raise spec.error(
                        f"ebno_db depends on the code rate, which {self.chain.stages[0].name} "
                        "makes depend on the payload; give esno_db",
                        len(spec.args) + number,
                    )

    def ledger(
        self, n_bits: int, classes: np.ndarray | None = None, units: np.ndarray | None = None
    ) -> Ledger:
        """Account for a payload of `n_bits` bits without sending anything.

        Parameters
        ----------
        n_bits : int
        classes : uint8 array, shape (n_bits,), optional
            Importance of each bit, for links that protect unequally. Without it all are of class 0.
        units : int array, optional
            Lengths in bits of the payload's units, in order, for links that frame by them.
        """
        lines, now, rate = [], n_bits, self.rate
        by_class: tuple[ClassSizes, ...] = ()
        for stage, spec in zip(self.stages, self.chain, strict=True):
            if stage.class_rates:
                by_class = stage.class_sizes(count_classes(n_bits, classes))
                sizes = together([part.sizes for part in by_class])
                coded = sum(part.n_in / part.rate for part in by_class)
                rate *= n_bits / coded / stage.rate if n_bits else 1.0
                units = None
            else:
                sizes, units = stage.unit_sizes(now, units)
            lines.append(StageSizes(str(spec), now, sizes))
            now = sizes.n_out
        parity = sum(line.sizes.parity for line in lines)
        framing = sum(line.sizes.framing for line in lines)
        padding = sum(line.sizes.padding for line in lines)
        facts: dict[str, float] = {}
        for stage in self.stages:
            facts.update(stage.facts())
        media = [stage for stage in self.stages if stage.medium]
        if len(media) > 1 and "ber" in facts:
            # each medium knows its own share alone, but one may know what it makes of noise
            del facts["ber"]
            ber = None
            if len(media) == 2 and self.constellation and "esno_db" in facts:
                ber = media[0].ber_with_noise(self.constellation, facts["esno_db"])
            if ber is not None:
                facts["ber"] = ber
        if (parity or framing) and "ber" in facts:
            # what a decoder, or the check of a packet, makes of it has no closed form
            facts["channel_ber"] = facts.pop("ber")
        if by_class and "ebno_db" in facts:
            facts["ebno_db"] += 10 * math.log10(self.rate / rate)
        sent = n_bits + parity + framing + padding
        uses = now if self.bits_per_symbol else sent
        return Ledger(
            n_bits,
            parity,
            framing,
            padding,
            sent,
            uses,
            rate,
            n_bits / uses if uses else 0.0,
            facts,
            tuple(lines),
            by_class,
        )

    def hit_probability(
        self, n_bits: int, classes: np.ndarray | None = None, units: np.ndarray | None = None
    ) -> float | None:
        """Probability that the medium hits a payload of `n_bits` bits; None where not known.

        What isn't hit comes back as it was sent. Known for single media that hit bits (or packets)
        independently, whatever codes and frames stand before them, and for BPSK and QPSK over
        AWGN with hard decisions, where a hit is a wrong decision.
        """
        media = [i for i, stage in enumerate(self.stages) if stage.medium]
        if len(media) > 1:
            return None
        line = self.ledger(n_bits, classes, units).stages[media[0]]
        return self.stages[media[0]].hit_probability(line.n_in)

    def transmit(
        self,
        payload: PackedBits,
        trials: Iterable[int] = (0,),
        stream: NoiseStream | None = None,
        classes: np.ndarray | None = None,
        at_least_one: bool = False,
        units: np.ndarray | None = None,
    ) -> ReceivedBatch:
        """Send one payload through the link once for each trial.

        Parameters
        ----------
        payload : PackedBits
        trials : iterable of int
            Numbers of the trials: each has its own noise, the same whatever else is in the batch.
        stream : NoiseStream, optional
            Names the noise. Default: seed 0, this link, no item.
        classes : uint8 array, shape (n_bits,), optional
            Importance of each bit, for links that protect unequally.
        at_least_one : bool
            Draw the noise on condition that the medium hits at least one bit, for error rates so
            small that most trials would be clean; see :meth:`hit_probability` and
            :attr:`ReceivedBatch.weight`.
        units : int array, optional
            Lengths in bits of what belongs together in the payload (NAL units, pictures), in order:
            whole bytes but for the last. For links that frame by them.

        Raises
        ------
        ValueError
            `units` don't add up to the payload, or end within a byte.
        SpecError
            `at_least_one` for a link where that probability isn't known, or is 0.
        """
        trials = list(trials)
        parts = self.batches(payload, trials, stream, classes, at_least_one, units)
        first = next(parts, None)
        if first is not None and len(first.bits) == len(trials):
            return first
        n_bits = payload.n_bits
        bits = np.empty((len(trials), payload.data.size), np.uint8)
        errors = np.zeros(len(trials), np.int64)
        llr: np.ndarray | None = None
        erased: np.ndarray | None = None
        at, part = 0, first
        while part is not None:
            here = slice(at, at + len(part.bits))
            bits[here], errors[here] = part.bits, part.bit_errors
            if part.llr is not None:
                llr = np.empty((len(trials), n_bits), np.float32) if llr is None else llr
                llr[here] = part.llr
            if part.erased is not None:
                erased = np.empty_like(bits) if erased is None else erased
                erased[here] = part.erased
            at, part = here.stop, next(parts, None)
        weight = 1.0 if first is None else first.weight
        return ReceivedBatch(n_bits, bits, errors, llr, erased, weight)

    def batches(
        self,
        payload: PackedBits,
        trials: Iterable[int] = (0,),
        stream: NoiseStream | None = None,
        classes: np.ndarray | None = None,
        at_least_one: bool = False,
        units: np.ndarray | None = None,
    ) -> Iterator[ReceivedBatch]:
        """Like :meth:`transmit`, a few trials at a time.

        Each group takes about `BATCH_BYTES` of working memory, or what one trial takes where that
        is more: at most `BYTES_PER_BIT` for each bit on the medium.
        """
        stream = stream or NoiseStream(0, self.text)
        trials = list(trials)
        units = _checked_units(units, payload.n_bits)
        weight = self._condition(payload.n_bits, classes, units) if at_least_one else None
        each = BYTES_PER_BIT * self.ledger(payload.n_bits, classes, units).sent_bits
        step = max(1, BATCH_BYTES // max(1, each))
        for start in range(0, len(trials), step):
            some = trials[start : start + step]
            yield self._transmit(payload, some, stream, classes, weight, units)

    def _condition(
        self, n_bits: int, classes: np.ndarray | None, units: np.ndarray | None
    ) -> float:
        """The weight of trials in which something is hit."""
        chance = self.hit_probability(n_bits, classes, units)
        spec = next(
            spec for spec, stage in zip(self.chain, self.stages, strict=True) if stage.medium
        )
        if chance is None:
            raise spec.error(
                "the probability that something is hit is not known for this link, so its noise "
                "can't be drawn on that condition; it is for bsc, bec, packet_erasure without "
                "bursts, and bpsk or qpsk over awgn with hard decisions"
            )
        if chance == 0:
            raise spec.error(f"{spec} can't hit a payload of {n_bits} bits: all trials are clean")
        return chance

    def _transmit(
        self,
        payload: PackedBits,
        trials: list[int],
        stream: NoiseStream,
        classes: np.ndarray | None,
        weight: float | None,
        units: np.ndarray | None,
    ) -> ReceivedBatch:
        batch = Batch(payload.n_bits, bits=payload.data[None, :], classes=classes, units=units)
        states = []
        for number, stage in enumerate(self.stages):
            rngs = [stream.generator(trial, number) for trial in trials]
            send = stage.forward if weight is None or not stage.medium else stage.forward_hit
            known = batch.units
            batch, state = send(batch, rngs)
            if not stage.medium and batch.units is known:  # its bits are others now
                batch = batch.with_(units=None)
            states.append(state)
        for stage, state in zip(reversed(self.stages), reversed(states), strict=True):
            batch = stage.backward(batch, state)
        assert batch.bits is not None, "the chain gave no bits back"
        assert batch.n_bits == payload.n_bits, "the chain gave another number of bits back"
        bits = np.broadcast_to(batch.bits, (len(trials), payload.data.size))
        return ReceivedBatch(
            payload.n_bits,
            bits,
            count_errors(payload.data[None, :], bits),
            batch.llr if "llr" in self.wants else None,
            batch.erased,
            1.0 if weight is None else weight,
        )

    def __repr__(self) -> str:
        return f"Link({self.text!r})"


def _checked_units(units: np.ndarray | None, n_bits: int) -> np.ndarray | None:
    if units is None:
        return None
    units = np.asarray(units, np.int64)
    if units.ndim != 1 or (units < 0).any() or units.sum() != n_bits or (units[:-1] % 8).any():
        raise ValueError(
            f"units must be lengths in bits that add up to the payload's {n_bits}, whole bytes but "
            f"for the last; got {units.size} that add up to {int(units.sum())}"
        )
    return units

"""A link: the parsed chain of everything between the codec's bits and the bits that come back.

A link is compiled once and run many times: tables and constellations are built when it is parsed,
after which :meth:`Link.transmit` only draws noise and counts.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field

import numpy as np

from channels.bits import PackedBits, count_errors
from channels.noise import NoiseStream
from channels.registry import Registry
from channels.spec import Chain, parse_chain
from channels.stage import Batch, Context, Stage, StageSizes

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
class Ledger:
    """Where the bits of one transmission go. All counts are per trial.

    Attributes
    ----------
    payload : int
        Bits handed to the link.
    parity, framing, padding : int
        Bits that error correction, packet headers and checks, and filling up added.
    sent_bits : int
        Bits on the medium: the sum of the four above.
    channel_uses : int
        Complex symbols where there is a modulation (BPSK too spends one on a bit), bits otherwise.
    code_rate : float
        Nominal rate of all codes together, padding not counted.
    bits_per_use : float
        payload / channel_uses: what is really carried.
    facts : dict
        ``ebno_db`` (per information bit, after the nominal code rate), ``esno_db``, ``snr_db``,
        ``ber`` (closed form where known, for zeros and ones equally likely; ``channel_ber``, that
        of the bits on the medium, where there is a code or framing) and the like.
    stages : tuple
        One line per stage, in sending order.
    """

    payload: int
    parity: int
    framing: int
    padding: int
    sent_bits: int
    channel_uses: int
    code_rate: float
    bits_per_use: float
    facts: dict[str, float] = field(default_factory=dict)
    stages: tuple[StageSizes, ...] = ()

    @property
    def ebno_effective_db(self) -> float | None:
        """Energy per payload bit over N0 with everything counted, padding and framing too."""
        if "esno_db" not in self.facts or self.payload == 0:
            return None
        return self.facts["esno_db"] - 10 * math.log10(self.payload / self.channel_uses)

    def as_dict(self) -> dict:
        """Plain values, for JSON."""
        plain = asdict(self)
        plain["stages"] = [
            {"stage": line.stage, "in": line.n_in, **asdict(line.sizes)} for line in self.stages
        ]
        plain["ebno_effective_db"] = self.ebno_effective_db
        return plain


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
    """

    n_bits: int
    bits: np.ndarray
    bit_errors: np.ndarray
    llr: np.ndarray | None = None
    erased: np.ndarray | None = None


class Link:
    """A compiled chain of stages. Build it with :meth:`parse`."""

    def __init__(self, chain: Chain, stages: Sequence[Stage], wants: frozenset[str]):
        self.chain, self.stages, self.wants = chain, tuple(stages), wants
        self.text = "|".join(CHANNELS.canonical(spec) for spec in chain)
        self._check_order()
        rate = math.prod(stage.rate for stage in self.stages)
        per_symbol = max((stage.bits_per_symbol for stage in self.stages), default=0)
        names = [stage.constellation for stage in self.stages if stage.bits_per_symbol]
        constellation = names[0] if len(names) == 1 else None
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
            if stage.takes != carried:
                hint = (
                    "put a modulation before it (bpsk, qpsk, qam16, ...)"
                    if stage.takes == "symbols"
                    else "nothing that works on bits can follow a modulation"
                )
                raise spec.error(
                    f"{spec.name} works on {stage.takes}, but {carried} reach it; {hint}"
                )
            carried = stage.gives
            medium = spec.name if stage.medium else medium
        if medium is None:
            last = self.chain.stages[-1]
            media = "awgn(ebno_db=6)" if carried == "symbols" else "bsc(1e-3) or clean"
            raise last.error(f"the chain ends without a medium; put one after it, such as {media}")

    def ledger(self, n_bits: int) -> Ledger:
        """Account for a payload of `n_bits` bits without sending anything."""
        lines, now = [], n_bits
        for stage, spec in zip(self.stages, self.chain, strict=True):
            sizes = stage.sizes(now)
            lines.append(StageSizes(str(spec), now, sizes))
            now = sizes.n_out
        parity = sum(line.sizes.parity for line in lines)
        framing = sum(line.sizes.framing for line in lines)
        padding = sum(line.sizes.padding for line in lines)
        facts: dict[str, float] = {}
        for stage in self.stages:
            facts.update(stage.facts())
        if sum(stage.medium for stage in self.stages) > 1:
            facts.pop("ber", None)  # each medium knows its own share alone
        if (parity or framing) and "ber" in facts:
            # what a decoder, or the check of a packet, makes of it has no closed form
            facts["channel_ber"] = facts.pop("ber")
        sent = n_bits + parity + framing + padding
        uses = now if self.bits_per_symbol else sent
        return Ledger(
            n_bits,
            parity,
            framing,
            padding,
            sent,
            uses,
            self.rate,
            n_bits / uses if uses else 0.0,
            facts,
            tuple(lines),
        )

    def transmit(
        self,
        payload: PackedBits,
        trials: Iterable[int] = (0,),
        stream: NoiseStream | None = None,
        classes: np.ndarray | None = None,
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
        """
        trials = list(trials)
        parts = self.batches(payload, trials, stream, classes)
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
        return ReceivedBatch(n_bits, bits, errors, llr, erased)

    def batches(
        self,
        payload: PackedBits,
        trials: Iterable[int] = (0,),
        stream: NoiseStream | None = None,
        classes: np.ndarray | None = None,
    ) -> Iterator[ReceivedBatch]:
        """Like :meth:`transmit`, a few trials at a time.

        Each group takes about `BATCH_BYTES` of working memory, or what one trial takes where that
        is more: at most `BYTES_PER_BIT` for each bit on the medium.
        """
        stream = stream or NoiseStream(0, self.text)
        trials = list(trials)
        each = BYTES_PER_BIT * self.ledger(payload.n_bits).sent_bits
        step = max(1, BATCH_BYTES // max(1, each))
        for start in range(0, len(trials), step):
            yield self._transmit(payload, trials[start : start + step], stream, classes)

    def _transmit(
        self,
        payload: PackedBits,
        trials: list[int],
        stream: NoiseStream,
        classes: np.ndarray | None,
    ) -> ReceivedBatch:
        batch = Batch(payload.n_bits, bits=payload.data[None, :], classes=classes)
        states = []
        for number, stage in enumerate(self.stages):
            rngs = [stream.generator(trial, number) for trial in trials]
            batch, state = stage.forward(batch, rngs)
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
        )

    def __repr__(self) -> str:
        return f"Link({self.text!r})"

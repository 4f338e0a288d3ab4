"""Codecs and a source for the sweep's tests: quick ones, brittle ones and hostile ones."""

from __future__ import annotations

import os
import signal
import time
import zlib

import numpy as np

from channels.bits import PackedBits
from gencomm.codecs.contract import Decoded, Encoded, Status
from gencomm.sources import Source, image_item


class Ramps(Source):
    """Small colour ramps, each another."""

    def __init__(self, n: int = 2, size: int = 16):
        super().__init__()
        self.n, self.size = n, size

    @property
    def ids(self):
        return [f"ramp{i}" for i in range(self.n)]

    def read(self, index):
        y, x, c = np.mgrid[: self.size, : self.size, :3]
        return image_item(
            self.ids[index], ((5 * x + 3 * y + 40 * c + 31 * index) % 256).astype("u1")
        )


class PCM:
    """Samples as they are; the shape goes as side information."""

    name = "pcm"
    modality = "image"
    wants = frozenset()

    def encode(self, item):
        side = np.array(item.value.shape[:2], "<u2").tobytes()
        return Encoded(PackedBits.from_bytes(item.value.tobytes()), side=side, meta={"depth": 8})

    def decode(self, received):
        height, width = np.frombuffer(received.side, "<u2")
        value = np.frombuffer(received.bits.to_bytes(), np.uint8).reshape(height, width, 3)
        return Decoded(value)

    def versions(self):
        return {"pcm": "1"}


class Soft(PCM):
    """The same, and it asks for LLRs."""

    name = "soft"
    wants = frozenset({"llr"})


class Fragile(PCM):
    """The same with a checksum in front: one wrong bit and the decoder says no."""

    name = "fragile"

    def encode(self, item):
        plain = super().encode(item)
        data = plain.bits.to_bytes()
        bits = PackedBits.from_bytes(zlib.crc32(data).to_bytes(4, "big") + data)
        return Encoded(bits, header_bits=32, side=plain.side)

    def decode(self, received):
        data = received.bits.to_bytes()
        damaged = zlib.crc32(data[4:]) != int.from_bytes(data[:4], "big")
        if damaged and not received.lenient:
            return Decoded.rejected("checksum")
        height, width = np.frombuffer(received.side, "<u2")
        value = np.frombuffer(data[4:], np.uint8).reshape(height, width, 3)
        return Decoded(value, Status.PARTIAL if damaged else Status.OK)


class Hostile(PCM):
    """Misbehaves as `how` says, in the encoder or on damaged bits in the decoder."""

    name = "hostile"

    def __init__(self, how: str, encoder: bool = False):
        self.how, self.encoder = how, encoder

    def encode(self, item):
        if self.encoder:
            self._misbehave(item.value)
        plain = super().encode(item)
        return Encoded(plain.bits, side=plain.side + zlib.crc32(item.value).to_bytes(4, "big"))

    def decode(self, received):
        side, crc = received.side[:-4], received.side[-4:]
        height, width = np.frombuffer(side, "<u2")
        value = np.frombuffer(received.bits.to_bytes(), np.uint8).reshape(height, width, 3)
        if zlib.crc32(value).to_bytes(4, "big") != crc and not self.encoder:
            return self._misbehave(value)
        return Decoded(value)

    def _misbehave(self, value):
        if self.how == "segfault":
            os.kill(os.getpid(), signal.SIGSEGV)
        elif self.how == "hang":
            time.sleep(600)
        elif self.how == "spin":
            while True:
                pass
        elif self.how == "hog":
            return Decoded(np.ones(8 * 2**30, np.uint8))
        elif self.how == "raise":
            raise KeyError("no such thing")
        elif self.how == "exit":
            os._exit(0)
        elif self.how == "size":
            return Decoded(value[:-1])
        elif self.how == "type":
            return Decoded(value.astype(float))
        elif self.how == "nothing":
            return None
        raise AssertionError(self.how)


class Spared:
    """A metric of which the mean is known: 1/2 to the power of the number of wrong bits.

    With n bits wrong at a rate p independently it is (1 - p/2)^n: the binomial distribution's
    generating function at 1/2.
    """

    name = "spared"
    label = "spared"
    unit = ""
    higher_is_better = True
    range = (0.0, 1.0)
    modality = "image"
    averages = "nothing"

    def prepare(self, reference):
        return reference

    def measure(self, state, values):
        wrong = np.bitwise_count(values ^ state).reshape(len(values), -1).sum(axis=1)
        return 0.5 ** wrong.astype(float)


class Fatal:
    """A metric that kills or stops the harness itself on the second ramp."""

    name = "fatal"
    label = "fatal"
    unit = ""
    higher_is_better = True
    range = (0.0, 1.0)
    modality = "image"
    averages = "nothing"

    def __init__(self, how: str = "kill"):
        self.how = how

    def prepare(self, reference):
        return int(reference[0, 0, 0]) == 31

    def measure(self, state, values):
        if state and self.how == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if state and self.how == "raise":
            raise ZeroDivisionError("in a metric")
        return np.zeros(len(values))

"""Recorded errors as a medium: what a link left, with its bursts as they were."""

from __future__ import annotations

import os
from functools import lru_cache

import numpy as np

from channels.bits import clear_spare_bits
from channels.media.binary import BinaryMedium
from channels.recording import Recording, RecordingError, read_recording


class Trace(BinaryMedium):
    """Errors recorded from a link by :func:`channels.record`, played back.

    What a decoder leaves comes in bursts, which a BSC of the same mean rate spreads out. The
    recording is taken as a ring of all its trials; each trial of the sweep reads on from a bit
    that its own generator draws uniformly, round the ring more than once where a payload is
    longer. Each bit of a payload so meets each recorded bit equally often, and the error rate is
    the recording's mean exactly; where in a burst or code block a payload begins is left to
    chance. Recorded erasures are erasures again.

    Trials are only as independent as the recording is long: beyond ``recorded_bits`` / payload
    bits of them they share their errors. And it takes errors not to depend on what was sent, which
    linear codes and labels that are symmetric keep to, and QAM on average over random bits.

    Parameters
    ----------
    file : str
        A path, from the working folder where it is relative.
    """

    def __init__(self, file: str):
        try:
            recording = _recording(file, _stamp(file))
        except RecordingError as error:
            raise ValueError(f"file {error}") from error
        self.recording = recording
        self.checksum = recording.checksum
        self.erases = recording.erased is not None
        known = recording.total_bits - recording.erased_bits
        # above a half, only the half is told: a recording of pure chance may be a little beyond
        self.crossover = min(recording.bit_errors / known, 0.5) if known else 0.0

    def damage(self, row, erased, n_bits, rng):
        start = int(rng.integers(self.recording.total_bits))
        row ^= from_ring(self.recording.errors, start, n_bits)
        if self.recording.erased is not None:
            erased |= from_ring(self.recording.erased, start, n_bits)

    def facts(self):
        found = {"ber": self.recording.ber, "recorded_bits": float(self.recording.total_bits)}
        if self.erases:
            found["erasure_rate"] = self.recording.erased_bits / self.recording.total_bits
        return found


def from_ring(packed: np.ndarray, start: int, n_bits: int) -> np.ndarray:
    """Bits `start`, `start` + 1, ... of a ring, packed, with spare bits zero.

    Parameters
    ----------
    packed : uint8 array, shape (n_bytes,)
        The ring, 8 * n_bytes bits.
    start : int
        0 <= start < 8 * n_bytes.
    n_bits : int
        As many as wanted, more than the ring has too.

    Returns
    -------
    uint8 array, shape (ceil(n_bits / 8),)
    """
    first, shift = divmod(start, 8)
    wanted = (n_bits + 7) // 8
    whole = np.empty(wanted + 1, np.uint8)
    filled = 0
    while filled < whole.size:
        part = packed[first : first + whole.size - filled]
        whole[filled : filled + part.size] = part
        filled, first = filled + part.size, 0
    found = whole[:-1] << np.uint8(shift)
    if shift:
        found |= whole[1:] >> np.uint8(8 - shift)
    clear_spare_bits(found, n_bits)
    return found


def _stamp(file: str) -> tuple[int, int]:
    """What changes when a file is written anew."""
    try:
        status = os.stat(file)
    except OSError as error:
        raise RecordingError(f"{file} can't be read: {error.strerror or error}") from error
    return status.st_mtime_ns, status.st_size


@lru_cache(maxsize=4)
def _recording(file: str, stamp: tuple[int, int]) -> Recording:
    """Links of one worker share a recording, as long as its file is the one that was read."""
    del stamp
    return read_recording(file)

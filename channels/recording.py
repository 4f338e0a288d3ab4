"""Recordings of the errors that a link leaves, and the file they are kept in.

A file is two lines of text and two blocks of compressed bytes::

    gencomm-trace 1 SHA-256 of all that follows this line, in hexadecimal
    {"ber": ..., "bit_errors": ..., "bytes": [a, b], "erased_bits": ..., "link": ..., ...}
    a bytes: zlib stream of the error mask
    b bytes: zlib stream of the erasure mask, or none where the link has no erasures

The masks hold ``n_bits * trials`` bits, those of trial 0 first, packed most significant first. A
set bit is one that came back wrong, or erased; an erased bit is not counted among the wrong ones.
Nothing in a file is executed or trusted before its checksum and sizes are found right.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from channels.bits import PackedBits, count_ones
from channels.link import Link
from channels.noise import NoiseStream

#: First word of a file, and the version of what follows.
MAGIC = b"gencomm-trace 1 "
#: Bits in a mask at most: 512 MiB in memory.
MAX_BITS = 1 << 32
#: Longest second line.
MAX_HEADER = 1 << 16
#: Trials that share a payload: data of a single pattern could favour a code.
SHARED = 32


class RecordingError(ValueError):
    """A file that is no recording, or a damaged one."""


@dataclass(frozen=True, eq=False)
class Recording:
    """Errors of a link, trial after trial.

    Attributes
    ----------
    link : str
        Canonical text of the link.
    n_bits, trials : int
        Payload bits of a trial, a multiple of 8, and how many trials there are.
    seed : int
    errors : uint8 array, shape (n_bits * trials / 8,)
        Packed mask of wrong bits.
    erased : uint8 array of that shape, or None
        Packed mask of lost bits.
    checksum : str
        SHA-256 of the recording as it stands in its file.
    """

    link: str
    n_bits: int
    trials: int
    seed: int
    errors: np.ndarray
    erased: np.ndarray | None = None
    checksum: str = ""

    @property
    def total_bits(self) -> int:
        """Bits of all trials together."""
        return self.n_bits * self.trials

    @property
    def bit_errors(self) -> int:
        """Wrong bits, without the erased ones."""
        return int(count_ones(self.errors))

    @property
    def erased_bits(self) -> int:
        """Lost bits."""
        return 0 if self.erased is None else int(count_ones(self.erased))

    @property
    def ber(self) -> float:
        """Mean bit error rate; of lost bits, which read 0, half are wrong."""
        return (self.bit_errors + self.erased_bits / 2) / self.total_bits


def record(
    link: str | Link,
    n_bits: int,
    trials: int,
    path: str | Path,
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
) -> Recording:
    """Send random payloads over a link and keep what is wrong with them in a file.

    >>> record("conv|qpsk|awgn(ebno_db=3)", 100_000, 50, "conv.trace")    # doctest: +SKIP
    >>> Link.parse("trace(conv.trace)")                                   # doctest: +SKIP

    Parameters
    ----------
    link : str or Link
    n_bits : int
        Payload bits of a trial, a multiple of 8. A few blocks of the link's code or more, so that
        the padding of the last one doesn't count for much.
    trials : int
        At most 2**32 bits in all.
    path : str or Path
        Written under another name first, so that it is whole or not there.
    seed : int
        Of payloads and noise. The same arguments give the same bytes.
    progress : callable, optional
        Told after each group how many trials are done.

    Raises
    ------
    ValueError
        Sizes that can't be recorded.
    SpecError
        The link can't be read or built.
    """
    if n_bits < 8 or n_bits % 8:
        raise ValueError(f"n_bits must be a multiple of 8, and 8 or more, got {n_bits}")
    if not 1 <= trials <= MAX_BITS // n_bits:
        raise ValueError(
            f"trials must lie in 1..{MAX_BITS // n_bits} for {n_bits} bits each, got {trials}"
        )
    link = Link.parse(link) if isinstance(link, str) else link
    total = n_bits * trials // 8
    errors, erased = np.empty(total, np.uint8), None
    at = 0
    for first in range(0, trials, SHARED):
        rng = NoiseStream(seed, "recording", str(n_bits)).generator(first)
        sent = PackedBits.from_bytes(rng.bytes(n_bits // 8))
        numbers = range(first, min(first + SHARED, trials))
        for part in link.batches(sent, numbers, NoiseStream(seed, link.text)):
            here = slice(at, at + part.bits.size)
            wrong = part.bits ^ sent.data
            if part.erased is not None:
                if erased is None:
                    erased = np.zeros(total, np.uint8)
                erased[here] = part.erased.reshape(-1)
                wrong &= ~part.erased
            errors[here] = wrong.reshape(-1)
            at = here.stop
            if progress:
                progress(at * 8 // n_bits)
    return write_recording(Recording(link.text, n_bits, trials, seed, errors, erased), path)


def write_recording(recording: Recording, path: str | Path) -> Recording:
    """Write a recording to a file; returns it with its checksum."""
    blocks = [zlib.compress(recording.errors.data, 6)]
    blocks.append(b"" if recording.erased is None else zlib.compress(recording.erased.data, 6))
    header = {
        "ber": recording.ber,
        "bit_errors": recording.bit_errors,
        "bytes": [len(block) for block in blocks],
        "erased_bits": recording.erased_bits,
        "link": recording.link,
        "n_bits": recording.n_bits,
        "seed": recording.seed,
        "trials": recording.trials,
    }
    body = [json.dumps(header, sort_keys=True).encode() + b"\n", *blocks]
    digest = hashlib.sha256()
    for block in body:
        digest.update(block)
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(temporary, "xb") as file:
            file.write(MAGIC + digest.hexdigest().encode() + b"\n")
            file.writelines(body)
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return Recording(
        recording.link,
        recording.n_bits,
        recording.trials,
        recording.seed,
        recording.errors,
        recording.erased,
        digest.hexdigest(),
    )


def read_recording(path: str | Path) -> Recording:
    """Read what :func:`record` wrote.

    Raises
    ------
    RecordingError
        The file can't be read, is something else, is cut short or damaged, or too large.
    """
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):
            raise RecordingError(f"{path} is not a regular file")  # a pipe would keep us waiting
        with open(path, "rb") as file:
            title = file.readline(len(MAGIC) + 65)
            if not title.startswith(MAGIC) or not title.endswith(b"\n"):
                raise RecordingError(f"{path} is not a recording of errors (channels.record)")
            # zlib never makes data longer by more than a few bytes in 16 KiB
            if status.st_size > 2 * (MAX_BITS // 8 + MAX_BITS // 1024 + MAX_HEADER):
                raise RecordingError(f"{path} is too large: a recording has up to {MAX_BITS} bits")
            body = file.read()
    except OSError as error:
        raise RecordingError(f"{path} can't be read: {error.strerror or error}") from error
    checksum = hashlib.sha256(body).hexdigest()
    if checksum.encode() != title[len(MAGIC) : -1]:
        raise RecordingError(f"{path} is cut short or damaged: its checksum is wrong")
    line, mark, _ = body[: MAX_HEADER + 1].partition(b"\n")
    try:
        header = json.loads(line)
        n_bits, trials, seed = (header[name] for name in ("n_bits", "trials", "seed"))
        sizes, link = header["bytes"], header["link"]
        counts = header["bit_errors"], header["erased_bits"]
        sound = mark and isinstance(link, str) and len(sizes) == 2
        sound = sound and all(type(n) is int and n >= 0 for n in (n_bits, trials, *sizes, *counts))
        total = n_bits * trials
        sound = sound and n_bits % 8 == 0 and 0 < total <= MAX_BITS and type(seed) is int
        sound = sound and len(line) + 1 + sum(sizes) == len(body)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise RecordingError(f"{path} has a second line that makes no sense") from error
    if not sound:
        raise RecordingError(f"{path} claims sizes that don't fit it, or over {MAX_BITS} bits")
    start = len(line) + 1
    errors = _inflate(body[start : start + sizes[0]], total // 8, path)
    erased = _inflate(body[start + sizes[0] :], total // 8, path) if sizes[1] else None
    found = Recording(link, n_bits, trials, seed, errors, erased, checksum)
    if (found.bit_errors, found.erased_bits) != counts:
        raise RecordingError(f"{path} counts other errors than it holds")
    return found


def _inflate(block: bytes, size: int, path: str | Path) -> np.ndarray:
    inflater = zlib.decompressobj()
    try:
        data = inflater.decompress(block, size + 1)  # never more than was announced
    except zlib.error as error:
        raise RecordingError(f"{path} holds a mask that can't be unpacked: {error}") from error
    if len(data) != size or not inflater.eof or inflater.unused_data:
        raise RecordingError(f"{path} holds a mask of another length than it says")
    return np.frombuffer(data, np.uint8)

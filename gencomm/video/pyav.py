"""PyAV (FFmpeg), imported when it is first needed, and the traps of calling it."""

from __future__ import annotations

import os
from fractions import Fraction
from typing import Any


def pyav() -> Any:
    """The package ``av``, with its libraries' chatter off.

    Raises
    ------
    ValueError
        It isn't installed; says how to get it.
    """
    os.environ.setdefault("SVT_LOG", "1")  # errors only; SVT-AV1 prints a banner an encoder
    try:
        import av
        import av.logging
    except ImportError as error:
        raise ValueError(
            "video files and video codecs need the package av (PyAV): pip install 'gencomm[video]'"
        ) from error
    av.logging.set_level(None)
    return av


def packet(data: bytes, pts: int | None = None) -> Any:
    """A packet of bytes that any decoder may read.

    FFmpeg's bit readers look up to 64 bytes (``AV_INPUT_BUFFER_PADDING_SIZE``) past the end of a
    packet and expect zeros there. ``av.Packet(data)`` hands on the bytes where they lie, without
    padding: what follows in memory is then read as stream. The MPEG-4 decoder, which looks for
    the next start code there, loses up to 5 dB by it, differently each time and without a word.
    A packet made by its size and filled has the padding.
    """
    made = pyav().Packet(len(data))
    made.update(data)
    made.pts = pts
    return made


def version(*libraries: str) -> dict[str, str]:
    """PyAV and parts of the FFmpeg in it, such as ``libavcodec``: what decides an answer."""
    av = pyav()
    parts = {name: ".".join(map(str, av.library_versions[name])) for name in libraries}
    return {"av": av.__version__, "ffmpeg": str(av.ffmpeg_version_info), **parts}


def fraction(rate: float | Fraction | str) -> Fraction:
    """A frame rate as a fraction: 29.97 is 30000/1001, 25.0 is 25.

    Raises
    ------
    ValueError
        Not a positive, finite number below 10 000.
    """
    value = Fraction(rate) if not isinstance(rate, str) else Fraction(rate.strip())
    if not 0 < value < 10_000:
        raise ValueError(f"a frame rate is positive and below 10000 a second, got {rate}")
    whole = Fraction(round(value))
    for exact in (whole, whole * 1000 / 1001):  # the rates of film and television
        if exact and abs(value / exact - 1) < 2e-5:
            return exact
    return value.limit_denominator(1001)

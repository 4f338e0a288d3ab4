"""Video files made on the spot, of kinds that make trouble."""

from __future__ import annotations

from fractions import Fraction

import numpy as np


def moving(frames=12, height=48, width=64, seed=0):
    """A smooth picture that moves to the right by two samples a frame; uint8."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0 : width + 2 * frames]
    wide = np.stack(
        [128 + 70 * np.sin((x + 9 * k) / 11) * np.cos((y - 5 * k) / 13) for k in range(3)], -1
    )
    wide = np.clip(wide + rng.normal(0, 1, wide.shape), 0, 255).astype(np.uint8)
    return np.stack([wide[:, 2 * k : 2 * k + width] for k in range(frames)])


def write(
    path, value, codec="ffv1", pix_fmt="yuv420p", rate=25, times=None, options=None, audio=False
):
    """Write a clip with PyAV; `times` are in thousandths of a second."""
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=Fraction(rate))
        stream.width, stream.height, stream.pix_fmt = value.shape[2], value.shape[1], pix_fmt
        stream.options = options or {}
        if times is not None:
            stream.codec_context.time_base = Fraction(1, 1000)
        sound = None
        if audio:
            sound = container.add_stream("pcm_s16le", rate=8000)
            sound.layout = "mono"
        for k, picture in enumerate(value):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            frame = frame.reformat(format=pix_fmt)
            if times is not None:
                frame.pts, frame.time_base = times[k], Fraction(1, 1000)
            else:
                frame.pts, frame.time_base = k, 1 / Fraction(rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if sound is not None:
            tone = av.AudioFrame.from_ndarray(
                np.zeros((1, 800), np.int16), format="s16", layout="mono"
            )
            tone.sample_rate, tone.pts, tone.time_base = 8000, 0, Fraction(1, 8000)
            container.mux(sound.encode(tone))
            container.mux(sound.encode(None))
    return path


def turn(path, degrees):
    """Write a display matrix into an MP4's track header (ISO/IEC 14496-12, 8.3.2)."""
    data = bytearray(path.read_bytes())
    at = data.find(b"tkhd") + 4 + 40  # version 0: the matrix follows 40 bytes after the type
    one = 1 << 16
    a, b = {0: (one, 0), 90: (0, one), 180: (-one, 0), 270: (0, -one), 45: (46341, 46341)}[degrees]
    numbers = (a, b, 0, -b, a, 0, 0, 0, 1 << 30)
    data[at : at + 36] = b"".join(n.to_bytes(4, signed=True) for n in numbers)
    path.write_bytes(data)
    return path

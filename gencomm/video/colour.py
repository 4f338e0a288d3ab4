"""RGB to Y'CbCr 4:2:0 and back, in whole numbers: the same samples on every machine.

ITU-R BT.601 in both directions, in video range (luma 16..235) or full range. Chroma is sited in
the middle of each square of four samples, as in JPEG and MPEG-1; it is the mean of the four on the
way there, and a linear interpolation (weights 9, 3, 3, 1) on the way back. Every codec here is
given these planes and gives such planes back, so that the siting costs none of them anything.
"""

from __future__ import annotations

import numpy as np

from channels.jit import Kernel


@Kernel
def _to_planes(value, out, full):
    """uint8 (frames, height, width, 3), sides even -> uint8 (frames, height * 3 / 2, width)."""
    frames, height, width, _ = value.shape
    chroma = width // 2
    # 2**16 times the coefficients of BT.601; in video range times 219/255 and 224/255
    if full:
        yr, yg, yb, base = 19595, 38470, 7471, 0
        br, bg, bb = -11058, -21710, 32768
        rr, rg, rb = 32768, -27439, -5329
    else:
        yr, yg, yb, base = 16829, 33039, 6416, 16
        br, bg, bb = -9714, -19070, 28784
        rr, rg, rb = 28784, -24103, -4681
    for f in range(frames):
        picture, planes = value[f], out[f]
        flat = planes[height:].reshape(-1)
        for i in range(0, height, 2):
            for j in range(0, width, 2):
                red = green = blue = 0
                for a in range(2):
                    for b in range(2):
                        r = np.int32(picture[i + a, j + b, 0])
                        g = np.int32(picture[i + a, j + b, 1])
                        s = np.int32(picture[i + a, j + b, 2])
                        red += r
                        green += g
                        blue += s
                        luma = ((yr * r + yg * g + yb * s + 32768) >> 16) + base
                        planes[i + a, j + b] = luma
                at = (i // 2) * chroma + j // 2
                cb = ((br * red + bg * green + bb * blue + (1 << 17)) >> 18) + 128
                cr = ((rr * red + rg * green + rb * blue + (1 << 17)) >> 18) + 128
                flat[at] = min(max(cb, 0), 255)
                flat[at + chroma * (height // 2)] = min(max(cr, 0), 255)


@Kernel
def _to_rgb(planes, out, full):
    """uint8 (rows * 3 / 2, columns) -> uint8 (height <= rows, width <= columns, 3), filled."""
    height, width, _ = out.shape
    columns = planes.shape[1]
    rows = planes.shape[0] // 3 * 2
    down, across = rows // 2, columns // 2
    flat = planes[rows:].reshape(-1)
    blues = flat[: down * across].reshape(down, across)
    reds = flat[down * across :].reshape(down, across)
    if full:
        scale, base, cr_r, cr_g, cb_g, cb_b = 65536, 0, 91881, 46802, 22554, 116130
    else:
        scale, base, cr_r, cr_g, cb_g, cb_b = 76309, 16, 104597, 53279, 25675, 132201
    for i in range(height):
        near = i // 2
        far = min(max(near + (1 if i % 2 else -1), 0), down - 1)
        for j in range(width):
            left = j // 2
            right = min(max(left + (1 if j % 2 else -1), 0), across - 1)
            # 16 times the chroma at this place, around zero
            u = (
                9 * np.int32(blues[near, left])
                + 3 * (np.int32(blues[far, left]) + np.int32(blues[near, right]))
                + np.int32(blues[far, right])
                - 2048
            )
            v = (
                9 * np.int32(reds[near, left])
                + 3 * (np.int32(reds[far, left]) + np.int32(reds[near, right]))
                + np.int32(reds[far, right])
                - 2048
            )
            luma = np.int64(scale) * 16 * (np.int64(planes[i, j]) - base) + (1 << 19)
            red = (luma + cr_r * v) >> 20
            green = (luma - cr_g * v - cb_g * u) >> 20
            blue = (luma + cb_b * u) >> 20
            out[i, j, 0] = min(max(red, 0), 255)
            out[i, j, 1] = min(max(green, 0), 255)
            out[i, j, 2] = min(max(blue, 0), 255)


def to_planes(value: np.ndarray, full: bool = False, least: int = 2) -> np.ndarray:
    """A clip as planes for an encoder.

    Sides are continued by repetition to even numbers, and to `least` samples.

    Parameters
    ----------
    value : uint8 array, shape (frames, height, width, 3)
    full : bool
        Full range (0..255) instead of video range.
    least : int
        Least side that an encoder takes, even.

    Returns
    -------
    uint8 array, shape (frames, rows * 3 / 2, columns)
        Luma, then Cb and Cr at half the size, as FFmpeg's ``yuv420p`` lies in memory.
    """
    height, width = value.shape[1:3]
    rows, columns = padded(height, least), padded(width, least)
    if (rows, columns) != (height, width):
        pad = ((0, 0), (0, rows - height), (0, columns - width), (0, 0))
        value = np.pad(value, pad, mode="edge")
    out = np.empty((len(value), rows * 3 // 2, columns), np.uint8)
    _to_planes(np.ascontiguousarray(value), out, full)
    return out


def padded(side: int, least: int = 2) -> int:
    """The even number of samples that a side is continued to."""
    return max(least, side + side % 2)


def to_rgb(planes: np.ndarray, out: np.ndarray, full: bool = False) -> None:
    """One decoded picture's planes, cropped from the lower right, into `out`.

    Parameters
    ----------
    planes : uint8 array, shape (rows * 3 / 2, columns)
    out : uint8 array, shape (height, width, 3)
        Filled; not larger than the planes.
    """
    _to_rgb(planes, out, full)

"""One way to open a picture: under a pixel limit, with every conversion noted.

What comes out is 8-bit RGB, or 8-bit grey for a grey picture. On the way:

====================  =========================================================================
found in the file     treatment
====================  =========================================================================
palette               looked up to RGB
black and white       grey, 0 and 255
16-bit grey           rounded to 8 bits (v * 255 / 65535)
16-bit colour         upper 8 bits (Pillow reads no more)
CMYK                  RGB by Pillow's formula, without a colour profile
YCbCr, HSV            RGB
alpha, transparency   laid over white
EXIF orientation      turned upright
several frames        the first (also the main picture of a phone's MPO file)
32-bit or float grey  refused: its range is not known
====================  =========================================================================

Embedded colour profiles are not applied: samples are taken as stored. Each conversion leaves a
line in ``item.meta["notes"]``.
"""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

#: More pixels than this are not decoded: 8192 x 8192.
MAX_PIXELS = 2**26
_EXIF_ORIENTATION = 0x0112


class PictureError(ValueError):
    """A picture that can't be used; the message begins with its name."""


def read_picture(
    source: str | Path | bytes, name: str, size: int | None = None
) -> tuple[np.ndarray, dict[str, Any]]:
    """Read a picture file.

    Parameters
    ----------
    source : path or bytes
        The file, or its contents.
    name : str
        What to call it in messages.
    size : int, optional
        Reduce it by area averaging until no side is longer.

    Returns
    -------
    value : uint8 array, shape (height, width, 3) or (height, width)
    meta : dict
        ``format``, ``notes`` (list of conversions done) and ``colour_profile`` where one is
        embedded.

    Raises
    ------
    PictureError
        Not a picture, empty, damaged, truncated, or larger than `MAX_PIXELS`.
    """
    check_size(size)
    if isinstance(source, bytes):
        length, stream = len(source), io.BytesIO(source)
    else:
        path = Path(source)
        if not path.is_file():
            what = "is a folder" if path.is_dir() else "doesn't exist"
            raise PictureError(f"{name} {what}; a picture file is needed")
        length, stream = path.stat().st_size, path.open("rb")
    with stream:
        if length == 0:
            raise PictureError(f"{name} is empty (0 bytes)")
        try:
            with warnings.catch_warnings():
                # Our own limit is lower than the one that Pillow warns of.
                warnings.simplefilter("ignore", Image.DecompressionBombWarning)
                image = Image.open(stream)
            _check_pixels(image.size, name)
            wide = ";16" in str(getattr(image, "tile", ""))  # the raw mode, such as RGB;16B
            image.load()
        except PictureError:
            raise
        except UnidentifiedImageError as error:
            raise PictureError(f"{name} is not a picture in a format that is known") from error
        except Image.DecompressionBombError as error:
            raise PictureError(
                f"{name} claims more pixels than the limit of {MAX_PIXELS}: {error}"
            ) from error
        # Pillow's readers raise OSError, SyntaxError, ValueError, EOFError, struct.error and more.
        except Exception as error:
            raise PictureError(
                f"{name} is damaged or truncated: {type(error).__name__}: {error}"
            ) from error
        try:
            return _convert(image, size, wide)
        except ValueError as error:
            raise PictureError(f"{name} can't be used: {error}") from error


def check_size(size: int | None) -> None:
    """Refuse a `size` option that no picture could have."""
    if size is not None and size < 1:
        raise ValueError(f"size must be at least 1 pixel, got {size}")


def _check_pixels(size: tuple[int, int], name: str) -> None:
    width, height = size
    if width < 1 or height < 1:
        raise PictureError(f"{name} is {width} x {height} pixels; there is nothing to send")
    if width * height > MAX_PIXELS:
        raise PictureError(
            f"{name} is {width} x {height} pixels, more than the limit of {MAX_PIXELS}; reduce it"
        )


def _convert(image: Image.Image, size: int | None, wide: bool) -> tuple[np.ndarray, dict[str, Any]]:
    notes: list[str] = []
    meta: dict[str, Any] = {"format": image.format or "unknown", "notes": notes}
    if image.info.get("icc_profile"):
        meta["colour_profile"] = "embedded, not applied"
    if getattr(image, "n_frames", 1) > 1:
        notes.append(f"the first of {image.n_frames} frames")  # type: ignore[attr-defined]
    try:
        turned = ImageOps.exif_transpose(image) if _orientation(image) != 1 else None
    except Exception as error:  # a damaged EXIF block raises nearly anything
        turned = None
        notes.append(f"EXIF block can't be read and was left out ({type(error).__name__})")
    if turned is not None:
        notes.append("turned upright by its EXIF orientation")
        image = turned
    if wide and not image.mode.startswith("I"):
        notes.append("16-bit samples reduced to their upper 8 bits")
    image = _to_8_bit(image, notes)
    image = _without_alpha(image, notes)
    if size is not None and max(image.size) > size:
        scale = size / max(image.size)
        smaller = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
        notes.append(f"reduced from {image.width} x {image.height} by area averaging")
        image = image.resize(smaller, Image.Resampling.BOX)
    return np.asarray(image), meta


def _orientation(image: Image.Image) -> int:
    return image.getexif().get(_EXIF_ORIENTATION, 1)


def _to_8_bit(image: Image.Image, notes: list[str]) -> Image.Image:
    """One of the modes L, LA, RGB, RGBA."""
    mode = image.mode
    if mode.startswith("I;16"):
        notes.append("16-bit grey rounded to 8 bits")
        wide = np.asarray(image).astype(np.uint32)
        return Image.fromarray(((wide * 255 + 32767) // 65535).astype(np.uint8))
    if mode in ("I", "F"):
        raise ValueError(
            f"its samples are 32-bit ({'float' if mode == 'F' else 'whole'} numbers) of unknown "
            "range; save it with 8 or 16 bits"
        )
    if mode in ("RGB", "RGBA", "L", "LA"):
        return image
    if mode == "1":
        notes.append("black and white to grey")
        return image.convert("L")
    transparent = mode in ("PA", "La", "RGBa") or "transparency" in image.info
    notes.append(f"{'palette' if mode in ('P', 'PA') else mode} to RGB")
    return image.convert("RGBA" if transparent else "RGB")


def _without_alpha(image: Image.Image, notes: list[str]) -> Image.Image:
    if image.mode in ("L", "RGB") and "transparency" in image.info:
        image = image.convert("LA" if image.mode == "L" else "RGBA")
    if image.mode not in ("LA", "RGBA"):
        return image
    grey = image.mode == "LA"
    if image.getchannel("A").getextrema()[0] == 255:
        notes.append("alpha dropped, opaque throughout")
    else:
        notes.append("alpha laid over white")
        colour = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), colour)
    return image.convert("L" if grey else "RGB")

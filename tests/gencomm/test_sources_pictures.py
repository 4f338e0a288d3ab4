"""Every kind of picture file gets right treatment or an error that names it."""

import io
import struct
import zlib
from contextlib import suppress

import numpy as np
import pytest
from PIL import Image

from gencomm.sources.pictures import MAX_PIXELS, PictureError, read_picture


def gradient(height=24, width=32):
    y, x = np.mgrid[:height, :width]
    return np.stack([x * 7 % 256, y * 9 % 256, (x + y) * 4 % 256], -1).astype(np.uint8)


def encoded(image, format="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def read(data, **options):
    return read_picture(data, "photo", **options)


def png_chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def raw_png(width, height, depth, colour_type, rows):
    """A PNG written by hand, for what Pillow doesn't write."""
    head = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, 0)
    body = zlib.compress(b"".join(b"\0" + row for row in rows))
    return (
        b"\x89PNG\r\n\x1a\n"
        + png_chunk(b"IHDR", head)
        + png_chunk(b"IDAT", body)
        + png_chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("format", ["PNG", "BMP", "TIFF", "PPM"])
def test_lossless_files_give_their_samples(format):
    value, meta = read(encoded(Image.fromarray(gradient()), format))
    np.testing.assert_array_equal(value, gradient())
    assert meta["format"] == format
    assert meta["notes"] == []


def test_grey_stays_grey():
    value, meta = read(encoded(Image.fromarray(gradient()[..., 0])))
    np.testing.assert_array_equal(value, gradient()[..., 0])
    assert meta["notes"] == []


def test_one_pixel():
    value, _ = read(encoded(Image.new("RGB", (1, 1), (1, 2, 3))))
    assert value.tolist() == [[[1, 2, 3]]]
    assert read(encoded(Image.new("L", (1, 1), 7)))[0].tolist() == [[7]]


def test_palette():
    image = Image.fromarray(gradient()).quantize(16)
    value, meta = read(encoded(image))
    np.testing.assert_array_equal(value, np.asarray(image.convert("RGB")))
    assert meta["notes"] == ["palette to RGB"]


def test_black_and_white():
    image = Image.fromarray(gradient()[..., 0]).convert("1")
    value, meta = read(encoded(image))
    assert set(np.unique(value)) == {0, 255}
    assert value.ndim == 2
    assert meta["notes"] == ["black and white to grey"]


def test_cmyk():
    image = Image.new("CMYK", (8, 8), (255, 0, 0, 0))  # full cyan ink, nothing else
    value, meta = read(encoded(image, "TIFF"))
    assert value[0, 0].tolist() == [0, 255, 255]
    assert meta["notes"] == ["CMYK to RGB"]
    value, _ = read(encoded(image, "JPEG", quality=95))
    assert np.abs(value[0, 0].astype(int) - [0, 255, 255]).max() <= 3


def test_alpha_is_laid_over_white():
    rgba = np.zeros((1, 3, 4), np.uint8)
    rgba[0, :, 3] = [255, 0, 51]  # black ink: opaque, absent, one fifth
    value, meta = read(encoded(Image.fromarray(rgba)))
    assert value[0, :, 0].tolist() == [0, 255, 204]
    assert meta["notes"] == ["alpha laid over white"]


def test_opaque_alpha_is_dropped():
    image = Image.fromarray(gradient()).convert("RGBA")
    value, meta = read(encoded(image))
    np.testing.assert_array_equal(value, gradient())
    assert meta["notes"] == ["alpha dropped, opaque throughout"]


def test_grey_with_alpha_stays_grey():
    la = np.zeros((1, 2, 2), np.uint8)
    la[0, :, 1] = [255, 0]
    value, meta = read(encoded(Image.fromarray(la, "LA")))
    assert value.tolist() == [[0, 255]]
    assert meta["notes"] == ["alpha laid over white"]


def test_transparent_colours():
    palette = Image.new("P", (2, 1))
    palette.putpalette([10, 20, 30, 0, 0, 0])
    palette.putpixel((1, 0), 1)
    value, meta = read(encoded(palette, transparency=1))
    assert value[0].tolist() == [[10, 20, 30], [255, 255, 255]]
    assert meta["notes"] == ["palette to RGB", "alpha laid over white"]
    rgb = Image.new("RGB", (2, 1), (10, 20, 30))
    rgb.putpixel((1, 0), (1, 1, 1))
    value, _ = read(encoded(rgb, transparency=(1, 1, 1)))
    assert value[0].tolist() == [[10, 20, 30], [255, 255, 255]]


def test_16_bit_grey_is_rounded():
    wide = np.array([[0, 128, 129, 257, 32896, 65407, 65535]], np.uint16)
    data = encoded(Image.fromarray(wide))
    value, meta = read(data)
    np.testing.assert_array_equal(value, np.rint(wide / 257).astype(np.uint8))
    assert meta["notes"] == ["16-bit grey rounded to 8 bits"]
    value, _ = read(encoded(Image.fromarray(wide), "TIFF"))
    np.testing.assert_array_equal(value, np.rint(wide / 257).astype(np.uint8))


def test_16_bit_colour_keeps_its_upper_8_bits():
    row = np.array([0x1234, 0xABCD, 0x00FF], ">u2").tobytes()
    value, meta = read(raw_png(1, 1, 16, 2, [row]))
    assert value.tolist() == [[[0x12, 0xAB, 0x00]]]
    assert meta["notes"] == ["16-bit samples reduced to their upper 8 bits"]


@pytest.mark.parametrize("mode", ["I", "F"])
def test_32_bit_is_refused(mode):
    with pytest.raises(PictureError, match=r"photo can't be used: its samples are 32-bit"):
        read(encoded(Image.new(mode, (4, 4)), "TIFF"))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(orientation):
    """The eight orientations of EXIF 2.3, table 6, from where row 0 and column 0 lie."""
    value = gradient()
    upright = {
        1: value,
        2: value[:, ::-1],
        3: value[::-1, ::-1],
        4: value[::-1],
        5: value.transpose(1, 0, 2),
        6: value.transpose(1, 0, 2)[:, ::-1],
        7: value.transpose(1, 0, 2)[::-1, ::-1],
        8: value.transpose(1, 0, 2)[::-1],
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    found, meta = read(encoded(Image.fromarray(value), exif=exif))
    np.testing.assert_array_equal(found, upright)
    assert meta["notes"] == ([] if orientation == 1 else ["turned upright by its EXIF orientation"])


def test_animation_gives_its_first_frame():
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue", "lime")]
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    value, meta = read(data)
    assert value[0, 0].tolist() == [255, 0, 0]
    assert meta["notes"][0] == "the first of 3 frames"


def test_a_profile_is_noted_and_not_applied():
    from PIL import ImageCms

    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    value, meta = read(encoded(Image.fromarray(gradient()), icc_profile=profile))
    np.testing.assert_array_equal(value, gradient())
    assert meta["colour_profile"] == "embedded, not applied"


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "JPEG2000", "GIF", "BMP", "TIFF"])
def test_truncated_files_are_refused(format):
    rng = np.random.default_rng(0)
    noisy = rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)
    data = encoded(Image.fromarray(noisy), format)
    for keep in (0.05, 0.4, 0.9):
        with pytest.raises(PictureError, match=r"^photo "):
            read(data[: int(keep * len(data))])


def test_empty_and_other_files(tmp_path):
    with pytest.raises(PictureError, match=r"photo is empty \(0 bytes\)"):
        read(b"")
    for data in (b"hello, this is text", b"\0" * 1000, b"PK\3\4" + b"x" * 100):
        with pytest.raises(PictureError, match="photo is not a picture"):
            read(data)
    with pytest.raises(PictureError, match="photo is a folder"):
        read_picture(tmp_path, "photo")
    with pytest.raises(PictureError, match="photo doesn't exist"):
        read_picture(tmp_path / "gone.png", "photo")


@pytest.mark.parametrize("side", [8193, 12_000, 60_000, 2**31 - 1])
def test_huge_dimensions_are_refused_before_decoding(side):
    """A PNG of a few bytes that claims side x side pixels: a decompression bomb."""
    with pytest.raises(PictureError, match=r"photo (is|claims) .*pixels.* limit of 67108864"):
        read(raw_png(side, side, 8, 2, [b"\0" * 30]))
    assert MAX_PIXELS == 67108864


def test_damage_inside_is_refused_or_decoded_never_another_error():
    data = encoded(Image.fromarray(gradient()))
    rng = np.random.default_rng(0)
    for _ in range(200):
        broken = bytearray(data)
        for _ in range(3):
            broken[rng.integers(8, len(data))] ^= 1 << int(rng.integers(8))
        with suppress(PictureError):
            assert read(bytes(broken))[0].dtype == np.uint8


def test_damaged_exif_is_left_out_and_noted():
    data = encoded(Image.fromarray(gradient()), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\x7f")
    value, meta = read(data)
    assert value.shape == (24, 32, 3)
    assert all("EXIF" in note for note in meta["notes"])


def test_size_reduces_the_longer_side_only_when_longer():
    data = encoded(Image.fromarray(gradient(10, 1000)))
    value, meta = read(data, size=100)
    assert value.shape == (1, 100, 3)
    assert meta["notes"] == ["reduced from 1000 x 10 by area averaging"]
    assert read(data, size=1)[0].shape == (1, 1, 3)
    assert read(data, size=1000)[0].shape == (10, 1000, 3)

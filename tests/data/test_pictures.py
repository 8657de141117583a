"""Decoding: every kind of picture becomes RGB, and damaged ones are refused by name."""

from __future__ import annotations

import io
import struct
import sys
import zlib

import numpy as np
import pytest

from fastconv.data import PictureError
from fastconv.data.pictures import FILTERS, decode, resize

Image = pytest.importorskip("PIL.Image", reason="pillow is not installed (extra: data)")

RGB = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)


def encoded(image: object, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)  # type: ignore[attr-defined]
    return buffer.getvalue()


def png(width: int, height: int) -> bytes:
    """A PNG whose header claims a size that its data does not have."""

    def chunk(name: bytes, content: bytes) -> bytes:
        sum_ = struct.pack(">I", zlib.crc32(name + content))
        return struct.pack(">I", len(content)) + name + content + sum_

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = chunk(b"IDAT", zlib.compress(bytes(100)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + data + chunk(b"IEND", b"")


@pytest.mark.parametrize("kind", ["PNG", "BMP", "PPM", "TIFF"])
def test_rgb_as_it_is(kind: str) -> None:
    picture = decode("test", encoded(Image.fromarray(RGB), kind), "a")
    assert picture.dtype == np.uint8
    assert picture.flags.writeable
    np.testing.assert_array_equal(picture, RGB)


def test_other_modes() -> None:
    grey = RGB[:, :, 0]
    three = np.repeat(grey[:, :, None], 3, axis=2)
    np.testing.assert_array_equal(decode("test", encoded(Image.fromarray(grey)), "a"), three)
    palette = Image.fromarray(grey // 128).convert("P")
    palette.putpalette([10, 20, 30, 40, 50, 60])
    colours = np.array([[10, 20, 30], [40, 50, 60]], np.uint8)
    for options in ({}, {"transparency": b"\0\xff"}):
        picture = decode("test", encoded(palette, **options), "a")
        np.testing.assert_array_equal(picture, colours[grey // 128])
    see_through = np.concatenate([RGB, RGB[:, :, :1]], axis=2)
    np.testing.assert_array_equal(decode("test", encoded(Image.fromarray(see_through)), "a"), RGB)
    ink = decode("test", encoded(Image.new("CMYK", (2, 2), (0, 255, 255, 0)), "JPEG"), "a")
    assert np.abs(ink.astype(int) - (255, 0, 0)).max() < 8


def test_sixteen_bits_keep_the_upper_eight() -> None:
    deep = np.array([[0, 255, 256, 40_000, 65_535]], np.uint16)
    picture = decode("test", encoded(Image.fromarray(deep)), "a")
    assert picture[0, :, 0].tolist() == [0, 0, 1, 156, 255]
    assert picture.shape == (1, 5, 3)


# How a picture must be stored so that it is upright once its tag is obeyed (EXIF 2.3, 4.6.4).
STORED = {
    1: RGB,
    2: RGB[:, ::-1],
    3: RGB[::-1, ::-1],
    4: RGB[::-1],
    5: RGB.transpose(1, 0, 2),
    6: np.rot90(RGB, 1),
    7: RGB[::-1, ::-1].transpose(1, 0, 2),
    8: np.rot90(RGB, -1),
}


@pytest.mark.parametrize("tag", STORED)
@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_upright(tag: int, kind: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = tag
    image = Image.fromarray(np.ascontiguousarray(STORED[tag]))
    np.testing.assert_array_equal(decode("test", encoded(image, kind, exif=exif), "a"), RGB)


def test_damaged_pictures_are_named() -> None:
    noise = np.random.default_rng(1).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    for kind in ("PNG", "JPEG"):
        content = encoded(Image.fromarray(noise), kind)
        for length in range(0, len(content) - 40, len(content) // 25):
            with pytest.raises(PictureError, match=r"test: .* \(file=here/a.jpg, found=") as caught:
                decode("test", content[:length], "here/a.jpg")
            assert caught.value.__cause__ is not None
    with pytest.raises(PictureError, match=r"file=a.eps, found=no known format"):
        decode("test", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 5 5\n", "a.eps")


def test_absurd_sizes_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(PictureError, match=r"file=bomb.png"):
        decode("test", png(60_000, 60_000), "bomb.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 34)
    with (
        pytest.raises(PictureError, match="file=a"),
        pytest.warns(Image.DecompressionBombWarning, match="35 pixels"),
    ):
        decode("test", encoded(Image.fromarray(RGB)), "a")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 35)
    assert decode("test", encoded(Image.fromarray(RGB)), "a").shape == RGB.shape


@pytest.mark.parametrize("how", FILTERS)
def test_resize(how: str) -> None:
    flat = np.full((6, 8, 3), (10, 20, 30), np.uint8)
    np.testing.assert_array_equal(resize("test", flat, (3, 5), how), flat[:3, :5])
    assert resize("test", RGB[:, :, :1], (3, 5), how).shape == (3, 5, 1)
    np.testing.assert_array_equal(resize("test", RGB, (5, 7), how), RGB)
    with pytest.raises(ValueError, match=r"test: .*1 or 3 channels \(shape=\(5, 7, 2\)\)"):
        resize("test", RGB[:, :, :2], (3, 3), how)


def test_without_pillow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(ImportError, match=r"test: .*pip install 'fastconv\[data\]'"):
        decode("test", b"", "a")

"""Picture files as arrays, through Pillow: decoding and resizing."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["FILTERS", "SUFFIXES", "PictureError", "decode", "resize", "upright"]

SUFFIXES = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")
FILTERS = ("nearest", "bilinear", "bicubic", "lanczos")

# Named, so that no file whatever gets Pillow to start another program, as EPS does.
_FORMATS = ("JPEG", "PNG", "PPM", "BMP", "TIFF", "WEBP")
_ORIENTATION = 0x0112  # the tag's number in EXIF
# EXIF 2.3, 4.6.4: what has to be done to see the picture upright.
_UPRIGHT = {
    2: "FLIP_LEFT_RIGHT",
    3: "ROTATE_180",
    4: "FLIP_TOP_BOTTOM",
    5: "TRANSPOSE",
    6: "ROTATE_270",
    7: "TRANSVERSE",
    8: "ROTATE_90",
}


class PictureError(ValueError):
    """A picture that cannot be decoded; the message names its file."""


def decode(operation: str, content: bytes, name: str) -> NDArray[np.uint8]:
    """Return the picture in a file's `content` as uint8 (H, W, 3), RGB, upright by its EXIF tag.

    Greyscale, palette and CMYK become RGB, transparency is dropped, 16 bits keep their upper 8; of
    several frames the first is taken. Raises PictureError, which mentions `name`, for what is no
    picture, damaged, or larger than Pillow's `MAX_IMAGE_PIXELS`.
    """
    image_module = _pillow(operation)
    try:
        with image_module.open(io.BytesIO(content), formats=_FORMATS) as image:
            limit = image_module.MAX_IMAGE_PIXELS
            if limit is not None and image.width * image.height > limit:
                raise PictureError(
                    f"{operation}: a picture must not have more than {limit} pixels "
                    f"(file={name}, width={image.width}, height={image.height})"
                )
            return upright(operation, image)
    except (MemoryError, PictureError):
        raise
    except image_module.UnidentifiedImageError as error:  # its text names our buffer
        raise PictureError(
            f"{operation}: the picture must be readable (file={name}, found=no known format)"
        ) from error
    except Exception as error:  # damaged files make Pillow raise nearly everything
        raise PictureError(
            f"{operation}: the picture must be readable (file={name}, found={error})"
        ) from error


def resize(
    operation: str, picture: NDArray[np.uint8], size: tuple[int, int], how: str
) -> NDArray[np.uint8]:
    """Return a uint8 picture (H, W, C), of 1 or 3 channels, at `size` (height, width).

    `how` is one of FILTERS; all but "nearest" average over what a smaller pixel covers.
    """
    if picture.shape[2] not in (1, 3):
        raise ValueError(f"{operation}: pictures must have 1 or 3 channels (shape={picture.shape})")
    image_module = _pillow(operation)
    flat = np.ascontiguousarray(picture[:, :, 0] if picture.shape[2] == 1 else picture)
    image = image_module.fromarray(flat)
    resized = image.resize(size[::-1], image_module.Resampling[how.upper()])
    return np.array(resized, np.uint8).reshape(*size, picture.shape[2])


def upright(operation: str, image: Any) -> NDArray[np.uint8]:
    """Return a picture that Pillow opened, as `decode` returns what is in a file."""
    image.load()  # a PNG's EXIF may follow its pixels
    turn = _UPRIGHT.get(image.getexif().get(_ORIENTATION, 1))
    return _rgb(image if turn is None else image.transpose(_pillow(operation).Transpose[turn]))


def _rgb(image: Any) -> NDArray[np.uint8]:
    if image.mode.startswith("I"):  # 16 bits, of which convert would cut off what exceeds 255
        grey = np.clip(np.asarray(image).astype(np.int64) >> 8, 0, 255).astype(np.uint8)
        return np.repeat(grey[:, :, None], 3, axis=2)
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")  # Pillow warns of the direct way
    return np.array(image if image.mode == "RGB" else image.convert("RGB"), np.uint8)


def _pillow(operation: str) -> Any:
    try:
        from PIL import Image
    except ImportError as error:
        raise ImportError(
            f"{operation}: pictures need pillow: pip install 'fastconv[data]'"
        ) from error
    return Image

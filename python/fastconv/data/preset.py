"""What becomes of a photo before a network sees it: a part of its weights as much as any layer."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._arguments import integer, numbers, pair
from .pictures import FILTERS, decode, resize, upright

__all__ = ["Preset", "is_photo"]

_ORDERS = ("RGB", "BGR", "L")
# The mean and the deviation of ImageNet's pictures, as torchvision's networks were trained with.
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_LUMA = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601, as Pillow's "L"


@dataclass(frozen=True)
class Preset:
    """How photos become the input of a network: resize, crop, order of channels, (byte - mean) *
    scale.

    size: (height, width) that the network takes.
    resize: length of the shorter side before the centre is cut out; None: the whole picture is
        resized to `size`, whatever its shape.
    order: "RGB", "BGR", or "L" (grey, one channel).
    mean, scale: on bytes 0 to 255, one a channel, in `order`; as `fastconv.compile(preset=)`.
    filter: of the resizing: "bilinear", "bicubic", "lanczos", "nearest".

    >>> Preset.imagenet().prepare(np.zeros((300, 400, 3), np.uint8)).shape
    (3, 224, 224)
    """

    size: tuple[int, int] = (224, 224)
    resize: int | None = 256
    order: str = "RGB"
    mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    scale: tuple[float, ...] = (1.0, 1.0, 1.0)
    filter: str = "bilinear"

    def __post_init__(self) -> None:
        channels = 1 if self.order == "L" else 3
        # JSON brings lists.
        for name in ("mean", "scale"):
            object.__setattr__(self, name, numbers("Preset", name, getattr(self, name)))
        if not isinstance(self.size, (tuple, list)):
            raise TypeError(f"Preset: size must be (height, width) (size={self.size!r})")
        object.__setattr__(self, "size", pair("Preset", "size", self.size, 1))
        if self.resize is not None:
            integer("Preset", "resize", self.resize, 1)
        if self.order not in _ORDERS or self.filter not in FILTERS:
            raise ValueError(
                f"Preset: order must be one of {', '.join(_ORDERS)} and filter one of "
                f"{', '.join(FILTERS)} (order={self.order!r}, filter={self.filter!r})"
            )
        if len(self.mean) != channels or len(self.scale) != channels:
            raise ValueError(
                f"Preset: mean and scale must have one value per channel of {self.order!r} "
                f"(mean={self.mean}, scale={self.scale})"
            )
        if self.resize is not None and self.resize < max(self.size):
            raise ValueError(
                f"Preset: resize must not be smaller than what is cut out "
                f"(resize={self.resize}, size={self.size})"
            )

    @classmethod
    def imagenet(cls, size: int = 224, resize: int | None = 256) -> Preset:
        """Return what torchvision's networks expect: RGB, ImageNet's mean and deviation."""
        return cls(
            (size, size),
            resize,
            "RGB",
            tuple(255 * m for m in _MEAN),
            tuple(1 / (255 * s) for s in _STD),
        )

    @classmethod
    def caffe(
        cls,
        size: int = 224,
        resize: int | None = 256,
        mean: Sequence[float] = (103.939, 116.779, 123.68),
        scale: float = 1.0,
    ) -> Preset:
        """Return what Caffe's networks expect: BGR, bytes minus a mean (here VGG's)."""
        return cls((size, size), resize, "BGR", tuple(mean), (scale,) * 3)

    def prepare(self, photo: Any) -> NDArray[np.float32]:
        """Return a photo, a file, Pillow's picture or an array (H, W, 3) of uint8 RGB, as
        (C, H, W) float32.

        Raises PictureError (a ValueError) for what is no picture; files need the extra `data`.
        """
        return np.ascontiguousarray(self.normalize(self.cut(photo)[None])[0])

    def cut(self, photo: Any) -> NDArray[np.uint8]:
        """Return a photo, as `prepare` takes it, resized and cut to `size`: (H, W, 3), RGB."""
        picture = _read(photo)
        height, width = picture.shape[:2]
        if self.resize is None:
            wanted = self.size
        else:
            by = self.resize / min(height, width)
            wanted = max(round(height * by), self.size[0]), max(round(width * by), self.size[1])
        if wanted != (height, width):
            picture = resize("Preset.prepare", picture, wanted, self.filter)
        top, left = ((wanted[axis] - self.size[axis]) // 2 for axis in (0, 1))
        return picture[top : top + self.size[0], left : left + self.size[1]]

    def normalize(self, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return pictures that `cut` left, (N, H, W, 3), as (N, C, H, W) float32 in the order, with
        mean and scale; channels are last in memory. Raises TypeError for anything else."""
        if pictures.dtype != np.uint8 or pictures.ndim != 4 or pictures.shape[3] != 3:
            raise TypeError(
                "Preset.normalize: pictures must be (N, H, W, 3) of uint8 "
                f"(shape={pictures.shape}, dtype={pictures.dtype})"
            )
        if self.order == "L":
            source: NDArray[Any] = (pictures.astype(np.float32) @ _LUMA).round()[..., None]
        else:
            source = pictures[..., ::-1] if self.order == "BGR" else pictures
        out = np.empty((*pictures.shape[:3], len(self.mean)), np.float32)
        for place in range(len(self.mean)):
            out[..., place] = source[..., place]
        # Long loops, not ones of a pixel's channels.
        n, h, w, c = out.shape
        lines = out.reshape(n * h, w * c)
        lines -= np.tile(np.array(self.mean, np.float32), w)
        lines *= np.tile(np.array(self.scale, np.float32), w)
        standing: NDArray[np.float32] = out.transpose(0, 3, 1, 2)
        return standing

    def batch(self, photos: Any) -> NDArray[np.float32]:
        """Return one photo, or an iterable of them, as (N, C, H, W)."""
        prepared = [self.prepare(photo) for photo in ([photos] if is_photo(photos) else photos)]
        if not prepared:
            raise ValueError("Preset.batch: there must be a photo (photos=[])")
        return np.stack(prepared)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields, as JSON has them; `Preset(**fields)` is the way back."""
        return asdict(self)


def is_photo(photos: Any) -> bool:
    """Whether this is one photo, and no iterable of them."""
    return (
        isinstance(photos, (str, os.PathLike))
        or getattr(photos, "ndim", None) in (2, 3)
        or not hasattr(photos, "__iter__")
    )


def _read(photo: Any) -> NDArray[np.uint8]:
    if isinstance(photo, (str, os.PathLike)):
        return decode("Preset.prepare", Path(photo).read_bytes(), str(photo))
    if hasattr(photo, "getexif"):
        return upright("Preset.prepare", photo)
    if isinstance(photo, np.ndarray) and photo.dtype == np.uint8 and photo.shape[2:] == (3,):
        if photo.size == 0:
            raise ValueError(f"Preset.prepare: a photo must have pixels (shape={photo.shape})")
        return photo
    found = getattr(photo, "shape", type(photo).__name__), getattr(photo, "dtype", None)
    raise TypeError(
        "Preset.prepare: a photo must be a file, a picture opened with Pillow, or an array "
        f"(H, W, 3) of uint8 (found={found})"
    )

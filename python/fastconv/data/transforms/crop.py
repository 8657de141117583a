"""Cutting windows of one size out of pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..._arguments import not_negative
from ._pictures import Pictures, check, lying, pair, standing

__all__ = ["CenterCrop", "RandomCrop"]


@dataclass(frozen=True)
class CenterCrop:
    """Cut the middle, `size` (a side, or height and width), out of each picture.

    Raises ValueError for a picture that is smaller (torchvision's would pad it).
    """

    size: int | tuple[int, int]

    def __post_init__(self) -> None:
        pair("CenterCrop", self.size)

    def __call__(self, pictures: Any, rng: np.random.Generator | None = None) -> Pictures:
        pictures = check("CenterCrop", pictures)
        if isinstance(pictures, list):
            return np.stack([self._cut(one[None])[0] for one in pictures])
        return standing(self._cut(lying(pictures)))

    def _cut(self, pictures: NDArray[Any]) -> NDArray[Any]:
        height, width = pair("CenterCrop", self.size)
        _fits("CenterCrop", pictures.shape[1:3], (height, width))
        # Halves are rounded to even, as torchvision's are.
        top = round((pictures.shape[1] - height) / 2)
        left = round((pictures.shape[2] - width) / 2)
        return pictures[:, top : top + height, left : left + width]


@dataclass(frozen=True)
class RandomCrop:
    """Surround each picture with `padding` (0) black pixels, then cut `size` (a side, or height and
    width) out of it anywhere.

    Raises ValueError for a picture that is smaller.
    """

    size: int | tuple[int, int]
    padding: int = 0

    def __post_init__(self) -> None:
        pair("RandomCrop", self.size)
        if not isinstance(self.padding, (int, np.integer)):
            raise TypeError(f"RandomCrop: padding must be an integer (padding={self.padding!r})")
        not_negative("RandomCrop", "padding", self.padding)

    def __call__(self, pictures: Any, rng: np.random.Generator) -> Pictures:
        pictures = check("RandomCrop", pictures)
        if isinstance(pictures, list):
            return np.stack([self._cut(one[None], rng)[0] for one in pictures])
        return standing(self._cut(lying(pictures), rng))

    def _cut(self, pictures: NDArray[Any], rng: np.random.Generator) -> NDArray[Any]:
        height, width = pair("RandomCrop", self.size)
        edge = self.padding
        n, h, w, c = pictures.shape
        _fits("RandomCrop", (h + 2 * edge, w + 2 * edge), (height, width))
        padded = np.zeros((n, h + 2 * edge, w + 2 * edge, c), pictures.dtype)
        padded[:, edge : edge + h, edge : edge + w] = pictures
        down = rng.integers(0, h + 2 * edge - height + 1, n)
        right = rng.integers(0, w + 2 * edge - width + 1, n)
        # Lines of a window are contiguous once columns and channels are one axis.
        lines = padded.reshape(n, h + 2 * edge, (w + 2 * edge) * c)
        windows = np.lib.stride_tricks.sliding_window_view(lines, (height, width * c), (1, 2))
        chosen: NDArray[Any] = windows[np.arange(n), down, right * c]
        return chosen.reshape(n, height, width, c)


def _fits(operation: str, found: tuple[int, ...], size: tuple[int, int]) -> None:
    if found[0] < size[0] or found[1] < size[1]:
        raise ValueError(
            f"{operation}: pictures must be at least as large as what is cut out of them "
            f"(picture={found[0]}x{found[1]}, size={size[0]}x{size[1]})"
        )

"""Scaling pictures: to a size, and from a random part."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..._arguments import numbers
from ..pictures import FILTERS, resize
from ._pictures import Pictures, check, pair, stack

__all__ = ["RandomResizedCrop", "Resize"]

_ATTEMPTS = 10  # as torchvision


@dataclass(frozen=True)
class Resize:
    """Scale each picture to `size`: (height, width), or the shorter side, keeping proportions.

    `interpolation` is "bilinear" (default), "nearest", "bicubic" or "lanczos", all but "nearest"
    averaging over what a smaller pixel covers (Pillow's). Needs the extra `data`.
    """

    size: int | tuple[int, int]
    interpolation: str = "bilinear"

    def __post_init__(self) -> None:
        pair("Resize", self.size)
        _known("Resize", self.interpolation)

    def __call__(self, pictures: Any, rng: np.random.Generator | None = None) -> Pictures:
        pictures = check("Resize", pictures, floats=False)
        scaled = [
            resize("Resize", one, self._target(*one.shape[:2]), self.interpolation)
            for one in pictures
        ]
        result: Pictures = stack(scaled)
        return result

    def _target(self, height: int, width: int) -> tuple[int, int]:
        if isinstance(self.size, (tuple, list)):
            return pair("Resize", self.size)
        # The longer side is rounded down, as torchvision's is.
        longer = int(self.size * max(height, width) / min(height, width))
        return (self.size, longer) if height <= width else (longer, self.size)


@dataclass(frozen=True)
class RandomResizedCrop:
    """Cut a random part out of each picture and scale it to `size` (a side, or height and width).

    The part has a share of the area between the two of `scale` (0.08, 1), evenly distributed, and
    a width of between `ratio` (3/4, 4/3) heights, evenly by logarithm. After ten parts that reach
    out of the picture, the largest in its middle is taken, with `ratio` kept. `interpolation` as in
    `Resize`. Needs the extra `data`. Source: Szegedy et al. 2014, section 6
    (https://arxiv.org/abs/1409.4842); details as in torchvision.
    """

    size: int | tuple[int, int]
    scale: tuple[float, float] = (0.08, 1.0)
    ratio: tuple[float, float] = (3 / 4, 4 / 3)
    interpolation: str = "bilinear"

    def __post_init__(self) -> None:
        pair("RandomResizedCrop", self.size)
        _known("RandomResizedCrop", self.interpolation)
        for name, limits in (("scale", self.scale), ("ratio", self.ratio)):
            low, high = numbers("RandomResizedCrop", name, limits, 2)
            if not 0 < low <= high:
                raise ValueError(
                    f"RandomResizedCrop: {name} must be two positive numbers, the smaller first "
                    f"({name}={limits})"
                )

    def __call__(self, pictures: Any, rng: np.random.Generator) -> Pictures:
        pictures = check("RandomResizedCrop", pictures, floats=False)
        size = pair("RandomResizedCrop", self.size)
        scaled = []
        for one in pictures:
            top, left, height, width = self._part(one.shape[0], one.shape[1], rng)
            part = one[top : top + height, left : left + width]
            scaled.append(resize("RandomResizedCrop", part, size, self.interpolation))
        return np.stack(scaled)

    def _part(self, height: int, width: int, rng: np.random.Generator) -> tuple[int, int, int, int]:
        """Draw (top, left, height, width) of a part of a picture."""
        low, high = self.ratio
        for _ in range(_ATTEMPTS):
            area = height * width * rng.uniform(*self.scale)
            ratio = math.exp(rng.uniform(math.log(low), math.log(high)))
            w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
            if 0 < w <= width and 0 < h <= height:
                top = int(rng.integers(0, height - h + 1))
                return top, int(rng.integers(0, width - w + 1)), h, w
        w, h = min(width, round(height * high)), min(height, round(width / low))
        w, h = max(w, 1), max(h, 1)
        return (height - h) // 2, (width - w) // 2, h, w


def _known(operation: str, interpolation: str) -> None:
    if interpolation not in FILTERS:
        raise ValueError(
            f"{operation}: interpolation must be one of {', '.join(FILTERS)} "
            f"(interpolation={interpolation!r})"
        )

"""Changing the light that pictures were taken in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..._arguments import number, numbers
from ._pictures import Pictures, check

__all__ = ["ColorJitter"]

_GREY = (0.2989, 0.587, 0.114)  # ITU-R BT.601, in torchvision's digits
_FLOATS = 1 << 17  # pictures are done together as long as they fit into L2


@dataclass(frozen=True)
class ColorJitter:
    """Change brightness, contrast and saturation of each picture by random factors.

    Each is a number (default 0: unchanged), for factors from max(0, 1 - it) to 1 + it, or a pair of
    limits. Brightness multiplies; contrast and saturation mix with the picture's mean grey and with
    its own greys; their order is drawn anew for each batch. uint8 in and out, rounded once in the
    end. Formulas: torchvision's, for float pictures.
    """

    brightness: float | tuple[float, float] = 0.0
    contrast: float | tuple[float, float] = 0.0
    saturation: float | tuple[float, float] = 0.0

    def __post_init__(self) -> None:
        self._limits()

    def __call__(self, pictures: Any, rng: np.random.Generator) -> Pictures:
        pictures = check("ColorJitter", pictures, floats=False)
        order = rng.permutation(3)
        low, high = np.array(self._limits()).T
        factors = rng.uniform(low, high, (len(pictures), 3)).astype(np.float32)
        if isinstance(pictures, list):
            return [
                _jitter(one[None], order, factors[place : place + 1])[0]
                for place, one in enumerate(pictures)
            ]
        result = np.empty(pictures.shape, np.uint8)
        together = max(1, _FLOATS // max(1, pictures[0].size)) if len(pictures) else 1
        for start in range(0, len(pictures), together):
            part = slice(start, start + together)
            result[part] = _jitter(pictures[part], order, factors[part])
        return result

    def _limits(self) -> list[tuple[float, float]]:
        """The limits of the three factors."""
        found = []
        for name in ("brightness", "contrast", "saturation"):
            value = getattr(self, name)
            if isinstance(value, (tuple, list)):
                low, high = numbers("ColorJitter", name, value, 2)
            else:
                one = number("ColorJitter", name, value)
                low, high = max(0.0, 1 - one), 1 + one
            if not 0 <= low <= high:
                raise ValueError(
                    f"ColorJitter: {name} must be a number from 0 on or two, the smaller first "
                    f"({name}={value})"
                )
            found.append((low, high))
        return found


def _jitter(
    pictures: NDArray[np.uint8], order: NDArray[np.int64], factors: NDArray[np.float32]
) -> NDArray[np.uint8]:
    """Apply `factors` (N, 3) to (N, H, W, C) in `order`: 0 brightness, 1 contrast, 2 saturation."""
    x = pictures.astype(np.float32)
    for which in order.tolist():
        factor = factors[:, which, None, None, None]
        if (factor == 1).all():
            continue
        if which == 0:
            x *= factor
        else:
            grey = _grey(x)
            if which == 1:
                grey = grey.mean((1, 2, 3), keepdims=True)
            x *= factor
            x += (1 - factor) * grey
        np.clip(x, 0, 255, out=x)
    rounded: NDArray[np.uint8] = np.rint(x, out=x).astype(np.uint8)
    return rounded


def _grey(x: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return (N, H, W, 1) of (N, H, W, C)."""
    if x.shape[3] not in (1, 3):
        raise ValueError(f"ColorJitter: pictures must have 1 or 3 channels (shape={x.shape})")
    weights = (1.0,) if x.shape[3] == 1 else _GREY
    grey: NDArray[np.float32] = x[..., :1] * np.float32(weights[0])
    for channel, weight in enumerate(weights[1:], 1):
        grey += x[..., channel : channel + 1] * np.float32(weight)
    return grey

"""From bytes to what networks are trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..._arguments import numbers
from ..dataset import channels_first, channels_last
from ._pictures import check, sizes

__all__ = ["Normalize"]


@dataclass(frozen=True)
class Normalize:
    """Subtract `mean` and divide by `std`, both of values from 0 to 1, one each per channel.

    uint8 (N, H, W, C) or float32 (N, C, H, W) in, float32 (N, C, H, W) with channels last in memory
    out. torchvision's needs `ToTensor` before it; here bytes are divided by 255 on the way. Raises
    ValueError for pictures of several sizes and for another number of channels.
    """

    mean: Sequence[float]
    std: Sequence[float]

    def __post_init__(self) -> None:
        mean, std = (numbers("Normalize", name, getattr(self, name)) for name in ("mean", "std"))
        if len(mean) != len(std):
            raise ValueError(
                "Normalize: mean and std must have one value per channel "
                f"(mean={self.mean}, std={self.std})"
            )
        if not all(one > 0 for one in std):
            raise ValueError(f"Normalize: std must be positive (std={self.std})")

    def __call__(
        self, pictures: Any, rng: np.random.Generator | None = None
    ) -> NDArray[np.float32]:
        pictures = check("Normalize", pictures)
        if isinstance(pictures, list):
            raise ValueError(
                "Normalize: pictures must have one size; put Resize((h, w)) or a crop before it "
                f"(sizes={sizes(pictures)})"
            )
        whole = 255.0 if pictures.dtype == np.uint8 else 1.0
        pictures = pictures if pictures.dtype == np.uint8 else channels_last(pictures)
        n, h, w, c = pictures.shape
        if len(self.mean) != c:
            raise ValueError(
                "Normalize: mean and std must have one value per channel "
                f"(channels={c}, values={len(self.mean)})"
            )
        scale = 1.0 / (np.array(self.std, np.float64) * whole)
        shift = -np.array(self.mean, np.float64) / np.array(self.std, np.float64)
        floats = pictures.astype(np.float32, order="C")
        lines = floats.reshape(n * h, w * c)  # long loops, not ones of a pixel's channels
        lines *= np.tile(scale, w).astype(np.float32)
        lines += np.tile(shift, w).astype(np.float32)
        return channels_first(floats)

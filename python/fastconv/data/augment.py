"""Changes to pictures that leave what they show alone, so that few of them teach like many."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["random_shift"]


def random_shift(images: NDArray[Any], rng: np.random.Generator, pixels: int = 2) -> NDArray[Any]:
    """Move each picture of (N, C, H, W) by up to `pixels` (default 2) each way; zeros come in.

    Raises ValueError for a rank other than 4 or a negative `pixels`.
    """
    if images.ndim != 4:
        raise ValueError(f"random_shift: images must have 4 dimensions (shape={images.shape})")
    if pixels < 0:
        raise ValueError(f"random_shift: pixels must not be negative (pixels={pixels})")
    count, channels, height, width = images.shape
    padded = np.zeros((count, channels, height + 2 * pixels, width + 2 * pixels), images.dtype)
    padded[:, :, pixels : pixels + height, pixels : pixels + width] = images
    windows = np.lib.stride_tricks.sliding_window_view(padded, (height, width), (2, 3))
    down, right = rng.integers(0, 2 * pixels + 1, (2, count))
    return windows[np.arange(count), :, down, right]

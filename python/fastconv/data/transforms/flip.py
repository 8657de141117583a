"""Mirroring pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..._arguments import probability
from ._pictures import Pictures, check, lying

__all__ = ["RandomHorizontalFlip"]


@dataclass(frozen=True)
class RandomHorizontalFlip:
    """Exchange left and right of each picture with probability `p` (0.5)."""

    p: float = 0.5

    def __post_init__(self) -> None:
        probability("RandomHorizontalFlip", "p", self.p)

    def __call__(self, pictures: Any, rng: np.random.Generator) -> Pictures:
        pictures = check("RandomHorizontalFlip", pictures)
        chosen = rng.random(len(pictures)) < self.p
        if isinstance(pictures, list):
            return [
                one[:, ::-1] if flip else one for one, flip in zip(pictures, chosen, strict=True)
            ]
        flipped: NDArray[Any] = pictures.copy(order="K")
        # Channel by channel: loops are then as long as a line, not as a pixel.
        before, after = lying(pictures), lying(flipped)
        for channel in range(before.shape[3]):
            after[chosen, :, :, channel] = before[chosen, :, ::-1, channel]
        return flipped

"""The values between layers: Keras's shapes over this library's layouts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...autograd import Tensor, ops
from ...nn import Module

__all__ = ["Reorder", "Size", "Value", "features"]

Size = int | None  # None: the file leaves it open


@dataclass(frozen=True)
class Value:
    """What a layer of the network built returns.

    shape: Keras's, in Keras's order of axes, without the batch. Values with three axes are feature
    maps, here always (N, C, H, W) whatever Keras's order; others have Keras's axes.
    order: of a value with one axis, how its features lie where that is not Keras's order: the
    stretches they consist of. (n,) is n features in order, and (C, H, W) feature maps flattened in
    that order which Keras flattened as (H, W, C).
    """

    name: str  # in the GraphModule
    shape: tuple[Size, ...]
    order: tuple[tuple[int, ...], ...] | None = None

    @property
    def is_maps(self) -> bool:
        """Whether the value is feature maps."""
        return len(self.shape) == 3


def features(order: Sequence[tuple[int, ...]]) -> NDArray[np.int64]:
    """Return, for each feature of ours, its number in Keras's order."""
    parts = []
    start = 0
    for part in order:
        numbers = np.arange(start, start + math.prod(part))
        if len(part) == 3:
            channels, height, width = part
            numbers = numbers.reshape(height, width, channels).transpose(2, 0, 1).ravel()
        parts.append(numbers)
        start += math.prod(part)
    return np.concatenate(parts)


class Reorder(Module):
    """The features of (N, F) in another order: feature i of the output is `features[i]`."""

    def __init__(self, features: NDArray[np.int64]) -> None:
        self.features = features

    def forward(self, x: Tensor) -> Tensor:
        return ops.index(x, (slice(None), self.features))

    def extra_repr(self) -> str:
        return f"{len(self.features)} features"

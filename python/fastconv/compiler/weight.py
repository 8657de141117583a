"""Weights as the network has them, together with what passes did to them.

A pass that scales a convolution's weights does not touch them: it notes the factors, and they are
applied when the weights are packed. So compiling holds no second copy of a network's weights.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _core

__all__ = ["Weight", "scaled_bias"]


@dataclass(frozen=True, eq=False)
class Weight:
    """Arrays (O, ...), joined along the first axis; each may have one factor per output.

    `pictures` is (C, H, W) where the second axis counts elements of pictures in that order, and
    shall count them in the order (H, W, C).
    """

    parts: tuple[NDArray[np.float32], ...]
    scales: tuple[NDArray[np.float64] | None, ...]
    samples: tuple[bytes, ...]  # some numbers of each part, to notice that it was trained
    pictures: tuple[int, int, int] | None = None

    @staticmethod
    def of(array: NDArray[np.float32]) -> Weight:
        return Weight((array,), (None,), (_sample(array),))

    @staticmethod
    def joined(weights: list[Weight]) -> Weight:
        """Return the outputs of several weights, one after the other."""
        return Weight(
            tuple(part for weight in weights for part in weight.parts),
            tuple(scale for weight in weights for scale in weight.scales),
            tuple(sample for weight in weights for sample in weight.samples),
        )

    @property
    def shape(self) -> tuple[int, ...]:
        return (sum(len(part) for part in self.parts), *self.parts[0].shape[1:])

    @property
    def size(self) -> int:
        return prod(self.shape)

    def scaled(self, factors: NDArray[np.float64]) -> Weight:
        """Return the weight with every output multiplied by its factor (O,)."""
        starts = np.cumsum([len(part) for part in self.parts])[:-1]
        scales = tuple(
            new if old is None else old * new
            for old, new in zip(self.scales, np.split(factors, starts), strict=True)
        )
        return replace(self, scales=scales)

    def channels_last(self, pictures: tuple[int, ...]) -> Weight:
        """Return the weight for inputs that are pictures (C, H, W) in the order (H, W, C)."""
        channels, height, width = pictures
        return replace(self, pictures=(channels, height, width))

    def array(self) -> NDArray[np.float32]:
        """Return the weight itself; an array of the network's where nothing was done to it.

        Raises ValueError if the network's weights have changed.
        """
        self._check()
        arrays = [_scaled(part, s) for part, s in zip(self.parts, self.scales, strict=True)]
        joined = arrays[0] if len(arrays) == 1 else np.concatenate(arrays)
        if self.pictures is not None:
            channels, height, width = self.pictures
            ordered = np.empty((len(joined), height, width, channels), np.float32)
            _core.nchw_to_nhwc(joined.reshape(-1, *self.pictures), ordered)
            joined = ordered.reshape(joined.shape)
        # The view has NumPy's own float32; an array that was pickled has an equal one.
        return np.ascontiguousarray(joined).view(np.float32)

    def _check(self) -> None:
        if self.samples != tuple(map(_sample, self.parts)):
            raise ValueError(
                f"compile: the network's weights have changed since it was compiled; "
                f"compile it again (shape={self.shape})"
            )

    def __getstate__(self) -> dict[str, Any]:
        self._check()
        return self.__dict__


def _sample(array: NDArray[np.float32]) -> bytes:
    return array.flat[:: max(1, array.size // 64)].tobytes()


def _scaled(part: NDArray[np.float32], scale: Any) -> NDArray[np.float32]:
    if scale is None:
        return part
    factors = scale.astype(np.float32).reshape(-1, *(1,) * (part.ndim - 1))
    result: NDArray[np.float32] = part * factors
    return result


def scaled_bias(
    bias: NDArray[np.float64] | None, scale: NDArray[np.float64], shift: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the bias of scale * (x + bias) + shift."""
    return shift if bias is None else bias * scale + shift

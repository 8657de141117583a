"""What Caffe has and PyTorch has no layer for."""

from __future__ import annotations

import numpy as np

from ..._arguments import number
from ...autograd import Tensor, ops
from ...nn import Module

__all__ = ["Absolute", "LocalResponseNormWithin", "Maximum", "Narrow", "ScaleShift", "WeightedSum"]


class ScaleShift(Module):
    """scale * x + shift, which are numbers."""

    def __init__(self, scale: float, shift: float) -> None:
        self.scale = number("ScaleShift", "scale", scale)
        self.shift = number("ScaleShift", "shift", shift)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.scale + self.shift

    def extra_repr(self) -> str:
        return f"scale={self.scale}, shift={self.shift}"


class Absolute(Module):
    """|x|."""

    def forward(self, x: Tensor) -> Tensor:
        return ops.relu(x) + ops.relu(-x)


class WeightedSum(Module):
    """The sum of inputs of one shape, each times a coefficient."""

    def __init__(self, *coefficients: float) -> None:
        self.coefficients = tuple(number("WeightedSum", "coefficient", c) for c in coefficients)

    def forward(self, *xs: Tensor) -> Tensor:
        first, *rest = (x * c for x, c in zip(xs, self.coefficients, strict=True))
        for term in rest:
            first = first + term
        return first

    def extra_repr(self) -> str:
        return ", ".join(map(str, self.coefficients))


class Maximum(Module):
    """The maximum, element by element, of inputs of one shape."""

    def forward(self, *xs: Tensor) -> Tensor:
        # One above the other, so that a pooling finds the maximum, and the gradient's way.
        rows = [ops.reshape(x, (x.shape[0], x.shape[1], 1, -1)) for x in xs]
        stacked = ops.concat(rows, 2)
        return ops.reshape(ops.max_pool2d(stacked, (len(xs), 1), 1, 0, 1, False), xs[0].shape)


class Narrow(Module):
    """The elements from `start` to `stop` (None: the end) of the axis `dim`."""

    def __init__(self, dim: int, start: int, stop: int | None) -> None:
        self.dim = dim
        self.start = start
        self.stop = stop

    def forward(self, x: Tensor) -> Tensor:
        dim = self.dim + x.ndim if self.dim < 0 else self.dim
        if (
            not 0 <= dim < x.ndim
            or not 0 <= self.start < (self.stop or x.shape[dim]) <= x.shape[dim]
        ):
            raise ValueError(
                f"Narrow: start and stop must be inside the axis "
                f"(dim={self.dim}, start={self.start}, stop={self.stop}, shape={x.shape})"
            )
        return ops.index(x, (*(slice(None),) * dim, slice(self.start, self.stop)))

    def extra_repr(self) -> str:
        return f"dim={self.dim}, start={self.start}, stop={self.stop}"


class LocalResponseNormWithin(Module):
    """Divide by (1 + alpha / size**2 * sum of squares over size x size pixels of the channel)
    ** beta, (N, C, H, W); `size` is odd.
    """

    def __init__(self, size: int, alpha: float, beta: float) -> None:
        self.size = size
        self.alpha = number("LocalResponseNormWithin", "alpha", alpha)
        self.beta = number("LocalResponseNormWithin", "beta", beta)

    def forward(self, x: Tensor) -> Tensor:
        # The pixels around each one become channels, of which the middle one is then divided by
        # the sum over all: the norm across channels.
        channels, around = x.shape[1], self.size**2
        each = np.eye(around, dtype=x.dtype).reshape(around, 1, self.size, self.size)
        each = np.tile(each, (channels, 1, 1, 1))
        spread = ops.conv2d(x, each, padding=self.size // 2, groups=channels)
        normed = ops.local_response_norm(spread, around, self.alpha, self.beta, 1.0)
        middle = np.eye(1, around, around // 2, dtype=x.dtype).reshape(1, around, 1, 1)
        return ops.conv2d(normed, np.tile(middle, (channels, 1, 1, 1)), groups=channels)

    def extra_repr(self) -> str:
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}"

"""Layers with several inputs, and those that scale: what joins the branches of a network."""

from __future__ import annotations

import numpy as np

from .._arguments import flag
from ..autograd import Tensor, ops
from .module import Module, Parameter

__all__ = ["Add", "Affine", "Concat", "Div", "Mul", "Sub"]


class Add(Module):
    """The sum of any number of inputs, which broadcast."""

    def forward(self, x: Tensor, *others: Tensor) -> Tensor:
        for other in others:
            x = ops.add(x, other)
        return x


class Sub(Module):
    """x - y, broadcast."""

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return ops.sub(x, y)


class Mul(Module):
    """The product, element by element, of any number of inputs, which broadcast."""

    def forward(self, x: Tensor, *others: Tensor) -> Tensor:
        for other in others:
            x = ops.mul(x, other)
        return x


class Div(Module):
    """x / y, element by element, broadcast."""

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return ops.div(x, y)


class Concat(Module):
    """Join any number of inputs along the axis `dim`: by default the channels of (N, C, H, W)."""

    def __init__(self, dim: int = 1) -> None:
        self.dim = dim

    def forward(self, *xs: Tensor) -> Tensor:
        return ops.concat(xs, self.dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class Affine(Module):
    """A factor and, unless `bias` is False, a summand a channel: Caffe's Scale layer.

    x is (N, C, ...); weight and bias are (C,).
    """

    def __init__(self, num_features: int, bias: bool = True) -> None:
        self.num_features = num_features
        self.weight = Parameter(np.ones(num_features, np.float32))
        flag("Affine", "bias", bias)
        self.bias = Parameter(np.zeros(num_features, np.float32)) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        shape = (1, self.num_features) + (1,) * (x.ndim - 2)
        x = x * self.weight.reshape(shape)
        return x if self.bias is None else x + self.bias.reshape(shape)

    def extra_repr(self) -> str:
        return f"{self.num_features}, bias={self.bias is not None}"

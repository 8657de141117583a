"""Activation layers; all keep the shape."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._arguments import integer, number
from ..autograd import Tensor, ops
from .module import Module, Parameter

__all__ = [
    "Clip",
    "LeakyReLU",
    "LogSoftmax",
    "PReLU",
    "ReLU",
    "ReLU6",
    "Sigmoid",
    "Softmax",
    "Tanh",
]


class ReLU(Module):
    """max(x, 0). `inplace` is accepted for PyTorch's sake and changes nothing."""

    def __init__(self, inplace: bool = False) -> None:
        pass

    def forward(self, x: Tensor) -> Tensor:
        return ops.relu(x)


class LeakyReLU(Module):
    """x where positive, `negative_slope * x` elsewhere."""

    def __init__(self, negative_slope: float = 0.01) -> None:
        self.negative_slope = number("LeakyReLU", "negative_slope", negative_slope)

    def forward(self, x: Tensor) -> Tensor:
        return ops.leaky_relu(x, self.negative_slope)

    def extra_repr(self) -> str:
        return f"negative_slope={self.negative_slope}"


class PReLU(Module):
    """x where positive, `weight * x` elsewhere, with one learned weight or one a channel.

    He et al. 2015, https://arxiv.org/abs/1502.01852. `weight` is (num_parameters,).
    """

    def __init__(self, num_parameters: int = 1, init: float = 0.25) -> None:
        self.num_parameters = integer("PReLU", "num_parameters", num_parameters, 1)
        self.init = number("PReLU", "init", init)
        self.weight = Parameter(np.full(self.num_parameters, self.init, np.float32))

    def reset_parameters(self) -> None:
        """Set the weights to what they were at first."""
        self.weight.data.fill(self.init)

    def forward(self, x: Tensor) -> Tensor:
        return ops.prelu(x, self.weight)

    def extra_repr(self) -> str:
        return f"num_parameters={self.num_parameters}"


class Sigmoid(Module):
    """1 / (1 + exp(-x))."""

    def forward(self, x: Tensor) -> Tensor:
        return ops.sigmoid(x)


class Tanh(Module):
    """The hyperbolic tangent."""

    def forward(self, x: Tensor) -> Tensor:
        return ops.tanh(x)


class Clip(Module):
    """x limited to [min, max]; None sets no limit."""

    def __init__(self, min: float | None = None, max: float | None = None) -> None:
        self.min = None if min is None else number("Clip", "min", min)
        self.max = None if max is None else number("Clip", "max", max)
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"Clip: min must not exceed max (min={min}, max={max})")

    def forward(self, x: Tensor) -> Tensor:
        return ops.clip(x, self.min, self.max)

    def extra_repr(self) -> str:
        return f"min={self.min}, max={self.max}"


class ReLU6(Clip):
    """min(max(x, 0), 6). `inplace` is accepted for PyTorch's sake and changes nothing."""

    def __init__(self, inplace: bool = False) -> None:
        super().__init__(0.0, 6.0)

    def extra_repr(self) -> str:
        return ""


class Softmax(Module):
    """exp(x) scaled to sum to 1 along `dim`."""

    def __init__(self, dim: int = 1) -> None:
        self.dim = _axis("Softmax", dim)

    def forward(self, x: Tensor) -> Tensor:
        return ops.softmax(x, self.dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class LogSoftmax(Module):
    """The logarithm of the softmax along `dim`, without overflow."""

    def __init__(self, dim: int = 1) -> None:
        self.dim = _axis("LogSoftmax", dim)

    def forward(self, x: Tensor) -> Tensor:
        return ops.log_softmax(x, self.dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


def _axis(op: str, dim: Any) -> int:
    return integer(op, "dim", dim, -4)

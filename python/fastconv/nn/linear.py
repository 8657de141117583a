"""Fully connected layers."""

from __future__ import annotations

import math

import numpy as np

from .._arguments import flag, integer
from ..autograd import Tensor, ops
from . import init
from .module import Module, Parameter

__all__ = ["Linear"]


class Linear(Module):
    """x @ weight.T + bias: (..., in) -> (..., out).

    `weight` is (out, in), `bias` (out,) or None, initialised as in PyTorch.
    """

    def __init__(self, in_features: int, out_features: int, bias: bool = True) -> None:
        self.in_features = integer("Linear", "in_features", in_features, 1)
        self.out_features = integer("Linear", "out_features", out_features, 1)
        self.weight = Parameter(np.zeros((self.out_features, self.in_features), np.float32))
        self.bias = (
            Parameter(np.zeros(self.out_features, np.float32))
            if flag("Linear", "bias", bias)
            else None
        )
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw weight and bias anew."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            bound = 1 / math.sqrt(self.in_features)
            init.uniform_(self.bias, -bound, bound)

    def forward(self, x: Tensor) -> Tensor:
        return ops.linear(x, self.weight, self.bias)

    def extra_repr(self) -> str:
        return (
            f"in_features={self.in_features}, out_features={self.out_features}, "
            f"bias={self.bias is not None}"
        )

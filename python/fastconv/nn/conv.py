"""Convolution layers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..autograd import Tensor, ops
from ..autograd.geometry import integer, padding_of, pair
from . import init
from .arguments import flag
from .module import Module, Parameter

__all__ = ["Conv2d"]


class Conv2d(Module):
    """2-D convolution (cross-correlation): (N, C, H, W) -> (N, O, OH, OW).

    `kernel_size`, `stride` and `dilation` are an integer or (height, width); `padding` may also be
    ((top, bottom), (left, right)). `groups` splits the channels. `weight` is
    (O, C / groups, KH, KW), `bias` (O,) or None; OH = floor((H + padding - dilation (KH - 1) - 1)
    / stride) + 1. Initialised as in PyTorch (uniform, He et al. 2015, https://arxiv.org/abs/1502.01852).
    Called with `activation="relu"`, it applies a ReLU in the same pass.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
        bias: bool = True,
    ) -> None:
        self.in_channels = integer("Conv2d", "in_channels", in_channels, 1)
        self.out_channels = integer("Conv2d", "out_channels", out_channels, 1)
        self.kernel_size = pair("Conv2d", "kernel_size", kernel_size, 1)
        self.stride = pair("Conv2d", "stride", stride, 1)
        (top, bottom), (left, right) = padding_of("Conv2d", padding)
        self.padding: Any = (
            (top, left) if top == bottom and left == right else ((top, bottom), (left, right))
        )
        self.dilation = pair("Conv2d", "dilation", dilation, 1)
        self.groups = integer("Conv2d", "groups", groups, 1)
        for name, channels in (("in_channels", in_channels), ("out_channels", out_channels)):
            if channels % self.groups:
                raise ValueError(
                    f"Conv2d: groups must divide {name} (groups={groups}, {name}={channels})"
                )
        shape = (self.out_channels, self.in_channels // self.groups, *self.kernel_size)
        self.weight = Parameter(np.zeros(shape, np.float32))
        self.bias = (
            Parameter(np.zeros(self.out_channels, np.float32))
            if flag("Conv2d", "bias", bias)
            else None
        )
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw weight and bias anew."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            bound = 1 / math.sqrt(self.weight.data[0].size)
            init.uniform_(self.bias, -bound, bound)

    def forward(self, x: Tensor, activation: str | None = None) -> Tensor:
        window = (self.stride, self.padding, self.dilation, self.groups)
        return ops.conv2d(x, self.weight, self.bias, *window, activation=activation)

    def extra_repr(self) -> str:
        text = (
            f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, "
            f"stride={self.stride}"
        )
        if self.padding != (0, 0):
            text += f", padding={self.padding}"
        if self.dilation != (1, 1):
            text += f", dilation={self.dilation}"
        if self.groups != 1:
            text += f", groups={self.groups}"
        return text if self.bias is not None else text + ", bias=False"

"""Convolution layers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .._arguments import flag, integer, pair
from ..autograd import Tensor, ops
from ..autograd.geometry import padding_of
from . import init
from .module import Module, Parameter

__all__ = ["Conv2d", "ConvTranspose2d"]


class Conv2d(Module):
    """2-D convolution (cross-correlation): (N, C, H, W) -> (N, O, OH, OW).

    `kernel_size`, `stride` and `dilation` are an integer or (height, width); `padding` may also be
    ((top, bottom), (left, right)). `groups` splits the channels. `weight` is
    (O, C / groups, KH, KW), `bias` (O,) or None; OH = floor((H + padding - dilation (KH - 1) - 1)
    / stride) + 1. Initialised as in PyTorch (uniform, He et al. 2015, https://arxiv.org/abs/1502.01852).
    Called with `activation="relu"`, it applies a ReLU in the same pass, and with the `window` of a
    MaxPool2d as `pooling`, that pooling after it.
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
        self.padding = _padding("Conv2d", padding)
        self.dilation = pair("Conv2d", "dilation", dilation, 1)
        self.groups = _groups("Conv2d", groups, in_channels, out_channels)
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
        _draw(self.weight, self.bias)

    def forward(
        self, x: Tensor, activation: str | None = None, pooling: tuple[Any, ...] | None = None
    ) -> Tensor:
        window = (self.stride, self.padding, self.dilation, self.groups)
        if pooling is not None:
            return ops.conv2d_max_pool2d(x, self.weight, self.bias, window, pooling, activation)
        return ops.conv2d(x, self.weight, self.bias, *window, activation=activation)

    def extra_repr(self) -> str:
        return _text(self)


class ConvTranspose2d(Module):
    """2-D transposed convolution: (N, C, H, W) -> (N, O, OH, OW), the gradient of a Conv2d.

    Arguments as in Conv2d, in PyTorch's order; `output_padding`, an integer or (height, width)
    below stride or dilation, makes the output larger at the bottom and the right. `weight` is
    (C, O / groups, KH, KW), `bias` (O,) or None; OH = (H - 1) stride - padding + dilation (KH - 1)
    + output_padding + 1. Initialised as in PyTorch. Source: Dumoulin and Visin 2016,
    https://arxiv.org/abs/1603.07285.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        output_padding: Any = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Any = 1,
    ) -> None:
        op = "ConvTranspose2d"
        self.in_channels = integer(op, "in_channels", in_channels, 1)
        self.out_channels = integer(op, "out_channels", out_channels, 1)
        self.kernel_size = pair(op, "kernel_size", kernel_size, 1)
        self.stride = pair(op, "stride", stride, 1)
        self.padding = _padding(op, padding)
        self.output_padding = pair(op, "output_padding", output_padding, 0)
        self.groups = _groups(op, groups, in_channels, out_channels)
        self.dilation = pair(op, "dilation", dilation, 1)
        limits = map(max, self.stride, self.dilation)
        if any(extra >= limit for extra, limit in zip(self.output_padding, limits, strict=True)):
            raise ValueError(
                f"{op}: output_padding must be smaller than stride or dilation "
                f"(output_padding={output_padding!r}, stride={stride!r}, dilation={dilation!r})"
            )
        shape = (self.in_channels, self.out_channels // self.groups, *self.kernel_size)
        self.weight = Parameter(np.zeros(shape, np.float32))
        self.bias = (
            Parameter(np.zeros(self.out_channels, np.float32)) if flag(op, "bias", bias) else None
        )
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw weight and bias anew."""
        _draw(self.weight, self.bias)

    def forward(self, x: Tensor) -> Tensor:
        return ops.conv_transpose2d(
            x,
            self.weight,
            self.bias,
            self.stride,
            self.padding,
            self.output_padding,
            self.groups,
            self.dilation,
        )

    def extra_repr(self) -> str:
        return _text(self)


def _padding(op: str, padding: Any) -> Any:
    """Return (height, width) where sides are equal, or ((top, bottom), (left, right))."""
    (top, bottom), (left, right) = padding_of(op, padding)
    return (top, left) if top == bottom and left == right else ((top, bottom), (left, right))


def _groups(op: str, groups: Any, in_channels: int, out_channels: int) -> int:
    number = integer(op, "groups", groups, 1)
    for name, channels in (("in_channels", in_channels), ("out_channels", out_channels)):
        if channels % number:
            raise ValueError(
                f"{op}: groups must divide {name} (groups={groups}, {name}={channels})"
            )
    return number


def _draw(weight: Parameter, bias: Parameter | None) -> None:
    init.kaiming_uniform_(weight, a=math.sqrt(5))
    if bias is not None:
        bound = 1 / math.sqrt(weight.data[0].size)
        init.uniform_(bias, -bound, bound)


def _text(layer: Conv2d | ConvTranspose2d) -> str:
    text = (
        f"{layer.in_channels}, {layer.out_channels}, kernel_size={layer.kernel_size}, "
        f"stride={layer.stride}"
    )
    if layer.padding != (0, 0):
        text += f", padding={layer.padding}"
    if layer.dilation != (1, 1):
        text += f", dilation={layer.dilation}"
    if isinstance(layer, ConvTranspose2d) and layer.output_padding != (0, 0):
        text += f", output_padding={layer.output_padding}"
    if layer.groups != 1:
        text += f", groups={layer.groups}"
    return text if layer.bias is not None else text + ", bias=False"

"""Pooling."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..function import Function

if TYPE_CHECKING:
    from ..tensor import Tensor

__all__ = [
    "AdaptiveAvgPool2d",
    "AvgPool2d",
    "GlobalAvgPool2d",
    "MaxPool2d",
    "adaptive_avg_pool2d",
    "avg_pool2d",
    "global_avg_pool2d",
    "max_pool2d",
    "relu_max_pool2d",
]


class MaxPool2d(Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: np.ndarray,
        kernel_size: Any,
        stride: Any,
        padding: Any,
        dilation: Any,
        ceil_mode: bool | str,
        activation: str | None,
    ) -> np.ndarray:
        pool = ctx.kernels.max_pool2d
        ctx.input_shape = x.shape
        ctx.window = (kernel_size, stride, padding, dilation, ceil_mode)
        result: np.ndarray
        indices = None
        if ctx.needs_input_grad[0]:
            result, indices = pool(x, *ctx.window, True)
        else:
            result = pool(x, *ctx.window)
        if activation is not None:
            result = ctx.kernels.relu(result)
        ctx.save_for_backward(indices, None if activation is None else result)
        return result

    @staticmethod
    def backward(ctx: Any, grad: np.ndarray) -> Any:
        indices, result = ctx.saved
        if result is not None:
            grad = ctx.kernels.relu_backward(grad, result)
        return ctx.kernels.max_pool2d_backward(grad, indices, ctx.input_shape, *ctx.window)


class AvgPool2d(Function):
    @staticmethod
    def forward(ctx: Any, x: np.ndarray, *window: Any) -> np.ndarray:
        ctx.input_shape = x.shape
        ctx.window = window
        result: np.ndarray = ctx.kernels.avg_pool2d(x, *window)
        return result

    @staticmethod
    def backward(ctx: Any, grad: np.ndarray) -> Any:
        return ctx.kernels.avg_pool2d_backward(grad, ctx.input_shape, *ctx.window)


class AdaptiveAvgPool2d(Function):
    @staticmethod
    def forward(ctx: Any, x: np.ndarray, output_size: Any) -> np.ndarray:
        ctx.input_shape = x.shape
        result: np.ndarray = ctx.kernels.adaptive_avg_pool2d(x, output_size)
        return result

    @staticmethod
    def backward(ctx: Any, grad: np.ndarray) -> Any:
        return ctx.kernels.adaptive_avg_pool2d_backward(grad, ctx.input_shape)


class GlobalAvgPool2d(Function):
    @staticmethod
    def forward(ctx: Any, x: np.ndarray) -> np.ndarray:
        ctx.input_shape = x.shape
        result: np.ndarray = ctx.kernels.global_avg_pool2d(x)
        return result

    @staticmethod
    def backward(ctx: Any, grad: np.ndarray) -> Any:
        return ctx.kernels.adaptive_avg_pool2d_backward(grad, ctx.input_shape)


def max_pool2d(
    x: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool | str = False,
) -> Tensor:
    """Return the maximum of every window of x (N, C, H, W); the first maximum gets the gradient."""
    return MaxPool2d.apply(x, kernel_size, stride, padding, dilation, ceil_mode, None)


def relu_max_pool2d(x: Any, *window: Any) -> Tensor:
    """Return max_pool2d(relu(x), *window), as the ReLU of the maxima of x; `window` is whole."""
    return MaxPool2d.apply(x, *window, "relu")


def avg_pool2d(
    x: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool | str = False,
    count_include_pad: bool = True,
) -> Tensor:
    """Return the mean of every window of x (N, C, H, W)."""
    return AvgPool2d.apply(x, kernel_size, stride, padding, ceil_mode, count_include_pad)


def adaptive_avg_pool2d(x: Any, output_size: Any) -> Tensor:
    """Return means of x (N, C, H, W) over as many windows as `output_size` says."""
    return AdaptiveAvgPool2d.apply(x, output_size)


def global_avg_pool2d(x: Any) -> Tensor:
    """Return the mean of every channel: (N, C, H, W) -> (N, C, 1, 1)."""
    return GlobalAvgPool2d.apply(x)

"""Convolution."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..function import Function

if TYPE_CHECKING:
    from ..tensor import Tensor

__all__ = ["Conv2d", "conv2d"]


class Conv2d(Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: np.ndarray,
        weight: np.ndarray,
        bias: np.ndarray | None,
        stride: Any,
        padding: Any,
        dilation: Any,
        groups: int,
    ) -> np.ndarray:
        ctx.save_for_backward(x, weight)
        ctx.window = (stride, padding, dilation, groups)
        result: np.ndarray = ctx.kernels.conv2d(x, weight, bias, stride, padding, dilation, groups)
        return result

    @staticmethod
    def backward(ctx: Any, grad: np.ndarray) -> Any:
        x, weight = ctx.saved
        needs_x, needs_weight, needs_bias = ctx.needs_input_grad[:3]
        kernels, window = ctx.kernels, ctx.window
        return (
            kernels.conv2d_backward_input(grad, weight, x.shape, *window) if needs_x else None,
            kernels.conv2d_backward_weight(grad, x, weight.shape, *window)
            if needs_weight
            else None,
            kernels.conv2d_backward_bias(grad) if needs_bias else None,
        )


def conv2d(
    x: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor:
    """Convolve x (N, C, H, W) with weight (O, C/groups, KH, KW) and add bias (O,)."""
    return Conv2d.apply(x, weight, bias, stride, padding, dilation, groups)

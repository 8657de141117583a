"""Convolution."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..function import Function
from ..state import state
from .activation import check_joined

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
        activation: str | None,
    ) -> np.ndarray:
        ctx.window = (stride, padding, dilation, groups)
        ctx.algorithm = state.conv_algorithm
        y: np.ndarray = ctx.kernels.conv2d(
            x, weight, bias, *ctx.window, activation=activation, algorithm=ctx.algorithm
        )
        ctx.save_for_backward(x, weight, None if activation is None else y)
        return y

    @staticmethod
    def backward(ctx: Any, grad: np.ndarray) -> Any:
        x, weight, y = ctx.saved
        if y is not None:
            grad = ctx.kernels.relu_backward(grad, y)
        needs_x, needs_weight, needs_bias = ctx.needs_input_grad[:3]
        kernels, window, how = ctx.kernels, ctx.window, ctx.algorithm
        grad_x = grad_weight = grad_bias = None
        if needs_x:
            grad_x = kernels.conv2d_backward_input(grad, weight, x.shape, *window, algorithm=how)
        if needs_weight:
            grad_weight = kernels.conv2d_backward_weight(
                grad, x, weight.shape, *window, algorithm=how
            )
        if needs_bias:
            grad_bias = kernels.conv2d_backward_bias(grad)
        return grad_x, grad_weight, grad_bias


def conv2d(
    x: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
    *,
    activation: str | None = None,
) -> Tensor:
    """Convolve x (N, C, H, W) with weight (O, C/groups, KH, KW), add bias (O,), apply None or
    "relu"."""
    check_joined("conv2d", activation)
    return Conv2d.apply(x, weight, bias, stride, padding, dilation, groups, activation)

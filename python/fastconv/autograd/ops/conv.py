"""Convolution, and the transposed one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..._arguments import integer, pair
from ..function import Function
from ..geometry import padding_of
from ..state import state
from .activation import check_joined

if TYPE_CHECKING:
    from ..tensor import Tensor

__all__ = ["Conv2d", "ConvTranspose2d", "conv2d", "conv2d_max_pool2d", "conv_transpose2d"]


class Conv2d(Function):
    """And, with `pooling`, the maxima of windows of the result."""

    owns_results = True
    adds_to_first = True

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
        pooling: tuple[Any, ...] | None,
    ) -> np.ndarray:
        ctx.window = (stride, padding, dilation, groups)
        ctx.pooling = pooling
        ctx.algorithm = state.conv_algorithm
        joined = activation if pooling is None else None
        y: np.ndarray = ctx.kernels.conv2d(
            x, weight, bias, *ctx.window, activation=joined, algorithm=ctx.algorithm
        )
        indices = None
        if pooling is not None:
            if True in ctx.needs_input_grad:
                y, indices = ctx.kernels.max_pool2d(y, *pooling, True)
            else:
                y = ctx.kernels.max_pool2d(y, *pooling)
            if activation is not None:
                y = ctx.kernels.relu(y)  # as if in front of the pooling, of fewer pixels
        ctx.save_for_backward(x, weight, None if activation is None else y, indices)
        return y

    @staticmethod
    def backward(ctx: Any, grad: np.ndarray) -> Any:
        x, weight, y, indices = ctx.saved
        if y is not None:
            grad = ctx.kernels.relu_backward(grad, y)
        needs_x, needs_weight, needs_bias = ctx.needs_input_grad[:3]
        kernels, window, how = ctx.kernels, ctx.window, ctx.algorithm
        grad_x = grad_weight = grad_bias = None
        if needs_bias:
            grad_bias = kernels.conv2d_backward_bias(grad)
        if indices is not None:
            grad_x, grad_weight = kernels.conv2d_max_pool2d_backward(
                grad,
                indices,
                x,
                weight,
                window,
                ctx.pooling,
                algorithm=how,
                needs=(needs_x, needs_weight),
                add_to=ctx.first,
            )
            return grad_x, grad_weight, grad_bias
        if needs_x:
            grad_x = kernels.conv2d_backward_input(
                grad, weight, x.shape, *window, algorithm=how, add_to=ctx.first
            )
        if needs_weight:
            grad_weight = kernels.conv2d_backward_weight(
                grad, x, weight.shape, *window, algorithm=how
            )
        return grad_x, grad_weight, grad_bias


class ConvTranspose2d(Function):
    """The gradient of a convolution by its input, as an operation of its own: its gradients are
    that convolution, and the convolution's gradient by its weight."""

    @staticmethod
    def forward(
        ctx: Any,
        x: np.ndarray,
        weight: np.ndarray,
        bias: np.ndarray | None,
        stride: tuple[int, int],
        padding: Any,
        output_padding: tuple[int, int],
        groups: int,
        dilation: tuple[int, int],
    ) -> np.ndarray:
        _check_transposed(x, weight, bias, groups)
        sizes, sides, far = [], [], []
        for n, k, s, (before, after), d, extra in zip(
            x.shape[2:], weight.shape[2:], stride, padding, dilation, output_padding, strict=True
        ):
            # What output_padding adds was cut off by the padding, or else no window reaches it:
            # of such zeros, the convolution overlooks as many as its stride skips.
            kept = min(after, extra)
            skipped = min(extra - kept, s - 1)
            sides.append((before, after - kept))
            sizes.append((n - 1) * s - before - after + d * (k - 1) + 1 + kept + skipped)
            far.append((0, extra - kept - skipped))
        if min(sizes) < 1:
            raise ValueError(
                f"conv_transpose2d: the output must not be empty (x={x.shape}, "
                f"weight={weight.shape}, padding={padding}, output={tuple(sizes)})"
            )
        ctx.window = (stride, tuple(sides), dilation, groups)
        ctx.far = tuple(far) if any(map(any, far)) else None
        ctx.algorithm = state.conv_algorithm
        ctx.save_for_backward(x, weight)
        shape = (x.shape[0], weight.shape[1] * groups, *sizes)
        y: np.ndarray = ctx.kernels.conv2d_backward_input(
            x, weight, shape, *ctx.window, algorithm=ctx.algorithm
        )
        if ctx.far is not None:
            y = ctx.kernels.pad(y, ctx.far, 0.0)
        return y if bias is None else y + bias.reshape(1, -1, 1, 1)

    @staticmethod
    def backward(ctx: Any, grad: np.ndarray) -> Any:
        x, weight = ctx.saved
        needs_x, needs_weight, needs_bias = ctx.needs_input_grad[:3]
        kernels, how = ctx.kernels, ctx.algorithm
        grad_x = grad_weight = grad_bias = None
        if needs_bias:
            grad_bias = kernels.conv2d_backward_bias(grad)
        if ctx.far is not None:
            grad = kernels.pad_backward(grad, ctx.far)
        if needs_x:
            grad_x = kernels.conv2d(grad, weight, None, *ctx.window, algorithm=how)
        if needs_weight:
            grad_weight = kernels.conv2d_backward_weight(
                x, grad, weight.shape, *ctx.window, algorithm=how
            )
        return grad_x, grad_weight, grad_bias


def _check_transposed(
    x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None, groups: int
) -> None:
    if x.ndim != 4 or weight.ndim != 4 or x.shape[1] != len(weight) or len(weight) % groups:
        raise ValueError(
            f"conv_transpose2d: x (N, C, H, W) and weight (C, O / groups, KH, KW) must fit, and "
            f"groups divide C (x={x.shape}, weight={weight.shape}, groups={groups})"
        )
    if bias is not None and bias.shape != (weight.shape[1] * groups,):
        raise ValueError(
            f"conv_transpose2d: bias must have one value per output channel "
            f"(expected={weight.shape[1] * groups}, shape={bias.shape})"
        )


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
    return Conv2d.apply(x, weight, bias, stride, padding, dilation, groups, activation, None)


def conv2d_max_pool2d(
    x: Any,
    weight: Any,
    bias: Any,
    window: tuple[Any, ...],
    pooling: tuple[Any, ...],
    activation: str | None = None,
) -> Tensor:
    """Return max_pool2d(conv2d(x, weight, bias, *window, activation=activation), *pooling); both
    windows are whole."""
    check_joined("conv2d_max_pool2d", activation)
    return Conv2d.apply(x, weight, bias, *window, activation, pooling)


def conv_transpose2d(
    x: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Tensor:
    """Convolve x (N, C, H, W) transposed, with weight (C, O/groups, KH, KW), and add bias (O,).

    The result is (N, O, OH, OW), OH = (H - 1) stride - padding + dilation (KH - 1) + 1 +
    output_padding. Arguments and their order are PyTorch's; padding as for `conv2d`.
    """
    op = "conv_transpose2d"
    return ConvTranspose2d.apply(
        x,
        weight,
        bias,
        pair(op, "stride", stride, 1),
        padding_of(op, padding),
        pair(op, "output_padding", output_padding, 0),
        integer(op, "groups", groups, 1),
        pair(op, "dilation", dilation, 1),
    )

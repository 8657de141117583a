"""Poolings over one, two or three axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....autograd import Function, Tensor, ops
from .convolution import conv
from .movement import pad
from .windows import Pads, Window

__all__ = ["avg_pool", "global_avg_pool", "global_max_pool", "max_pool", "max_pool_indices"]


def max_pool(x: Tensor, *, kernel: Sequence[int], window: Window, ceil_mode: bool) -> Tensor:
    """Return the maximum of every window of x (N, C, ...); padding never wins."""
    _check(x, kernel)
    sizes = x.shape[2:]
    counts = window.counts(sizes, kernel, ceil_mode)
    # The kernel takes padding of up to half the window; here the pictures bring it along.
    x = _padded(x, window.exact(sizes, kernel, counts), -np.inf)
    stride, dilation = window.stride, window.dilation
    n, c = x.shape[:2]
    if len(kernel) == 3:
        # A volume's maximum: in its planes first, then across them.
        x = ops.reshape(x, (n, c * x.shape[2], *x.shape[3:]))
        x = ops.max_pool2d(x, tuple(kernel[1:]), stride[1:], 0, dilation[1:])
        x = ops.reshape(x, (n, c, -1, counts[1] * counts[2]))
        y = ops.max_pool2d(x, (kernel[0], 1), (stride[0], 1), 0, (dilation[0], 1))
    else:
        flat = ops.reshape(x, (n, c, *(1,) * (2 - len(kernel)), *x.shape[2:]))
        y = ops.max_pool2d(flat, _pair(kernel), _pair(stride), 0, _pair(dilation))
    return ops.reshape(y, (n, c, *counts))


def max_pool_indices(
    x: Tensor,
    *,
    kernel: Sequence[int],
    window: Window,
    ceil_mode: bool,
    column_major: bool,
) -> tuple[Tensor, Tensor]:
    """Return the maxima of pictures, and where in the whole of x each is (int64).

    Positions count row by row, or column by column with `column_major`, in every plane.
    """
    if len(kernel) > 2 or x.ndim != 2 + len(kernel):
        raise ValueError(
            f"max_pool: positions are known for one and two axes (x={x.shape}, kernel={kernel})"
        )
    sizes = x.shape[2:]
    counts = window.counts(sizes, kernel, ceil_mode)
    n, c = x.shape[:2]
    pads = window.exact(sizes, kernel, counts)
    x = _padded(x, pads, -np.inf)
    flat = ops.reshape(x, (n, c, *(1,) * (2 - len(kernel)), *x.shape[2:]))
    found: Any = _MaxPoolIndices.apply(
        flat, _pair(kernel), _pair(window.stride), 0, _pair(window.dilation), False
    )
    y, where = found
    # Positions in the padded plane become those in the input's own.
    rows, columns = (1, *sizes)[-2:]
    top, left = (0, *(before for before, _ in pads))[-2:]
    row, column = np.divmod(where.astype(np.int64), flat.shape[3])
    row, column = row - top, column - left
    plane = column * rows + row if column_major else row * columns + column
    planes = np.arange(n * c, dtype=np.int64).reshape(n, c, 1, 1) * (rows * columns)
    shape = (n, c, *counts)
    return ops.reshape(y, shape), Tensor((plane + planes).reshape(shape))


class _MaxPoolIndices(Function):
    @staticmethod
    def forward(ctx: Any, x: NDArray[Any], *window: Any) -> Any:
        y, indices = ctx.kernels.max_pool2d(x, *window, True)
        ctx.save_for_backward(indices)
        ctx.input_shape, ctx.window = x.shape, window
        return y, indices

    @staticmethod
    def backward(ctx: Any, grad: NDArray[Any]) -> Any:
        (indices,) = ctx.saved
        return ctx.kernels.max_pool2d_backward(grad, indices, ctx.input_shape, *ctx.window)


def avg_pool(
    x: Tensor, *, kernel: Sequence[int], window: Window, ceil_mode: bool, count_include_pad: bool
) -> Tensor:
    """Return the mean of every window of x (N, C, ...): a convolution with ones, divided by the
    number of elements."""
    _check(x, kernel)
    sizes = x.shape[2:]
    counts = window.counts(sizes, kernel, ceil_mode)
    around = _padded(x, window.exact(sizes, kernel, counts), 0.0)
    ones = np.ones((x.shape[1], 1, *kernel), x.dtype)
    plain = Window(window.stride, ((0, 0),) * len(kernel), window.dilation)
    total = conv(around, Tensor(ones), window=plain, groups=x.shape[1])
    taps = window.taps(sizes, kernel, counts, count_include_pad).astype(x.dtype)
    return ops.div(total, np.broadcast_to(taps, total.shape[2:]))


def global_avg_pool(x: Tensor) -> Tensor:
    """Return the mean of every channel of x (N, C, ...), with axes of size 1."""
    return ops.mean(x, tuple(range(2, x.ndim)), keepdim=True)


def global_max_pool(x: Tensor) -> Tensor:
    """Return the maximum of every channel of x (N, C, ...), with axes of size 1."""
    flat = ops.reshape(x, (*x.shape[:2], 1, -1))
    y = ops.max_pool2d(flat, (1, flat.shape[3]))
    return ops.reshape(y, (*x.shape[:2], *(1,) * (x.ndim - 2)))


def _check(x: Tensor, kernel: Sequence[int]) -> None:
    if x.ndim != 2 + len(kernel) or len(kernel) not in (1, 2, 3):
        raise ValueError(
            f"pooling: x must have the axes (N, C) and those of the kernel, one to three "
            f"(x={x.shape}, kernel={tuple(kernel)})"
        )


def _padded(x: Tensor, pads: Pads, value: float) -> Tensor:
    if not any(map(any, pads)):
        return x
    befores, afters = zip(*pads, strict=True)
    return pad(x, (0, 0, *befores, 0, 0, *afters), value)


def _pair(values: Sequence[int]) -> tuple[int, int]:
    return (1, values[0]) if len(values) == 1 else (values[0], values[1])

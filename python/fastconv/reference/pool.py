"""Pooling: the maximum or the average of each window, and their gradients."""

from __future__ import annotations

import numpy as np

from ._arguments import (
    Array,
    IntPair,
    Padding,
    invalid,
    pair,
    require_float,
    require_ndim,
    require_shape,
)
from ._window import Window, pool_output_size, pool_window

__all__ = [
    "adaptive_avg_pool2d",
    "adaptive_avg_pool2d_backward",
    "avg_pool2d",
    "avg_pool2d_backward",
    "global_avg_pool2d",
    "max_pool2d",
    "max_pool2d_backward",
]


def max_pool2d(
    x: Array,
    kernel_size: IntPair,
    stride: IntPair | None = None,
    padding: Padding = 0,
    dilation: IntPair = 1,
    ceil_mode: bool | str = False,
    return_indices: bool = False,
) -> Array | tuple[Array, Array]:
    """The largest element of each window: (N, C, H, W) -> (N, C, OH, OW).

    Padding never wins. The first maximum wins, and the first NaN wins over all numbers. With
    return_indices also gives where it was: h*W + w in the input plane, int32. stride=None means
    kernel_size; ceil_mode is False, True (PyTorch) or "caffe".
    """
    require_float("max_pool2d", x=x)
    require_ndim("max_pool2d", 4, x=x)
    size = x.shape[2:]
    window = pool_window("max_pool2d", kernel_size, stride, padding, dilation)
    out = pool_output_size("max_pool2d", size, window, ceil_mode)

    padded = window.pad(x, out)
    # The plane's own indices, shifted by one: padding stays 0.
    numbers = window.pad(np.arange(1, size[0] * size[1] + 1, dtype=np.int32).reshape(size), out)
    best = np.zeros(x.shape[:2] + out, x.dtype)
    index = np.zeros(x.shape[:2] + out, np.int32)
    for i, j in window.taps():
        value = window.tap(padded, i, j, out)
        number = window.tap(numbers, i, j, out)
        better = (index == 0) | (value > best) | (np.isnan(value) & ~np.isnan(best))
        better &= number > 0
        best = np.where(better, value, best)
        index = np.where(better, number, index)
    return (best, index - 1) if return_indices else best


def max_pool2d_backward(
    grad_output: Array,
    indices: Array,
    input_shape: tuple[int, ...],
    kernel_size: IntPair | None = None,
    stride: IntPair | None = None,
    padding: Padding = 0,
    dilation: IntPair = 1,
    ceil_mode: bool | str = False,
) -> Array:
    """Gradient of max_pool2d: each output's gradient goes to the element at its index, wherever
    the window, of which nothing else is used."""
    op = "max_pool2d_backward"
    require_float(op, grad_output=grad_output)
    if not np.issubdtype(indices.dtype, np.integer):
        raise TypeError(f"{op}: indices must be integers (indices={indices.dtype})")
    require_ndim(op, 4, grad_output=grad_output)
    require_shape(op, grad_output.shape, indices=indices)
    n, c, h, w = input_shape
    if grad_output.shape[:2] != (n, c):
        values = {"grad_output": grad_output.shape, "input_shape": tuple(input_shape)}
        raise invalid(op, "grad_output must have the input's batch and channels", **values)
    if indices.size and not 0 <= indices.min() <= indices.max() < h * w:
        values = {"min": indices.min(), "max": indices.max(), "input_shape": tuple(input_shape)}
        raise invalid(op, "indices must lie in the input plane", **values)

    grad_x = np.zeros((n * c, h * w), grad_output.dtype)
    plane = np.arange(n * c)[:, None]
    outputs = (n * c, grad_output.shape[2] * grad_output.shape[3])
    np.add.at(grad_x, (plane, indices.reshape(outputs)), grad_output.reshape(outputs))
    return grad_x.reshape(n, c, h, w)


def _divisors(
    size: tuple[int, int], window: Window, out: tuple[int, int], count_include_pad: bool
) -> Array:
    """How many elements each average is taken over: (OH, OW).

    Windows may reach past the padded plane (ceil_mode); what lies beyond never counts.
    """
    counts = []
    for axis in range(2):
        before, after = window.padding[axis]
        start = np.arange(out[axis]) * window.stride[axis] - before
        end = np.minimum(start + window.kernel[axis], size[axis] + after)
        if not count_include_pad:
            start, end = np.maximum(start, 0), np.minimum(end, size[axis])
        counts.append(end - start)
    return np.multiply.outer(counts[0], counts[1])


def avg_pool2d(
    x: Array,
    kernel_size: IntPair,
    stride: IntPair | None = None,
    padding: Padding = 0,
    ceil_mode: bool | str = False,
    count_include_pad: bool = True,
) -> Array:
    """The mean of each window: (N, C, H, W) -> (N, C, OH, OW).

    Zeros of the padding count as elements unless count_include_pad=False. stride=None means
    kernel_size; ceil_mode is False, True (PyTorch) or "caffe".
    """
    require_float("avg_pool2d", x=x)
    require_ndim("avg_pool2d", 4, x=x)
    size = x.shape[2:]
    window = pool_window("avg_pool2d", kernel_size, stride, padding)
    out = pool_output_size("avg_pool2d", size, window, ceil_mode)

    padded = window.pad(x, out)
    total: Array = np.zeros(x.shape[:2] + out, x.dtype)
    for i, j in window.taps():
        total += window.tap(padded, i, j, out)
    total /= _divisors(size, window, out, count_include_pad)
    return total


def avg_pool2d_backward(
    grad_output: Array,
    input_shape: tuple[int, ...],
    kernel_size: IntPair,
    stride: IntPair | None = None,
    padding: Padding = 0,
    ceil_mode: bool | str = False,
    count_include_pad: bool = True,
) -> Array:
    """Gradient of avg_pool2d: each output's gradient is shared out over its window."""
    op = "avg_pool2d_backward"
    require_float(op, grad_output=grad_output)
    n, c, h, w = input_shape
    window = pool_window(op, kernel_size, stride, padding)
    out = pool_output_size(op, (h, w), window, ceil_mode)
    require_shape(op, (n, c, *out), grad_output=grad_output)

    share = grad_output / _divisors((h, w), window, out, count_include_pad)
    share = share.astype(grad_output.dtype, copy=False)
    padded = np.zeros((n, c, *window.padded_size((h, w), out)), grad_output.dtype)
    for i, j in window.taps():
        view = window.tap(padded, i, j, out)
        view += share
    return window.inside(padded, (h, w))


def _cells(
    op: str,
    size: tuple[int, int],
    output_size: int | tuple[int | None, int | None] | None,
) -> tuple[list[slice], list[slice]]:
    """Rows and columns of PyTorch's adaptive cells: floor(i*H/OH) .. ceil((i+1)*H/OH)."""
    if isinstance(output_size, tuple | list) and len(output_size) != 2:
        raise invalid(op, "output_size must have two entries", output_size=output_size)
    height, width = (
        output_size if isinstance(output_size, tuple | list) else (output_size, output_size)
    )
    kept = (size[0] if height is None else height, size[1] if width is None else width)
    out = pair(op, "output_size", kept, 1)
    if min(size) < 1:
        raise invalid(op, "the input must not be empty", input=tuple(size))
    rows, columns = (
        [slice(i * length // count, -(-(i + 1) * length // count)) for i in range(count)]
        for length, count in zip(size, out, strict=True)
    )
    return rows, columns


def adaptive_avg_pool2d(x: Array, output_size: int | tuple[int | None, int | None] | None) -> Array:
    """The means of OH x OW cells that cover the plane: (N, C, H, W) -> (N, C, OH, OW).

    output_size is OH = OW or (OH, OW); None keeps that size.
    """
    require_float("adaptive_avg_pool2d", x=x)
    require_ndim("adaptive_avg_pool2d", 4, x=x)
    rows, columns = _cells("adaptive_avg_pool2d", x.shape[2:], output_size)
    y = np.empty((*x.shape[:2], len(rows), len(columns)), x.dtype)
    for i, row in enumerate(rows):
        for j, column in enumerate(columns):
            y[:, :, i, j] = x[:, :, row, column].mean(axis=(2, 3))
    return y


def adaptive_avg_pool2d_backward(grad_output: Array, input_shape: tuple[int, ...]) -> Array:
    """Gradient of adaptive_avg_pool2d; cells may overlap, so shares are added up."""
    op = "adaptive_avg_pool2d_backward"
    require_float(op, grad_output=grad_output)
    require_ndim(op, 4, grad_output=grad_output)
    n, c, h, w = input_shape
    if grad_output.shape[:2] != (n, c):
        values = {"grad_output": grad_output.shape, "input_shape": tuple(input_shape)}
        raise invalid(op, "grad_output must have the input's batch and channels", **values)
    rows, columns = _cells(op, (h, w), grad_output.shape[2:])
    grad_x = np.zeros((n, c, h, w), grad_output.dtype)
    for i, row in enumerate(rows):
        for j, column in enumerate(columns):
            cell = grad_x[:, :, row, column]
            cell += grad_output[:, :, i, j, None, None] / (cell.shape[2] * cell.shape[3])
    return grad_x


def global_avg_pool2d(x: Array) -> Array:
    """The mean of each plane: (N, C, H, W) -> (N, C, 1, 1)."""
    require_float("global_avg_pool2d", x=x)
    require_ndim("global_avg_pool2d", 4, x=x)
    if x.shape[2] * x.shape[3] == 0:
        raise invalid("global_avg_pool2d", "the planes must not be empty", x=x.shape)
    y: Array = x.mean(axis=(2, 3), keepdims=True)
    return y

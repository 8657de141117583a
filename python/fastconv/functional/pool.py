"""Pooling: the maximum or the mean of each window, and the gradients.

All raise TypeError for anything but float32 arrays (and int32 indices), and ValueError for sizes
that do not fit.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any, Literal, SupportsIndex, overload

import numpy as np
from numpy.typing import NDArray

from fastconv import _core

from . import _arrays
from ._arrays import Array
from ._geometry import Padding, Size, pair, sides

__all__ = [
    "adaptive_avg_pool2d",
    "adaptive_avg_pool2d_backward",
    "avg_pool2d",
    "avg_pool2d_backward",
    "global_avg_pool2d",
    "max_pool2d",
    "max_pool2d_backward",
]

Indices = NDArray[np.int32]

_NHWC = (0, 2, 3, 1)


@overload
def max_pool2d(
    x: Array,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Padding = 0,
    dilation: Size = 1,
    ceil_mode: bool | str = False,
    return_indices: Literal[False] = False,
) -> Array: ...


@overload
def max_pool2d(
    x: Array,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Padding = 0,
    dilation: Size = 1,
    ceil_mode: bool | str = False,
    *,
    return_indices: Literal[True],
) -> tuple[Array, Indices]: ...


@overload
def max_pool2d(
    x: Array,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Padding = 0,
    dilation: Size = 1,
    ceil_mode: bool | str = False,
    return_indices: bool = False,
) -> Array | tuple[Array, Indices]: ...


def max_pool2d(
    x: Array,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Padding = 0,
    dilation: Size = 1,
    ceil_mode: bool | str = False,
    return_indices: bool = False,
) -> Array | tuple[Array, Indices]:
    """The largest element of each window: x (N, C, H, W) -> (N, C, OH, OW).

    kernel_size, stride (None: kernel_size) and dilation: int or (h, w). padding, at most half the
    kernel: int, (h, w) or ((top, bottom), (left, right)); it never wins. NaN wins over all numbers.
    return_indices also gives where the first maximum is, h * W + w in its input plane (int32).

    OH = round((H + top + bottom - dilation * (KH - 1) - 1) / stride) + 1, and OW likewise.
    ceil_mode=False rounds down; True rounds up as PyTorch does: a window that starts past the input
    in the bottom or right padding is dropped; "caffe" drops it only if there is any padding, as
    Caffe does. A window without any input element is a ValueError.

    Source: PyTorch, torch.nn.MaxPool2d; Caffe, pooling_layer.cpp.
    """
    op = "max_pool2d"
    pixels = _arrays.nhwc(op, "x", x)
    window = pool_window(op, kernel_size, stride, padding, dilation, ceil_mode)
    out = _output(op, pixels, window)
    if not return_indices:
        _core.max_pool2d(pixels, window, out.transpose(_NHWC))
        return out
    indices = _arrays.empty(out.shape).view(np.int32)
    _core.max_pool2d(pixels, window, out.transpose(_NHWC), indices.transpose(_NHWC))
    return out, indices


def max_pool2d_backward(
    grad_output: Array,
    indices: Indices,
    input_shape: tuple[int, int, int, int],
    kernel_size: Size | None = None,
    stride: Size | None = None,
    padding: Padding = 0,
    dilation: Size = 1,
    ceil_mode: bool | str = False,
) -> Array:
    """Gradient of `max_pool2d` by x: each output's gradient goes to the element at its index.

    grad_output and indices (N, C, OH, OW), input_shape (N, C, H, W) -> (N, C, H, W). The window
    that gave the indices may be left out, but makes it faster.
    """
    op = "max_pool2d_backward"
    grad = _arrays.nhwc(op, "grad_output", grad_output)
    where = indices_nhwc(op, indices, grad_output)
    out = _arrays.empty(_input_shape(op, input_shape, grad_output))
    window = None
    if kernel_size is not None:
        window = pool_window(op, kernel_size, stride, padding, dilation, ceil_mode)
    _core.max_pool2d_backward(grad, where, window, out.transpose(_NHWC))
    return out


def avg_pool2d(
    x: Array,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Padding = 0,
    ceil_mode: bool | str = False,
    count_include_pad: bool = True,
) -> Array:
    """The mean of each window: x (N, C, H, W) -> (N, C, OH, OW).

    Windows are those of `max_pool2d` without dilation. The sum is divided by the window's area, cut
    off at the padding's outer edge (PyTorch and Caffe); count_include_pad=False divides by the
    number of input elements in the window.

    Source: PyTorch, torch.nn.AvgPool2d; Caffe, pooling_layer.cpp.
    """
    op = "avg_pool2d"
    pixels = _arrays.nhwc(op, "x", x)
    window = pool_window(op, kernel_size, stride, padding, 1, ceil_mode, count_include_pad)
    out = _output(op, pixels, window)
    _core.avg_pool2d(pixels, window, out.transpose(_NHWC))
    return out


def avg_pool2d_backward(
    grad_output: Array,
    input_shape: tuple[int, int, int, int],
    kernel_size: Size,
    stride: Size | None = None,
    padding: Padding = 0,
    ceil_mode: bool | str = False,
    count_include_pad: bool = True,
) -> Array:
    """Gradient of `avg_pool2d` by x: each output's gradient is shared out over its window.

    grad_output (N, C, OH, OW), input_shape (N, C, H, W) -> (N, C, H, W); all else as in the
    forward call.
    """
    op = "avg_pool2d_backward"
    grad = _arrays.nhwc(op, "grad_output", grad_output)
    window = pool_window(op, kernel_size, stride, padding, 1, ceil_mode, count_include_pad)
    shape = _input_shape(op, input_shape, grad_output)
    size = _core.pool_output_size(op, shape[2], shape[3], window)
    if grad_output.shape[2:] != size:
        raise ValueError(
            f"{op}: grad_output must have the size of the output "
            f"(expected={size}, grad_output={grad_output.shape})"
        )
    out = _arrays.empty(shape)
    _core.avg_pool2d_backward(grad, window, out.transpose(_NHWC))
    return out


def adaptive_avg_pool2d(
    x: Array,
    output_size: SupportsIndex | Sequence[SupportsIndex | None] | None,
) -> Array:
    """The means of OH x OW windows that cover the plane: x (N, C, H, W) -> (N, C, OH, OW).

    output_size: int or (h, w); None keeps that size. Output i of an axis is the mean over
    floor(i * H / OH) .. ceil((i + 1) * H / OH) - 1, so windows may overlap.

    Source: PyTorch, torch.nn.AdaptiveAvgPool2d.
    """
    op = "adaptive_avg_pool2d"
    pixels = _arrays.nhwc(op, "x", x)
    n, h, w, c = pixels.shape
    wanted = output_size if isinstance(output_size, (tuple, list)) else (output_size,) * 2
    kept = [
        size if i < 2 and value is None else value
        for i, (value, size) in enumerate(zip(wanted, (h, w, *wanted[2:]), strict=False))
    ]
    size = pair(op, "output_size", kept)
    if min(size) < 1:
        raise ValueError(f"{op}: output_size must be at least 1 (output_size={output_size!r})")
    out = _arrays.empty((n, c, *size))
    _core.adaptive_avg_pool2d(pixels, out.transpose(_NHWC))
    return out


def adaptive_avg_pool2d_backward(
    grad_output: Array, input_shape: tuple[int, int, int, int]
) -> Array:
    """Gradient of `adaptive_avg_pool2d` by x: shares of overlapping windows are added up.

    grad_output (N, C, OH, OW), input_shape (N, C, H, W) -> (N, C, H, W).
    """
    op = "adaptive_avg_pool2d_backward"
    grad = _arrays.nhwc(op, "grad_output", grad_output)
    out = _arrays.empty(_input_shape(op, input_shape, grad_output))
    _core.adaptive_avg_pool2d_backward(grad, out.transpose(_NHWC))
    return out


def global_avg_pool2d(x: Array) -> Array:
    """The mean of each plane: x (N, C, H, W) -> (N, C, 1, 1).

    Its gradient is `adaptive_avg_pool2d_backward`. Source: Lin et al., Network in Network, 2013.
    """
    op = "global_avg_pool2d"
    pixels = _arrays.nhwc(op, "x", x)
    out = _arrays.empty((pixels.shape[0], pixels.shape[3], 1, 1))
    _core.global_avg_pool2d(pixels, out.transpose(_NHWC))
    return out


def indices_nhwc(operation: str, indices: Any, grad_output: Array) -> Indices:
    """Indices (N, C, H, W) of maxima as a C-ordered (N, H, W, C) array."""
    if not isinstance(indices, np.ndarray):
        raise TypeError(
            f"{operation}: indices must be a NumPy array (type={type(indices).__name__})"
        )
    if indices.dtype != np.int32:
        raise TypeError(f"{operation}: indices must be int32 (dtype={indices.dtype})")
    if indices.shape != grad_output.shape:
        raise ValueError(
            f"{operation}: indices must have the shape of grad_output "
            f"(indices={indices.shape}, grad_output={grad_output.shape})"
        )
    return np.ascontiguousarray(indices.transpose(_NHWC))


def pool_window(
    operation: str,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    ceil_mode: Any,
    count_include_pad: bool = True,
) -> _core.PoolWindow:
    roundings = {False: "down", True: "up", "caffe": "caffe"}
    if not isinstance(ceil_mode, (bool, str)) or ceil_mode not in roundings:
        raise ValueError(
            f"{operation}: ceil_mode must be False, True or 'caffe' (ceil_mode={ceil_mode!r})"
        )
    kernel = pair(operation, "kernel_size", kernel_size)
    return _core.PoolWindow(
        kernel,
        kernel if stride is None else pair(operation, "stride", stride),
        sides(operation, padding),
        pair(operation, "dilation", dilation),
        roundings[ceil_mode],
        bool(count_include_pad),
    )


def _output(operation: str, pixels: Array, window: _core.PoolWindow) -> Array:
    n, h, w, c = pixels.shape
    return _arrays.empty((n, c, *_core.pool_output_size(operation, h, w, window)))


def _input_shape(operation: str, input_shape: Any, grad_output: Array) -> tuple[int, ...]:
    try:
        shape = tuple(operator.index(size) for size in input_shape)
    except TypeError:
        raise TypeError(
            f"{operation}: input_shape must be four integers (input_shape={input_shape!r})"
        ) from None
    if len(shape) != 4 or min(shape) < 0:
        raise ValueError(
            f"{operation}: input_shape must be four sizes (input_shape={input_shape!r})"
        )
    if shape[:2] != grad_output.shape[:2]:
        raise ValueError(
            f"{operation}: grad_output must have the batch and the channels of input_shape "
            f"(grad_output={grad_output.shape}, input_shape={shape})"
        )
    return shape

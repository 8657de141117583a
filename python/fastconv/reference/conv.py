"""Convolution as a matrix product (im2col), and its three gradients.

Each image becomes a matrix of columns: one column per output pixel, holding the C*KH*KW inputs
that the pixel sees. A convolution is then weight @ columns, its gradients are the gradients of
that product. Groups are a leading axis of both matrices: channels and filters come in G equal
blocks, and each block of filters sees its own block of channels.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ._arguments import (
    Activation,
    Array,
    IntPair,
    Padding,
    invalid,
    require_float,
    require_ndim,
    require_shape,
)
from ._window import Window, conv_output_size, conv_window
from .activation import apply_activation
from .pool import max_pool2d_backward

__all__ = [
    "conv2d",
    "conv2d_backward_bias",
    "conv2d_backward_input",
    "conv2d_backward_weight",
]


def _geometry(
    op: str,
    x_shape: tuple[int, ...],
    weight_shape: tuple[int, ...],
    stride: IntPair,
    padding: Padding,
    dilation: IntPair,
    groups: int,
) -> tuple[Window, tuple[int, int]]:
    """The window and the output size (OH, OW), after checking that the shapes fit."""
    for name, shape in (("x", x_shape), ("weight", weight_shape)):
        if len(shape) != 4:
            raise invalid(op, f"{name} must have 4 axes", **{name: shape})
    channels, filters = x_shape[1], weight_shape[0]
    if groups < 1 or channels % groups:
        rule = "groups must divide the channels of x"
        raise invalid(op, rule, groups=groups, channels=channels)
    if filters % groups:
        raise invalid(op, "groups must divide the filters", groups=groups, filters=filters)
    if weight_shape[1] != channels // groups:
        rule = "weight must have channels/groups in its second axis"
        raise invalid(op, rule, weight=weight_shape, x=x_shape, groups=groups)
    window = conv_window(op, (weight_shape[2], weight_shape[3]), stride, padding, dilation)
    return window, conv_output_size(op, (x_shape[2], x_shape[3]), window)


def _im2col(image: Array, window: Window, out: tuple[int, int], groups: int) -> Array:
    """(C, H, W) -> (G, C/G*KH*KW, OH*OW)."""
    padded = window.pad(image, out)
    columns = np.empty(image.shape[:1] + window.kernel + out, image.dtype)
    for i, j in window.taps():
        columns[:, i, j] = window.tap(padded, i, j, out)
    return columns.reshape(groups, -1, math.prod(out))


def _col2im(columns: Array, shape: tuple[int, ...], window: Window, out: tuple[int, int]) -> Array:
    """The transpose of _im2col: adds each column's entries back to where they were read."""
    columns = columns.reshape(shape[:1] + window.kernel + out)
    padded = np.zeros(shape[:1] + window.padded_size((shape[1], shape[2]), out), columns.dtype)
    for i, j in window.taps():
        view = window.tap(padded, i, j, out)
        view += columns[:, i, j]
    return window.inside(padded, (shape[1], shape[2]))


def conv2d(
    x: Array,
    weight: Array,
    bias: Array | None = None,
    stride: IntPair = 1,
    padding: Padding = 0,
    dilation: IntPair = 1,
    groups: int = 1,
    *,
    residual: Array | None = None,
    activation: Activation = None,
    algorithm: str = "direct",
) -> Array:
    """activation(weight * x + bias + residual), the cross-correlation of ConvNets.

    x (N, C, H, W), weight (O, C/groups, KH, KW), bias (O,), residual like the result
    (N, O, OH, OW) with OH = floor((H + top + bottom - dilation*(KH-1) - 1) / stride) + 1.
    """
    require_float("conv2d", x=x, weight=weight, bias=bias, residual=residual)
    geometry = (stride, padding, dilation, groups)
    window, out = _geometry("conv2d", x.shape, weight.shape, *geometry)
    filters = weight.shape[0]
    require_shape("conv2d", (filters,), bias=bias)

    matrix = weight.reshape(groups, filters // groups, -1)
    y = np.empty((x.shape[0], filters, *out), np.result_type(x, weight))
    for n, image in enumerate(x):
        y[n] = (matrix @ _im2col(image, window, out, groups)).reshape(filters, *out)
    if bias is not None:
        y = y + bias[:, None, None]
    if residual is not None:
        require_shape("conv2d", y.shape, residual=residual)
        y = y + residual
    return apply_activation("conv2d", y, activation)


def conv2d_backward_input(
    grad_output: Array,
    weight: Array,
    input_shape: tuple[int, ...],
    stride: IntPair = 1,
    padding: Padding = 0,
    dilation: IntPair = 1,
    groups: int = 1,
    *,
    algorithm: str = "direct",
    add_to: Array | None = None,
) -> Array:
    """Gradient of conv2d with respect to x: (N, O, OH, OW) -> input_shape (N, C, H, W).

    It is added to `add_to` in place, if that is given.
    """
    op = "conv2d_backward_input"
    require_float(op, grad_output=grad_output, weight=weight)
    shape = tuple(input_shape)
    window, out = _geometry(op, shape, weight.shape, stride, padding, dilation, groups)
    filters = weight.shape[0]
    require_shape(op, (shape[0], filters, *out), grad_output=grad_output)

    transposed = weight.reshape(groups, filters // groups, -1).transpose(0, 2, 1)
    grad_x = np.empty(shape, np.result_type(grad_output, weight))
    for n, grad in enumerate(grad_output):
        columns = transposed @ grad.reshape(groups, filters // groups, -1)
        grad_x[n] = _col2im(columns, shape[1:], window, out)
    if add_to is None:
        return grad_x
    require_shape(op, shape, add_to=add_to)
    add_to += grad_x
    return add_to


def conv2d_backward_weight(
    grad_output: Array,
    x: Array,
    weight_shape: tuple[int, ...],
    stride: IntPair = 1,
    padding: Padding = 0,
    dilation: IntPair = 1,
    groups: int = 1,
    *,
    algorithm: str = "direct",
) -> Array:
    """Gradient of conv2d with respect to weight: -> weight_shape (O, C/groups, KH, KW)."""
    op = "conv2d_backward_weight"
    require_float(op, grad_output=grad_output, x=x)
    shape = tuple(weight_shape)
    window, out = _geometry(op, x.shape, shape, stride, padding, dilation, groups)
    filters = shape[0]
    require_shape(op, (x.shape[0], filters, *out), grad_output=grad_output)

    grad_weight = np.zeros(
        (groups, filters // groups, math.prod(shape[1:])), np.result_type(grad_output, x)
    )
    for grad, image in zip(grad_output, x, strict=True):
        columns = _im2col(image, window, out, groups)
        grad_weight += grad.reshape(groups, filters // groups, -1) @ columns.transpose(0, 2, 1)
    return grad_weight.reshape(shape)


def conv2d_backward_bias(grad_output: Array) -> Array:
    """Gradient of conv2d with respect to bias: (N, O, OH, OW) -> (O,)."""
    require_float("conv2d_backward_bias", grad_output=grad_output)
    require_ndim("conv2d_backward_bias", 4, grad_output=grad_output)
    grad_bias: Array = grad_output.sum(axis=(0, 2, 3))
    return grad_bias


def conv2d_max_pool2d_backward(
    grad_output: Array,
    indices: Array,
    x: Array,
    weight: Array,
    window: tuple[Any, ...],
    pooling: tuple[Any, ...],
    *,
    algorithm: str = "direct",
    needs: tuple[bool, bool] = (True, True),
    add_to: Array | None = None,
) -> tuple[Array | None, Array | None]:
    """Gradients of x and weight through max_pool2d(conv2d(x, weight, None, *window), *pooling).

    grad_output and indices are of the maxima. A gradient that `needs` does not ask for is None.
    """
    op = "conv2d_max_pool2d_backward"
    _, out = _geometry(op, x.shape, weight.shape, *window)
    shape = (len(x), len(weight), *out)
    grad = max_pool2d_backward(grad_output, indices, shape, *pooling)
    grad_x = grad_weight = None
    if needs[0]:
        grad_x = conv2d_backward_input(grad, weight, x.shape, *window, add_to=add_to)
    if needs[1]:
        grad_weight = conv2d_backward_weight(grad, x, weight.shape, *window)
    return grad_x, grad_weight

"""Local response normalisation and batch normalisation, forward and backward.

x is (N, C, H, W) or (N, C); what is per channel has shape (C,). All raise TypeError for anything
but float32 arrays and ValueError for shapes and values that do not fit.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from fastconv import _core

from . import _arrays
from ._arrays import Array
from ._scalars import number

__all__ = [
    "batch_norm",
    "batch_norm_backward",
    "batch_norm_training",
    "local_response_norm",
    "local_response_norm_backward",
]


def local_response_norm(
    x: Array, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> Array:
    """x / (k + alpha / size * sum of squares over `size` neighbouring channels)**beta.

    x (N, C, H, W) or (N, C) -> the same shape. The window of channel c is
    c - size // 2 .. c + (size - 1) // 2, cut off at the first and the last channel.

    Source: Krizhevsky et al., ImageNet classification with deep convolutional neural networks,
    2012; alpha is divided by size as in PyTorch and Caffe.
    """
    op = "local_response_norm"
    constants = _response(op, size, alpha, beta, k)
    rows = _rows(op, "x", x)
    out = _arrays.empty(x.shape)
    _core.local_response_norm(rows, *constants, _memory(out))
    return out


def local_response_norm_backward(
    grad_output: Array,
    x: Array,
    size: int,
    alpha: float = 1e-4,
    beta: float = 0.75,
    k: float = 1.0,
) -> Array:
    """Gradient of `local_response_norm` from its input x; grad_output has the shape of x."""
    op = "local_response_norm_backward"
    constants = _response(op, size, alpha, beta, k)
    rows, grad = _rows_and_gradient(op, x, grad_output)
    out = _arrays.empty(x.shape)
    _core.local_response_norm_backward(grad, rows, *constants, _memory(out))
    return out


def batch_norm(
    x: Array,
    mean: Array,
    var: Array,
    weight: Array | None = None,
    bias: Array | None = None,
    eps: float = 1e-5,
    *,
    activation: Any = None,
) -> Array:
    """activation((x - mean) / sqrt(var + eps) * weight + bias), with given statistics.

    x (N, C, H, W) or (N, C) -> the same shape; all others (C,). weight=None means 1, bias=None 0.
    activation is None, "relu", ("leaky_relu", slope) or ("clip", min, max).

    Source: Ioffe and Szegedy, Batch normalization, 2015.
    """
    op = "batch_norm"
    rows = _rows(op, "x", x)
    parameters = (
        _arrays.vector(op, "mean", mean, x.shape[1]),
        _arrays.vector(op, "var", var, x.shape[1]),
        _optional_vector(op, "weight", weight, x.shape[1]),
        _optional_vector(op, "bias", bias, x.shape[1]),
    )
    out = _arrays.empty(x.shape)
    _core.batch_norm(rows, *parameters, _eps(op, eps), activation, _memory(out))
    return out


def batch_norm_training(
    x: Array,
    weight: Array | None = None,
    bias: Array | None = None,
    eps: float = 1e-5,
    *,
    residual: Array | None = None,
    activation: Any = None,
) -> tuple[Array, Array, Array]:
    """`batch_norm` with the statistics of x itself: -> (y, mean (C,), biased variance (C,)).

    x (N, C, H, W) or (N, C), not empty; weight (None: 1) and bias (None: 0) (C,). residual, of x's
    shape, is added before the activation.
    """
    op = "batch_norm_training"
    rows = _rows(op, "x", x)
    if x.size == 0:
        raise ValueError(f"{op}: x must not be empty (shape={x.shape})")
    parameters = (
        _optional_vector(op, "weight", weight, x.shape[1]),
        _optional_vector(op, "bias", bias, x.shape[1]),
    )
    out, mean, var = _arrays.empty(x.shape), *(_arrays.empty((x.shape[1],)) for _ in range(2))
    added = None if residual is None else _same(op, "residual", x, residual)
    _core.batch_norm_training(
        rows, *parameters, _eps(op, eps), activation, added, _memory(out), mean, var
    )
    return out, mean, var


def batch_norm_backward(
    grad_output: Array,
    x: Array,
    mean: Array,
    var: Array,
    weight: Array | None = None,
    eps: float = 1e-5,
    training: bool = True,
    *,
    activation: str | None = None,
    bias: Array | None = None,
    output: Array | None = None,
    residual: bool = False,
    overwrite: bool = False,
) -> tuple[Array, ...]:
    """Gradients of either batch norm: -> (grad_x, grad_weight (C,), grad_bias (C,)).

    grad_output and x (N, C, H, W) or (N, C), all others (C,). training=True: mean and var are
    those that `batch_norm_training` gave, and x moves them; False: they are constants. activation
    and bias are that function's; output is its result, which a ReLU behind a residual needs; with
    bias alone the ReLU's is computed again. With residual=True the gradient of the residual is a
    fourth. overwrite=True gives grad_output's memory to one of the results.
    """
    op = "batch_norm_backward"
    rows, grad = _rows_and_gradient(op, x, grad_output)
    parameters = (
        _arrays.vector(op, "mean", mean, x.shape[1]),
        _arrays.vector(op, "var", var, x.shape[1]),
        _optional_vector(op, "weight", weight, x.shape[1]),
    )
    free = [grad_output] if overwrite and _memory(grad_output).flags.carray else []
    if activation not in (None, "relu"):
        raise ValueError(f"{op}: activation must be None or 'relu' (activation={activation!r})")
    relu = activation is not None or output is not None
    if residual and relu and output is None:
        raise ValueError(f"{op}: a residual's gradient takes the output of a ReLU (output=None)")
    passed = None
    if residual and not relu:
        passed, free = grad_output, []
    elif residual:
        passed = free.pop() if free else _arrays.empty(x.shape)
    out = free.pop() if free else _arrays.empty(x.shape)
    grad_weight, grad_bias = (_arrays.empty((x.shape[1],)) for _ in range(2))
    _core.batch_norm_backward(
        grad,
        rows,
        *parameters,
        _eps(op, eps),
        bool(training),
        relu,
        _optional_vector(op, "bias", bias, x.shape[1]),
        None if output is None else _same(op, "output", x, output),
        _memory(out),
        grad_weight,
        grad_bias,
        None if passed is None or not relu else _memory(passed),
    )
    gradients = (out, grad_weight, grad_bias)
    return gradients if passed is None else (*gradients, passed)


def _memory(x: Array) -> Array:
    """An array of this library as it lies in memory, channels last."""
    return x.transpose(0, 2, 3, 1) if x.ndim == 4 else x


def _rows(operation: str, name: str, x: Any) -> Array:
    """The array in C order with channels last."""
    if _arrays.check(operation, name, x).ndim not in (2, 4):
        raise ValueError(f"{operation}: {name} must have 2 or 4 axes (shape={x.shape})")
    return _arrays.nhwc(operation, name, x) if x.ndim == 4 else np.ascontiguousarray(x)


def _rows_and_gradient(operation: str, x: Any, grad_output: Any) -> tuple[Array, Array]:
    return _rows(operation, "x", x), _same(operation, "grad_output", x, grad_output)


def _same(operation: str, name: str, x: Array, other: Any) -> Array:
    """The rows of an array that must have the shape of x."""
    rows = _rows(operation, name, other)
    if other.shape != x.shape:
        raise ValueError(
            f"{operation}: {name} must have the shape of x ({name}={other.shape}, x={x.shape})"
        )
    return rows


def _optional_vector(operation: str, name: str, x: Any, length: int) -> Array | None:
    return None if x is None else _arrays.vector(operation, name, x, length)


def _eps(operation: str, eps: Any) -> float:
    if not number(operation, "eps", eps) >= 0:
        raise ValueError(f"{operation}: eps must be at least 0 (eps={eps})")
    return float(eps)


def _response(
    operation: str, size: Any, alpha: Any, beta: Any, k: Any
) -> tuple[int, float, float, float]:
    try:
        channels = operator.index(size)
    except TypeError:
        raise TypeError(f"{operation}: size must be an integer (size={size!r})") from None
    return (
        min(channels, 2**62),  # what lies beyond the channels is zero
        number(operation, "alpha", alpha),
        number(operation, "beta", beta),
        number(operation, "k", k),
    )

"""Normalisation: local response normalisation and batch normalisation."""

from __future__ import annotations

import numpy as np

from ._arguments import Activation, Array, invalid, require_float, require_shape
from .activation import apply_activation

__all__ = [
    "batch_norm",
    "batch_norm_backward",
    "batch_norm_training",
    "local_response_norm",
    "local_response_norm_backward",
]


def _sum_over_channels(x: Array, before: int, after: int) -> Array:
    """For each channel c the sum of channels c-before .. c+after that exist."""
    padding = [(0, 0)] * x.ndim
    padding[1] = (before, after)
    padded = np.pad(x, padding)
    total = np.zeros_like(x)
    for first in range(before + after + 1):
        total += padded[:, first : first + x.shape[1]]
    return total


def _check_lrn(op: str, x: Array, size: int) -> None:
    if x.ndim < 2:
        raise invalid(op, "x must have a channel axis", x=x.shape)
    if size < 1:
        raise invalid(op, "size must be at least 1", size=size)


def local_response_norm(
    x: Array, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> Array:
    """x / (k + alpha/size * sum of squares over `size` neighbouring channels)**beta.

    x (N, C, ...); the window of channel c is c - size//2 .. c + (size-1)//2 (AlexNet,
    Krizhevsky et al. 2012, with PyTorch's alpha/size).
    """
    require_float("local_response_norm", x=x)
    _check_lrn("local_response_norm", x, size)
    scale = k + alpha / size * _sum_over_channels(x * x, size // 2, (size - 1) // 2)
    return x * scale**-beta


def local_response_norm_backward(
    grad_output: Array,
    x: Array,
    size: int,
    alpha: float = 1e-4,
    beta: float = 0.75,
    k: float = 1.0,
) -> Array:
    """Gradient of local_response_norm from its input x.

    Channel j reaches the result directly and through the scale of every channel whose window
    holds j: those from j - (size-1)//2 to j + size//2, the window mirrored.
    """
    op = "local_response_norm_backward"
    require_float(op, grad_output=grad_output, x=x)
    _check_lrn(op, x, size)
    require_shape(op, x.shape, grad_output=grad_output)
    scale = k + alpha / size * _sum_over_channels(x * x, size // 2, (size - 1) // 2)
    through = _sum_over_channels(grad_output * x * scale ** (-beta - 1), (size - 1) // 2, size // 2)
    return grad_output * scale**-beta - 2 * beta * alpha / size * x * through


def _check_batch_norm(op: str, x: Array, **parameters: Array | None) -> None:
    require_float(op, x=x, **parameters)
    if x.ndim not in (2, 4):
        raise invalid(op, "x must have 2 or 4 axes", x=x.shape)
    require_shape(op, x.shape[1:2], **parameters)


def _reduced_axes(x: Array) -> tuple[int, ...]:
    """All axes but the channels'."""
    return (0, *range(2, x.ndim))


def _per_channel(parameter: Array, x: Array) -> Array:
    """(C,) shaped so that it broadcasts against x."""
    return parameter.reshape((1, -1) + (1,) * (x.ndim - 2))


def _normalised(x: Array, mean: Array, var: Array, eps: float) -> tuple[Array, Array]:
    """(x - mean) / sqrt(var + eps), and 1 / sqrt(var + eps) shaped to broadcast."""
    inverse = 1 / np.sqrt(_per_channel(var, x) + eps)
    return (x - _per_channel(mean, x)) * inverse, inverse


def batch_norm(
    x: Array,
    mean: Array,
    var: Array,
    weight: Array | None = None,
    bias: Array | None = None,
    eps: float = 1e-5,
    *,
    activation: Activation = None,
) -> Array:
    """activation((x - mean) / sqrt(var + eps) * weight + bias) with given statistics.

    x (N, C, H, W) or (N, C), all others (C,) (Ioffe and Szegedy 2015). weight=None means 1,
    bias=None means 0.
    """
    _check_batch_norm("batch_norm", x, mean=mean, var=var, weight=weight, bias=bias)
    y, _ = _normalised(x, mean, var, eps)
    if weight is not None:
        y = y * _per_channel(weight, x)
    if bias is not None:
        y = y + _per_channel(bias, x)
    return apply_activation("batch_norm", y, activation)


def batch_norm_training(
    x: Array,
    weight: Array | None = None,
    bias: Array | None = None,
    eps: float = 1e-5,
    *,
    residual: Array | None = None,
    activation: Activation = None,
) -> tuple[Array, Array, Array]:
    """activation(batch_norm with the batch's own statistics + residual): -> (y, mean (C,), biased
    var (C,))."""
    _check_batch_norm("batch_norm_training", x, weight=weight, bias=bias)
    if x.size == 0:
        raise invalid("batch_norm_training", "x must not be empty", x=x.shape)
    mean = x.mean(axis=_reduced_axes(x))
    var = np.square(x - _per_channel(mean, x)).mean(axis=_reduced_axes(x))
    y = batch_norm(x, mean, var, weight, bias, eps)
    if residual is not None:
        require_shape("batch_norm_training", x.shape, residual=residual)
        y = y + residual
    return apply_activation("batch_norm_training", y, activation), mean, var


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
    """Gradients (grad_x, grad_weight, grad_bias) of either batch norm.

    training=True: mean and var are those of x, and x moves them; False: they are constants.
    activation and bias: those of the forward pass; output: what a ReLU after it gave, which without
    a residual follows from bias, too. With residual=True the residual's is a fourth. overwrite:
    grad_output may be written over, which is not done here.
    """
    op = "batch_norm_backward"
    _check_batch_norm(op, x, mean=mean, var=var, weight=weight, bias=bias)
    if activation not in (None, "relu"):
        raise invalid(op, "activation must be None or 'relu'", activation=activation)
    if activation is not None and output is None:
        if residual:
            raise invalid(op, "a residual's gradient takes the output of a ReLU", output=output)
        output = batch_norm(x, mean, var, weight, bias, eps)
    require_float(op, grad_output=grad_output)
    require_shape(op, x.shape, grad_output=grad_output)
    if output is not None:
        require_shape(op, x.shape, output=output)
        if not training:
            raise invalid(op, "a ReLU is part of batch norm in training only", training=training)
        grad_output = np.where(output > 0, grad_output, grad_output.dtype.type(0))
    axes = _reduced_axes(x)
    normalised, inverse = _normalised(x, mean, var, eps)
    grad_weight = (grad_output * normalised).sum(axis=axes)
    grad_bias = grad_output.sum(axis=axes)

    grad_x = grad_output
    if training and x.size:
        count = x.size // x.shape[1]
        through_mean = _per_channel(grad_bias, x) / count
        through_var = normalised * _per_channel(grad_weight, x) / count
        grad_x = grad_output - through_mean - through_var
    factor = inverse if weight is None else inverse * _per_channel(weight, x)
    gradients = (grad_x * factor, grad_weight, grad_bias)
    return (*gradients, grad_output) if residual else gradients

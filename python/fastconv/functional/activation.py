"""Activation functions and their gradients, on arrays of any shape.

Results keep the memory order of their input where it is C or channels-last. NaN stays NaN.
All raise TypeError for anything but float32 arrays and ValueError for shapes that do not fit.
"""

from __future__ import annotations

import math
from typing import Any, TypeAlias

import numpy as np

from fastconv import _core
from fastconv.functional import _arrays
from fastconv.functional._arrays import Array
from fastconv.functional._order import pair
from fastconv.functional._scalars import number

__all__ = [
    "clip",
    "clip_backward",
    "leaky_relu",
    "leaky_relu_backward",
    "prelu",
    "prelu_backward",
    "relu",
    "relu_backward",
    "sigmoid",
    "sigmoid_backward",
    "tanh",
    "tanh_backward",
]

Activation: TypeAlias = str | tuple[str, float] | tuple[str, float | None, float | None] | None


def _activate(operation: str, x: Any, activation: Activation) -> Array:
    x = _arrays.dense(operation, "x", x)
    out = _arrays.empty_like(x)
    _core.activate(_arrays.flat(x), activation, _arrays.flat(out))
    return out


def _activate_backward(grad_output: Array, x: Array, activation: Activation) -> Array:
    out = _arrays.empty_like(x)
    _core.activate_backward(
        _arrays.flat(grad_output), _arrays.flat(x), activation, _arrays.flat(out)
    )
    return out


def relu(x: Array) -> Array:
    """max(x, 0), element by element."""
    return _activate("relu", x, "relu")


def relu_backward(grad_output: Array, y: Array) -> Array:
    """Gradient of `relu` from its output y: grad_output where y > 0, else 0."""
    y, grad_output = pair("relu_backward", y=y, grad_output=grad_output)
    return _activate_backward(grad_output, y, "relu")


def leaky_relu(x: Array, negative_slope: float = 0.01) -> Array:
    """x where x > 0, negative_slope * x elsewhere (Maas et al. 2013)."""
    slope = number("leaky_relu", "negative_slope", negative_slope)
    return _activate("leaky_relu", x, ("leaky_relu", slope))


def leaky_relu_backward(grad_output: Array, x: Array, negative_slope: float = 0.01) -> Array:
    """Gradient of `leaky_relu` from its input x."""
    slope = number("leaky_relu_backward", "negative_slope", negative_slope)
    x, grad_output = pair("leaky_relu_backward", x=x, grad_output=grad_output)
    return _activate_backward(grad_output, x, ("leaky_relu", slope))


def clip(x: Array, min: float | None = None, max: float | None = None) -> Array:
    """min(max(x, min), max), element by element; a bound of None does not bound."""
    return _activate("clip", x, _clip_activation("clip", min, max))


def clip_backward(
    grad_output: Array, x: Array, min: float | None = None, max: float | None = None
) -> Array:
    """Gradient of `clip` from its input x: grad_output where min <= x <= max, else 0."""
    activation = _clip_activation("clip_backward", min, max)
    x, grad_output = pair("clip_backward", x=x, grad_output=grad_output)
    return _activate_backward(grad_output, x, activation)


def _clip_activation(
    operation: str, low: float | None, high: float | None
) -> tuple[str, float | None, float | None]:
    return (
        "clip",
        None if low is None else number(operation, "min", low),
        None if high is None else number(operation, "max", high),
    )


def sigmoid(x: Array) -> Array:
    """1 / (1 + exp(-x)), element by element."""
    x = _arrays.dense("sigmoid", "x", x)
    out = _arrays.empty_like(x)
    _core.sigmoid(_arrays.flat(x), _arrays.flat(out))
    return out


def sigmoid_backward(grad_output: Array, y: Array) -> Array:
    """Gradient of `sigmoid` from its output y: grad_output * y * (1 - y)."""
    y, grad_output = pair("sigmoid_backward", y=y, grad_output=grad_output)
    out = _arrays.empty_like(y)
    _core.sigmoid_backward(_arrays.flat(grad_output), _arrays.flat(y), _arrays.flat(out))
    return out


def tanh(x: Array) -> Array:
    """Hyperbolic tangent, element by element."""
    x = _arrays.dense("tanh", "x", x)
    out = _arrays.empty_like(x)
    _core.tanh(_arrays.flat(x), _arrays.flat(out))
    return out


def tanh_backward(grad_output: Array, y: Array) -> Array:
    """Gradient of `tanh` from its output y: grad_output * (1 - y**2)."""
    y, grad_output = pair("tanh_backward", y=y, grad_output=grad_output)
    out = _arrays.empty_like(y)
    _core.tanh_backward(_arrays.flat(grad_output), _arrays.flat(y), _arrays.flat(out))
    return out


def prelu(x: Array, weight: Array) -> Array:
    """x where x > 0, weight * x elsewhere (He et al. 2015).

    weight is (1,), one slope for all, or (C,), one for each index of x's axis 1.
    """
    x = _arrays.dense("prelu", "x", x)
    weight = _slopes("prelu", x, weight)
    out = _arrays.empty_like(x)
    _core.prelu(_by_channel(x, weight), weight, _arrays.flat(out))
    return out


def prelu_backward(grad_output: Array, x: Array, weight: Array) -> tuple[Array, Array]:
    """Gradients of `prelu` from its input x: (grad_x, grad_weight), shaped like x and weight."""
    x, grad_output = pair("prelu_backward", x=x, grad_output=grad_output)
    weight = _slopes("prelu_backward", x, weight)
    grad_x, grad_weight = _arrays.empty_like(x), _arrays.empty(weight.shape)
    _core.prelu_backward(
        _arrays.flat(grad_output), _by_channel(x, weight), weight, _arrays.flat(grad_x), grad_weight
    )
    return grad_x, grad_weight


def _slopes(operation: str, x: Array, weight: Any) -> Array:
    weight = _arrays.check(operation, "weight", weight)
    if weight.shape != (1,) and (x.ndim < 2 or weight.shape != x.shape[1:2]):
        raise ValueError(
            f"{operation}: weight must have one value, or one per channel of x "
            f"(weight={weight.shape}, x={x.shape})"
        )
    return np.ascontiguousarray(weight)


def _by_channel(x: Array, weight: Array) -> Array:
    """The memory of a dense array as (outer, channels, inner), with a slope for each channel."""
    if weight.size == 1:
        return _arrays.flat(x).reshape(1, 1, -1)
    outer, channels, inner = x.shape[0], x.shape[1], math.prod(x.shape[2:])
    if not x.flags.c_contiguous:
        outer, inner = outer * inner, 1
    return _arrays.flat(x).reshape(outer, channels, inner)

"""Activation functions, element by element, and their gradients.

The gradients of relu, sigmoid and tanh take the output y, the others the input x: whichever
says enough, so that a network need keep only one of the two.
"""

from __future__ import annotations

import numpy as np

from ._arguments import Activation, Array, invalid, require_float, require_shape

__all__ = [
    "apply_activation",
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


def apply_activation(op: str, x: Array, activation: Activation) -> Array:
    """What `op` does last: None, "relu", ("leaky_relu", slope) or ("clip", min, max)."""
    match activation:
        case None:
            return x
        case "relu":
            return relu(x)
        case ("leaky_relu", float() | int() as slope):
            return leaky_relu(x, slope)
        case ("clip", float() | int() | None as low, float() | int() | None as high):
            return clip(x, low, high)
    rule = "activation must be None, 'relu', ('leaky_relu', slope) or ('clip', min, max)"
    raise invalid(op, rule, activation=repr(activation))


def relu(x: Array) -> Array:
    """max(x, 0)."""
    require_float("relu", x=x)
    return np.maximum(x, 0)


def relu_backward(grad_output: Array, y: Array) -> Array:
    """Gradient of relu from its output y: passes where y > 0."""
    require_float("relu_backward", grad_output=grad_output, y=y)
    require_shape("relu_backward", y.shape, grad_output=grad_output)
    return np.where(y > 0, grad_output, 0)


def leaky_relu(x: Array, negative_slope: float = 0.01) -> Array:
    """x where x > 0, else negative_slope * x."""
    require_float("leaky_relu", x=x)
    return np.where(x > 0, x, negative_slope * x)


def leaky_relu_backward(grad_output: Array, x: Array, negative_slope: float = 0.01) -> Array:
    """Gradient of leaky_relu from its input x."""
    require_float("leaky_relu_backward", grad_output=grad_output, x=x)
    require_shape("leaky_relu_backward", x.shape, grad_output=grad_output)
    return np.where(x > 0, grad_output, negative_slope * grad_output)


def _slope_per_channel(op: str, x: Array, weight: Array) -> Array:
    """weight (1,) or (C,), shaped so that it broadcasts along x's channel axis 1."""
    channels = x.shape[1] if x.ndim > 1 else 1
    if weight.shape not in ((1,), (channels,)):
        rule = "weight must have one element, or one per channel of x"
        raise invalid(op, rule, weight=weight.shape, x=x.shape)
    return weight.reshape((1, -1) + (1,) * (x.ndim - 2)) if x.ndim > 1 else weight


def prelu(x: Array, weight: Array) -> Array:
    """x where x > 0, else slope * x; weight (1,) or (C,) holds the slopes (He et al. 2015)."""
    require_float("prelu", x=x, weight=weight)
    return np.where(x > 0, x, _slope_per_channel("prelu", x, weight) * x)


def prelu_backward(grad_output: Array, x: Array, weight: Array) -> tuple[Array, Array]:
    """Gradients (grad_x, grad_weight) of prelu; grad_weight has weight's shape."""
    require_float("prelu_backward", grad_output=grad_output, x=x, weight=weight)
    require_shape("prelu_backward", x.shape, grad_output=grad_output)
    slope = _slope_per_channel("prelu_backward", x, weight)
    grad_x = np.where(x > 0, grad_output, slope * grad_output)
    grad_slope = np.where(x > 0, 0, grad_output * x)
    shared = weight.size == 1
    axes = tuple(axis for axis in range(x.ndim) if shared or axis != 1)
    return grad_x, grad_slope.sum(axis=axes).reshape(weight.shape)


def sigmoid(x: Array) -> Array:
    """1 / (1 + exp(-x)), written so that exp never overflows."""
    require_float("sigmoid", x=x)
    e = np.exp(-np.abs(x))
    y: Array = np.where(x >= 0, 1, e) / (1 + e)
    return y


def sigmoid_backward(grad_output: Array, y: Array) -> Array:
    """Gradient of sigmoid from its output y: y * (1 - y)."""
    require_float("sigmoid_backward", grad_output=grad_output, y=y)
    require_shape("sigmoid_backward", y.shape, grad_output=grad_output)
    grad_x: Array = grad_output * y * (1 - y)
    return grad_x


def tanh(x: Array) -> Array:
    """Hyperbolic tangent."""
    require_float("tanh", x=x)
    return np.tanh(x)


def tanh_backward(grad_output: Array, y: Array) -> Array:
    """Gradient of tanh from its output y: 1 - y**2."""
    require_float("tanh_backward", grad_output=grad_output, y=y)
    require_shape("tanh_backward", y.shape, grad_output=grad_output)
    grad_x: Array = grad_output * (1 - y) * (1 + y)
    return grad_x


def clip(x: Array, min: float | None = None, max: float | None = None) -> Array:
    """min(max(x, min), max); a bound of None does not bound. NaN stays NaN."""
    require_float("clip", x=x)
    y = x.copy() if min is None else np.maximum(x, min)
    return y if max is None else np.minimum(y, max)


def clip_backward(
    grad_output: Array, x: Array, min: float | None = None, max: float | None = None
) -> Array:
    """Gradient of clip from its input x: passes where min <= x <= max, as torch.clamp."""
    require_float("clip_backward", grad_output=grad_output, x=x)
    require_shape("clip_backward", x.shape, grad_output=grad_output)
    low = -np.inf if min is None else min
    high = np.inf if max is None else max
    return np.where((x >= low) & (x <= high), grad_output, 0)

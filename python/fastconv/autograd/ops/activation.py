"""Activations: element by element, and softmax."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..function import Function

if TYPE_CHECKING:
    from ..tensor import Tensor

__all__ = [
    "Clip",
    "LeakyReLU",
    "LogSoftmax",
    "PReLU",
    "ReLU",
    "Sigmoid",
    "Softmax",
    "Tanh",
    "clip",
    "leaky_relu",
    "log_softmax",
    "prelu",
    "relu",
    "sigmoid",
    "softmax",
    "tanh",
]


def check_joined(op: str, activation: Any) -> None:
    """Raise ValueError, in the name of `op`, for an activation that it does not apply itself."""
    if activation not in (None, "relu"):
        raise ValueError(f"{op}: activation must be None or 'relu' (activation={activation!r})")


class ReLU(Function):
    @staticmethod
    def forward(ctx: Any, x: np.ndarray) -> np.ndarray:
        y: np.ndarray = ctx.kernels.relu(x)
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx: Any, grad: np.ndarray) -> Any:
        return ctx.kernels.relu_backward(grad, *ctx.saved)


class LeakyReLU(Function):
    @staticmethod
    def forward(ctx: Any, x: np.ndarray, negative_slope: float) -> np.ndarray:
        ctx.save_for_backward(x)
        ctx.negative_slope = negative_slope
        y: np.ndarray = ctx.kernels.leaky_relu(x, negative_slope)
        return y

    @staticmethod
    def backward(ctx: Any, grad: np.ndarray) -> Any:
        return ctx.kernels.leaky_relu_backward(grad, *ctx.saved, ctx.negative_slope)


class PReLU(Function):
    @staticmethod
    def forward(ctx: Any, x: np.ndarray, weight: np.ndarray) -> np.ndarray:
        ctx.save_for_backward(x, weight)
        y: np.ndarray = ctx.kernels.prelu(x, weight)
        return y

    @staticmethod
    def backward(ctx: Any, grad: np.ndarray) -> Any:
        return ctx.kernels.prelu_backward(grad, *ctx.saved)


class Sigmoid(Function):
    @staticmethod
    def forward(ctx: Any, x: np.ndarray) -> np.ndarray:
        y: np.ndarray = ctx.kernels.sigmoid(x)
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx: Any, grad: np.ndarray) -> Any:
        return ctx.kernels.sigmoid_backward(grad, *ctx.saved)


class Tanh(Function):
    @staticmethod
    def forward(ctx: Any, x: np.ndarray) -> np.ndarray:
        y: np.ndarray = ctx.kernels.tanh(x)
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx: Any, grad: np.ndarray) -> Any:
        return ctx.kernels.tanh_backward(grad, *ctx.saved)


class Clip(Function):
    @staticmethod
    def forward(ctx: Any, x: np.ndarray, *bounds: float | None) -> np.ndarray:
        ctx.save_for_backward(x)
        ctx.bounds = bounds
        y: np.ndarray = ctx.kernels.clip(x, *bounds)
        return y

    @staticmethod
    def backward(ctx: Any, grad: np.ndarray) -> Any:
        return ctx.kernels.clip_backward(grad, *ctx.saved, *ctx.bounds)


class Softmax(Function):
    @staticmethod
    def forward(ctx: Any, x: np.ndarray, dim: int) -> np.ndarray:
        y: np.ndarray = ctx.kernels.softmax(x, dim)
        ctx.save_for_backward(y)
        ctx.dim = dim
        return y

    @staticmethod
    def backward(ctx: Any, grad: np.ndarray) -> Any:
        return ctx.kernels.softmax_backward(grad, *ctx.saved, ctx.dim)


class LogSoftmax(Function):
    @staticmethod
    def forward(ctx: Any, x: np.ndarray, dim: int) -> np.ndarray:
        y: np.ndarray = ctx.kernels.log_softmax(x, dim)
        ctx.save_for_backward(y)
        ctx.dim = dim
        return y

    @staticmethod
    def backward(ctx: Any, grad: np.ndarray) -> Any:
        return ctx.kernels.log_softmax_backward(grad, *ctx.saved, ctx.dim)


def relu(x: Any) -> Tensor:
    """Return max(x, 0)."""
    return ReLU.apply(x)


def leaky_relu(x: Any, negative_slope: float = 0.01) -> Tensor:
    """Return x where positive, `negative_slope * x` elsewhere."""
    return LeakyReLU.apply(x, negative_slope)


def prelu(x: Any, weight: Any) -> Tensor:
    """Return x where positive, `weight * x` elsewhere; weight (1,), or (C,) along axis 1."""
    return PReLU.apply(x, weight)


def sigmoid(x: Any) -> Tensor:
    """Return 1 / (1 + exp(-x))."""
    return Sigmoid.apply(x)


def tanh(x: Any) -> Tensor:
    """Return the hyperbolic tangent of x."""
    return Tanh.apply(x)


def clip(x: Any, min: float | None = None, max: float | None = None) -> Tensor:
    """Return x limited to [min, max]; None sets no limit."""
    return Clip.apply(x, min, max)


def softmax(x: Any, dim: int = 1) -> Tensor:
    """Return exp(x) scaled to sum to 1 along `dim`."""
    return Softmax.apply(x, dim)


def log_softmax(x: Any, dim: int = 1) -> Tensor:
    """Return the logarithm of `softmax(x, dim)`, without overflow."""
    return LogSoftmax.apply(x, dim)

"""Functions of every element by itself, with their derivatives."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....autograd import Function, Tensor, ops

__all__ = ["UNARY", "cast", "cast_like", "clip", "compare", "mask", "prelu", "unary", "where"]

Array = NDArray[Any]


def _sigmoid(x: Array) -> Array:
    return np.asarray(0.5 * (np.tanh(0.5 * x) + 1))


def _elu(x: Array, alpha: float) -> Array:
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))


def _elu_derivative(x: Array, y: Array, alpha: float) -> Array:
    return np.where(x > 0, 1, alpha * np.exp(np.minimum(x, 0)))


def _selu(x: Array, alpha: float, gamma: float) -> Array:
    return gamma * _elu(x, alpha)


def _celu(x: Array, alpha: float) -> Array:
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0) / alpha))


def _hard_sigmoid(x: Array, alpha: float, beta: float) -> Array:
    return np.clip(alpha * x + beta, 0, 1)


def _hard_sigmoid_derivative(x: Array, y: Array, alpha: float, beta: float) -> Array:
    return np.where((y > 0) & (y < 1), alpha, 0)


def _hard_swish(x: Array) -> Array:
    return x * np.clip(x / 6 + 0.5, 0, 1)


def _hard_swish_derivative(x: Array, y: Array) -> Array:
    return np.where(x <= -3, 0, np.where(x >= 3, 1, x / 3 + 0.5))


def _softplus(x: Array) -> Array:
    return np.asarray(np.logaddexp(x, np.zeros((), x.dtype)))


def _mish_derivative(x: Array, y: Array) -> Array:
    t = np.tanh(_softplus(x))
    return np.asarray(t + x * (1 - t * t) * _sigmoid(x))


def _shrink(x: Array, bias: float, lambd: float) -> Array:
    return np.where(x > lambd, x - bias, np.where(x < -lambd, x + bias, 0))


def _swish_derivative(x: Array, y: Array, alpha: float) -> Array:
    s = _sigmoid(alpha * x)
    return np.asarray(s + alpha * y * (1 - s))


def _softsign_derivative(x: Array, y: Array) -> Array:
    return np.asarray(1 / np.square(1 + np.abs(x)))


# The function of x and options, and its derivative from x, y and options; None: zero almost
# everywhere.
UNARY: dict[str, tuple[Callable[..., Any], Callable[..., Any] | None]] = {
    "Abs": (np.abs, lambda x, y: np.sign(x)),
    "Ceil": (np.ceil, None),
    "Celu": (_celu, lambda x, y, alpha: np.where(x > 0, 1, np.exp(np.minimum(x, 0) / alpha))),
    "Elu": (_elu, _elu_derivative),
    "Exp": (np.exp, lambda x, y: y),
    "Floor": (np.floor, None),
    "HardSigmoid": (_hard_sigmoid, _hard_sigmoid_derivative),
    "HardSwish": (_hard_swish, _hard_swish_derivative),
    "Log": (np.log, lambda x, y: 1 / x),
    "Mish": (lambda x: x * np.tanh(_softplus(x)), _mish_derivative),
    "Neg": (np.negative, lambda x, y: -np.ones_like(x)),
    "Not": (np.logical_not, None),
    "Reciprocal": (np.reciprocal, lambda x, y: -y * y),
    "Round": (np.rint, None),
    "Selu": (_selu, lambda x, y, alpha, gamma: gamma * _elu_derivative(x, y, alpha)),
    "Shrink": (_shrink, lambda x, y, bias, lambd: np.where(np.abs(x) > lambd, 1, 0)),
    "Sign": (np.sign, None),
    "Softplus": (_softplus, lambda x, y: _sigmoid(x)),
    "Softsign": (lambda x: x / (1 + np.abs(x)), _softsign_derivative),
    "Sqrt": (np.sqrt, lambda x, y: 0.5 / y),
    "Swish": (lambda x, alpha: x * _sigmoid(alpha * x), _swish_derivative),
    "ThresholdedRelu": (
        lambda x, alpha: np.where(x > alpha, x, 0),
        lambda x, y, alpha: np.where(x > alpha, 1, 0),
    ),
}


class _Unary(Function):
    @staticmethod
    def forward(ctx: Any, x: Array, name: str, options: dict[str, float]) -> Any:
        ctx.name, ctx.options = name, options
        function, derivative = UNARY[name]
        y = function(x, **options)
        if y.dtype.kind == "f":
            y = y.astype(x.dtype, copy=False)
        if derivative is not None:
            ctx.save_for_backward(x, y)
        return y

    @staticmethod
    def backward(ctx: Any, grad: Array) -> Any:
        derivative = UNARY[ctx.name][1]
        if derivative is None:
            return None
        return (grad * derivative(*ctx.saved, **ctx.options)).astype(grad.dtype, copy=False)


def unary(x: Tensor, *, name: str, **options: float) -> Tensor:
    """Return a function of `UNARY` of every element."""
    if name == "Neg" and x.dtype.kind == "f":
        return ops.neg(x)
    return _Unary.apply(x, name, options)


def clip(x: Tensor, low: Tensor | None = None, high: Tensor | None = None) -> Tensor:
    """Limit x to [low, high]; where they cross, `high` wins."""
    below, above = (None if b is None else b.data.reshape(-1)[0] for b in (low, high))
    crossed = below is not None and above is not None and below > above
    if x.dtype == np.float32 and not crossed:
        limits = (None if b is None or not math.isfinite(b) else float(b) for b in (below, above))
        return ops.clip(x, *limits)
    y = x.data if below is None else np.maximum(x.data, below)
    return Tensor(np.asarray(y if above is None else np.minimum(y, above)))


def prelu(x: Tensor, slope: Tensor) -> Tensor:
    """Return x where positive, slope * x elsewhere; slope broadcasts against x."""
    return ops.add(ops.relu(x), ops.mul(ops.sub(x, ops.relu(x)), slope))


def cast(x: Tensor, *, dtype: str) -> Tensor:
    """Return x in another type."""
    return x if x.dtype == dtype else Tensor(x.data.astype(dtype))


def cast_like(x: Tensor, y: Tensor) -> Tensor:
    """Return x in the type of y."""
    if y.dtype.kind not in "fiub":
        raise TypeError(f"CastLike: the type must be a plain number's (dtype={y.dtype})")
    return cast(x, dtype=y.dtype.name)


def mask(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return x, and that all of it was kept: dropout in inference."""
    return x, Tensor(np.ones(x.shape, np.bool_))


def compare(x: Tensor, y: Tensor, *, name: str) -> Tensor:
    """Return the truth of a relation, element by element, as a NumPy function of that name."""
    return Tensor(np.asarray(getattr(np, name)(x.data, y.data)))


class _Where(Function):
    @staticmethod
    def forward(ctx: Any, condition: Array, x: Array, y: Array) -> Any:
        ctx.save_for_backward(condition)
        ctx.shapes = (x.shape, y.shape)
        return np.where(condition, x, y)

    @staticmethod
    def backward(ctx: Any, grad: Array) -> Any:
        (condition,) = ctx.saved
        chosen = (np.where(condition, grad, 0), np.where(condition, 0, grad))
        return None, *(unbroadcast(g, s) for g, s in zip(chosen, ctx.shapes, strict=True))


def where(condition: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Return x where the condition holds, y elsewhere."""
    return _Where.apply(condition, x, y)


def unbroadcast(grad: Array, shape: tuple[int, ...]) -> Array:
    """Sum the gradient of a broadcast array over what it was repeated along."""
    extra = grad.ndim - len(shape)
    axes = (
        *range(extra),
        *(extra + i for i, size in enumerate(shape) if size == 1 != grad.shape[extra + i]),
    )
    return np.asarray(grad.sum(axis=axes, keepdims=True)).reshape(shape)

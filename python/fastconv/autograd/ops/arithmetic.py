"""Arithmetic with broadcasting, and sums. NumPy does it, but for the addition of feature maps."""

from __future__ import annotations

from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

import numpy as np

from ..function import Function
from .activation import check_joined

if TYPE_CHECKING:
    from ..tensor import Tensor

__all__ = ["add", "div", "mean", "mul", "neg", "pow", "sub", "sum"]


def _unbroadcast(grad: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Sum the gradient of a broadcast array over the axes it was repeated along."""
    if grad.shape == shape:
        return grad
    extra = grad.ndim - len(shape)
    axes = tuple(range(extra)) + tuple(
        extra + axis for axis, size in enumerate(shape) if size == 1 != grad.shape[extra + axis]
    )
    return np.asarray(grad.sum(axis=axes, keepdims=True)).reshape(shape)


def _operands(x: Any, y: Any) -> tuple[Any, Any]:
    """Give Python and NumPy scalars the type of the other operand."""
    arrays = (np.ndarray, Function.tensor_type)
    if not isinstance(x, arrays):
        return _scalar(x, y), y
    return x, y if isinstance(y, arrays) else _scalar(y, x)


def _scalar(value: Any, other: Any) -> np.ndarray:
    if not isinstance(value, Real):
        kind = type(value).__name__
        raise TypeError(f"arithmetic: operands must be tensors, arrays or numbers (type={kind})")
    if other.dtype.kind != "f" and not isinstance(value, Integral):
        raise TypeError(
            f"arithmetic: a tensor of integers takes integers (dtype={other.dtype}, value={value})"
        )
    return np.asarray(value, dtype=other.dtype)


class Add(Function):
    """Of two arrays of any shapes that broadcast."""

    @staticmethod
    def forward(ctx: Any, x: np.ndarray, y: np.ndarray) -> Any:
        ctx.shapes = (x.shape, y.shape)
        if x.ndim == 4 and x.shape == y.shape and x.dtype == y.dtype:
            return ctx.kernels.add(x, y)
        return x + y

    @staticmethod
    def backward(ctx: Any, grad: np.ndarray) -> Any:
        x_shape, y_shape = ctx.shapes
        needs_x, needs_y = ctx.needs_input_grad
        return (
            _unbroadcast(grad, x_shape) if needs_x else None,
            _unbroadcast(grad, y_shape) if needs_y else None,
        )


class AddReLU(Function):
    """Of two arrays of one shape: the end of a residual block in one pass."""

    @staticmethod
    def forward(ctx: Any, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        out: np.ndarray = ctx.kernels.add(x, y, activation="relu")
        ctx.save_for_backward(out)
        return out

    @staticmethod
    def backward(ctx: Any, grad: np.ndarray) -> Any:
        grad = ctx.kernels.relu_backward(grad, *ctx.saved)
        return grad, grad


class Sub(Function):
    @staticmethod
    def forward(ctx: Any, x: np.ndarray, y: np.ndarray) -> Any:
        ctx.shapes = (x.shape, y.shape)
        return x - y

    @staticmethod
    def backward(ctx: Any, grad: np.ndarray) -> Any:
        x_shape, y_shape = ctx.shapes
        needs_x, needs_y = ctx.needs_input_grad
        return (
            _unbroadcast(grad, x_shape) if needs_x else None,
            _unbroadcast(-grad, y_shape) if needs_y else None,
        )


class Mul(Function):
    @staticmethod
    def forward(ctx: Any, x: np.ndarray, y: np.ndarray) -> Any:
        ctx.save_for_backward(x, y)
        return x * y

    @staticmethod
    def backward(ctx: Any, grad: np.ndarray) -> Any:
        x, y = ctx.saved
        needs_x, needs_y = ctx.needs_input_grad
        return (
            _unbroadcast(grad * y, x.shape) if needs_x else None,
            _unbroadcast(grad * x, y.shape) if needs_y else None,
        )


class Div(Function):
    @staticmethod
    def forward(ctx: Any, x: np.ndarray, y: np.ndarray) -> Any:
        ctx.save_for_backward(x, y)
        return x / y

    @staticmethod
    def backward(ctx: Any, grad: np.ndarray) -> Any:
        x, y = ctx.saved
        needs_x, needs_y = ctx.needs_input_grad
        return (
            _unbroadcast(grad / y, x.shape) if needs_x else None,
            _unbroadcast(-grad * x / (y * y), y.shape) if needs_y else None,
        )


class Neg(Function):
    @staticmethod
    def forward(ctx: Any, x: np.ndarray) -> Any:
        return -x

    @staticmethod
    def backward(ctx: Any, grad: np.ndarray) -> Any:
        return -grad


class Pow(Function):
    """To a power that is a number."""

    @staticmethod
    def forward(ctx: Any, x: np.ndarray, exponent: float) -> Any:
        ctx.save_for_backward(x)
        ctx.exponent = exponent
        return x * x if exponent == 2 else x**exponent

    @staticmethod
    def backward(ctx: Any, grad: np.ndarray) -> Any:
        (x,) = ctx.saved
        slope = x.dtype.type(ctx.exponent)
        return grad * slope * (x if ctx.exponent == 2 else x ** (ctx.exponent - 1)), None


class Sum(Function):
    """The sum over `dim` times `scale`, which is 1 / count for a mean."""

    @staticmethod
    def forward(
        ctx: Any, x: np.ndarray, dim: int | tuple[int, ...] | None, keepdim: bool, mean: bool
    ) -> Any:
        ctx.shape, ctx.dim, ctx.keepdim = x.shape, dim, keepdim
        out = x.mean(axis=dim, keepdims=keepdim) if mean else x.sum(axis=dim, keepdims=keepdim)
        ctx.scale = x.dtype.type(max(out.size, 1) / max(x.size, 1)) if mean else None
        return out

    @staticmethod
    def backward(ctx: Any, grad: np.ndarray) -> Any:
        if ctx.dim is not None and not ctx.keepdim:
            grad = np.expand_dims(grad, ctx.dim)
        if ctx.scale is not None:
            grad = grad * ctx.scale
        return np.broadcast_to(grad, ctx.shape)


def add(x: Any, y: Any, activation: str | None = None) -> Tensor:
    """Return x + y; with `activation="relu"`, max(x + y, 0) of two tensors of one shape."""
    check_joined("add", activation)
    return Add.apply(*_operands(x, y)) if activation is None else AddReLU.apply(x, y)


def sub(x: Any, y: Any) -> Tensor:
    """Return x - y."""
    return Sub.apply(*_operands(x, y))


def mul(x: Any, y: Any) -> Tensor:
    """Return x * y, element by element."""
    return Mul.apply(*_operands(x, y))


def div(x: Any, y: Any) -> Tensor:
    """Return x / y, element by element."""
    return Div.apply(*_operands(x, y))


def neg(x: Any) -> Tensor:
    """Return -x."""
    return Neg.apply(x)


def pow(x: Any, exponent: Any) -> Tensor:
    """Return x to a power that is a number, element by element."""
    if not isinstance(exponent, Real):
        kind = type(exponent).__name__
        raise TypeError(f"pow: the exponent must be a number (type={kind})")
    return Pow.apply(x, exponent)


def sum(x: Any, dim: int | tuple[int, ...] | None = None, keepdim: bool = False) -> Tensor:
    """Return the sum over some axes, or over all."""
    return Sum.apply(x, dim, keepdim, False)


def mean(x: Any, dim: int | tuple[int, ...] | None = None, keepdim: bool = False) -> Tensor:
    """Return the mean over some axes, or over all."""
    return Sum.apply(x, dim, keepdim, True)

"""Arithmetic between tensors, reductions and matrix products."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....autograd import Function, Tensor, ops
from .elementwise import unbroadcast
from .movement import integers

__all__ = ["aligned", "arithmetic", "extremes", "gemm", "matmul", "mean", "power", "reduce"]

Array = NDArray[Any]

_FLOATS: dict[str, Callable[..., Tensor]] = {
    "Add": ops.add,
    "Sub": ops.sub,
    "Mul": ops.mul,
    "Div": ops.div,
}


def _divide(x: Array, y: Array) -> Array:
    """Integers are divided towards zero."""
    if not y.all():
        raise ValueError("Div: integers cannot be divided by zero (y=0)")
    quotient = np.abs(x) // np.abs(y)
    return np.where((x < 0) != (y < 0), -quotient, quotient).astype(np.result_type(x, y))


_INTEGERS: dict[str, Callable[[Array, Array], Any]] = {
    "Add": np.add,
    "Sub": np.subtract,
    "Mul": np.multiply,
    "Div": _divide,
}


def arithmetic(*xs: Tensor, name: str) -> Tensor:
    """Return Add, Sub, Mul or Div of tensors of one type, which broadcast."""
    total = xs[0]
    for x in xs[1:]:
        if total.dtype.kind == "f":
            total = _FLOATS[name](total, x)
        else:
            total = Tensor(np.asarray(_INTEGERS[name](total.data, x.data)))
    return total


def aligned(x: Tensor, y: Tensor, *, name: str, axis: int | None) -> Tensor:
    """Return the arithmetic of old operators, where y's axes are those of x from `axis` on, by
    default the last."""
    if axis is not None:
        at = axis + x.ndim if axis < 0 else axis
        y = ops.reshape(y, (*y.shape, *(1,) * (x.ndim - at - y.ndim)))
    return arithmetic(x, y, name=name)


def mean(*xs: Tensor) -> Tensor:
    """Return the mean of tensors, which broadcast."""
    return ops.div(arithmetic(*xs, name="Add"), float(len(xs)))


class _Power(Function):
    @staticmethod
    def forward(ctx: Any, x: Array, y: Array) -> Any:
        ctx.save_for_backward(x, y)
        # A number as exponent is NumPy's quick way to squares and roots.
        return np.power(x, y.reshape(-1)[0] if y.size == 1 and not y.ndim else y).astype(x.dtype)

    @staticmethod
    def backward(ctx: Any, grad: Array) -> Any:
        x, y = ctx.saved
        needs_x, needs_y = ctx.needs_input_grad
        grad_x = grad_y = None
        if needs_x:
            grad_x = unbroadcast((grad * y * np.power(x, y - 1)).astype(x.dtype), x.shape)
        if needs_y:
            log = np.log(np.where(x > 0, x, 1))
            grad_y = unbroadcast((grad * np.power(x, y) * log).astype(y.dtype), y.shape)
        return grad_x, grad_y


def power(x: Tensor, y: Tensor) -> Tensor:
    """Return x to the power of y, element by element, in x's type."""
    return _Power.apply(x, y)


class _Extreme(Function):
    """The larger or the smaller of two; equal ones share the gradient."""

    @staticmethod
    def forward(ctx: Any, x: Array, y: Array, largest: bool) -> Any:
        out = np.maximum(x, y) if largest else np.minimum(x, y)
        ctx.save_for_backward(x, y, out)
        return out

    @staticmethod
    def backward(ctx: Any, grad: Array) -> Any:
        x, y, out = ctx.saved
        from_x, from_y = x == out, y == out
        share = grad / np.maximum(from_x.astype(grad.dtype) + from_y, 1)
        return unbroadcast(share * from_x, x.shape), unbroadcast(share * from_y, y.shape)


def extremes(*xs: Tensor, largest: bool) -> Tensor:
    """Return the largest or the smallest of tensors, element by element."""
    best = xs[0]
    for x in xs[1:]:
        best = _Extreme.apply(best, x, largest)
    return best


def _bound_of(dtype: np.dtype[Any], smallest: bool) -> Any:
    """Return the smallest or the largest number of a type: what nothing at all reduces to."""
    if dtype.kind == "f":
        return dtype.type(-np.inf if smallest else np.inf)
    if dtype.kind == "b":
        return dtype.type(not smallest)
    info = np.iinfo(dtype)
    return dtype.type(info.min if smallest else info.max)


class _ReduceExtreme(Function):
    @staticmethod
    def forward(ctx: Any, x: Array, axes: tuple[int, ...], keepdims: bool, largest: bool) -> Any:
        out = _bound_of(x.dtype, largest)
        out = (x.max if largest else x.min)(axes, keepdims=True, initial=out)
        ctx.save_for_backward(x, out)
        ctx.axes = axes
        return out if keepdims else out.reshape([n for i, n in enumerate(x.shape) if i not in axes])

    @staticmethod
    def backward(ctx: Any, grad: Array) -> Any:
        x, out = ctx.saved
        hit = x == out
        return grad.reshape(out.shape) * (hit / hit.sum(ctx.axes, keepdims=True)).astype(x.dtype)


def reduce(
    x: Tensor,
    axes: Tensor | Sequence[int] | None = None,
    *,
    name: str,
    keepdims: bool,
    empty_is_all: bool,
) -> Tensor:
    """Return ReduceSum, ReduceMean, ReduceMax or ReduceMin over some axes.

    Without axes, over all if `empty_is_all`, else over none.
    """
    numbers = [] if axes is None else integers(axes)
    if not numbers and not empty_is_all:
        return x
    if any(not -x.ndim <= axis < x.ndim for axis in numbers):
        raise ValueError(f"{name}: axes must be x's (axes={numbers}, x={x.shape})")
    where = tuple(sorted({axis % x.ndim for axis in numbers})) or tuple(range(x.ndim))
    if name in ("ReduceMax", "ReduceMin"):
        return _ReduceExtreme.apply(x, where, keepdims, name == "ReduceMax")
    if x.dtype.kind != "f":
        if name != "ReduceSum":
            raise TypeError(f"{name}: x must be floating point (dtype={x.dtype})")
        return Tensor(np.asarray(x.data.sum(where, dtype=x.dtype, keepdims=keepdims)))
    return (ops.sum if name == "ReduceSum" else ops.mean)(x, where, keepdims)


class _MatMul(Function):
    """Stacks of matrices, which broadcast."""

    @staticmethod
    def forward(ctx: Any, x: Array, y: Array) -> Any:
        ctx.save_for_backward(x, y)
        return np.matmul(x, y)

    @staticmethod
    def backward(ctx: Any, grad: Array) -> Any:
        x, y = ctx.saved
        # Vectors are matrices of one row, or of one column.
        rows = x[None] if x.ndim == 1 else x
        columns = y[:, None] if y.ndim == 1 else y
        g = grad.reshape(
            *np.broadcast_shapes(rows.shape[:-2], columns.shape[:-2]),
            rows.shape[-2],
            columns.shape[-1],
        )
        grad_x = unbroadcast(g @ columns.swapaxes(-1, -2), rows.shape)
        grad_y = unbroadcast(rows.swapaxes(-1, -2) @ g, columns.shape)
        return grad_x.reshape(x.shape), grad_y.reshape(y.shape)


def matmul(x: Tensor, y: Tensor) -> Tensor:
    """Return the matrix product, as `np.matmul` does."""
    if x.ndim == y.ndim == 2 and x.dtype == np.float32 == y.dtype:
        return ops.matmul(x, y)
    return _MatMul.apply(x, y)


def gemm(
    a: Tensor,
    b: Tensor,
    c: Tensor | None = None,
    *,
    alpha: float,
    beta: float,
    trans_a: bool,
    trans_b: bool,
) -> Tensor:
    """Return alpha * a' @ b' + beta * c, where c broadcasts."""
    y = ops.gemm(a, b, trans_a=trans_a, trans_b=trans_b)
    if alpha != 1:
        y = ops.mul(y, alpha)
    return y if c is None else ops.add(y, c if beta == 1 else ops.mul(c, beta))

"""Matrix product with its epilogue, and the fully connected layer made of it."""

from __future__ import annotations

import numpy as np

from ._arguments import (
    Activation,
    Array,
    invalid,
    require_float,
    require_ndim,
    require_shape,
)
from .activation import apply_activation

__all__ = [
    "gemm",
    "linear",
    "linear_backward_bias",
    "linear_backward_input",
    "linear_backward_weight",
]


def gemm(
    a: Array,
    b: Array,
    *,
    alpha: float = 1.0,
    beta: float = 0.0,
    c: Array | None = None,
    trans_a: bool = False,
    trans_b: bool = False,
    bias: Array | None = None,
    residual: Array | None = None,
    activation: Activation = None,
) -> Array:
    """activation(alpha * op(a) @ op(b) + beta * c + bias + residual), a new array (M, N).

    op(a) is (M, K): a, or its transpose if trans_a; op(b) is (K, N). c and residual are (M, N),
    bias is (N,). With beta=0 c is not read.
    """
    require_float("gemm", a=a, b=b, c=c, bias=bias, residual=residual)
    require_ndim("gemm", 2, a=a, b=b)
    a = a.T if trans_a else a
    b = b.T if trans_b else b
    if a.shape[1] != b.shape[0]:
        raise invalid("gemm", "inner sizes must be equal", a=a.shape, b=b.shape)
    if beta != 0 and c is None:
        raise invalid("gemm", "a beta other than 0 needs c", beta=beta, c=c)
    shape = (a.shape[0], b.shape[1])
    require_shape("gemm", shape, c=c, residual=residual)
    require_shape("gemm", shape[1:], bias=bias)

    y = alpha * (a @ b)
    if beta != 0 and c is not None:
        y = y + beta * c
    if bias is not None:
        y = y + bias
    if residual is not None:
        y = y + residual
    return apply_activation("gemm", y, activation)


def linear(
    x: Array, weight: Array, bias: Array | None = None, activation: Activation = None
) -> Array:
    """activation(x @ weight.T + bias): x (..., in), weight (out, in), bias (out,) -> (..., out)."""
    require_float("linear", x=x, weight=weight, bias=bias)
    require_ndim("linear", 2, weight=weight)
    if x.ndim < 1 or x.shape[-1] != weight.shape[1]:
        rule = "the last axis of x must match weight's second"
        raise invalid("linear", rule, x=x.shape, weight=weight.shape)
    require_shape("linear", weight.shape[:1], bias=bias)
    y = x @ weight.T
    if bias is not None:
        y = y + bias
    return apply_activation("linear", y, activation)


def linear_backward_input(grad_output: Array, weight: Array) -> Array:
    """Gradient of linear with respect to x: (..., out), (out, in) -> (..., in)."""
    require_float("linear_backward_input", grad_output=grad_output, weight=weight)
    require_ndim("linear_backward_input", 2, weight=weight)
    if grad_output.ndim < 1 or grad_output.shape[-1] != weight.shape[0]:
        rule = "the last axis of grad_output must match weight's first"
        values = {"grad_output": grad_output.shape, "weight": weight.shape}
        raise invalid("linear_backward_input", rule, **values)
    return grad_output @ weight


def linear_backward_weight(grad_output: Array, x: Array) -> Array:
    """Gradient of linear with respect to weight: (..., out), (..., in) -> (out, in)."""
    require_float("linear_backward_weight", grad_output=grad_output, x=x)
    if grad_output.shape[:-1] != x.shape[:-1]:
        rule = "grad_output and x must agree in all axes but the last"
        values = {"grad_output": grad_output.shape, "x": x.shape}
        raise invalid("linear_backward_weight", rule, **values)
    leading = tuple(range(x.ndim - 1))
    return np.tensordot(grad_output, x, axes=(leading, leading))


def linear_backward_bias(grad_output: Array) -> Array:
    """Gradient of linear with respect to bias: (..., out) -> (out,)."""
    require_float("linear_backward_bias", grad_output=grad_output)
    grad_bias: Array = grad_output.sum(axis=tuple(range(grad_output.ndim - 1)))
    return grad_bias

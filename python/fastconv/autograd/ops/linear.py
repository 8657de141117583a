"""Matrix products."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..function import Function

if TYPE_CHECKING:
    from ..tensor import Tensor

__all__ = ["Gemm", "Linear", "gemm", "linear", "matmul"]


class Linear(Function):
    owns_results = True

    @staticmethod
    def forward(ctx: Any, x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None) -> np.ndarray:
        ctx.save_for_backward(x, weight)
        result: np.ndarray = ctx.kernels.linear(x, weight, bias)
        return result

    @staticmethod
    def backward(ctx: Any, grad: np.ndarray) -> Any:
        x, weight = ctx.saved
        needs_x, needs_weight, needs_bias = ctx.needs_input_grad
        kernels = ctx.kernels
        return (
            kernels.linear_backward_input(grad, weight) if needs_x else None,
            kernels.linear_backward_weight(grad, x) if needs_weight else None,
            kernels.linear_backward_bias(grad) if needs_bias else None,
        )


class Gemm(Function):
    @staticmethod
    def forward(ctx: Any, a: np.ndarray, b: np.ndarray, trans_a: bool, trans_b: bool) -> np.ndarray:
        ctx.save_for_backward(a, b)
        ctx.transposed = (trans_a, trans_b)
        result: np.ndarray = ctx.kernels.gemm(a, b, trans_a=trans_a, trans_b=trans_b)
        return result

    @staticmethod
    def backward(ctx: Any, grad: np.ndarray) -> Any:
        a, b = ctx.saved
        trans_a, trans_b = ctx.transposed
        gemm = ctx.kernels.gemm
        grad_a = grad_b = None
        # C = op(A) op(B): the gradient of op(A) is G op(B)^T, and where A came transposed it is
        # the transpose of that, op(B) G^T.
        if ctx.needs_input_grad[0]:
            if trans_a:
                grad_a = gemm(b, grad, trans_a=trans_b, trans_b=True)
            else:
                grad_a = gemm(grad, b, trans_b=not trans_b)
        if ctx.needs_input_grad[1]:
            if trans_b:
                grad_b = gemm(grad, a, trans_a=True, trans_b=trans_a)
            else:
                grad_b = gemm(a, grad, trans_a=not trans_a)
        return grad_a, grad_b


def linear(x: Any, weight: Any, bias: Any = None) -> Tensor:
    """Return x @ weight.T + bias for x (..., in), weight (out, in) and bias (out,)."""
    return Linear.apply(x, weight, bias)


def gemm(a: Any, b: Any, *, trans_a: bool = False, trans_b: bool = False) -> Tensor:
    """Return the product of two matrices, each transposed first if asked."""
    return Gemm.apply(a, b, trans_a, trans_b)


def matmul(a: Any, b: Any) -> Tensor:
    """Return the product of two matrices."""
    return Gemm.apply(a, b, False, False)

"""Losses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..function import Function

if TYPE_CHECKING:
    from ..tensor import Tensor

__all__ = ["CrossEntropy", "MSELoss", "cross_entropy", "mse_loss"]


class CrossEntropy(Function):
    @staticmethod
    def forward(ctx: Any, logits: np.ndarray, target: np.ndarray, *options: Any) -> np.ndarray:
        ctx.save_for_backward(logits, target)
        ctx.options = options
        loss: np.ndarray = ctx.kernels.cross_entropy(logits, target, *options)
        return loss

    @staticmethod
    def backward(ctx: Any, grad: np.ndarray) -> Any:
        return ctx.kernels.cross_entropy_backward(grad, *ctx.saved, *ctx.options)


class MSELoss(Function):
    @staticmethod
    def forward(ctx: Any, x: np.ndarray, target: np.ndarray, reduction: str) -> np.ndarray:
        if x.shape != target.shape:
            raise ValueError(
                f"mse_loss: x and target must have the same shape "
                f"(x={x.shape}, target={target.shape})"
            )
        if reduction not in ("mean", "sum", "none"):
            raise ValueError(
                f"mse_loss: reduction must be 'mean', 'sum' or 'none' (reduction={reduction!r})"
            )
        difference: np.ndarray = x - target
        # Twice the difference is the gradient; a mean divides it by the count.
        ctx.factor = x.dtype.type(2.0 / max(x.size, 1) if reduction == "mean" else 2.0)
        ctx.save_for_backward(difference)
        squares: np.ndarray = difference * difference
        if reduction == "none":
            return squares
        return np.asarray(squares.mean() if reduction == "mean" else squares.sum())

    @staticmethod
    def backward(ctx: Any, grad: np.ndarray) -> Any:
        (difference,) = ctx.saved
        grad_x = difference * (grad * ctx.factor)
        return grad_x, -grad_x if ctx.needs_input_grad[1] else None


def cross_entropy(
    logits: Any,
    target: Any,
    reduction: str = "mean",
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
) -> Tensor:
    """Return the cross-entropy of logits (N, C) against class numbers target (N,)."""
    return CrossEntropy.apply(logits, target, reduction, ignore_index, label_smoothing)


def mse_loss(x: Any, target: Any, reduction: str = "mean") -> Tensor:
    """Return the squared difference of two tensors of one shape, averaged unless told."""
    return MSELoss.apply(x, target, reduction)

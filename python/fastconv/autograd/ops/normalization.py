"""Normalisation across channels and over the batch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..function import Function
from .activation import check_joined

if TYPE_CHECKING:
    from ..tensor import Tensor

__all__ = [
    "BatchNorm",
    "BatchNormTraining",
    "LocalResponseNorm",
    "batch_norm",
    "batch_norm_training",
    "local_response_norm",
]


class LocalResponseNorm(Function):
    @staticmethod
    def forward(ctx: Any, x: np.ndarray, *constants: Any) -> np.ndarray:
        ctx.save_for_backward(x)
        ctx.constants = constants
        result: np.ndarray = ctx.kernels.local_response_norm(x, *constants)
        return result

    @staticmethod
    def backward(ctx: Any, grad: np.ndarray) -> Any:
        (x,) = ctx.saved
        return ctx.kernels.local_response_norm_backward(grad, x, *ctx.constants)


class BatchNorm(Function):
    """With given statistics, which are constants."""

    @staticmethod
    def forward(
        ctx: Any,
        x: np.ndarray,
        mean: np.ndarray,
        var: np.ndarray,
        weight: np.ndarray | None,
        bias: np.ndarray | None,
        eps: float,
    ) -> np.ndarray:
        ctx.save_for_backward(x, mean, var, weight)
        ctx.eps = eps
        result: np.ndarray = ctx.kernels.batch_norm(x, mean, var, weight, bias, eps)
        return result

    @staticmethod
    def backward(ctx: Any, grad: np.ndarray) -> Any:
        x, mean, var, weight = ctx.saved
        grad_x, grad_weight, grad_bias = ctx.kernels.batch_norm_backward(
            grad, x, mean, var, weight, ctx.eps, training=False
        )
        return grad_x, None, None, grad_weight, grad_bias


class BatchNormTraining(Function):
    """With the statistics of the batch, which depend on x; a residual and a ReLU may follow."""

    owns_results = True

    @staticmethod
    def forward(
        ctx: Any,
        x: np.ndarray,
        weight: np.ndarray | None,
        bias: np.ndarray | None,
        eps: float,
        residual: np.ndarray | None,
        activation: str | None,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        y, mean, var = ctx.kernels.batch_norm_training(
            x, weight, bias, eps, residual=residual, activation=activation
        )
        # Without a residual, a ReLU's gradient follows from what is kept anyway.
        y_needed = activation is not None and residual is not None
        ctx.save_for_backward(x, mean, var, weight, bias, y if y_needed else None)
        ctx.eps = eps
        ctx.activation = activation
        return y, mean, var

    @staticmethod
    def backward(ctx: Any, grad: np.ndarray) -> Any:
        x, mean, var, weight, bias, y = ctx.saved
        grad_x, grad_weight, grad_bias, *residual = ctx.kernels.batch_norm_backward(
            grad,
            x,
            mean,
            var,
            weight,
            ctx.eps,
            activation=ctx.activation,
            bias=bias,
            output=y,
            residual=ctx.needs_input_grad[4],
            overwrite=ctx.owns_grad,
        )
        return grad_x, grad_weight, grad_bias, None, *residual


def local_response_norm(
    x: Any, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> Tensor:
    """Divide x (N, C, H, W) by a power of the mean square of `size` neighbouring channels."""
    return LocalResponseNorm.apply(x, size, alpha, beta, k)


def batch_norm(
    x: Any, mean: Any, var: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5
) -> Tensor:
    """Normalise x (N, C, H, W) or (N, C) by given statistics (C,), then scale and shift."""
    return BatchNorm.apply(x, mean, var, weight, bias, eps)


def batch_norm_training(
    x: Any,
    weight: Any = None,
    bias: Any = None,
    eps: float = 1e-5,
    *,
    residual: Any = None,
    activation: str | None = None,
) -> tuple[Tensor, np.ndarray, np.ndarray]:
    """Normalise x by its own statistics, add a residual of its shape, apply None or "relu".

    Returns the tensor, and mean and biased variance (C,).
    """
    check_joined("batch_norm_training", activation)
    result: Any = BatchNormTraining.apply(x, weight, bias, eps, residual, activation)
    y, mean, var = result
    return y, mean, var

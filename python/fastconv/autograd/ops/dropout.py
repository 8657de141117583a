"""Dropout."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ...random import generator
from ..function import Function

if TYPE_CHECKING:
    from ..tensor import Tensor

__all__ = ["Dropout", "dropout"]


class Dropout(Function):
    @staticmethod
    def forward(ctx: Any, x: np.ndarray, p: float, seed: int) -> np.ndarray:
        ctx.p, ctx.seed = p, seed  # the mask is drawn again in backward, not stored
        result: np.ndarray = ctx.kernels.dropout(x, p, seed)
        return result

    @staticmethod
    def backward(ctx: Any, grad: np.ndarray) -> Any:
        return ctx.kernels.dropout_backward(grad, ctx.p, ctx.seed)


def dropout(x: Any, p: float = 0.5, seed: int | None = None) -> Tensor:
    """Set elements to 0 with probability p and scale the others by 1 / (1 - p).

    The same seed gives the same mask; without one it is drawn from `fastconv.random`.
    """
    if seed is None:
        seed = int(generator().integers(1 << 63))
    return Dropout.apply(x, p, seed)

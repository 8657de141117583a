"""Keeping gradients small."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from .._arguments import positive
from ..autograd import Tensor
from .optimizer import kernels_for

__all__ = ["clip_grad_norm_", "clip_grad_value_"]


def clip_grad_norm_(params: Tensor | Iterable[Tensor], max_norm: float) -> float:
    """Scale all gradients so that their norm, as one long vector, is at most `max_norm`; return
    the norm that they had (Pascanu et al. 2013, https://arxiv.org/abs/1211.5063).

    Gradients are replaced, not changed in place; parameters without one are left out. Raises
    ValueError unless `max_norm` is positive, and FloatingPointError, before anything changes, if
    the norm is not finite.
    """
    if max_norm != math.inf:  # which only asks for the norm
        positive("clip_grad_norm_", "max_norm", max_norm)
    params = _with_gradient(params)
    grads = [p.grad for p in params if p.grad is not None]
    norm = _norm(grads)
    if not math.isfinite(norm):  # squares may overflow where the norm does not
        norm = _norm([g.astype(np.float64) for g in grads])
    if not math.isfinite(norm):
        raise FloatingPointError(f"clip_grad_norm_: gradients must be finite (norm={norm})")
    if norm > max_norm:
        for param in params:
            assert param.grad is not None
            param.grad = param.grad * param.grad.dtype.type(max_norm / norm)
    return norm


def clip_grad_value_(params: Tensor | Iterable[Tensor], clip_value: float) -> None:
    """Bring every element of all gradients into [-clip_value, clip_value].

    Gradients are replaced, not changed in place. Raises ValueError unless `clip_value` is positive.
    """
    positive("clip_grad_value_", "clip_value", clip_value)
    for param in _with_gradient(params):
        assert param.grad is not None
        param.grad = np.clip(param.grad, -clip_value, clip_value)


def _norm(arrays: list[np.ndarray]) -> float:
    with np.errstate(over="ignore", invalid="ignore"):
        return math.sqrt(kernels_for(arrays).sum_of_squares(arrays))


def _with_gradient(params: Tensor | Iterable[Tensor]) -> list[Tensor]:
    given = [params] if isinstance(params, Tensor) else params
    return [p for p in given if p.grad is not None]

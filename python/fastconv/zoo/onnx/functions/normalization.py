"""Normalisation and softmax for any number of axes."""

from __future__ import annotations

import math

import numpy as np

from ....autograd import Tensor, ops

__all__ = ["batch_norm", "batch_norm_training"]


def _pictures(x: Tensor) -> Tensor:
    """x (N, C, ...) with two or four axes."""
    if x.ndim < 2:
        raise ValueError(f"BatchNormalization: x must have the axes (N, C, ...) (x={x.shape})")
    if x.ndim in (2, 4):
        return x
    return ops.reshape(x, (*x.shape[:2], math.prod(x.shape[2:]), 1))


def batch_norm(
    x: Tensor, scale: Tensor, bias: Tensor, mean: Tensor, var: Tensor, *, epsilon: float
) -> Tensor:
    """Normalise x (N, C, ...) by given statistics (C,), then scale and shift."""
    y = ops.batch_norm(_pictures(x), mean, var, scale, bias, epsilon)
    return ops.reshape(y, x.shape)


def batch_norm_training(
    x: Tensor,
    scale: Tensor,
    bias: Tensor,
    mean: Tensor,
    var: Tensor,
    *,
    epsilon: float,
    momentum: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """Normalise x by its own statistics; return it and the running mean and variance.

    `momentum` is the share of the old statistics that stays, and the variance is the biased one.
    """
    y, found_mean, found_var = ops.batch_norm_training(_pictures(x), scale, bias, epsilon)
    moved = (
        Tensor(np.asarray(old.data * momentum + new * (1 - momentum), np.float32))
        for old, new in ((mean, found_mean), (var, found_var))
    )
    running_mean, running_var = moved
    return ops.reshape(y, x.shape), running_mean, running_var

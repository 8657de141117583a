"""Optimizer steps, in place."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ._arguments import Array, invalid, require_float, require_shape

__all__ = ["adam_step", "average_step", "sgd_step", "sum_of_squares"]


def _check(op: str, targets: Sequence[Array], **others: Sequence[Array]) -> None:
    for name, arrays in others.items():
        if len(arrays) != len(targets):
            rule = f"there must be as many {name} as arrays to change"
            raise invalid(op, rule, **{name: len(arrays), "arrays": len(targets)})
        for target, array in zip(targets, arrays, strict=True):
            require_float(op, **{"an array to change": target, name: array})
            require_shape(op, target.shape, **{name: array})


def sgd_step(
    params: Sequence[Array],
    grads: Sequence[Array],
    velocities: Sequence[Array] | None,
    lr: float,
    momentum: float = 0.0,
    dampening: float = 0.0,
    weight_decay: float = 0.0,
    nesterov: bool = False,
    first: bool = False,
    lr_in_velocity: bool = False,
) -> None:
    """A step of stochastic gradient descent on parameters p and their velocities v.

    With g = grad + weight_decay * p: v = momentum * v + (1 - dampening) * g (first: v = g), then
    p -= lr * v, or with nesterov p -= lr * (g + momentum * v). lr_in_velocity: g is multiplied by
    lr, v is not. velocities=None: p -= lr * g.
    """
    op = "sgd_step"
    if velocities is None and momentum:
        raise invalid(op, "momentum needs velocities", momentum=momentum)
    _check(op, params, grads=grads, velocities=grads if velocities is None else velocities)
    for i, p in enumerate(params):
        g = grads[i] + weight_decay * p
        if lr_in_velocity:
            g *= lr
        change = g
        if velocities is not None:
            v = velocities[i]
            v[...] = g if first else momentum * v + (1 - dampening) * g
            change = g + momentum * v if nesterov else v
        p -= change if lr_in_velocity else lr * change


def adam_step(
    params: Sequence[Array],
    grads: Sequence[Array],
    exp_avgs: Sequence[Array],
    exp_avg_sqs: Sequence[Array],
    step: int,
    lr: float,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    decoupled: bool = False,
) -> None:
    """Step number `step`, from 1, of Adam (Kingma and Ba 2015), decoupled: of AdamW (Loshchilov
    and Hutter 2019), on parameters p and the averages m and s of the gradient and its square."""
    op = "adam_step"
    if step < 1:
        raise invalid(op, "step must be at least 1", step=step)
    _check(op, params, grads=grads, exp_avgs=exp_avgs, exp_avg_sqs=exp_avg_sqs)
    for p, grad, m, s in zip(params, grads, exp_avgs, exp_avg_sqs, strict=True):
        g = grad
        if decoupled:
            p *= 1 - lr * weight_decay
        else:
            g = grad + weight_decay * p
        m *= beta1
        m += (1 - beta1) * g
        s *= beta2
        s += (1 - beta2) * g * g
        root = np.sqrt(s) / (1 - beta2**step) ** 0.5
        p -= lr / (1 - beta1**step) * m / (root + eps)


def average_step(averages: Sequence[Array], params: Sequence[Array], decay: float) -> None:
    """Move exponential moving averages a towards parameters p: a += (1 - decay) * (p - a)."""
    _check("average_step", averages, params=params)
    for a, p in zip(averages, params, strict=True):
        a += (1 - decay) * (p - a)


def sum_of_squares(arrays: Sequence[Array]) -> float:
    """The sum of the squares of all elements of all arrays."""
    for array in arrays:
        require_float("sum_of_squares", arrays=array)
    return sum(float(np.square(array).sum()) for array in arrays)

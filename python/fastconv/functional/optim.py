"""Optimizer steps, each a call and one pass over memory for any number of parameters.

All raise TypeError for anything but float32 arrays and ValueError for shapes that do not fit, or
for an array that would change but is not in C order; gradients may have any memory layout.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastconv import _core
from fastconv.functional import _arrays
from fastconv.functional._arrays import Array
from fastconv.functional._order import contiguous
from fastconv.functional._scalars import integer, number

__all__ = ["adam_step", "average_step", "sgd_step", "sum_of_squares"]


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
    """Change parameters, and their velocities, by a step of stochastic gradient descent.

    With g = grad + weight_decay * p: v = momentum * v + (1 - dampening) * g, then p -= lr * v, or
    with nesterov p -= lr * (g + momentum * v). first=True: v = g, whatever velocities hold.
    lr_in_velocity=True: g is multiplied by lr, v is not. velocities=None: p -= lr * g, and
    momentum must be 0.
    """
    op = "sgd_step"
    if velocities is None and momentum:
        raise ValueError(f"{op}: momentum needs velocities (momentum={momentum})")
    grads = _sources(op, "grads", grads, params)
    _core.sgd_step(
        _changing(op, "params", params, params),
        grads,
        None if velocities is None else _changing(op, "velocities", velocities, params),
        number(op, "lr", lr),
        number(op, "momentum", momentum),
        number(op, "dampening", dampening),
        number(op, "weight_decay", weight_decay),
        bool(nesterov),
        bool(first),
        bool(lr_in_velocity),
    )


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
    """Change parameters p, and the averages m and s of gradient and square, by a step of Adam.

    With g = grad + weight_decay * p: m = beta1 * m + (1 - beta1) * g,
    s = beta2 * s + (1 - beta2) * g**2, then p -= lr * m' / (sqrt(s') + eps) with
    m' = m / (1 - beta1**step) and s' = s / (1 - beta2**step); step counts from 1. decoupled=True is
    AdamW: g = grad, and p is first multiplied by 1 - lr * weight_decay.

    Sources: Kingma and Ba, Adam, 2015; Loshchilov and Hutter, Decoupled weight decay
    regularization, 2019.
    """
    op = "adam_step"
    count = integer(op, "step", step)
    if count < 1:
        raise ValueError(f"{op}: step must be at least 1 (step={step})")
    grads = _sources(op, "grads", grads, params)
    _core.adam_step(
        _changing(op, "params", params, params),
        grads,
        _changing(op, "exp_avgs", exp_avgs, params),
        _changing(op, "exp_avg_sqs", exp_avg_sqs, params),
        count,
        number(op, "lr", lr),
        number(op, "beta1", beta1),
        number(op, "beta2", beta2),
        number(op, "eps", eps),
        number(op, "weight_decay", weight_decay),
        bool(decoupled),
    )


def average_step(averages: Sequence[Array], params: Sequence[Array], decay: float) -> None:
    """Move exponential moving averages a towards parameters p: a += (1 - decay) * (p - a)."""
    op = "average_step"
    params = _sources(op, "params", params, averages)
    _core.average_step(
        _changing(op, "averages", averages, averages), params, number(op, "decay", decay)
    )


def sum_of_squares(arrays: Sequence[Array]) -> float:
    """The sum of the squares of all elements of all arrays, of any shape."""
    op = "sum_of_squares"
    return _core.sum_of_squares([_arrays.flat(_arrays.dense(op, "arrays", x)) for x in arrays])


def _sources(op: str, name: str, arrays: Sequence[Any], targets: Sequence[Any]) -> list[Array]:
    """Arrays of the targets' shapes, to read."""
    _same_shapes(op, name, arrays, targets)
    return [contiguous(x) for x in arrays]


def _changing(op: str, name: str, arrays: Sequence[Any], targets: Sequence[Any]) -> Sequence[Array]:
    """Arrays of the targets' shapes, to change: the memory must be their own."""
    if arrays is not targets:
        _same_shapes(op, name, arrays, targets)
    for i, x in enumerate(arrays):
        if not x.flags.c_contiguous:
            raise ValueError(
                f"{op}: {name} must be in C order, as they change in place "
                f"(index={i}, shape={x.shape}, strides={x.strides})"
            )
    return arrays


def _same_shapes(op: str, name: str, arrays: Sequence[Any], targets: Sequence[Any]) -> None:
    if len(arrays) != len(targets):
        raise ValueError(
            f"{op}: there must be as many {name} as arrays to change "
            f"({name}={len(arrays)}, arrays={len(targets)})"
        )
    for i, (x, target) in enumerate(zip(arrays, targets, strict=True)):
        _arrays.check(op, name, target)
        if _arrays.check(op, name, x).shape != target.shape:
            raise ValueError(
                f"{op}: {name} must have the shapes of the arrays to change "
                f"(index={i}, expected={target.shape}, shape={x.shape})"
            )

"""Softmax, its logarithm, and the cross entropy loss.

All raise TypeError for anything but float32 arrays (and integer targets) and ValueError for
shapes and values that do not fit.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastconv import _core
from fastconv.functional import _arrays
from fastconv.functional._arrays import Array
from fastconv.functional._order import pair
from fastconv.functional._scalars import integer, number

__all__ = [
    "cross_entropy",
    "cross_entropy_backward",
    "log_softmax",
    "log_softmax_backward",
    "softmax",
    "softmax_backward",
]


def softmax(x: Array, dim: int = 1) -> Array:
    """exp(x) / sum of exp(x) along axis `dim`, for x of any shape; large x do not overflow."""
    return _forward("softmax", _core.softmax, x, dim)


def softmax_backward(grad_output: Array, y: Array, dim: int = 1) -> Array:
    """Gradient of `softmax` along axis `dim` from its output y."""
    return _backward("softmax_backward", _core.softmax_backward, grad_output, y, dim)


def log_softmax(x: Array, dim: int = 1) -> Array:
    """log(softmax(x)) along axis `dim`, for x of any shape; small values do not underflow."""
    return _forward("log_softmax", _core.log_softmax, x, dim)


def log_softmax_backward(grad_output: Array, y: Array, dim: int = 1) -> Array:
    """Gradient of `log_softmax` along axis `dim` from its output y."""
    return _backward("log_softmax_backward", _core.log_softmax_backward, grad_output, y, dim)


def cross_entropy(
    logits: Array,
    target: NDArray[np.integer[Any]],
    reduction: str = "mean",
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
) -> Array:
    """-log_softmax(logits)[target] of each row: logits (N, C), target (N,) of int64 or int32.

    reduction "mean" (over the rows that count; NaN if none does) and "sum" give shape (), "none"
    gives (N,). Rows whose target is ignore_index have loss 0 and do not count; any other target
    outside 0 .. C-1 is a ValueError. label_smoothing, from 0 to 1, is the share of the target that
    is spread evenly over all classes.

    Source of label smoothing: Szegedy et al., Rethinking the Inception architecture, 2016.
    """
    op = "cross_entropy"
    logits, classes = _logits_and_classes(op, logits, target)
    index, smoothing = _options(op, ignore_index, label_smoothing)
    out = _arrays.empty(_loss_shape(op, logits, reduction))
    _core.cross_entropy(logits, classes, reduction, index, smoothing, out)
    return out


def cross_entropy_backward(
    grad_output: Array,
    logits: Array,
    target: NDArray[np.integer[Any]],
    reduction: str = "mean",
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
) -> Array:
    """Gradient of `cross_entropy` by logits; grad_output has the loss's shape."""
    op = "cross_entropy_backward"
    logits, classes = _logits_and_classes(op, logits, target)
    scalar: Any = grad_output  # NumPy's arithmetic makes scalars of arrays of shape ()
    if isinstance(scalar, np.generic):
        grad_output = np.asarray(scalar)
    grad_output = _arrays.check(op, "grad_output", grad_output)
    shape = _loss_shape(op, logits, reduction)
    if grad_output.shape != shape:
        raise ValueError(
            f"{op}: grad_output must have the shape of the loss "
            f"(grad_output={grad_output.shape}, loss={shape})"
        )
    grad_output = np.ascontiguousarray(grad_output)
    index, smoothing = _options(op, ignore_index, label_smoothing)
    out = _arrays.empty(logits.shape)
    _core.cross_entropy_backward(grad_output, logits, classes, reduction, index, smoothing, out)
    return out


def _forward(operation: str, kernel: Callable[[Array, Array], None], x: Any, dim: int) -> Array:
    x = _arrays.dense(operation, "x", x)
    shape = _around(operation, "x", x, dim)
    out = _arrays.empty_like(x)
    kernel(_arrays.flat(x).reshape(shape), _arrays.flat(out))
    return out


def _backward(
    operation: str,
    kernel: Callable[[Array, Array, Array], None],
    grad_output: Any,
    y: Any,
    dim: int,
) -> Array:
    y, grad_output = pair(operation, y=y, grad_output=grad_output)
    shape = _around(operation, "y", y, dim)
    out = _arrays.empty_like(y)
    kernel(_arrays.flat(grad_output), _arrays.flat(y).reshape(shape), _arrays.flat(out))
    return out


def _around(operation: str, name: str, x: Array, dim: int) -> tuple[int, int, int]:
    """Sizes before, of and after axis `dim` in the memory of a dense array."""
    axis = integer(operation, "dim", dim)
    if not -x.ndim <= axis < x.ndim:
        raise ValueError(
            f"{operation}: dim must be an axis of {name} (dim={dim}, {name}={x.shape})"
        )
    axis %= x.ndim
    if x.shape[axis] == 0:
        raise ValueError(
            f"{operation}: {name} must not be empty along dim (dim={dim}, {name}={x.shape})"
        )
    shape = x.shape
    if not x.flags.c_contiguous:  # (N, H, W, C) in memory
        shape, axis = (shape[0], *shape[2:], shape[1]), (0, 3, 1, 2)[axis]
    return math.prod(shape[:axis]), shape[axis], math.prod(shape[axis + 1 :])


def _logits_and_classes(
    operation: str, logits: Any, target: Any
) -> tuple[Array, NDArray[np.int64]]:
    logits = np.ascontiguousarray(_arrays.check(operation, "logits", logits, 2))
    if not isinstance(target, np.ndarray):
        raise TypeError(f"{operation}: target must be a NumPy array (type={type(target).__name__})")
    if target.dtype not in (np.int64, np.int32):
        raise TypeError(f"{operation}: target must be int64 or int32 (dtype={target.dtype})")
    if target.shape != logits.shape[:1]:
        raise ValueError(
            f"{operation}: target must have one class per row of logits "
            f"(target={target.shape}, logits={logits.shape})"
        )
    return logits, np.ascontiguousarray(target, np.int64)


def _options(operation: str, ignore_index: Any, label_smoothing: Any) -> tuple[int, float]:
    smoothing = number(operation, "label_smoothing", label_smoothing)
    if not 0 <= smoothing <= 1:
        raise ValueError(
            f"{operation}: label_smoothing must lie in [0, 1] (label_smoothing={label_smoothing})"
        )
    return integer(operation, "ignore_index", ignore_index), smoothing


def _loss_shape(operation: str, logits: Array, reduction: str) -> tuple[int, ...]:
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(
            f"{operation}: reduction must be 'mean', 'sum' or 'none' (reduction={reduction!r})"
        )
    return logits.shape[:1] if reduction == "none" else ()

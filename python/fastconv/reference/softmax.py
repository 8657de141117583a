"""Softmax, its logarithm, and the cross entropy loss."""

from __future__ import annotations

import numpy as np

from ._arguments import Array, invalid, require_float, require_ndim, require_shape

__all__ = [
    "cross_entropy",
    "cross_entropy_backward",
    "log_softmax",
    "log_softmax_backward",
    "softmax",
    "softmax_backward",
]


def _check_dim(op: str, x: Array, dim: int) -> None:
    if not -x.ndim <= dim < x.ndim:
        raise invalid(op, "dim must be an axis of x", dim=dim, x=x.shape)
    if x.shape[dim] == 0:
        raise invalid(op, "x must not be empty along dim", dim=dim, x=x.shape)


def softmax(x: Array, dim: int = 1) -> Array:
    """exp(x) / sum of exp(x) along axis `dim`; the largest x is subtracted first, for range."""
    require_float("softmax", x=x)
    _check_dim("softmax", x, dim)
    e: Array = np.exp(x - x.max(axis=dim, keepdims=True))
    e /= e.sum(axis=dim, keepdims=True)
    return e


def softmax_backward(grad_output: Array, y: Array, dim: int = 1) -> Array:
    """Gradient of softmax from its output y."""
    require_float("softmax_backward", grad_output=grad_output, y=y)
    require_shape("softmax_backward", y.shape, grad_output=grad_output)
    _check_dim("softmax_backward", y, dim)
    grad_x: Array = y * (grad_output - (grad_output * y).sum(axis=dim, keepdims=True))
    return grad_x


def log_softmax(x: Array, dim: int = 1) -> Array:
    """log(softmax(x)) along axis `dim`, without the underflow of the small ones."""
    require_float("log_softmax", x=x)
    _check_dim("log_softmax", x, dim)
    shifted: Array = x - x.max(axis=dim, keepdims=True)
    shifted -= np.log(np.exp(shifted).sum(axis=dim, keepdims=True))
    return shifted


def log_softmax_backward(grad_output: Array, y: Array, dim: int = 1) -> Array:
    """Gradient of log_softmax from its output y."""
    require_float("log_softmax_backward", grad_output=grad_output, y=y)
    require_shape("log_softmax_backward", y.shape, grad_output=grad_output)
    _check_dim("log_softmax_backward", y, dim)
    grad_x: Array = grad_output - np.exp(y) * grad_output.sum(axis=dim, keepdims=True)
    return grad_x


def _counted_rows(
    op: str,
    logits: Array,
    target: Array,
    reduction: str,
    ignore_index: int,
    label_smoothing: float,
) -> tuple[Array, Array]:
    """The rows that count, and their classes, after checking."""
    require_float(op, logits=logits)
    require_ndim(op, 2, logits=logits)
    if not np.issubdtype(target.dtype, np.integer):
        raise TypeError(f"{op}: target must be integers (target={target.dtype})")
    require_shape(op, logits.shape[:1], target=target)
    if reduction not in ("mean", "sum", "none"):
        raise invalid(op, "reduction must be 'mean', 'sum' or 'none'", reduction=repr(reduction))
    if not 0 <= label_smoothing <= 1:
        rule = "label_smoothing must lie in [0, 1]"
        raise invalid(op, rule, label_smoothing=label_smoothing)
    rows = np.flatnonzero(target != ignore_index)
    classes = target[rows]
    if rows.size and not 0 <= classes.min() <= classes.max() < logits.shape[1]:
        values = {"min": classes.min(), "max": classes.max(), "classes": logits.shape[1]}
        raise invalid(op, "target must be a class or ignore_index", **values)
    return rows, classes


def cross_entropy(
    logits: Array,
    target: Array,
    reduction: str = "mean",
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
) -> Array:
    """-log_softmax(logits)[target]: logits (N, C), target (N,) integers.

    reduction "mean" (over the rows that count; NaN if none does) or "sum" -> (), "none" -> (N,).
    Rows whose target is ignore_index have loss 0 and do not count. label_smoothing, from 0 to 1,
    mixes in the mean of -log_softmax(logits) over all classes.
    """
    op = "cross_entropy"
    rows, classes = _counted_rows(op, logits, target, reduction, ignore_index, label_smoothing)
    loss = np.zeros(logits.shape[0], logits.dtype)
    losses = -log_softmax(logits)
    loss[rows] = losses[rows, classes]
    if label_smoothing:
        loss[rows] *= 1 - label_smoothing
        loss[rows] += label_smoothing * losses[rows].mean(axis=1)
    if reduction == "none":
        return loss
    if reduction == "sum":
        return np.asarray(loss.sum())
    return np.asarray(loss.sum() / rows.size if rows.size else np.nan, logits.dtype)


def cross_entropy_backward(
    grad_output: Array,
    logits: Array,
    target: Array,
    reduction: str = "mean",
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
) -> Array:
    """Gradient of cross_entropy with respect to logits; grad_output has the loss's shape."""
    op = "cross_entropy_backward"
    rows, classes = _counted_rows(op, logits, target, reduction, ignore_index, label_smoothing)
    require_float(op, grad_output=grad_output)
    loss_shape = logits.shape[:1] if reduction == "none" else ()
    require_shape(op, loss_shape, grad_output=grad_output)

    grad = softmax(logits)
    grad[rows, classes] -= 1 - label_smoothing
    if label_smoothing:
        grad -= label_smoothing / logits.shape[1]
    weights = np.zeros(logits.shape[0], logits.dtype)
    weights[rows] = grad_output[rows] if reduction == "none" else grad_output
    if reduction == "mean" and rows.size:
        weights /= rows.size
    grad *= weights[:, None]
    grad[target == ignore_index] = 0  # also where logits were not finite
    return grad

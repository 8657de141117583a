"""What `compare.check` knows of each operation: its gradients, and how its rounding errors add up.

Rounding is described by a length and a magnitude: how many terms are added up, and the sum of
their absolute values (see `compare.tolerance`). For operations that are linear in each argument
the magnitude is the operation itself on absolute values.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np

from fastconv import reference

__all__ = ["OPERATIONS", "STEPS", "Operation", "Rounding"]

Arguments = SimpleNamespace  # the operation's arguments by name, defaults filled in
Outputs = tuple[Any, ...]
Rounding = tuple[int, Any]  # length, magnitude


@dataclass(frozen=True)
class Operation:
    """One operation; arrays that the functions receive are float64.

    rounding(a, outputs) gives one Rounding per output; backward(module, grad, outputs, a) calls
    the module's gradient kernels and gives gradients by argument name;
    backward_rounding(grad, outputs, a) gives their Roundings. What is left out is (1, 0).
    exact: results are copies of inputs. uniform: errors spread over the output (Winograd), so
    its largest value sets the scale for all.
    """

    rounding: Callable[[Arguments, Outputs], tuple[Rounding, ...]] | None = None
    backward: Callable[[ModuleType, Any, Outputs, Arguments], dict[str, Any]] | None = None
    backward_rounding: Callable[[Any, Outputs, Arguments], dict[str, Rounding]] | None = None
    exact: bool = False
    uniform: bool = False


def _magnitudes(a: Arguments) -> Arguments:
    """The arguments with the absolute values of all that is added or multiplied."""
    names = ("alpha", "beta")
    values = {
        name: np.abs(value) if isinstance(value, np.ndarray) or name in names else value
        for name, value in vars(a).items()
    }
    if "activation" in values:
        values["activation"] = None
    return SimpleNamespace(**values)


def _linear_in_each(
    name: str,
    length: Callable[[Arguments], int],
    backward: Callable[[ModuleType, Any, Outputs, Arguments], dict[str, Any]] | None = None,
    backward_lengths: Callable[[Arguments, Any], dict[str, int]] = lambda a, g: {},
    uniform: bool = False,
) -> Operation:
    def rounding(a: Arguments, outputs: Outputs) -> tuple[Rounding, ...]:
        return ((length(a), getattr(reference, name)(**vars(_magnitudes(a)))),)

    def backward_rounding(g: Any, outputs: Outputs, a: Arguments) -> dict[str, Rounding]:
        assert backward is not None
        magnitudes = backward(reference, np.abs(g), outputs, _magnitudes(a))
        lengths = backward_lengths(a, g)
        return {name: (lengths[name], value) for name, value in magnitudes.items()}

    return Operation(rounding, backward, backward_rounding if backward else None, uniform=uniform)


def _without_none(gradients: dict[str, Any], a: Arguments) -> dict[str, Any]:
    return {k: v for k, v in gradients.items() if getattr(a, k) is not None}


# gemm, linear, conv2d


def _linear_backward(f: ModuleType, g: Any, outputs: Outputs, a: Arguments) -> dict[str, Any]:
    gradients = {
        "x": f.linear_backward_input(g, a.weight),
        "weight": f.linear_backward_weight(g, a.x),
        "bias": f.linear_backward_bias(g),
    }
    return _without_none(gradients, a)


def _linear_lengths(a: Arguments, g: Any) -> dict[str, int]:
    rows = math.prod(a.x.shape[:-1])
    return {"x": a.weight.shape[0], "weight": rows, "bias": rows}


def _conv2d_backward(f: ModuleType, g: Any, outputs: Outputs, a: Arguments) -> dict[str, Any]:
    geometry = (a.stride, a.padding, a.dilation, a.groups)
    gradients = {
        "x": f.conv2d_backward_input(g, a.weight, a.x.shape, *geometry),
        "weight": f.conv2d_backward_weight(g, a.x, a.weight.shape, *geometry),
        "bias": f.conv2d_backward_bias(g),
    }
    return _without_none(gradients, a)


def _conv2d_lengths(a: Arguments, g: Any) -> dict[str, int]:
    filters, _, height, width = a.weight.shape
    pixels = g.shape[0] * g.shape[2] * g.shape[3]
    return {"x": filters // a.groups * height * width, "weight": pixels, "bias": pixels}


# pooling


def _area(kernel_size: Any) -> int:
    return kernel_size**2 if isinstance(kernel_size, int) else math.prod(kernel_size)


def _max_pool_backward(f: ModuleType, g: Any, outputs: Outputs, a: Arguments) -> dict[str, Any]:
    _, indices = f.max_pool2d(**{**vars(a), "return_indices": True})
    return {"x": f.max_pool2d_backward(g, indices, a.x.shape)}


def _max_pool_backward_rounding(g: Any, outputs: Outputs, a: Arguments) -> dict[str, Rounding]:
    return {"x": (_area(a.kernel_size), _max_pool_backward(reference, np.abs(g), outputs, a)["x"])}


def _avg_pool_backward(f: ModuleType, g: Any, outputs: Outputs, a: Arguments) -> dict[str, Any]:
    geometry = (a.kernel_size, a.stride, a.padding, a.ceil_mode, a.count_include_pad)
    return {"x": f.avg_pool2d_backward(g, a.x.shape, *geometry)}


def _adaptive_backward(f: ModuleType, g: Any, outputs: Outputs, a: Arguments) -> dict[str, Any]:
    return {"x": f.adaptive_avg_pool2d_backward(g, a.x.shape)}


def _plane(a: Arguments) -> int:
    return math.prod(a.x.shape[2:])


# normalisation


def _lrn_backward(f: ModuleType, g: Any, outputs: Outputs, a: Arguments) -> dict[str, Any]:
    return {"x": f.local_response_norm_backward(g, a.x, a.size, a.alpha, a.beta, a.k)}


def _lrn_backward_rounding(g: Any, outputs: Outputs, a: Arguments) -> dict[str, Rounding]:
    largest = np.abs(g).max(initial=0) * a.k**-a.beta
    return {"x": (a.size, (1 + 2 * a.beta) * largest)}


def _bn_parts(a: Arguments, mean: Any, var: Any) -> SimpleNamespace:
    """Per channel, broadcasting against x: what the magnitudes of batch norm are made of."""
    shape = (1, -1) + (1,) * (a.x.ndim - 2)
    axes = (0, *range(2, a.x.ndim))
    inverse = 1 / np.sqrt(var.reshape(shape) + a.eps)
    weight = 1.0 if a.weight is None else np.abs(a.weight).reshape(shape)
    bias = getattr(a, "bias", None)
    return SimpleNamespace(
        axes=axes,
        length=a.x.size // max(a.x.shape[1], 1),
        normalised=(np.abs(a.x) + np.abs(mean).reshape(shape)) * inverse,
        factor=weight * inverse,
        weight=weight,
        bias=0.0 if bias is None else np.abs(bias).reshape(shape),
    )


def _bn_rounding(a: Arguments, outputs: Outputs) -> tuple[Rounding, ...]:
    parts = _bn_parts(a, a.mean, a.var)
    return ((1, parts.normalised * parts.weight + parts.bias),)


def _bn_training_rounding(a: Arguments, outputs: Outputs) -> tuple[Rounding, ...]:
    _, mean, var = outputs
    parts = _bn_parts(a, mean, var)
    size = np.abs(a.x).mean(axis=parts.axes)
    y = parts.normalised * parts.weight + parts.bias
    # One pass over squares would lose mean**2 / var digits: not allowed for.
    return ((parts.length, y), (parts.length, size), (parts.length, var + 1e-7 * size**2))


def _bn_backward(f: ModuleType, g: Any, outputs: Outputs, a: Arguments) -> dict[str, Any]:
    training = len(outputs) == 3
    mean, var = outputs[1:] if training else (a.mean, a.var)
    gradients = f.batch_norm_backward(g, a.x, mean, var, a.weight, a.eps, training)
    return dict(zip(("x", "weight", "bias"), gradients, strict=True))


def _bn_backward_rounding(g: Any, outputs: Outputs, a: Arguments) -> dict[str, Rounding]:
    training = len(outputs) == 3
    parts = _bn_parts(a, *(outputs[1:] if training else (a.mean, a.var)))
    g = np.abs(g)
    length = parts.length
    grad_x = g
    if training:
        grad_weight = (g * parts.normalised).mean(axis=parts.axes, keepdims=True)
        grad_x = g + g.mean(axis=parts.axes, keepdims=True) + parts.normalised * grad_weight
    return {
        "x": (length if training else 1, grad_x * parts.factor),
        "weight": (length, (g * parts.normalised).sum(axis=parts.axes)),
        "bias": (length, g.sum(axis=parts.axes)),
    }


# activation, softmax, loss


def _from_output(name: str) -> Callable[..., dict[str, Any]]:
    return lambda f, g, outputs, a: {"x": getattr(f, f"{name}_backward")(g, outputs[0])}


def _prelu_backward(f: ModuleType, g: Any, outputs: Outputs, a: Arguments) -> dict[str, Any]:
    return dict(zip(("x", "weight"), f.prelu_backward(g, a.x, a.weight), strict=True))


def _prelu_backward_rounding(g: Any, outputs: Outputs, a: Arguments) -> dict[str, Rounding]:
    products = np.abs(g * np.minimum(a.x, 0))
    axes = tuple(i for i in range(a.x.ndim) if a.weight.size == 1 or i != 1)
    total = products.sum(axis=axes).reshape(a.weight.shape)
    return {"weight": (a.x.size // a.weight.size, total)}


def _entropy(p: Any) -> Any:
    """p * (1 + |log p|): an error in the exponent grows with the exponent."""
    return p * (1 - np.log(np.maximum(p, 1e-300)))


def _softmax_backward_rounding(g: Any, outputs: Outputs, a: Arguments) -> dict[str, Rounding]:
    (y,) = outputs
    total = (np.abs(g) * y).sum(axis=a.dim, keepdims=True)
    return {"x": (y.shape[a.dim], y * (np.abs(g) + total))}


def _log_softmax_backward_rounding(g: Any, outputs: Outputs, a: Arguments) -> dict[str, Rounding]:
    (y,) = outputs
    total = np.abs(g).sum(axis=a.dim, keepdims=True)
    return {"x": (y.shape[a.dim], np.abs(g) + _entropy(np.exp(y)) * total)}


def _cross_entropy_rounding(a: Arguments, outputs: Outputs) -> tuple[Rounding, ...]:
    options = ("none", a.ignore_index, a.label_smoothing)
    rows = reference.cross_entropy(a.logits, a.target, *options)
    counted = a.target != a.ignore_index
    magnitude = (1 + np.abs(rows)) * counted
    if a.reduction == "none":
        return ((a.logits.shape[1], magnitude),)
    total = magnitude.sum() / (max(counted.sum(), 1) if a.reduction == "mean" else 1)
    return ((a.logits.size, total),)


def _cross_entropy_backward(
    f: ModuleType, g: Any, outputs: Outputs, a: Arguments
) -> dict[str, Any]:
    rest = (a.logits, a.target, a.reduction, a.ignore_index, a.label_smoothing)
    return {"logits": f.cross_entropy_backward(g, *rest)}


def _cross_entropy_backward_rounding(g: Any, outputs: Outputs, a: Arguments) -> dict[str, Rounding]:
    magnitude = _entropy(reference.softmax(a.logits)) + a.label_smoothing / a.logits.shape[1]
    rows = np.flatnonzero(a.target != a.ignore_index)
    magnitude[rows, a.target[rows]] += 1
    weights = np.broadcast_to(np.abs(g), a.target.shape)[:, None]
    if a.reduction == "mean":
        weights = weights / max(rows.size, 1)
    return {"logits": (a.logits.shape[1], magnitude * weights)}


def _dropout_backward(f: ModuleType, g: Any, outputs: Outputs, a: Arguments) -> dict[str, Any]:
    return {"x": f.dropout_backward(g, a.p, a.seed)}


# What changes its arguments instead of returning arrays: see functional/test_optim.py.
STEPS = frozenset({"adam_step", "average_step", "sgd_step", "sum_of_squares"})

OPERATIONS: dict[str, Operation] = {
    "gemm": _linear_in_each("gemm", lambda a: a.a.shape[0 if a.trans_a else 1]),
    "linear": _linear_in_each(
        "linear", lambda a: a.weight.shape[1], _linear_backward, _linear_lengths
    ),
    "conv2d": _linear_in_each(
        "conv2d",
        lambda a: math.prod(a.weight.shape[1:]),
        _conv2d_backward,
        _conv2d_lengths,
        uniform=True,
    ),
    "max_pool2d": Operation(
        backward=_max_pool_backward, backward_rounding=_max_pool_backward_rounding, exact=True
    ),
    "avg_pool2d": _linear_in_each(
        "avg_pool2d",
        lambda a: _area(a.kernel_size),
        _avg_pool_backward,
        lambda a, g: {"x": _area(a.kernel_size)},
    ),
    "adaptive_avg_pool2d": _linear_in_each(
        "adaptive_avg_pool2d", _plane, _adaptive_backward, lambda a, g: {"x": _plane(a)}
    ),
    "global_avg_pool2d": _linear_in_each(
        "global_avg_pool2d", _plane, _adaptive_backward, lambda a, g: {"x": 1}
    ),
    "local_response_norm": Operation(
        lambda a, outputs: ((a.size, 0),), _lrn_backward, _lrn_backward_rounding
    ),
    "batch_norm": Operation(_bn_rounding, _bn_backward, _bn_backward_rounding),
    "batch_norm_training": Operation(_bn_training_rounding, _bn_backward, _bn_backward_rounding),
    "relu": Operation(backward=_from_output("relu"), exact=True),
    "leaky_relu": Operation(
        backward=lambda f, g, outputs, a: {"x": f.leaky_relu_backward(g, a.x, a.negative_slope)}
    ),
    "prelu": Operation(
        backward=_prelu_backward,
        backward_rounding=_prelu_backward_rounding,
    ),
    "sigmoid": Operation(backward=_from_output("sigmoid")),
    "tanh": Operation(
        backward=_from_output("tanh"),
        # 1 - y**2 cancels where y is near 1.
        backward_rounding=lambda g, outputs, a: {"x": (1, np.abs(g))},
    ),
    "clip": Operation(
        backward=lambda f, g, outputs, a: {"x": f.clip_backward(g, a.x, a.min, a.max)}
    ),
    "softmax": Operation(
        lambda a, outputs: ((a.x.shape[a.dim], _entropy(outputs[0])),),
        lambda f, g, outputs, a: {"x": f.softmax_backward(g, outputs[0], a.dim)},
        _softmax_backward_rounding,
    ),
    "log_softmax": Operation(
        lambda a, outputs: ((a.x.shape[a.dim], 1 + np.abs(outputs[0])),),
        lambda f, g, outputs, a: {"x": f.log_softmax_backward(g, outputs[0], a.dim)},
        _log_softmax_backward_rounding,
    ),
    "cross_entropy": Operation(
        _cross_entropy_rounding, _cross_entropy_backward, _cross_entropy_backward_rounding
    ),
    "dropout": Operation(backward=_dropout_backward),
    "add": Operation(lambda a, outputs: ((1, np.abs(a.x) + np.abs(a.y)),)),
    "concat": Operation(exact=True),
    "pad": Operation(
        backward=lambda f, g, outputs, a: {"x": f.pad_backward(g, a.padding)}, exact=True
    ),
    "to_channels_last": Operation(exact=True),
    "to_contiguous": Operation(exact=True),
}

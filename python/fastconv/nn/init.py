"""Initialisation: functions that fill a tensor in place, with PyTorch's names.

They draw from `fastconv.random` and return the tensor. The fan of a weight (O, I, ...) is the
number of inputs of an output, I times the window ("fan_in"), or O times the window ("fan_out").
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np

from ..random import generator

__all__ = [
    "calculate_gain",
    "constant_",
    "kaiming_normal_",
    "kaiming_uniform_",
    "normal_",
    "ones_",
    "skip_init",
    "trunc_normal_",
    "uniform_",
    "xavier_normal_",
    "xavier_uniform_",
    "zeros_",
]

_T = TypeVar("_T")


class _Skip(threading.local):
    on: bool = False


_skip = _Skip()


@contextmanager
def skip_init() -> Iterator[None]:
    """Make networks built inside keep zeros in their weights, which costs neither time nor memory.

    For networks whose weights are loaded right afterwards.
    """
    previous = _skip.on
    _skip.on = True
    try:
        yield
    finally:
        _skip.on = previous


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """Return by how much to scale weights before an activation; `param` is leaky_relu's slope."""
    gains = {"linear": 1.0, "conv2d": 1.0, "sigmoid": 1.0, "tanh": 5 / 3, "relu": math.sqrt(2)}
    if nonlinearity == "leaky_relu":
        return math.sqrt(2 / (1 + (0.01 if param is None else param) ** 2))
    if nonlinearity not in gains:
        names = ", ".join(map(repr, [*gains, "leaky_relu"]))
        raise ValueError(
            f"calculate_gain: nonlinearity must be one of {names} (nonlinearity={nonlinearity!r})"
        )
    return gains[nonlinearity]


def normal_(tensor: _T, mean: float = 0.0, std: float = 1.0) -> _T:
    """Fill with a normal distribution."""
    array = _array("normal_", tensor)
    if not _skip.on:
        generator().standard_normal(dtype=array.dtype, out=array)
        array *= std
        if mean:
            array += mean
    return tensor


def uniform_(tensor: _T, a: float = 0.0, b: float = 1.0) -> _T:
    """Fill with a uniform distribution on [a, b)."""
    array = _array("uniform_", tensor)
    if not _skip.on:
        generator().random(dtype=array.dtype, out=array)
        array *= b - a
        array += a
    return tensor


def trunc_normal_(
    tensor: _T, mean: float = 0.0, std: float = 1.0, a: float = -2.0, b: float = 2.0
) -> _T:
    """Fill with a normal distribution of which what falls outside [a, b] is drawn again."""
    array = _array("trunc_normal_", tensor)
    # Drawing again ends soon only where a fair share of the distribution is inside.
    if not a < b or mean < a - 2 * std or mean > b + 2 * std or b - a < std / 100:
        raise ValueError(
            f"trunc_normal_: [a, b] must hold a fair share of the distribution "
            f"(mean={mean}, std={std}, a={a}, b={b})"
        )
    if not _skip.on:
        normal_(array, mean, std)
        outside = np.flatnonzero((array < a) | (array > b))
        while outside.size:
            drawn = generator().standard_normal(outside.size, dtype=array.dtype) * std + mean
            array.flat[outside] = drawn
            outside = outside[(drawn < a) | (drawn > b)]
    return tensor


def constant_(tensor: _T, value: float) -> _T:
    """Fill with one value."""
    array = _array("constant_", tensor)
    if not _skip.on:
        array.fill(value)
    return tensor


def zeros_(tensor: _T) -> _T:
    """Fill with zeros."""
    return constant_(tensor, 0.0)


def ones_(tensor: _T) -> _T:
    """Fill with ones."""
    return constant_(tensor, 1.0)


def kaiming_normal_(
    tensor: _T, a: float = 0.0, mode: str = "fan_in", nonlinearity: str = "leaky_relu"
) -> _T:
    """Fill with a normal distribution of deviation gain / sqrt(fan).

    He et al. 2015, https://arxiv.org/abs/1502.01852. `a` is the slope of a leaky_relu.
    """
    return normal_(tensor, 0.0, _kaiming_std("kaiming_normal_", tensor, a, mode, nonlinearity))


def kaiming_uniform_(
    tensor: _T, a: float = 0.0, mode: str = "fan_in", nonlinearity: str = "leaky_relu"
) -> _T:
    """Fill with a uniform distribution of deviation gain / sqrt(fan), as `kaiming_normal_`."""
    std = _kaiming_std("kaiming_uniform_", tensor, a, mode, nonlinearity)
    bound = math.sqrt(3) * std
    return uniform_(tensor, -bound, bound)


def xavier_normal_(tensor: _T, gain: float = 1.0) -> _T:
    """Fill with a normal distribution of deviation gain * sqrt(2 / (fan_in + fan_out)).

    Glorot and Bengio 2010, https://proceedings.mlr.press/v9/glorot10a.html.
    """
    return normal_(tensor, 0.0, gain * math.sqrt(2 / sum(_fans("xavier_normal_", tensor))))


def xavier_uniform_(tensor: _T, gain: float = 1.0) -> _T:
    """Fill with a uniform distribution of the deviation of `xavier_normal_`."""
    bound = gain * math.sqrt(6 / sum(_fans("xavier_uniform_", tensor)))
    return uniform_(tensor, -bound, bound)


def _kaiming_std(op: str, tensor: Any, a: float, mode: str, nonlinearity: str) -> float:
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(f"{op}: mode must be 'fan_in' or 'fan_out' (mode={mode!r})")
    fan_in, fan_out = _fans(op, tensor)
    gain = calculate_gain(nonlinearity, a)
    return gain / math.sqrt(fan_in if mode == "fan_in" else fan_out)


def _fans(op: str, tensor: Any) -> tuple[int, int]:
    shape = _array(op, tensor).shape
    if len(shape) < 2:
        raise ValueError(f"{op}: fans need at least two axes (shape={shape})")
    window = math.prod(shape[2:])
    return shape[1] * window, shape[0] * window


def _array(op: str, tensor: Any) -> np.ndarray:
    array = tensor if isinstance(tensor, np.ndarray) else getattr(tensor, "data", None)
    if not isinstance(array, np.ndarray) or array.dtype not in (np.float32, np.float64):
        kind = getattr(array, "dtype", type(tensor).__name__)
        raise TypeError(f"{op}: a tensor or array of float32 or float64 is needed (type={kind})")
    return array

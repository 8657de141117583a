"""One layer made ready to run: its inputs, our kernel, the NumPy twin, and the answer it must give.

A batch has at most two different pictures (see inputs.py), so the twin answers for all of a large
batch from two pictures, whatever the kernel does with the others.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from math import prod
from typing import Any

import numpy as np

from fastconv import functional, reference

from .inputs import DISTINCT, Array, layer_inputs
from .layers import (
    AdaptiveAvgPool,
    AvgPool,
    Conv,
    ConvGradient,
    Gemm,
    Layer,
    Linear,
    LocalResponseNorm,
    MaxPool,
)

__all__ = ["Case", "WrongAnswer", "compare", "prepare"]

_ROUNDINGS = 8  # epsilons that one operation may be off, at the scale of the result


_WINOGRAD_SLACK = 4.0  # its transforms lose digits


class WrongAnswer(Exception):
    """Two implementations disagree by more than rounding."""


@dataclass(frozen=True)
class Case:
    """A layer at one batch size.

    run() is what is timed, twin() what is timed of the twin, `twin_calls` of which do the same
    work; expected() is the twin's answer for the whole batch, which `length` products or sums make.
    """

    run: Callable[[], Array]
    twin: Callable[[], Array]
    twin_calls: int
    expected: Callable[[], Array]
    length: int
    algorithm: str = ""

    def check(self) -> float:
        """Compare run() with the twin; return the largest error over the largest value."""
        slack = _WINOGRAD_SLACK if self.algorithm.startswith("winograd") else 1.0
        return compare(self.run(), self.expected(), self.length, slack)


def compare(actual: Array, expected: Array, length: int, slack: float = 1.0) -> float:
    """Return the largest error over the largest expected value; raise WrongAnswer if too large.

    Rounding errors of a sum of `length` terms grow with its root.
    """
    if actual.shape != expected.shape:
        raise WrongAnswer(f"shape {actual.shape} instead of {expected.shape}")
    scale = float(np.abs(expected).max(initial=0.0))
    error = float(np.abs(actual - expected).max(initial=0.0)) / (scale or 1.0)
    allowed = slack * _ROUNDINGS * float(np.finfo(np.float32).eps) * max(length, 1) ** 0.5
    if not error <= allowed:  # NaN is wrong, too
        raise WrongAnswer(f"error {error:.2g} of the largest value, {allowed:.2g} allowed")
    return error


def prepare(layer: Layer, batch: int, algorithm: str = "direct") -> Case:
    """Make a layer ready to run; `algorithm` is that of convolutions that have a choice."""
    arrays = layer_inputs(layer, batch)
    if isinstance(layer, Gemm):
        return _gemm(layer, arrays)
    if isinstance(layer, Linear):
        return _linear(layer, arrays)
    if isinstance(layer, ConvGradient):
        return _gradient(layer, arrays, batch)
    if isinstance(layer, Conv):
        return _conv(layer, arrays, algorithm)
    return _map(layer, arrays)


def _channels_last(x: Array) -> Array:
    out = _empty(x.shape)
    out[...] = x
    return out


def _empty(shape: tuple[int, ...]) -> Array:
    """Channels-last memory that starts at a cache line."""
    n, c, h, w = shape
    memory = np.empty(n * c * h * w + 16, np.float32)
    start = -(memory.ctypes.data // 4) % 16
    aligned = memory[start : start + n * c * h * w].reshape(n, h, w, c)
    view: Array = aligned.transpose(0, 3, 1, 2)
    return view


def _by_picture(
    run: Callable[[], Array], x: Array, twin: Callable[[Array], Array], length: int
) -> Case:
    """A case whose twin sees the different pictures of x only."""

    def expected() -> Array:
        return twin(x[:DISTINCT])[np.arange(len(x)) % DISTINCT]

    return Case(run, partial(twin, x[:1]), len(x), expected, length)


def _conv(layer: Conv, arrays: dict[str, Array], algorithm: str) -> Case:
    x, weight, bias = arrays["x"], arrays["weight"], arrays.get("bias")
    geometry = (layer.stride, layer.padding, 1, layer.groups)
    if algorithm.startswith("winograd") and not layer.has_winograd:
        algorithm = "direct"
    packed = functional.pack_conv2d(
        weight, bias, *geometry, algorithm=algorithm, input_shape=x.shape
    )
    out = _empty((len(x), *layer.out_shape))
    out.fill(np.nan)
    run = partial(packed, _channels_last(x), out=out)
    case = _by_picture(run, x, lambda x: reference.conv2d(x, weight, bias, *geometry), layer.length)
    return replace(case, algorithm=packed.algorithm)


def _gradient(layer: ConvGradient, arrays: dict[str, Array], batch: int) -> Case:
    conv = layer.conv
    geometry = (conv.stride, conv.padding, 1, conv.groups)
    grad, grad_pixels = arrays["grad"], _channels_last(arrays["grad"])
    if layer.wrt == "input":
        weight = arrays["weight"]
        shape = (conv.channels, conv.height, conv.width)

        def backward_input(grad: Array) -> Array:
            return reference.conv2d_backward_input(grad, weight, (len(grad), *shape), *geometry)

        run = partial(
            functional.conv2d_backward_input, grad_pixels, weight, (batch, *shape), *geometry
        )
        return _by_picture(run, grad, backward_input, layer.length)

    x, pixels = arrays["x"], _channels_last(arrays["x"])
    weight_shape = conv.weight_shape

    def backward_weight(picture: int) -> Array:
        part = slice(picture, picture + 1)
        return reference.conv2d_backward_weight(grad[part], x[part], weight_shape, *geometry)

    def expected() -> Array:
        repeats = [len(range(i, batch, DISTINCT)) for i in range(min(batch, DISTINCT))]
        total: Array = sum(np.float32(n) * backward_weight(i) for i, n in enumerate(repeats))
        return total

    run = partial(functional.conv2d_backward_weight, grad_pixels, pixels, weight_shape, *geometry)
    return Case(run, partial(backward_weight, 0), batch, expected, batch * layer.length)


def _linear(layer: Linear, arrays: dict[str, Array]) -> Case:
    x, weight, bias = arrays["x"], arrays["weight"], arrays.get("bias")
    twin = partial(reference.linear, x, weight, bias)
    packed = functional.pack_linear(weight, bias)
    return Case(partial(packed, x), twin, 1, twin, layer.inputs)


def _gemm(layer: Gemm, arrays: dict[str, Array]) -> Case:
    a, b = arrays["a"], arrays["b"]
    run = partial(functional.gemm, a, b, trans_a=layer.trans_a, trans_b=layer.trans_b)
    # NumPy's own product, which the twin calls.
    twin = partial(np.matmul, a.T if layer.trans_a else a, b.T if layer.trans_b else b)
    return Case(run, twin, 1, twin, layer.inner)


def _map(
    layer: MaxPool | AvgPool | AdaptiveAvgPool | LocalResponseNorm, arrays: dict[str, Array]
) -> Case:
    """Pooling and normalisation: `functional` and the twin have the same arguments."""
    x = arrays["x"]
    arguments: tuple[Any, ...]
    length = 1
    if isinstance(layer, MaxPool):
        name = "max_pool2d"
        arguments = (layer.kernel, layer.stride, layer.padding, 1, layer.ceil_mode)
    elif isinstance(layer, AvgPool):
        name, length = "avg_pool2d", prod(layer.kernel)
        arguments = (layer.kernel, layer.stride, layer.padding, layer.ceil_mode)
    elif isinstance(layer, AdaptiveAvgPool):
        name, length = "adaptive_avg_pool2d", layer.height * layer.width
        arguments = (layer.output,)
    else:
        name, length = "local_response_norm", layer.size
        arguments = (layer.size, layer.alpha, layer.beta, layer.k)
    run = partial(getattr(functional, name), _channels_last(x), *arguments)
    return _by_picture(run, x, lambda x: getattr(reference, name)(x, *arguments), length)

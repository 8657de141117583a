"""What each kernel call becomes in the graph.

The functions have the kernels' signatures, after the recorder. Their attributes are in one form:
pairs, ((top, bottom), (left, right)), weights as Weight; other parameters are the network's own
arrays.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from .._arguments import pair
from ..autograd import shapes
from ..autograd.geometry import padding_of
from .traced import Traced, Untraceable
from .weight import Weight

if TYPE_CHECKING:
    from .recorder import Recorder

__all__ = ["RECORDED"]

RECORDED: Final[dict[str, Callable[..., Traced]]] = {}


def _recorded(function: Callable[..., Traced]) -> Callable[..., Traced]:
    RECORDED[function.__name__] = function
    return function


# Layers with weights.


@_recorded
def conv2d(
    recorder: Recorder,
    x: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
    *,
    activation: Any = None,
    algorithm: str = "direct",
) -> Traced:
    shape = shapes.conv2d(x, weight, bias, stride, padding, dilation, groups).shape
    if weight.shape[0] % groups:
        raise ValueError(
            f"conv2d: groups must divide the output channels "
            f"(groups={groups}, out_channels={weight.shape[0]})"
        )
    y = recorder.record(
        "conv2d",
        [x],
        shape,
        weight=Weight.of(_constant("weight", weight)),
        bias=_vector("bias", bias, shape[1]),
        stride=pair("conv2d", "stride", stride, 1),
        padding=padding_of("conv2d", padding),
        dilation=pair("conv2d", "dilation", dilation, 1),
        groups=groups,
        activation=None,
    )
    return y if activation is None else _activation(recorder, y, activation)


@_recorded
def conv2d_backward_input(
    recorder: Recorder,
    grad_output: Any,
    weight: Any,
    input_shape: tuple[int, ...],
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
    *,
    algorithm: str = "direct",
) -> Traced:
    """What a transposed convolution runs forward."""
    window = (stride, padding, dilation, groups)
    shape = shapes.conv2d_backward_input(grad_output, weight, input_shape, *window).shape
    return recorder.record(
        "conv_transpose2d",
        [grad_output],
        shape,
        weight=Weight.of(_constant("weight", weight)),
        stride=pair("conv_transpose2d", "stride", stride, 1),
        padding=padding_of("conv_transpose2d", padding),
        dilation=pair("conv_transpose2d", "dilation", dilation, 1),
        groups=groups,
    )


@_recorded
def linear(recorder: Recorder, x: Any, weight: Any, bias: Any = None) -> Traced:
    shape = shapes.linear(x, weight, bias).shape
    return recorder.record(
        "linear",
        [x],
        shape,
        weight=Weight.of(_constant("weight", weight)),
        bias=_vector("bias", bias, shape[-1]),
        activation=None,
    )


@_recorded
def gemm(
    recorder: Recorder, a: Any, b: Any, *, trans_a: bool = False, trans_b: bool = False
) -> Traced:
    if trans_a:
        raise Untraceable("multiplies by its transposed input, which cannot be traced")
    weight = _constant("b", b)
    return linear(recorder, a, weight if trans_b else np.ascontiguousarray(weight.T))


@_recorded
def prelu(recorder: Recorder, x: Any, weight: Any) -> Traced:
    slopes = _constant("weight", weight)
    if slopes.shape not in ((1,), x.shape[1:2]):
        raise ValueError(
            f"prelu: weight must have one value, or one per channel "
            f"(weight={slopes.shape}, x={x.shape})"
        )
    return recorder.record("prelu", [x], x.shape, weight=slopes)


@_recorded
def batch_norm(
    recorder: Recorder,
    x: Any,
    mean: Any,
    var: Any,
    weight: Any = None,
    bias: Any = None,
    eps: float = 1e-5,
) -> Traced:
    shape = shapes.batch_norm(x, mean, var).shape
    named = {"mean": mean, "var": var, "weight": weight, "bias": bias}
    vectors = {name: _vector(name, v, shape[1]) for name, v in named.items()}
    return recorder.record("batch_norm", [x], shape, **vectors, eps=float(eps))


@_recorded
def batch_norm_training(recorder: Recorder, *args: Any, **options: Any) -> Traced:
    raise Untraceable("normalises by the statistics of its batch, which cannot be traced")


# Windows and neighbours.


def _window(
    op: str, kernel_size: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool | str
) -> dict[str, Any]:
    kernel = pair(op, "kernel_size", kernel_size, 1)
    return {
        "kernel": kernel,
        "stride": kernel if stride is None else pair(op, "stride", stride, 1),
        "padding": padding_of(op, padding),
        "dilation": pair(op, "dilation", dilation, 1),
        "ceil_mode": ceil_mode,
    }


@_recorded
def max_pool2d(
    recorder: Recorder,
    x: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool | str = False,
) -> Traced:
    shape = shapes.max_pool2d(x, kernel_size, stride, padding, dilation, ceil_mode).shape
    window = _window("max_pool2d", kernel_size, stride, padding, dilation, ceil_mode)
    return recorder.record("max_pool2d", [x], shape, **window)


@_recorded
def avg_pool2d(
    recorder: Recorder,
    x: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool | str = False,
    count_include_pad: bool = True,
) -> Traced:
    shape = shapes.avg_pool2d(x, kernel_size, stride, padding, ceil_mode).shape
    window = _window("avg_pool2d", kernel_size, stride, padding, 1, ceil_mode)
    return recorder.record("avg_pool2d", [x], shape, **window, count_include_pad=count_include_pad)


@_recorded
def adaptive_avg_pool2d(recorder: Recorder, x: Any, output_size: Any) -> Traced:
    shape = shapes.adaptive_avg_pool2d(x, output_size).shape
    return recorder.record("adaptive_avg_pool2d", [x], shape)


@_recorded
def global_avg_pool2d(recorder: Recorder, x: Any) -> Traced:
    return adaptive_avg_pool2d(recorder, x, 1)


@_recorded
def local_response_norm(
    recorder: Recorder,
    x: Any,
    size: int,
    alpha: float = 1e-4,
    beta: float = 0.75,
    k: float = 1.0,
) -> Traced:
    shape = shapes.local_response_norm(x, size).shape
    return recorder.record(
        "local_response_norm", [x], shape, size=size, alpha=alpha, beta=beta, k=k
    )


# Element by element.


def _activation(recorder: Recorder, x: Any, activation: Any) -> Traced:
    return recorder.record("activation", [x], x.shape, activation=activation)


@_recorded
def relu(recorder: Recorder, x: Any) -> Traced:
    return _activation(recorder, x, "relu")


@_recorded
def leaky_relu(recorder: Recorder, x: Any, negative_slope: float = 0.01) -> Traced:
    return _activation(recorder, x, ("leaky_relu", float(negative_slope)))


@_recorded
def clip(recorder: Recorder, x: Any, min: Any = None, max: Any = None) -> Traced:
    bounds = tuple(None if bound is None else float(bound) for bound in (min, max))
    return _activation(recorder, x, ("clip", *bounds))


@_recorded
def sigmoid(recorder: Recorder, x: Any) -> Traced:
    return recorder.record("sigmoid", [x], x.shape)


@_recorded
def tanh(recorder: Recorder, x: Any) -> Traced:
    return recorder.record("tanh", [x], x.shape)


def _softmax(recorder: Recorder, op: str, x: Any, dim: int) -> Traced:
    if not -x.ndim <= dim < x.ndim:
        raise ValueError(f"{op}: dim must be an axis of x (dim={dim}, shape={x.shape})")
    if dim % x.ndim == 0:
        raise Untraceable(f"takes the {op} over the batch, which cannot be traced")
    return recorder.record(op, [x], x.shape, dim=dim % x.ndim)


@_recorded
def softmax(recorder: Recorder, x: Any, dim: int = 1) -> Traced:
    return _softmax(recorder, "softmax", x, dim)


@_recorded
def log_softmax(recorder: Recorder, x: Any, dim: int = 1) -> Traced:
    return _softmax(recorder, "log_softmax", x, dim)


@_recorded
def dropout(recorder: Recorder, x: Any, p: float = 0.5, seed: int = 0) -> Traced:
    return recorder.record("dropout", [x], x.shape)


@_recorded
def add(recorder: Recorder, x: Any, y: Any, *, activation: Any = None) -> Traced:
    shape = shapes.add(x, y).shape
    if not (isinstance(x, Traced) and isinstance(y, Traced)):
        sum = recorder.arithmetic(np.add, x, y)
        return sum if activation is None else _activation(recorder, sum, activation)
    return recorder.record("add", [x, y], shape, activation=activation)


# Moving elements.


@_recorded
def concat(recorder: Recorder, xs: Sequence[Any], dim: int = 1) -> Traced:
    shape = shapes.concat(xs, dim).shape
    return recorder.record("concat", xs, shape, dim=dim % len(shape))


@_recorded
def pad(recorder: Recorder, x: Any, padding: Any, value: float = 0.0) -> Traced:
    shape = shapes.pad(x, padding, value).shape
    return recorder.record("pad", [x], shape, padding=padding_of("pad", padding), value=value)


@_recorded
def to_channels_last(recorder: Recorder, x: Any) -> Traced:
    return recorder.record("identity", [x], x.shape)


@_recorded
def to_contiguous(recorder: Recorder, x: Any) -> Traced:
    return recorder.record("identity", [x], x.shape)


def _constant(name: str, array: Any) -> NDArray[np.float32]:
    """Return a parameter as it is, once it is a float32 array that does not depend on the input."""
    if isinstance(array, Traced):
        raise Untraceable(f"computes its {name} from its input, which cannot be traced")
    if not isinstance(array, np.ndarray) or array.dtype != np.float32:
        kind = getattr(array, "dtype", type(array).__name__)
        raise TypeError(f"{name} must be a float32 array (dtype={kind})")
    return array


def _vector(name: str, array: Any, length: int) -> NDArray[np.float32] | None:
    """Return a parameter as it is, one number a channel, or None."""
    if array is None:
        return None
    values = _constant(name, array)
    if values.shape != (length,):
        raise ValueError(
            f"{name} must have one value per channel (expected={length}, shape={values.shape})"
        )
    return values

"""Caffe2's operators as layers of `fastconv.nn`: one function a type.

What a type computes is told by pytorch/pytorch, caffe2/operators, up to release 1.13.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ... import nn
from ..caffe.modules import ScaleShift
from .operator import Operator

__all__ = ["BUILDERS"]

# The values of caffe2_legacy.proto's LegacyPadding.
_NOTSET, _VALID, _SAME, _CAFFE = range(4)

_LARGEST = float(np.finfo(np.float32).max)

Sides = tuple[tuple[int, int], tuple[int, int]]


def _padding(at: Operator, kernel: tuple[int, int], stride: tuple[int, int]) -> Sides:
    """Return the padding, which the old ways compute from the size of the picture."""
    legacy = at.integer("legacy_pad", _NOTSET)
    if legacy == _VALID:
        return (0, 0), (0, 0)
    if legacy != _SAME:
        return at.padding()
    shape = at.maps()
    if shape is None:
        raise at.error("legacy_pad SAME needs the size of the input")
    sides = []
    for size, window, step in zip(shape[1:], kernel, stride, strict=True):
        needed = max((-(-size // step) - 1) * step + window - size, 0)
        sides.append((needed // 2, needed - needed // 2))
    return sides[0], sides[1]


def _conv(at: Operator) -> None:
    weight = at.constant(1, 4)
    if at.channels_last():
        weight = weight.transpose(0, 3, 1, 2)
    kernel = at.sizes("kernel", 0, 1)
    stride, groups = at.sizes("stride", 1, 1), at.integer("group", 1)
    if at.integer("legacy_pad", _NOTSET) == _CAFFE:
        raise at.error("a convolution has no padding of Caffe's poolings")
    if kernel != weight.shape[2:]:
        rule = "the weights must have the kernel's size"
        raise at.error(rule, kernel=kernel, weights=weight.shape)
    biased = len(at.inputs) > 2
    try:
        module = nn.Conv2d(
            weight.shape[1] * groups,
            weight.shape[0],
            kernel,
            stride,
            _padding(at, kernel, stride),
            at.sizes("dilation", 1, 1),
            groups,
            biased,
        )
    except ValueError as error:
        raise at.error(str(error)) from error
    at.fill(module, "weight", 1, weight)
    if biased:
        at.fill(module, "bias", 2, at.vector(2, weight.shape[0]))
    at.put_maps(module)


def _fc(at: Operator) -> None:
    transposed = at.op.type == "FCTransposed"
    axis, axis_w = at.integer("axis", 1), at.integer("axis_w", 1)
    weight = at.constant(1)
    if axis != 1 or not 0 < axis_w < weight.ndim:
        raise at.error("the axes must be 1", axis=axis, axis_w=axis_w, weights=weight.shape)
    weight = weight.reshape(math.prod(weight.shape[:axis_w]), -1)
    weight = weight.T if transposed else weight
    outputs, inputs = weight.shape
    module = nn.Linear(inputs, outputs, len(at.inputs) > 2)
    at.fill(module, "weight", 1, weight)
    if module.bias is not None:
        at.fill(module, "bias", 2, at.vector(2, outputs))
    shape = at.value().shape
    if shape is not None and len(shape) == 1:
        at.put(module)
        return
    flat = f"{at.name}/flat"
    at.wiring.add(flat, nn.Flatten(), at.inputs[:1], flat)
    at.put(module, [flat])


def _pool(at: Operator) -> None:
    average = at.op.type == "AveragePool"
    window: dict[str, Any] = {}
    if at.integer("global_pooling", 0):
        shape = at.maps()
        if average:
            at.put_maps(nn.AdaptiveAvgPool2d(1))
            return
        if shape is None:
            raise at.error("the maximum of whole maps needs the size of the input")
        window["kernel_size"] = shape[1:]
    else:
        kernel, stride = at.sizes("kernel", 0, 1), at.sizes("stride", 1, 1)
        window = {"kernel_size": kernel, "stride": stride, "padding": _padding(at, kernel, stride)}
        if at.integer("legacy_pad", _NOTSET) == _CAFFE:
            # Only the padding above and on the left counts.
            (top, _), (left, _) = window["padding"]
            window |= {"padding": (top, left), "ceil_mode": "caffe"}
        if average:
            window["count_include_pad"] = bool(at.integer("count_include_pad", 0))
        elif at.sizes("dilation", 1, 1) != (1, 1):
            window["dilation"] = at.sizes("dilation", 1, 1)
    try:
        module = (nn.AvgPool2d if average else nn.MaxPool2d)(**window)
    except ValueError as error:
        raise at.error(str(error)) from error
    at.put_maps(module)


def _lrn(at: Operator) -> None:
    size = at.integer("size", 0)
    if not 1 <= size <= 1 << 12 or size % 2 == 0:
        raise at.error("size must be odd, and not absurd", size=size)
    alpha, beta, k = at.real("alpha", 0.0), at.real("beta", 0.0), at.real("bias", 1.0)
    at.put_maps(nn.LocalResponseNorm(size, alpha, beta, k))


def _spatial_bn(at: Operator) -> None:
    if not at.integer("is_test", 0):
        raise at.error("the normalisation must be that of inference", is_test=0)
    channels = at.constant(1).size
    epsilon = at.real("epsilon", 1e-5)
    if not 0 <= epsilon < math.inf:
        raise at.error("epsilon must be a number from 0 on", epsilon=epsilon)
    module = nn.BatchNorm2d(channels, epsilon)
    at.fill(module, "weight", 1, at.vector(1, channels))
    at.fill(module, "bias", 2, at.vector(2, channels))
    assert module.running_mean is not None and module.running_var is not None
    module.running_mean[:], module.running_var[:] = at.vector(3, channels), at.vector(4, channels)
    at.put_maps(module)


def _softmax(at: Operator) -> None:
    axis, shape = at.integer("axis", 1), at.value().shape
    if axis != 1:
        raise at.error("the axis must be 1", axis=axis)
    # All axes from there on count as one.
    if shape is not None and math.prod(shape[1:]) == 1:
        at.put(nn.Softmax(1))
    elif shape is None:
        flat = f"{at.name}/flat"
        at.wiring.add(flat, nn.Flatten(), at.inputs[:1], flat)
        at.put(nn.Softmax(1), [flat])
    else:
        raise at.error("the softmax of maps is over all of them, which no layer is", input=shape)


def _concat(at: Operator) -> None:
    if at.integer("add_axis", 0):
        raise at.error("a concatenation must not make an axis")
    axis = at.integer("axis", 3 if at.channels_last() else 1)
    if axis < 1:
        raise at.error("the axis must be from 1 on", axis=axis)
    at.put(nn.Concat(axis), at.inputs)


def _sum(at: Operator) -> None:
    shapes = [at.value(i).shape for i in range(len(at.inputs))]
    if any(shape != shapes[0] for shape in shapes):
        raise at.error("there must be inputs of one shape", inputs=shapes)
    at.put(nn.Add(), at.inputs)


def _arithmetic(at: Operator) -> None:
    if len(at.inputs) != 2:
        raise at.error("there must be two inputs", inputs=at.inputs)
    constants = [name in at.constants for name in at.inputs]
    joined = {"Add": nn.Add, "Sub": nn.Sub, "Mul": nn.Mul, "Div": nn.Div}[at.op.type]
    if not any(constants):
        shapes = [at.value(i).shape for i in (0, 1)]
        if shapes[0] != shapes[1]:
            raise at.error("there must be inputs of one shape", inputs=shapes)
        at.put(joined(), at.inputs)
        return
    if constants[0] or at.op.type not in ("Add", "Mul"):
        raise at.error("a constant must be added or multiplied, and come second")
    constant = at.constant(1)
    if constant.dtype.kind != "f":
        raise at.error("a constant must be of floats", dtype=constant.dtype)
    adds = at.op.type == "Add"
    if constant.size == 1:
        number = float(constant.reshape(()))
        at.put(ScaleShift(1.0, number) if adds else ScaleShift(number, 0.0))
        return
    channels = _channels_of(at, constant.shape)
    module = nn.Affine(channels, bias=adds)
    module.weight.requires_grad = not adds
    at.fill(module, "bias" if adds else "weight", 1, constant.reshape(channels))
    at.put(module)


def _channels_of(at: Operator, constant: tuple[int, ...]) -> int:
    """Return the size of axis 1 if a constant has it alone, where it lies in the input."""
    shape = at.value().shape
    if shape is None:
        raise at.error("a constant needs the size of the input", constant=constant)
    axes = len(shape) + 1
    start = at.integer("axis", -1) if at.integer("broadcast", 0) else -1
    start = axes - len(constant) if start < 0 else start
    full = (1,) * start + constant + (1,) * (axes - start - len(constant))
    if start < 0 or len(full) != axes or full[1] != math.prod(full) or full[1] != shape[0]:
        raise at.error(
            "a constant must have one number a channel, in axis 1", constant=constant, input=shape
        )
    return full[1]


def _reshape(at: Operator) -> None:
    sizes = at.integers("shape")
    if len(at.inputs) > 1:
        array = at.constant(1)
        if array.dtype.kind not in "iu" or array.ndim != 1:
            raise at.error("a shape must be integers", dtype=array.dtype, shape=array.shape)
        sizes = [int(size) for size in array]
    if sizes and sizes[0] > 0:
        if at.value().shape is None:
            raise at.error("the batch must be 0 or -1 in a new shape", shape=sizes)
        sizes[0] = 0  # the batch, written out; that it is the batch is checked
    if not sizes or len(sizes) > 8 or min(sizes) < -1 or max(sizes) > 1 << 28:
        raise at.error("a shape must have sizes from -1 on", shape=sizes)
    at.put(nn.Reshape(*sizes))


def _flatten(at: Operator) -> None:
    if at.integer("axis", 1) != 1:
        raise at.error("the axis must be 1", axis=at.integer("axis", 1))
    at.put(nn.Flatten())


def _transpose(at: Operator) -> None:
    axes = at.integers("axes")
    if not axes or sorted(axes) != list(range(len(axes))):
        raise at.error("axes must name every axis once", axes=axes)
    at.put(nn.Permute(*axes))


def _prelu(at: Operator) -> None:
    slope = at.constant(1)
    module = nn.PReLU(slope.size)
    at.fill(module, "weight", 1, slope.reshape(-1))
    at.put_maps(module)


def _clip(at: Operator) -> None:
    limits = at.real("min", -math.inf), at.real("max", math.inf)
    if not limits[0] <= limits[1]:
        raise at.error("there must be limits in order", min=limits[0], max=limits[1])
    # Without a limit, files say the largest number there is.
    low, high = (None if abs(limit) >= _LARGEST else limit for limit in limits)
    at.put(nn.Clip(low, high))


def _copy(at: Operator) -> None:
    at.wiring.alias(at.name, at.outputs[0], at.inputs[0])


def _dropout(at: Operator) -> None:
    try:
        at.put(nn.Dropout(at.real("ratio", 0.5)))
    except ValueError as error:
        raise at.error(str(error)) from error


def _simple(make: Callable[[Operator], nn.Module]) -> Callable[[Operator], None]:
    return lambda at: at.put(make(at))


BUILDERS: dict[str, Callable[[Operator], None]] = {
    "Add": _arithmetic,
    "AveragePool": _pool,
    "Clip": _clip,
    "Concat": _concat,
    "Conv": _conv,
    "Copy": _copy,
    "DepthConcat": _concat,
    "Div": _arithmetic,
    "Dropout": _dropout,
    "FC": _fc,
    "FCTransposed": _fc,
    "Flatten": _flatten,
    "LRN": _lrn,
    "LeakyRelu": _simple(lambda at: nn.LeakyReLU(at.real("alpha", 0.01))),
    "MaxPool": _pool,
    "Mul": _arithmetic,
    "NCHW2NHWC": _simple(lambda at: nn.Permute(0, 2, 3, 1)),
    "NHWC2NCHW": _simple(lambda at: nn.Permute(0, 3, 1, 2)),
    "PRelu": _prelu,
    "Relu": _simple(lambda at: nn.ReLU()),
    "Reshape": _reshape,
    "Sigmoid": _simple(lambda at: nn.Sigmoid()),
    "Softmax": _softmax,
    "SpatialBN": _spatial_bn,
    "StopGradient": _copy,
    "Sub": _arithmetic,
    "Sum": _sum,
    "Tanh": _simple(lambda at: nn.Tanh()),
    "Transpose": _transpose,
}

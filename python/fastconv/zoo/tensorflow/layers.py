"""Operations on values that are not windows: arithmetic, shapes, activations."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ... import nn
from ..archive import FormatError
from .attributes import flag, integer, integers, number
from .builder import Builder, float32
from .emitter import Scale
from .folding import axes_of, sizes_of
from .graph import Node
from .values import Free, Value
from .windows import layout

__all__ = ["LAYERS"]

_Array = NDArray[Any]


def _numbers(node: Node, array: Any) -> _Array:
    """Return a constant of numbers that are all known."""
    if not isinstance(array, np.ndarray) or array.dtype == object:
        raise FormatError(f"tensorflow: {node} must have a constant here (found={array!r})")
    return array


def _activation(make: Callable[[Node], nn.Module]) -> Callable[..., Value]:
    return lambda b, node, x: b.unary(node, x, make(node))


def _softmax(make: Callable[[int], nn.Module]) -> Callable[..., Value]:
    def build(b: Builder, node: Node, x: Value) -> Value:
        return b.unary(node, x, make(x.order.index(len(x.shape) - 1)))

    return build


def _aligned(b: Builder, node: Node, values: list[Value]) -> list[Value]:
    """Return values whose axes and features have the same order."""
    first = values[0]
    if any(len(value.shape) != len(first.shape) for value in values):
        shapes = [value.shape for value in values]
        raise FormatError(f"tensorflow: {node} must have inputs of as many axes (shapes={shapes})")
    if any(value.chw != first.chw for value in values):
        values = [b.plain_features(node, value) for value in values]
    if any(value.order != first.order for value in values):
        # Small ones, such as the gates of squeeze and excitation, follow the large ones.
        largest = max(values, key=lambda value: math.prod(size or 1 for size in value.shape))
        values = [b.reordered(node, value, largest.order) for value in values]
    return values


def _broadcast(node: Node, values: list[Value]) -> tuple[int | None, ...]:
    shape = []
    for sizes in zip(*(value.shape for value in values), strict=True):
        known = {size for size in sizes if size not in (1, None)}
        if len(known) > 1:
            shapes = [value.shape for value in values]
            raise FormatError(f"tensorflow: {node} must have inputs that fit (shapes={shapes})")
        shape.append(known.pop() if known else None if None in sizes else 1)
    return tuple(shape)


def _joined(b: Builder, node: Node, module: nn.Module, values: list[Value]) -> Value:
    values = _aligned(b, node, values)
    shape = _broadcast(node, values)
    first = values[0]
    if first.chw is not None and any(value.shape != shape for value in values):
        values = [b.plain_features(node, value) for value in values]
        first = values[0]
    name = b.emitter.emit(node.label, module, *(value.name for value in values))
    return Value(name, shape, first.order, first.chw)


def _add(b: Builder, node: Node, *inputs: Any) -> Value:
    values = [x for x in inputs if isinstance(x, Value)]
    constants = [_numbers(node, x) for x in inputs if not isinstance(x, Value)]
    x = values[0] if len(values) == 1 else _joined(b, node, nn.Add(), values)
    for constant in constants:
        if constant.any():
            x = b.scaled(node, x, bias=constant)
    return x


def _bias_add(b: Builder, node: Node, x: Any, bias: Any) -> Value:
    if not isinstance(x, Value):
        raise FormatError(f"tensorflow: {node} must have a bias that is constant")
    bias = _numbers(node, bias)
    if layout(node)[1] == 1:  # the bias is along the second axis
        bias = bias.reshape(-1, *(1,) * (len(x.shape) - 2))
    return b.scaled(node, x, bias=bias)


def _sub(b: Builder, node: Node, x: Any, y: Any) -> Value:
    if not isinstance(x, Value):
        return b.scaled(node, y, np.array(-1.0), _numbers(node, x))
    if not isinstance(y, Value):
        return b.scaled(node, x, bias=-_numbers(node, y))
    return _joined(b, node, nn.Sub(), [x, y])


def _mul(b: Builder, node: Node, x: Any, y: Any) -> Value:
    if isinstance(x, Free) or isinstance(y, Free):
        return _dropout(b, node, y if isinstance(x, Free) else x)
    if isinstance(x, Value) and isinstance(y, Value):
        return _joined(b, node, nn.Mul(), [x, y])
    value, factor = (x, y) if isinstance(x, Value) else (y, x)
    factor = _numbers(node, factor)
    return value if np.all(factor == 1) and factor.size == 1 else b.scaled(node, value, factor)


def _dropout(b: Builder, node: Node, x: Value) -> Value:
    """Return what a random mask leaves in inference, with a Dropout where the rate is known."""
    if x.freely_scaled:
        return Value(x.name, x.shape, x.order, x.chw)
    writer = b.emitter.writer(x.name)
    scale = writer.module if writer is not None else None
    if isinstance(scale, Scale) and writer is not None:
        factor = scale.weight
        if factor is not None and scale.bias is None and np.ptp(factor) == 0 and factor[0] >= 1:
            if factor[0] == 1:
                return x
            dropout = nn.Dropout(float(1 - 1 / factor[0]))
            return x.named(b.emitter.emit(node.label, dropout, writer.reads[0]))
    raise FormatError(f"tensorflow: {node} must not multiply by what is random, but for a dropout")


def _div(b: Builder, node: Node, x: Any, y: Any) -> Value:
    if isinstance(y, Free) and isinstance(x, Value):
        return Value(x.name, x.shape, x.order, x.chw, freely_scaled=True)
    if isinstance(x, Value) and isinstance(y, Value):
        return _joined(b, node, nn.Div(), [x, y])
    divisor = _numbers(node, y)
    if not divisor.all() or divisor.dtype.kind != "f":
        raise FormatError(f"tensorflow: {node} must divide by numbers other than zero")
    return b.scaled(node, x, 1 / divisor)


def _limit(side: str) -> Callable[..., Value]:
    def build(b: Builder, node: Node, x: Any, y: Any) -> Value:
        value, bound = (x, y) if isinstance(x, Value) else (y, x)
        bound = _numbers(node, bound)
        if bound.size != 1:
            raise FormatError(
                f"tensorflow: {node} must have one number as its limit (shape={bound.shape})"
            )
        limit = float(bound.ravel()[0])
        relu = side == "min" and limit == 0
        return b.unary(node, value, nn.ReLU() if relu else nn.Clip(**{side: limit}))

    return build


def _clip(b: Builder, node: Node, x: Any, low: Any, high: Any) -> Value:
    bounds = [np.ravel(_numbers(node, bound)) for bound in (low, high)]
    if not isinstance(x, Value) or any(len(bound) != 1 for bound in bounds):
        raise FormatError(f"tensorflow: {node} must have one number as each limit")
    return b.unary(node, x, nn.Clip(*(float(bound[0]) for bound in bounds)))


def _select(b: Builder, node: Node, mask: Any, x: Any, y: Any) -> Value:
    zero = isinstance(y, np.ndarray) and y.dtype != object and not y.any()
    if isinstance(mask, Free) and isinstance(x, Value) and zero:
        return _dropout(b, node, x)
    raise FormatError(f"tensorflow: {node} must be a dropout: there is no layer that selects")


def _concat(b: Builder, node: Node, *inputs: Any) -> Value:
    *values, axis = inputs if node.op == "ConcatV2" else (*inputs[1:], inputs[0])
    if not all(isinstance(value, Value) for value in values):
        raise FormatError(f"tensorflow: {node} must join values, none of them constant")
    values = [b.plain_features(node, value) for value in values]
    dims = axes_of(node, _numbers(node, axis), len(values[0].shape))
    values = _aligned(b, node, values)
    if len(dims) != 1 or dims[0] == 0:
        raise FormatError(f"tensorflow: {node} must join along an axis behind the batch ({dims=})")
    dim = dims[0]
    sizes = [value.shape[dim] for value in values]
    for value in values:
        _broadcast(node, [_without(value, dim), _without(values[0], dim)])
    first = values[0]
    total = None if None in sizes else sum(size or 0 for size in sizes)
    shape = (*first.shape[:dim], total, *first.shape[dim + 1 :])
    module = nn.Concat(first.order.index(dim))
    name = b.emitter.emit(node.label, module, *(value.name for value in values))
    return Value(name, shape, first.order)


def _without(value: Value, axis: int) -> Value:
    """Return a value of size 1 along an axis, to compare shapes."""
    shape = (*value.shape[:axis], 1, *value.shape[axis + 1 :])
    return Value(value.name, shape, value.order)


def _matmul(b: Builder, node: Node, x: Any, weight: Any) -> Value:
    transposed = flag(node, "transpose_a") or flag(node, "adj_x")
    if not isinstance(x, Value) or len(x.shape) != 2 or transposed:
        raise FormatError(
            f"tensorflow: {node} must multiply (N, features) by constant weights "
            f"(input={getattr(x, 'shape', None)}, transposed={transposed})"
        )
    matrix = _numbers(node, weight)
    if flag(node, "transpose_b") or flag(node, "adj_y"):
        matrix = matrix.T
    if matrix.ndim != 2 or not matrix.size or x.shape[1] not in (None, len(matrix)):
        raise FormatError(
            f"tensorflow: {node} must have weights for its input's features "
            f"(input={x.shape}, weights={matrix.shape})"
        )
    if x.chw is not None:
        # Rows in the network's order of features, instead of moving every picture's.
        c, h, w = x.chw
        matrix = matrix.reshape(h, w, c, -1).transpose(2, 0, 1, 3).reshape(matrix.shape)
    linear = nn.Linear(matrix.shape[0], matrix.shape[1], bias=False)
    linear.weight = nn.Parameter(float32(matrix.T))
    name = b.emitter.emit(node.label, linear, x.name)
    return Value(name, (x.shape[0], matrix.shape[1]), (0, 1))


def _reshape(b: Builder, node: Node, x: Any, shape: Any) -> Value:
    if not isinstance(x, Value) or not isinstance(shape, np.ndarray) or not x.shape:
        raise FormatError(f"tensorflow: {node} must bring a value into a shape that is known")
    wanted = [None if size is None else int(size) for size in np.ravel(shape).tolist()]
    inner = x.shape[1:]
    total = None if None in inner else math.prod(size or 0 for size in inner)
    rest = wanted[1:]
    if rest.count(-1) == 1 and total is not None and None not in rest:
        others = math.prod(size for size in rest if size is not None and size != -1)
        rest[rest.index(-1)] = total // others if others else 0
    batch = wanted[0] if wanted else 0
    known = None not in rest and total is not None
    kept = batch in (None, -1) or batch in b.batches
    if not wanted or not known or not kept or math.prod(s or 0 for s in rest) != total:
        raise FormatError(
            f"tensorflow: {node} must keep the batch and know all other sizes "
            f"(from={x.shape}, to={wanted})"
        )
    return b.reshaped(node, x, (x.shape[0], *rest))


def _squeeze(b: Builder, node: Node, x: Value) -> Value:
    given = integers(node, "squeeze_dims") or integers(node, "axis")
    ones = [axis for axis, size in enumerate(x.shape) if size == 1]
    axes = axes_of(node, np.array(given), len(x.shape)) if given else tuple(ones)
    if 0 in axes or any(axis not in ones for axis in axes):
        raise FormatError(
            f"tensorflow: {node} must take away axes of size 1 behind the batch "
            f"(input={x.shape}, axes={axes})"
        )
    return b.reshaped(node, x, tuple(s for axis, s in enumerate(x.shape) if axis not in axes))


def _expand(b: Builder, node: Node, x: Any, axis: Any) -> Value:
    (place,) = axes_of(node, _numbers(node, axis), len(x.shape) + 1) or (0,)
    if not isinstance(x, Value) or place == 0:
        raise FormatError(f"tensorflow: {node} must add an axis behind the batch (axis={place})")
    return b.reshaped(node, x, (*x.shape[:place], 1, *x.shape[place:]))


def _transpose(b: Builder, node: Node, x: Any, axes: Any) -> Value:
    perm = [int(axis) for axis in _numbers(node, axes)]
    if not isinstance(x, Value) or sorted(perm) != list(range(len(x.shape))) or perm[0] != 0:
        raise FormatError(
            f"tensorflow: {node} must move axes behind the batch (perm={perm}, "
            f"input={getattr(x, 'shape', None)})"
        )
    # Nothing moves: the same axes of the network have other numbers in TensorFlow.
    x = b.plain_features(node, x)
    shape = tuple(x.shape[axis] for axis in perm)
    return Value(x.name, shape, tuple(perm.index(axis) for axis in x.order))


def _cast(b: Builder, node: Node, x: Value) -> Value:
    kind = integer(node, "DstT")
    if kind not in (1, 2, 14, 19):
        raise FormatError(f"tensorflow: {node} must not make integers of values (DstT={kind})")
    return x


LAYERS: dict[str, Callable[..., Any]] = {
    "Add": _add,
    "AddN": _add,
    "AddV2": _add,
    "BiasAdd": _bias_add,
    "Cast": _cast,
    "ClipByValue": _clip,
    "Concat": _concat,
    "ConcatV2": _concat,
    "ExpandDims": _expand,
    "LeakyRelu": _activation(lambda node: nn.LeakyReLU(number(node, "alpha", 0.2))),
    "LogSoftmax": _softmax(nn.LogSoftmax),
    "MatMul": _matmul,
    "BatchMatMulV2": _matmul,
    "Maximum": _limit("min"),
    "Minimum": _limit("max"),
    "Mul": _mul,
    "Neg": lambda b, node, x: b.scaled(node, x, np.array(-1.0)),
    "Rank": lambda b, node, x: np.array(len(x.shape), np.int64),
    "RealDiv": _div,
    "Relu": _activation(lambda node: nn.ReLU()),
    "Relu6": _activation(lambda node: nn.ReLU6()),
    "Reshape": _reshape,
    "Select": _select,
    "SelectV2": _select,
    "Shape": lambda b, node, x: sizes_of(x.shape),
    "Sigmoid": _activation(lambda node: nn.Sigmoid()),
    "Softmax": _softmax(nn.Softmax),
    "Squeeze": _squeeze,
    "Sub": _sub,
    "Tanh": _activation(lambda node: nn.Tanh()),
    "Transpose": _transpose,
}

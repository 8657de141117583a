"""Operations on constants, and on the sizes of values, computed while the network is built.

Sizes that are not known are None in arrays of objects: they may be moved, not computed with.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..archive import FormatError
from .attributes import flag, integer, integers
from .graph import Node
from .tensors import dtype_of

__all__ = ["axes_of", "fold", "folds", "sizes_of"]

_Array = NDArray[Any]
_MOST = 1 << 26  # elements of a result that is larger than what it is made of


def folds(op: str) -> bool:
    """Whether `fold` knows an operation."""
    return op in _FOLDS


def fold(node: Node, inputs: Sequence[_Array]) -> _Array | tuple[_Array, ...]:
    """Return what a node makes of constants; raises what NumPy does where they do not fit."""
    with np.errstate(all="ignore"):
        folded: _Array | tuple[_Array, ...] = _FOLDS[node.op](node, *inputs)
    return folded


def sizes_of(shape: Sequence[int | None]) -> _Array:
    """Return a shape as a constant."""
    if None not in shape:
        return np.array(shape, np.int64)
    array = np.empty(len(shape), object)
    array[:] = list(shape)
    return array


def axes_of(node: Node, axes: _Array, rank: int) -> tuple[int, ...]:
    """Return axes that a node is given, from 0 on; FormatError if there are no such."""
    numbers = [int(axis) for axis in np.ravel(axes)]
    if any(not -rank <= axis < rank for axis in numbers):
        raise FormatError(f"tensorflow: {node} must name axes (axes={numbers}, rank={rank})")
    return tuple(sorted({axis % rank for axis in numbers}))


def _small(shape: Sequence[int]) -> None:
    if math.prod(shape) > _MOST or min(shape, default=0) < 0:
        raise ValueError(f"constants must be of a possible size, got {tuple(shape)}")


def _elementwise(function: Callable[..., Any]) -> Callable[..., _Array]:
    def folded(node: Node, *arrays: _Array) -> _Array:
        shape = np.broadcast_shapes(*(array.shape for array in arrays))
        if any(array.shape != shape for array in arrays):
            _small(shape)
        if all(array.dtype != object for array in arrays):
            dtype = np.result_type(*arrays)
            result = np.asarray(function(*arrays))
            return result if result.dtype == np.bool_ else result.astype(dtype, copy=False)
        lists = [np.broadcast_to(array, shape).ravel().tolist() for array in arrays]
        out = [None if None in row else int(function(*row)) for row in zip(*lists, strict=True)]
        return sizes_of(out).reshape(shape)

    return folded


def _reduced(function: Callable[..., Any]) -> Callable[..., _Array]:
    def folded(node: Node, array: _Array, axes: _Array) -> _Array:
        keep = flag(node, "keep_dims")
        axis = axes_of(node, axes, array.ndim)
        if array.dtype == object and array.ndim == 1 and axis:  # sizes, not all of them known
            known = None if None in array.tolist() else function(array.astype(np.int64))
            return sizes_of([known]).reshape((1,) if keep else ())
        return np.asarray(function(array, axis=axis, keepdims=keep)).astype(array.dtype)

    return folded


def _cast(node: Node, array: _Array) -> _Array:
    if array.dtype == object:
        return array
    return array.astype(dtype_of(integer(node, "DstT"), str(node)))


def _concat(node: Node, *inputs: _Array) -> _Array:
    *arrays, axis = inputs if node.op == "ConcatV2" else (*inputs[1:], inputs[0])
    return np.concatenate(arrays, int(axis))


def _expand(node: Node, array: _Array, axis: _Array) -> _Array:
    return np.expand_dims(array, int(np.ravel(axis)[0]))


def _fill(node: Node, shape: _Array, value: _Array) -> _Array:
    sizes = [int(size) for size in shape]
    _small(sizes)
    return np.full(sizes, value)


def _gather(node: Node, array: _Array, indices: _Array, *axis: _Array) -> _Array:
    return np.asarray(np.take(array, indices.astype(np.int64), int(axis[0]) if axis else 0))


def _pack(node: Node, *arrays: _Array) -> _Array:
    return np.stack(arrays, integer(node, "axis", 0))


def _range(node: Node, start: _Array, limit: _Array, delta: _Array) -> _Array:
    _small([max(0, math.ceil((int(limit) - int(start)) / int(delta)))])
    return np.arange(int(start), int(limit), int(delta)).astype(start.dtype)


def _reshape(node: Node, array: _Array, shape: _Array) -> _Array:
    return np.reshape(array, [int(size) for size in shape])


def _select(node: Node, condition: _Array, x: _Array, y: _Array) -> _Array:
    _small(np.broadcast_shapes(condition.shape, x.shape, y.shape))
    return np.where(condition, x, y)


def _slice(node: Node, array: _Array, begin: _Array, size: _Array) -> _Array:
    bounds = zip(begin.tolist(), size.tolist(), strict=True)
    return array[tuple(slice(b, None if s == -1 else b + s) for b, s in bounds)]


def _split(node: Node, axis: _Array, array: _Array) -> tuple[_Array, ...]:
    parts = integer(node, "num_split", 1)
    _small([parts])
    return tuple(np.split(array, parts, int(axis)))


def _squeeze(node: Node, array: _Array) -> _Array:
    axes = integers(node, "squeeze_dims")
    return np.squeeze(array, tuple(axes) if axes else None)


def _strided_slice(
    node: Node, array: _Array, begin: _Array, end: _Array, strides: _Array
) -> _Array:
    masks = {
        name: integer(node, f"{name}_mask", 0)
        for name in ("begin", "end", "ellipsis", "new_axis", "shrink_axis")
    }
    key: list[Any] = []
    for place, (b, e, s) in enumerate(
        zip(begin.tolist(), end.tolist(), strides.tolist(), strict=True)
    ):
        bit = 1 << place
        if masks["ellipsis"] & bit:
            key.append(Ellipsis)
        elif masks["new_axis"] & bit:
            key.append(None)
        elif masks["shrink_axis"] & bit:
            key.append(b)
        else:
            first, last = (None if masks[m] & bit else v for m, v in (("begin", b), ("end", e)))
            key.append(slice(first, last, s))
    return np.asarray(array[tuple(key)], array.dtype)


def _tile(node: Node, array: _Array, multiples: _Array) -> _Array:
    counts = [int(count) for count in multiples]
    _small([size * count for size, count in zip(array.shape, counts, strict=True)])
    return np.tile(array, counts)


def _transpose(node: Node, array: _Array, axes: _Array) -> _Array:
    return np.transpose(array, [int(axis) for axis in axes])


def _unpack(node: Node, array: _Array) -> tuple[_Array, ...]:
    axis = integer(node, "axis", 0)
    return tuple(np.asarray(part, array.dtype) for part in np.moveaxis(array, axis, 0))


def _divide(x: Any, y: Any) -> Any:
    """Divide as C does with integers."""
    if np.result_type(x, y).kind not in "iu":
        return np.true_divide(x, y)
    return np.trunc(np.true_divide(x, y))


_FOLDS: dict[str, Callable[..., Any]] = {
    "Add": _elementwise(np.add),
    "AddN": _elementwise(lambda *arrays: sum(arrays[1:], arrays[0])),
    "AddV2": _elementwise(np.add),
    "BroadcastTo": lambda node, array, shape: _fill(node, shape, array),
    "Cast": _cast,
    "Concat": _concat,
    "ConcatV2": _concat,
    "Div": _elementwise(_divide),
    "Equal": _elementwise(np.equal),
    "Exp": _elementwise(np.exp),
    "ExpandDims": _expand,
    "Fill": _fill,
    "FloorDiv": _elementwise(np.floor_divide),
    "FloorMod": _elementwise(np.mod),
    "GatherV2": _gather,
    "Gather": _gather,
    "Greater": _elementwise(np.greater),
    "GreaterEqual": _elementwise(np.greater_equal),
    "Less": _elementwise(np.less),
    "LessEqual": _elementwise(np.less_equal),
    "Log": _elementwise(np.log),
    "LogicalAnd": _elementwise(np.logical_and),
    "LogicalNot": _elementwise(np.logical_not),
    "LogicalOr": _elementwise(np.logical_or),
    "Max": _reduced(np.max),
    "Maximum": _elementwise(np.maximum),
    "Mean": _reduced(np.mean),
    "Min": _reduced(np.min),
    "Minimum": _elementwise(np.minimum),
    "Mul": _elementwise(np.multiply),
    "Neg": _elementwise(np.negative),
    "NotEqual": _elementwise(np.not_equal),
    "OnesLike": lambda node, array: np.ones_like(array),
    "Pack": _pack,
    "Pow": _elementwise(np.power),
    "Prod": _reduced(np.prod),
    "Range": _range,
    "Rank": lambda node, array: np.array(array.ndim, np.int64),
    "RealDiv": _elementwise(np.true_divide),
    "Reciprocal": _elementwise(lambda x: 1 / x),
    "Reshape": _reshape,
    "Rsqrt": _elementwise(lambda x: 1 / np.sqrt(x)),
    "Select": _select,
    "SelectV2": _select,
    "Shape": lambda node, array: sizes_of(array.shape),
    "Size": lambda node, array: np.array(array.size, np.int64),
    "Slice": _slice,
    "Split": _split,
    "Sqrt": _elementwise(np.sqrt),
    "Square": _elementwise(np.square),
    "SquaredDifference": _elementwise(lambda x, y: np.square(x - y)),
    "Squeeze": _squeeze,
    "StridedSlice": _strided_slice,
    "Sub": _elementwise(np.subtract),
    "Sum": _reduced(np.sum),
    "Tile": _tile,
    "Transpose": _transpose,
    "TruncateDiv": _elementwise(_divide),
    "Unpack": _unpack,
    "ZerosLike": lambda node, array: np.zeros_like(array),
}

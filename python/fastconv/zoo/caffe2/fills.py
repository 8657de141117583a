"""The operators of Caffe2 that are nothing but an array."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..archive import FormatError
from ..proto.numbers import numbers_of

__all__ = ["array_of", "is_fill"]

_LARGEST = 1 << 28
_INTEGERS = {
    "GivenTensorIntFill": np.int32,
    "GivenTensorInt64Fill": np.int64,
    "GivenTensorBoolFill": np.bool_,
}
# The numbers of caffe2's TensorProto.DataType.
_TYPES = {1: np.float32, 2: np.int32, 5: np.bool_, 6: np.uint8, 7: np.int8, 10: np.int64}


def is_fill(op: Any) -> bool:
    """Whether an operator reads nothing: it makes a constant, or draws one."""
    return not op.input and op.type.endswith("Fill")


def array_of(op: Any) -> NDArray[Any]:
    """Return the array that a filling operator makes; FormatError for those that draw it."""
    arguments = {argument.name: argument for argument in op.arg}
    name = op.output[0] if op.output else op.name
    shape = tuple(arguments["shape"].ints) if "shape" in arguments else ()
    if any(size < 0 for size in shape) or math.prod(shape) > _LARGEST:
        raise _error(op, name, "sizes must not be negative, or absurd", shape=shape)
    if op.type == "ConstantFill":
        return _constant(op, name, arguments, shape)
    values = arguments.get("values")
    if values is None or not (op.type.startswith("GivenTensor")):
        raise _error(op, name, "weights must be given as values")
    array: NDArray[Any]
    if op.type == "GivenTensorFill":
        array = numbers_of(values, "floats")
    elif op.type in _INTEGERS:
        array = np.array(values.ints, np.int64).astype(_INTEGERS[op.type])
    elif op.type == "GivenTensorByteStringToUInt8Fill":
        array = np.frombuffer(b"".join(values.strings) or values.s, np.uint8)
    else:
        raise _error(op, name, "weights must be numbers")
    if "shape" not in arguments:
        return array
    if array.size != math.prod(shape):
        raise _error(
            op,
            name,
            "there must be as many values as in the shape",
            shape=shape,
            values=array.size,
        )
    return array.reshape(shape)


def _constant(
    op: Any, name: str, arguments: dict[str, Any], shape: tuple[int, ...]
) -> NDArray[Any]:
    kind = arguments["dtype"].i if "dtype" in arguments else 1
    if kind not in _TYPES:
        raise _error(op, name, "constants must be numbers", dtype=kind)
    value = arguments.get("value")
    number = 0.0 if value is None else (value.f if value.HasField("f") else value.i)
    # Takes no memory, whatever the shape.
    return np.broadcast_to(np.array(number).astype(_TYPES[kind]), shape)


def _error(op: Any, name: str, rule: str, **values: Any) -> FormatError:
    told = "".join(f", {key}={value}" for key, value in values.items())
    return FormatError(f"caffe2: {rule} (operator={op.type!r}, output={name!r}{told})")

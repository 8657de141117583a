"""TensorFlow's types, shapes and tensors as NumPy's."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..archive import FormatError
from ..bfloat16 import bfloat16_to_float32
from ..proto.messages import messages
from ..proto.messages import parse as parse_message

__all__ = ["BFLOAT16", "STRING", "array_of", "dtype_of", "parse", "shape_of", "widened"]

STRING = 7
BFLOAT16 = 14  # NumPy has none: read as uint16, widened to float32
_REFERENCE = 100  # added to the type of a variable
_TYPES: dict[int, str] = {
    1: "<f4",
    2: "<f8",
    3: "<i4",
    4: "u1",
    5: "<i2",
    6: "i1",
    9: "<i8",
    10: "?",
    BFLOAT16: "<u2",
    17: "<u2",
    19: "<f2",
    22: "<u4",
    23: "<u8",
}
# Where values lie that are not in tensor_content; small integers are in int_val.
_FIELDS = {
    1: "float_val",
    2: "double_val",
    9: "int64_val",
    10: "bool_val",
    BFLOAT16: "half_val",
    19: "half_val",
    22: "uint32_val",
    23: "uint64_val",
}
# One value may stand for any number of them; beyond this a file asks for memory, not for numbers.
_MOST_REPEATED = 1 << 26


def parse(kind: str, data: bytes | memoryview, what: str) -> Any:
    """Return a message of a kind; FormatError, which calls the file `what`, if it is damaged."""
    return parse_message(
        what, getattr(messages("tensorflow", "TensorFlow's files"), kind), bytes(data)
    )


def dtype_of(number: int, what: str) -> np.dtype[Any]:
    """Return NumPy's type; FormatError for those that hold no numbers."""
    number %= _REFERENCE
    if number not in _TYPES:
        raise FormatError(f"{what}: the type must be one of plain numbers (DataType={number})")
    return np.dtype(_TYPES[number])


def shape_of(shape: Any, what: str) -> tuple[int, ...]:
    """Return a shape all of whose sizes are known."""
    sizes = tuple(dim.size for dim in shape.dim)
    if shape.unknown_rank or any(size < 0 for size in sizes):
        raise FormatError(f"{what}: the shape must be known (sizes={sizes})")
    return sizes


def widened(array: NDArray[Any], number: int) -> NDArray[Any]:
    """Return an array of TensorFlow's type `number`, bfloat16 as float32."""
    if number % _REFERENCE != BFLOAT16:
        return array
    return bfloat16_to_float32(array)


def array_of(
    tensor: Any, what: str, number: int | None = None, shape: tuple[int, ...] | None = None
) -> NDArray[Any]:
    """Return the values of a tensor, read-only; texts as objects.

    number, shape: its type and shape where they are written elsewhere.
    """
    number = (tensor.dtype if number is None else number) % _REFERENCE
    shape = shape_of(tensor.tensor_shape, what) if shape is None else shape
    count = math.prod(shape)
    if number == STRING:
        return _filled(_objects(tensor.string_val), shape, count, what)
    dtype = dtype_of(number, what)
    content = tensor.tensor_content
    if content:
        if len(content) != count * dtype.itemsize:
            raise FormatError(
                f"{what}: tensor_content must have the size of the shape "
                f"(bytes={len(content)}, shape={shape}, dtype={dtype})"
            )
        return widened(np.frombuffer(content, dtype).reshape(shape), number)
    values = _values(tensor, number, dtype, what)
    return widened(_filled(values, shape, count, what), number)


def _values(tensor: Any, number: int, dtype: np.dtype[Any], what: str) -> NDArray[Any]:
    found = getattr(tensor, _FIELDS.get(number, "int_val"))
    if number in (1, 2):
        packed = b"".join(found)
        if len(packed) % dtype.itemsize:
            raise FormatError(f"{what}: packed values must be whole (bytes={len(packed)})")
        values = np.frombuffer(packed, dtype)
    else:
        wide = np.array(found, np.uint64 if number == 23 else np.int64)
        # The bits of halves; everything else must fit its type.
        values = wide.astype(np.uint16).view(dtype) if number == 19 else wide.astype(dtype)
        if number not in (10, 19) and not np.array_equal(values, wide):
            raise FormatError(f"{what}: values must fit their type (dtype={dtype})")
    if not len(values):
        _refuse_unpacked(tensor, what)
    return values


def _refuse_unpacked(tensor: Any, what: str) -> None:
    """Raise if there are fields that were not understood: floats that are not packed would be."""
    known = type(tensor)()
    known.CopyFrom(tensor)
    known.DiscardUnknownFields()
    if known.ByteSize() != tensor.ByteSize():
        raise FormatError(f"{what}: the values of a tensor must be packed, in a field of its type")


def _objects(values: Any) -> NDArray[Any]:
    array = np.empty(len(values), object)
    array[:] = list(values)
    return array


def _filled(values: NDArray[Any], shape: tuple[int, ...], count: int, what: str) -> NDArray[Any]:
    """Return values in a shape; the last is repeated where there are too few, none are zeros."""
    given = len(values)
    if given == count:
        return values.reshape(shape)
    if given > count or count > _MOST_REPEATED:
        raise FormatError(
            f"{what}: a tensor must hold its values (values={given}, shape={shape}, "
            f"most repeated={_MOST_REPEATED})"
        )
    last = values[-1] if given else (b"" if values.dtype == object else values.dtype.type(0))
    if given <= 1:
        return np.broadcast_to(np.array(last, values.dtype), shape)
    rest = np.full(count - given, last, values.dtype)
    return np.concatenate([values, rest]).reshape(shape)

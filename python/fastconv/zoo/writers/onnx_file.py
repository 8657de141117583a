"""Writing an ONNX file tensor by tensor, so that no second copy of a network's weights is made.

A file is one protobuf message, ModelProto, whose graph holds the weights. Only the lengths of what
is nested must be known before it is written; the order of fields is free. The encoding:
https://protobuf.dev/programming-guides/encoding; the fields: onnx/onnx.proto.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ...train.storage import replace_file

__all__ = ["write_model"]

_LIMIT: Final = (1 << 31) - 1  # protobuf reads no larger message


def write_model(path: Path, model: Any, tensors: Mapping[str, NDArray[Any]]) -> None:
    """Replace `path` by a ModelProto to whose graph the initializers `tensors` are added.

    Raises ValueError if the file would be larger than protobuf allows, 2 GiB.
    """
    graph = model.graph.SerializeToString()
    initializers = [(_begin(name, array), array) for name, array in tensors.items()]
    length = len(graph) + sum(len(begin) + array.nbytes for begin, array in initializers)
    model.ClearField("graph")
    head = model.SerializeToString() + _field(type(model), "graph", length)
    if len(head) + length > _LIMIT:
        raise ValueError(
            f"export_onnx: an ONNX file must be smaller than 2 GiB (bytes={len(head) + length})"
        )

    def write(temporary: Path) -> None:
        with open(temporary, "wb") as file:
            file.write(head)
            file.write(graph)
            for begin, array in initializers:
                file.write(begin)
                file.write(_raw(array).data)

    replace_file(path, write)


def _begin(name: str, array: NDArray[Any]) -> bytes:
    """Return an initializer of a graph up to its content."""
    import onnx

    kind = onnx.helper.np_dtype_to_tensor_dtype(array.dtype)
    tensor = onnx.TensorProto(name=name, dims=array.shape, data_type=kind)
    begin = tensor.SerializeToString() + _field(onnx.TensorProto, "raw_data", array.nbytes)
    return _field(onnx.GraphProto, "initializer", len(begin) + array.nbytes) + bytes(begin)


def _raw(array: NDArray[Any]) -> NDArray[Any]:
    """Return an array's elements as they lie in the file: in C order, little-endian."""
    return np.ascontiguousarray(array, array.dtype.newbyteorder("<")).reshape(-1).view(np.uint8)


def _field(message: Any, name: str, length: int) -> bytes:
    """Return what stands before the `length` bytes of a field: its number, and that length."""
    return _varint(message.DESCRIPTOR.fields_by_name[name].number << 3 | 2) + _varint(length)


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)

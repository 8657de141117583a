"""From bytes to a ModelProto, and from its tensors to arrays."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..archive import FormatError, missing_extra
from ..proto.messages import parse

__all__ = ["MAX_BYTES", "array_of", "arrays_of", "decode", "is_plain", "package"]

# What one array of a file may take, and all that its nodes compute of constants: no protocol buffer
# holds more, so what asks for it is damaged, or an attack.
MAX_BYTES = 2**31


def package() -> Any:
    """Return the package `onnx`; ImportError that names the extra where it is missing."""
    try:
        import onnx
        import onnx.numpy_helper
        import onnx.shape_inference
    except ImportError:
        raise missing_extra("reading ONNX files", "onnx") from None
    return onnx


def decode(content: bytes, where: str) -> Any:
    """Return the ModelProto in the content of a file; FormatError where it is damaged."""
    onnx = package()
    model = parse(f"onnx: {where}", onnx.ModelProto, content)
    if not model.HasField("graph") or not model.opset_import:
        raise FormatError(
            f"onnx: the model must have a graph and name its operator sets (file={where}, "
            f"graph={model.HasField('graph')}, opset_import={len(model.opset_import)})"
        )
    return model


def arrays_of(model: Any, folder: Path | None) -> dict[str, NDArray[Any]]:
    """Return the initializers of a model by name; `folder` holds its external data.

    Without a folder, external data is an error. Raises FormatError for tensors that are damaged.
    """
    if model.graph.sparse_initializer:
        raise FormatError("onnx: sparse initializers are not supported (sparse_initializer=1)")
    arrays: dict[str, NDArray[Any]] = {}
    for proto in model.graph.initializer:
        if not proto.name or proto.name in arrays:
            raise FormatError(f"onnx: initializers must have names of their own ({proto.name!r})")
        arrays[proto.name] = array_of(proto, folder)
    return arrays


def is_plain(data_type: int) -> bool:
    """Whether a TensorProto's data type is a number that NumPy has."""
    names = {"BOOL", "FLOAT", "DOUBLE", "FLOAT16"}
    names.update(f"{sign}INT{bits}" for sign in ("", "U") for bits in (8, 16, 32, 64))
    types = package().TensorProto.DataType
    return data_type in types.values() and types.Name(data_type) in names


def array_of(proto: Any, folder: Path | None) -> NDArray[Any]:
    """Return a TensorProto's content; see `arrays_of`."""
    onnx = package()
    types = onnx.TensorProto
    name, shape = proto.name, tuple(proto.dims)
    if not is_plain(proto.data_type) and proto.data_type != types.BFLOAT16:
        raise FormatError(
            f"onnx: tensors must be of a plain numeric type (tensor={name!r}, "
            f"data_type={proto.data_type})"
        )
    dtype = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(proto.data_type))
    external = proto.data_location == types.EXTERNAL
    size = math.prod(shape) * dtype.itemsize
    if any(n < 0 for n in shape) or (size > MAX_BYTES and not external):
        raise FormatError(
            f"onnx: sizes of tensors must be sensible (tensor={name!r}, dims={shape}, "
            f"max_bytes={MAX_BYTES})"
        )
    if external:
        array = _external(proto, folder, dtype).reshape(shape)
    else:
        if proto.HasField("raw_data") and len(proto.raw_data) != size:
            raise FormatError(
                f"onnx: a tensor must have as many bytes as its sizes say (tensor={name!r}, "
                f"dims={shape}, dtype={dtype}, bytes={len(proto.raw_data)})"
            )
        try:
            array = onnx.numpy_helper.to_array(proto)
        except (ValueError, TypeError, OverflowError, MemoryError) as error:
            raise FormatError(
                f"onnx: a tensor must have as many elements as its sizes say (tensor={name!r}, "
                f"dims={shape}, error={error})"
            ) from None
        if array.shape != shape:
            raise FormatError(f"onnx: a tensor is damaged (tensor={name!r}, dims={shape})")
    # This library computes in float32.
    return array.astype(np.float32) if proto.data_type in (types.BFLOAT16, types.FLOAT16) else array


def _external(proto: Any, folder: Path | None, dtype: np.dtype[Any]) -> NDArray[Any]:
    entries = {entry.key: entry.value for entry in proto.external_data}
    location, what = entries.get("location", ""), f"tensor={proto.name!r}"
    if folder is None:
        raise FormatError(f"onnx: a model without a file cannot have external data ({what})")
    home = folder.resolve()
    file = (home / location).resolve()  # follows links: they must stay inside, too
    if not location or not file.is_relative_to(home) or not file.is_file():
        raise FormatError(
            f"onnx: external data must be a file in the model's folder ({what}, "
            f"location={location!r}, folder={folder})"
        )
    count = math.prod(proto.dims)
    try:
        offset = int(entries.get("offset", "0"))
        length = int(entries.get("length", str(count * dtype.itemsize)))
    except ValueError:
        offset = length = -1
    size = file.stat().st_size
    if offset < 0 or length != count * dtype.itemsize or offset + length > size:
        raise FormatError(
            f"onnx: external data must lie inside its file and fill its tensor ({what}, "
            f"location={location!r}, offset={entries.get('offset')}, "
            f"length={entries.get('length')}, needed={count * dtype.itemsize}, file_size={size})"
        )
    order = dtype.newbyteorder("<")
    return np.fromfile(file, order, count, offset=offset).astype(dtype, copy=False)

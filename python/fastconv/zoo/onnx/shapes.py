"""What ONNX's own inference knows of a graph's values before it runs."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .model import package

__all__ = ["BATCH", "Info", "batch_of", "infer"]

# Stands for the first axis of the inputs: files name the batch they were exported with.
BATCH = "fastconv.batch"
_SMALL = 64  # elements; larger initializers say nothing about shapes
# What ONNX follows values through, or may in other versions.
_FOLLOWED = """
    Abs Add Cast Ceil Div Expand Floor Gather Identity Max Min Mul Neg Range ReduceProd Reshape
    Slice Split Squeeze Sub Tile Transpose Unsqueeze Where
"""


class Info(NamedTuple):
    """Type and shape of a value; sizes are integers, names, or None where nothing is known."""

    dtype: np.dtype[Any] | None = None
    shape: tuple[int | str | None, ...] | None = None

    @property
    def rank(self) -> int | None:
        return None if self.shape is None else len(self.shape)

    @property
    def is_float(self) -> bool:
        return self.dtype is not None and self.dtype == np.float32


def batch_of(model: Any, arrays: dict[str, NDArray[Any]]) -> int | None:
    """Return the batch that the inputs name, where they name one and the same."""
    batches = {
        value.type.tensor_type.shape.dim[0].dim_value
        for value in model.graph.input
        if _has_batch(value, arrays)
    }
    return batches.pop() or None if len(batches) == 1 else None


def infer(model: Any, arrays: dict[str, NDArray[Any]]) -> dict[str, Info]:
    """Return what can be inferred, by name of value; nothing where inference fails.

    Weights go in as shapes alone, and what the file itself says of its inner values is left out.
    """
    onnx = package()
    bare = _without_weights(model)
    graph = bare.graph
    del graph.value_info[:]
    given = {value.name for value in graph.input}
    for name, array in arrays.items():
        if array.size <= _SMALL:
            graph.initializer.append(onnx.numpy_helper.from_array(array, name))
        elif name not in given:
            kind = onnx.helper.np_dtype_to_tensor_dtype(array.dtype)
            graph.input.append(onnx.helper.make_tensor_value_info(name, kind, array.shape))
    for value in graph.input:
        if _has_batch(value, arrays):
            value.type.tensor_type.shape.dim[0].dim_param = BATCH
    for value in graph.output:
        value.type.tensor_type.ClearField("shape")
    try:
        inferred = onnx.shape_inference.infer_shapes(bare, data_prop=_values_stay_small(bare)).graph
    except Exception:  # whatever it raises, it knows nothing of this graph
        inferred = graph
    known = {
        value.name: _info(value.type, onnx)
        for value in (*inferred.input, *inferred.value_info, *inferred.output)
    }
    return {**known, **{name: Info(a.dtype, a.shape) for name, a in arrays.items()}}


def _values_stay_small(model: Any) -> bool:
    """Whether following values of shapes through the graph is cheap, as in any sensible one.

    A chain of nodes that each join a value to itself would double it until memory ends.
    """
    followed = set(_FOLLOWED.split())
    sizes = {tensor.name: int(np.prod(tensor.dims)) for tensor in model.graph.initializer}
    for node in model.graph.node:
        found = [sizes.get(name, 0) for name in node.input]
        if node.op_type in ("Shape", "Size", "Constant"):
            size = _SMALL
        elif node.op_type == "Concat":
            size = sum(found)
        else:
            size = max(found, default=0) if node.op_type in followed else 0
        if size > _SMALL**2:
            return False
        sizes.update(dict.fromkeys(node.output, size))
    return True


def _without_weights(model: Any) -> Any:
    onnx = package()
    bare = onnx.ModelProto(ir_version=model.ir_version)
    bare.opset_import.extend(model.opset_import)
    bare.graph.name = model.graph.name
    bare.graph.node.extend(model.graph.node)
    bare.graph.input.extend(model.graph.input)
    bare.graph.output.extend(model.graph.output)
    return bare


def _has_batch(value: Any, arrays: dict[str, NDArray[Any]]) -> bool:
    tensor = value.type.tensor_type
    floats = tensor.elem_type == package().TensorProto.FLOAT
    return floats and len(tensor.shape.dim) >= 2 and value.name not in arrays


def _info(kind: Any, onnx: Any) -> Info:
    if not kind.HasField("tensor_type"):
        return Info()
    tensor = kind.tensor_type
    try:
        dtype = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type))
    except (KeyError, TypeError, ValueError):
        dtype = None
    if not tensor.HasField("shape"):
        return Info(dtype)
    sizes = (
        dim.dim_value if dim.HasField("dim_value") else (dim.dim_param or None)
        for dim in tensor.shape.dim
    )
    return Info(dtype, tuple(sizes))

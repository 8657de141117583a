"""Small ONNX models for tests, and what ONNX's own reference evaluator makes of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from fastconv.nn import GraphModule
from fastconv.zoo.onnx import arrays_of, network_of

__all__ = ["draw", "model_of", "net_of", "node", "reference"]

node = helper.make_node


def draw(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def model_of(
    nodes: Sequence[Any],
    inputs: Mapping[str, Sequence[int | str]],
    weights: Mapping[str, Any] | None = None,
    outputs: Sequence[str] = ("y",),
    opset: int = 17,
) -> Any:
    """Return a ModelProto; inputs are float32 of these shapes, weights any arrays."""
    floats = onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        list(nodes),
        "test",
        [helper.make_tensor_value_info(name, floats, shape) for name, shape in inputs.items()],
        [helper.make_tensor_value_info(name, floats, None) for name in outputs],
        [numpy_helper.from_array(np.asarray(a), name) for name, a in (weights or {}).items()],
    )
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8, producer_name="test"
    )


def net_of(model: Any) -> GraphModule:
    return network_of(model, arrays_of(model, None), None)


def reference(model: Any, *arrays: Any) -> Any:
    """Return the first output of ONNX's reference evaluator, which is written in NumPy."""
    evaluator = ReferenceEvaluator(model)
    return evaluator.run(None, dict(zip(evaluator.input_names, arrays, strict=True)))[0]

"""From a ModelProto to a network: node by node, constants computed on the way."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...autograd import Tensor, no_grad
from ...nn import GraphModule, Identity, Module, Parameter
from ...nn.init import skip_init
from ..archive import FormatError
from .layers import Bound
from .model import MAX_BYTES, is_plain
from .node import Constant, Node
from .operators import CONVERTERS
from .shapes import Info, batch_of, infer

__all__ = ["network_of"]

_DOMAINS = ("", "ai.onnx")
_BYTE = np.dtype(np.uint8)


class _Step(NamedTuple):
    name: str
    layer: Module
    reads: tuple[str, ...]
    writes: tuple[str, ...]


def network_of(model: Any, arrays: dict[str, NDArray[Any]], folder: Path | None) -> GraphModule:
    """Return the network of a ModelProto, whose initializers are `arrays`, in inference mode.

    Its inputs are the graph's, but for those with initializers, and its outputs the graph's.
    Raises FormatError for operators without a converter, named with their nodes, and for graphs
    that are not in order.
    """
    graph = model.graph
    versions = {entry.domain: entry.version for entry in model.opset_import}
    version = versions.get("", versions.get("ai.onnx", 0))
    infos = infer(model, arrays)
    constants = {name: Constant(array, True) for name, array in arrays.items()}
    inputs = [value.name for value in graph.input if value.name not in arrays]
    written = {*inputs, *arrays}
    for value in graph.input:
        _check_input(value)
    if len(set(inputs)) != len(inputs):
        raise FormatError(f"onnx: inputs must have names of their own (inputs={inputs})")
    used = {name for node in graph.node for name in node.input if name}
    used.update(value.name for value in graph.output)
    batch = batch_of(model, arrays)
    parameters: dict[str, Parameter] = {}
    steps: list[_Step] = []
    computed = 0
    for proto in graph.node:
        node = Node(proto, version, batch, used, constants, infos, parameters, folder)
        _check_node(node, proto.domain, written)
        step = _convert(node, constants)
        if step.reads:
            steps.append(step)
        else:
            computed += _compute(node, step, constants, MAX_BYTES - computed)
        written.update(filter(None, node.outputs))
    net = _assemble(inputs, [value.name for value in graph.output], steps, constants)
    if len(inputs) == 1:
        net.input_shape = _picture(infos.get(inputs[0], Info()))
    return net


def _picture(info: Info) -> tuple[int, ...] | None:
    """Return the shape of one picture, (C, H, W), where all of it is known."""
    sizes = [size for size in (info.shape or ())[1:] if isinstance(size, int) and size > 0]
    return tuple(sizes) if info.rank == 4 and len(sizes) == 3 else None


def _check_input(value: Any) -> None:
    kind = value.type.tensor_type.elem_type
    if not value.type.HasField("tensor_type") or not is_plain(kind):
        raise FormatError(
            f"onnx: inputs must be tensors of plain numbers (input={value.name!r}, "
            f"elem_type={kind})"
        )


def _check_node(node: Node, domain: str, written: set[str]) -> None:
    if domain not in _DOMAINS or node.op not in CONVERTERS:
        raise FormatError(
            f"onnx: {node}: the operator is not supported (op_type={node.op}, "
            f"domain={domain or 'ai.onnx'}, version={node.version})"
        )
    missing = [value for value in node.inputs if value and value not in written]
    if missing:
        raise node.error(
            "inputs must be written by the graph's inputs, weights or nodes before it",
            missing=missing,
        )
    outputs = list(filter(None, node.outputs))
    if not outputs or len(set(outputs)) != len(outputs) or not written.isdisjoint(outputs):
        raise node.error("outputs must have names of their own", outputs=outputs)


def _convert(node: Node, constants: dict[str, Constant]) -> _Step:
    try:
        with skip_init():
            layer = CONVERTERS[node.op](node)
        node.check_read()
        last = len(node.outputs)
        if last < node.results or any(node.wanted(i) for i in range(node.results, last)):
            raise node.error(
                "the operator has another number of outputs",
                expected=node.results,
                outputs=node.outputs,
            )
        rest = [i for i, name in enumerate(node.inputs) if name and i not in node.taken]
        bound = {
            i: (node.names.get(i, f"input_{i}"), node.bound(i))
            for i in range(max(rest, default=-1) + 1)  # optional ones behind may stay away
            if i not in node.taken and (not node.given(i) or node.inputs[i] in constants)
        }
    except FormatError:
        raise
    except (ValueError, TypeError, IndexError, OverflowError) as error:
        raise FormatError(f"onnx: {node}: {error}") from error
    reads = [node.inputs[i] for i in rest if i not in bound]
    if bound:
        layer = Bound(layer, _renumbered(bound, node.taken))
    writes = [
        name or f"{node.label}.unused_{i}" for i, name in enumerate(node.outputs[: node.results])
    ]
    return _Step(node.attribute_name, layer, tuple(reads), tuple(writes))


def _renumbered(bound: dict[int, Any], taken: set[int]) -> dict[int, Any]:
    """Return arguments by their position among the inputs that the layer gets."""
    return {i - sum(t < i for t in taken): value for i, value in bound.items()}


def _compute(node: Node, step: _Step, constants: dict[str, Constant], budget: int) -> int:
    """Run a layer that reads constants alone: its results are constants, too.

    Returns their size in bytes; FormatError for more than `budget`, before it is computed where
    ONNX infers the shapes.
    """
    infos = [node.output_info(i) for i in range(node.results)]
    expected = sum(
        math.prod(n for n in info.shape if isinstance(n, int)) * (info.dtype or _BYTE).itemsize
        for info in infos
        if info.shape is not None
    )
    if expected > budget:
        raise node.error("constants are too large", bytes=expected, max_bytes=MAX_BYTES)
    try:
        with no_grad(), np.errstate(all="ignore"):
            out = step.layer.eval()()
    except (ValueError, TypeError, IndexError, MemoryError, OverflowError) as error:
        raise FormatError(f"onnx: {node}: {error}") from error
    results: tuple[Tensor, ...] = out if isinstance(out, tuple) else (out,)
    learned = node.op != "Constant" and all(constants[name].learned for name in node.inputs if name)
    for name, result in zip(step.writes, results, strict=True):
        constants[name] = Constant(result.data, learned)
    size = sum(result.data.nbytes for result in results)
    if size > budget:
        raise node.error("constants are too large", bytes=size, max_bytes=MAX_BYTES)
    return size


def _assemble(
    inputs: list[str], outputs: list[str], steps: list[_Step], constants: dict[str, Constant]
) -> GraphModule:
    """Join the layers that outputs depend on."""
    written = {*inputs, *constants, *(value for step in steps for value in step.writes)}
    missing = [value for value in outputs if value not in written]
    if missing or not outputs:
        raise FormatError(
            f"onnx: there must be outputs, and nodes that write them (outputs={outputs}, "
            f"missing={missing})"
        )
    needed = set(outputs)
    used: list[_Step] = []
    for step in reversed(steps):
        if needed.intersection(step.writes):
            needed.update(step.reads)
            used.append(step)
    net = GraphModule(inputs, outputs)
    for value in dict.fromkeys(outputs):
        if value in constants:
            constant = Bound(Identity(), {0: ("value", np.array(constants[value].array))})
            net.append("constant", constant, [], value)
    for step in reversed(used):
        net.append(*step)
    return net.eval()

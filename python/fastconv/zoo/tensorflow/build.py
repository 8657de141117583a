"""From a graph to a network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ... import nn
from ..archive import FormatError
from .builder import Builder
from .folding import fold, folds
from .graph import Graph, Node, Ref
from .layers import LAYERS
from .tensors import array_of
from .values import DEAD, FREE, NHWC, Dead, Free, Value
from .windows import WINDOWS, layout

__all__ = ["build", "sinks", "sources"]

_SAME = {
    "CheckNumerics",
    "EnsureShape",
    "Identity",
    "PlaceholderWithDefault",
    "PreventGradient",
    "ReadVariableOp",
    "Snapshot",
    "StopGradient",
}
_VARIABLES = {"VarHandleOp", "Variable", "VariableV2"}
_HANDLERS = {**LAYERS, **WINDOWS}
# What takes a constant first, and what knows dropouts.
_ANY_ORDER = {"Add", "AddN", "AddV2", "Concat", "ConcatV2", "Maximum", "Minimum", "Mul", "Select"}
_ANY_ORDER |= {"SelectV2", "Sub", "RealDiv"}
_DROPS = {"Mul", "RealDiv", "Select", "SelectV2"}
_NO_RESULT = {"Assert", "Const", "NoOp", "Placeholder", "PlaceholderWithDefault", *_VARIABLES}


def sources(graph: Graph, outputs: Sequence[Ref]) -> dict[str, Ref]:
    """Return the pictures that outputs depend on: placeholders that are no single numbers."""
    found = {}
    for node in _sorted(graph, outputs):
        if node.op == "Placeholder" and _declared(node) != ():
            found[node.name] = graph.ref(node.name)
    return found


def sinks(graph: Graph) -> dict[str, Ref]:
    """Return what a graph computes from its placeholders and nothing in it reads."""
    found = {}
    for name in graph.ends():
        if graph.operation(name) not in _NO_RESULT:
            ref = graph.ref(name)
            if sources(graph, [ref]):
                found[name] = ref
    return found


def build(
    graph: Graph,
    inputs: Mapping[str, Ref],
    outputs: Sequence[Ref],
    variables: Mapping[str, NDArray[Any]],
) -> nn.GraphModule:
    """Return the network that computes `outputs` from `inputs` (by their names in the network).

    Feature maps are (N, C, H, W) whatever the graph's layout is; the batch is free. Raises
    FormatError that names the operation and the node.
    """
    nodes = _sorted(graph, outputs)
    labels = {ref.key[0]: label for label, ref in inputs.items()}
    missing = [label for name, label in labels.items() if name not in {n.name for n in nodes}]
    if missing or not inputs or not outputs:
        raise FormatError(
            f"{graph.what}: outputs must depend on all inputs (inputs={list(inputs)}, "
            f"outputs={[ref.key[0] for ref in outputs]}, unread={missing})"
        )
    builder = Builder()
    for label in labels.values():
        builder.emitter.reserve(label)
    orders = _orders(nodes, labels)
    results: dict[tuple[str, int], Any] = {}
    with nn.init.skip_init():
        for node in nodes:
            arguments = [_result(results, ref) for ref in node.inputs]
            if node.name in labels:
                shape = _declared(node)
                order = orders.get(node.name, NHWC) if len(shape) == 4 else range(len(shape))
                builder.batches.update(shape[:1])
                out: Any = Value(labels[node.name], (None, *shape[1:]), tuple(order))
            else:
                try:
                    out = _evaluate(builder, node, arguments, variables)
                except FormatError:
                    raise
                except (TypeError, ValueError, IndexError, ArithmeticError) as error:
                    raise FormatError(
                        f"tensorflow: {node} must fit its inputs (reason={error})"
                    ) from error
            many = out if isinstance(out, tuple) else (out,)
            results.update({(node.name, index): value for index, value in enumerate(many)})
        common = next((orders[n] for n in labels if n in orders), NHWC)
        names = []
        for ref in outputs:
            value = _result(results, ref)
            if not isinstance(value, Value) or value.freely_scaled:
                raise FormatError(f"{graph.what}: an output must be a value (name={ref.key[0]!r})")
            node = graph.node(ref)
            if len(value.shape) == 4:
                value = builder.reordered(node, value, common)
            names.append(builder.plain(node, value).name if len(value.shape) != 4 else value.name)
        net = builder.emitter.network(list(inputs), names)
        if len(inputs) == 1:
            net.input_shape = _picture(results.get(next(iter(inputs.values())).key))
        return net


def _picture(value: Any) -> tuple[int, ...] | None:
    """Return the shape of one picture of an input, (C, H, W), where all of it is known."""
    if not isinstance(value, Value) or len(value.shape) != 4 or value.order[0] != 0:
        return None
    sizes = tuple(size for size in value.sizes[1:] if size)
    return sizes if len(sizes) == 3 else None


def _result(results: dict[tuple[str, int], Any], ref: Ref) -> Any:
    if ref.key not in results:
        raise FormatError(
            f"tensorflow: only the result of {ref.key[0]!r} is known (read={ref.key})"
        )
    return results[ref.key]


def _evaluate(
    builder: Builder, node: Node, inputs: list[Any], variables: Mapping[str, NDArray[Any]]
) -> Any:
    if node.op == "Merge":
        return next((x for x in inputs if not isinstance(x, Dead)), DEAD)
    if any(isinstance(x, Dead) for x in inputs):
        return (DEAD, DEAD) if node.op == "Switch" else DEAD
    if node.op == "Switch":
        return _switched(node, *inputs)
    if node.op == "Const":
        if "value" not in node.attr:
            raise FormatError(f"tensorflow: {node} must have a value")
        return array_of(node.attr["value"].tensor, f"tensorflow: {node}")
    if node.op == "Placeholder":
        return _fed(node)
    if node.op in _VARIABLES:
        if node.name not in variables:
            raise FormatError(
                f"tensorflow: {node} must have a value: the graph must be frozen, or be part of a "
                "SavedModel"
            )
        return variables[node.name]
    if node.op == "IdentityN":
        return tuple(inputs)
    if node.op in _SAME and inputs:
        return inputs[0]
    if node.op.startswith(("Random", "StatelessRandom")):
        return FREE
    return _computed(builder, node, inputs)


def _computed(builder: Builder, node: Node, inputs: list[Any]) -> Any:
    values = [x for x in inputs if isinstance(x, Value)]
    if not values and any(isinstance(x, Free) for x in inputs):
        return FREE
    known = folds(node.op) if not values else node.op in _HANDLERS
    if not known:
        raise FormatError(
            f"tensorflow: {node} must be an operation that this library has a layer for "
            f"(op={node.op!r})"
        )
    if not values:
        return fold(node, inputs)
    misplaced = node.op not in _ANY_ORDER and not isinstance(inputs[0], Value)
    random = node.op not in _DROPS and any(isinstance(x, Free) for x in inputs)
    if misplaced or random or (node.op != "Mul" and any(x.freely_scaled for x in values)):
        kinds = [type(x).__name__ for x in inputs]
        raise FormatError(f"tensorflow: {node} must compute from its input (inputs={kinds})")
    return _HANDLERS[node.op](builder, node, *inputs)


def _switched(node: Node, x: Any, condition: Any) -> tuple[Any, Any]:
    if not isinstance(condition, np.ndarray) or condition.size != 1:
        raise FormatError(f"tensorflow: {node} must depend on a condition that is known")
    return (DEAD, x) if condition.item() else (x, DEAD)


def _fed(node: Node) -> Any:
    """Return what inference feeds beside pictures: "is it training?" is answered with no; what
    rates dropouts have does not matter."""
    boolean = 10
    if node.attr["dtype"].type == boolean:
        return np.array(False)
    return FREE


def _declared(node: Node) -> tuple[int | None, ...]:
    """Return the shape of a placeholder; () where there is none."""
    for name in ("shape", "_output_shapes"):
        if name in node.attr and node.attr[name].WhichOneof("value") == "shape":
            shape = node.attr[name].shape
            if not shape.unknown_rank:
                return tuple(None if dim.size < 0 else dim.size for dim in shape.dim)
    return ()


def _orders(nodes: list[Node], labels: Mapping[str, str]) -> dict[str, tuple[int, ...]]:
    """Return where inputs have the axes of (N, C, H, W): as the first windows on them need it."""
    orders: dict[str, tuple[int, ...]] = {}
    # Which input a value comes from without its axes having changed, but for their order.
    origins: dict[str, tuple[str, tuple[int, ...]]] = {}
    constants = {node.name: node for node in nodes if node.op == "Const"}
    for node in nodes:
        if node.name in labels and len(_declared(node)) == 4:
            origins[node.name] = node.name, (0, 1, 2, 3)
            continue
        source = next((origins[r.key[0]] for r in node.inputs if r.key[0] in origins), None)
        if source is None:
            continue
        name, axes = source
        if node.op in WINDOWS and node.op not in ("Max", "Mean", "Pad", "PadV2"):
            needed = NHWC if node.op == "LRN" else layout(node)
            orders.setdefault(name, tuple(axes[axis] for axis in needed))
        elif node.op == "Transpose" and len(node.inputs) == 2:
            perm = constants.get(node.inputs[1].key[0])
            if perm is not None:
                moved = np.ravel(array_of(perm.attr["value"].tensor, str(node))).tolist()
                if sorted(moved) == [0, 1, 2, 3]:
                    origins[node.name] = name, tuple(axes[axis] for axis in moved)
        elif node.op not in ("Reshape", "Shape", "Squeeze", "ExpandDims", "Mean", "Max"):
            origins[node.name] = source
    return orders


def _sorted(graph: Graph, outputs: Sequence[Ref]) -> list[Node]:
    """Return the nodes that outputs need, each behind those that it reads."""
    done: dict[str, Node | None] = {}  # None while on the way
    for output in outputs:
        pending: list[tuple[Node, int]] = [(graph.node(output), 0)]
        if pending[0][0].name in done:
            continue
        done[pending[0][0].name] = None
        while pending:
            node, place = pending.pop()
            if place == len(node.inputs):
                del done[node.name]
                done[node.name] = node  # at the end of the order
                continue
            pending.append((node, place + 1))
            name = node.inputs[place].key[0]
            if name not in done:
                done[name] = None
                pending.append((graph.node(node.inputs[place]), 0))
            elif done[name] is None:
                raise FormatError(f"{graph.what}: the graph must have no cycles (node={name!r})")
    return [node for node in done.values() if node is not None]

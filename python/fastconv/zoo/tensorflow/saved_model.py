"""SavedModels: which graph is served, and the values of its variables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..archive import FormatError
from .graph import Graph, Node, Ref
from .slices import normalised, of_spec
from .tensors import array_of

__all__ = ["served", "signature", "variables_of"]

_ASSIGNS = {"Assign", "AssignVariableOp"}
_PASSING = {"Identity", "Cast"}


def served(message: Any, path: Path) -> Any:
    """Return the MetaGraph of a SavedModel that serves: tagged "serve", or the only one."""
    graphs = list(message.meta_graphs)
    chosen = [g for g in graphs if "serve" in g.meta_info_def.tags] or graphs
    if len(chosen) != 1:
        tags = [list(g.meta_info_def.tags) for g in graphs]
        raise FormatError(f"{path}: one graph must be tagged 'serve' (tags={tags})")
    return chosen[0]


def signature(meta: Any, path: Path) -> tuple[dict[str, str], dict[str, str]]:
    """Return the inputs and the outputs of "serving_default", or of the only signature: the names
    of tensors by those of arguments."""
    found = {n: s for n, s in meta.signature_def.items() if not n.startswith("__saved_model")}
    chosen = found.get("serving_default") or (len(found) == 1 and next(iter(found.values())))
    if not chosen or not chosen.inputs or not chosen.outputs:
        raise FormatError(
            f"{path}: the model must have a signature 'serving_default' with inputs and outputs "
            f"(signatures={', '.join(found)})"
        )
    inputs = {label: chosen.inputs[label].name for label in sorted(chosen.inputs)}
    outputs = {label: chosen.outputs[label].name for label in sorted(chosen.outputs)}
    return inputs, outputs


def variables_of(graph: Graph, tensors: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Return the values of variables by their nodes' names.

    As TensorFlow's own loader does it: the graph itself says which tensor of the checkpoint it
    assigns to which variable.
    """
    values = {}
    for node in graph.walk(_ASSIGNS):
        if len(node.inputs) >= 2:
            ref = _origin(graph, node.inputs[1])
            source = graph.node(ref)
            if source.op == "RestoreV2":
                variable, _ = _origin(graph, node.inputs[0]).key
                array = _restored(graph, source, ref.index, tensors)
                if array is not None:
                    values[variable] = array
    return values


def _origin(graph: Graph, ref: Ref) -> Ref:
    for _ in range(len(_PASSING) * 100):
        node = graph.node(ref)
        if node.op not in _PASSING or not node.inputs:
            return ref
        ref = node.inputs[0]
    raise FormatError(f"{graph.what}: what is restored must have an origin (node={ref.key[0]!r})")


def _restored(
    graph: Graph, node: Node, index: int, tensors: dict[str, NDArray[Any]]
) -> NDArray[Any] | None:
    """Return a tensor, or the slice of it, that a RestoreV2 reads; None for what is no numbers."""
    names, specs = (_texts(graph, ref) for ref in node.inputs[1:3])
    if len(names) != len(specs) or index >= len(names):
        raise FormatError(
            f"{node}: every output must have a name and a slice "
            f"(names={len(names)}, slices={len(specs)}, output={index})"
        )
    name = names[index]
    array = tensors.get(name)
    where = of_spec(specs[index], name)
    if array is None or where is None:
        return array
    box = normalised(where, array.shape, name)
    return array[tuple(slice(start, start + length) for start, length in box)]


def _texts(graph: Graph, ref: Ref) -> list[str]:
    node = graph.node(ref)
    if node.op != "Const":
        raise FormatError(f"{node}: what is restored must be written in the graph")
    array = np.ravel(array_of(node.attr["value"].tensor, str(node)))
    return [text.decode("utf-8", "replace") for text in array if isinstance(text, bytes)]

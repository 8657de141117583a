"""Reshapes: most are another look at the same memory, the others move elements.

Feature maps lie channels-last; everything with another number of axes lies in C order.
"""

from __future__ import annotations

from math import prod

from ..graph import Graph, Node, Value

__all__ = ["flatten_in_memory_order", "lower_reshapes"]

# A linear layer of more bytes than this takes so long that putting its input in order does not
# show; reordering the weights instead would take longer than packing them.
_SMALL_WEIGHT = 16 << 20

_ELEMENTWISE = ("activation", "sigmoid", "tanh")


def flatten_in_memory_order(graph: Graph) -> Graph:
    """Flatten feature maps as they lie where small linear layers follow, and reorder those."""
    readers = graph.readers()
    flattened: dict[Node, Node] = {}
    for node in graph.nodes:
        x = node.inputs[0]
        if node.op != "reshape" or _in_order(x.shape) or len(node.output.shape) != 2:
            continue
        linears = _only_linears(node.output, graph, readers)
        if linears and all(4 * linear["weight"].size <= _SMALL_WEIGHT for linear in linears):
            flattened[node] = node.but(in_memory_order=True)
            for linear in linears:
                flattened[linear] = linear.but(weight=linear["weight"].channels_last(x.shape[1:]))
    return graph.with_nodes(flattened.get(node, node) for node in graph.nodes)


def lower_reshapes(graph: Graph) -> Graph:
    """Turn reshapes into aliases, or into steps to and from the order NCHW where they move data."""
    nodes: list[Node] = []
    for node in graph.nodes:
        if node.op != "reshape":
            nodes.append(node)
            continue
        x, y = node.inputs[0], node.output
        if not (_in_order(x.shape) or node.get("in_memory_order")):
            ordered = y if _in_order(y.shape) else Value((x.shape[0], prod(x.shape[1:])))
            nodes.append(Node("to_nchw", (x,), ordered, node.layer))
            x = ordered
        if not _in_order(y.shape):
            nodes.append(Node("to_nhwc", (x,), y, node.layer))
        elif x is not y:
            nodes.append(Node("alias", (x,), y, node.layer))
    return graph.with_nodes(nodes)


def _in_order(shape: tuple[int, ...]) -> bool:
    """Whether elements lie in memory in the order of their axes."""
    return len(shape) != 4 or shape[1] == 1 or shape[2] * shape[3] == 1


def _only_linears(value: Value, graph: Graph, readers: dict[Value, list[Node]]) -> list[Node]:
    """Return the linear layers behind a value and elementwise nodes; none if there is more."""
    found: list[Node] = []
    if value is graph.output:
        return []
    for reader in readers[value]:
        if reader.op == "linear":
            found.append(reader)
            continue
        behind = _only_linears(reader.output, graph, readers) if reader.op in _ELEMENTWISE else []
        if not behind:
            return []
        found += behind
    return found

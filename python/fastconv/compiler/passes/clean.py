"""Leaving out what changes nothing."""

from __future__ import annotations

from ..graph import Graph, Node, Value, substitute

__all__ = ["drop_identities", "remove_dead"]


def remove_dead(graph: Graph) -> Graph:
    """Leave out nodes whose results nobody reads."""
    needed = {graph.output}
    kept: list[Node] = []
    for node in reversed(graph.nodes):
        if node.output in needed:
            needed.update(node.inputs)
            kept.append(node)
    return graph.with_nodes(reversed(kept))


def drop_identities(graph: Graph) -> Graph:
    """Leave out dropout, and what returns its input here: whole slices, means of one element."""
    same: dict[Value, Value] = {
        node.output: node.inputs[0] for node in graph.nodes if _is_identity(node)
    }
    kept = graph.with_nodes(node for node in graph.nodes if node.output not in same)
    return substitute(kept, same)


def _is_identity(node: Node) -> bool:
    if node.op in ("dropout", "identity"):
        return True
    # These return their input if they keep its shape.
    keeps = ("adaptive_avg_pool2d", "concat", "index", "pad", "reshape", "slice")
    if node.op in keeps:
        return node.output.shape == node.inputs[0].shape
    return node.op == "activation" and node["activation"] == ("clip", None, None)

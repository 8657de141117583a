"""Concatenations and slices of channels as places in memory instead of copies."""

from __future__ import annotations

from dataclasses import replace

from ..graph import Graph, Node, Value
from ..regions import Regions, channels, joins_channels

__all__ = ["copy_input", "slice_concats"]


def slice_concats(graph: Graph) -> Graph:
    """Have channels written where a concatenation needs them, and read where a slice finds them.

    Where a step can do neither, or a value would have to be in two places, a copy is added.
    Concatenations along channels become "join", which is no step.
    """
    regions = Regions(graph)
    nodes: list[Node] = []
    for node in graph.nodes:
        if node.op == "slice":
            nodes += _slice(node, regions)
        elif joins_channels(node):
            before = dict(regions.of)
            joined = _join(node, regions, copy_all=False)
            if joined is None:
                regions.of = before
                joined = _join(node, regions, copy_all=True)
                assert joined is not None
            nodes += joined
        else:
            nodes.append(node)
    return graph.with_nodes(nodes)


def _slice(node: Node, regions: Regions) -> list[Node]:
    x, y = node.inputs[0], node.output
    if regions.nest(y, x, node["start"]):
        return [node]
    view = Value(y.shape)
    regions.add(view, written=False)
    if regions.nest(view, x, node["start"]):
        return [node.but(output=view), Node("copy", (view,), y, node.layer)]
    raise AssertionError("a view that is only read fits everywhere")


def _join(node: Node, regions: Regions, copy_all: bool) -> list[Node] | None:
    """Return the join and its copies, or None where even copies find no place."""
    copies: list[Node] = []
    inputs: list[Value] = []
    start = 0
    for x in node.inputs:
        if copy_all or regions.is_input(x) or not regions.nest(x, node.output, start):
            copy = Value(x.shape)
            regions.add(copy, written=True)
            if not regions.nest(copy, node.output, start):
                return None
            copies.append(Node("copy", (x,), copy, node.layer))
            x = copy
        inputs.append(x)
        start += channels(x)
    return [*copies, Node("join", tuple(inputs), node.output, node.layer)]


def copy_input(graph: Graph) -> Graph:
    """Copy the input where it is the output too: the caller's out is memory apart."""
    producers = graph.producers()
    value = graph.output
    while value in producers and producers[value].op == "alias":
        value = producers[value].inputs[0]
    if value is not graph.input:
        return graph
    copy = Value(graph.output.shape)
    node = Node("copy", (graph.output,), copy)
    return replace(graph, output=copy, nodes=(*graph.nodes, node))

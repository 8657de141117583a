"""1x1 convolutions side by side on one input, as the heads of an Inception module's branches."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..graph import Graph, Node, Value
from ..regions import Regions, joins_channels
from ..weight import Weight

__all__ = ["merge_siblings"]


def merge_siblings(graph: Graph) -> Graph:
    """Merge 1x1 convolutions that read the same input into one, and slice its channels.

    The input is then read once, and threads have more to share out. One of them may be the first
    input of a concatenation: the merged result then lies with its end in the concatenation's
    channels.
    """
    regions = Regions(graph)
    readers = graph.readers()
    groups: dict[Any, list[Node]] = {}
    for node in graph.nodes:
        if _is_pointwise(node) and regions.is_flexible(node.output):
            key = (node.inputs[0], node["stride"], node["activation"])
            groups.setdefault(key, []).append(node)
    merged: dict[Node, list[Node]] = {}
    for nodes in groups.values():
        free = [n for n in nodes if not any(r.op == "concat" for r in readers[n.output])]
        heads = [n for n in nodes if _heads_concat(n.output, readers, regions)]
        siblings = [*free, *heads[:1]]
        if len(siblings) > 1:
            merged.update({node: [] for node in siblings})
            merged[min(siblings, key=graph.nodes.index)] = _merge(siblings)
    return graph.with_nodes(new for node in graph.nodes for new in merged.get(node, [node]))


def _is_pointwise(node: Node) -> bool:
    return (
        node.op == "conv2d"
        and len(node.inputs) == 1
        and node["weight"].shape[2:] == (1, 1)
        and node["groups"] == 1
        and node["padding"] == ((0, 0), (0, 0))
    )


def _heads_concat(value: Value, readers: dict[Value, list[Node]], regions: Regions) -> bool:
    """Whether a value is the first input of one concatenation, which may lie anywhere."""
    concats = [reader for reader in readers[value] if reader.op == "concat"]
    return (
        len(concats) == 1
        and joins_channels(concats[0])
        and regions.is_flexible(concats[0].output)
        and [i for i, x in enumerate(concats[0].inputs) if x is value] == [0]
    )


def _merge(siblings: list[Node]) -> list[Node]:
    first = siblings[0]
    widths = [node.output.shape[1] for node in siblings]
    batch, _, height, width = first.output.shape
    whole = Value((batch, sum(widths), height, width))
    layer = _joined_name([node.layer for node in siblings])
    biases = [node["bias"] for node in siblings]
    bias = None
    if any(b is not None for b in biases):
        bias = np.concatenate(
            [np.zeros(n) if b is None else b for n, b in zip(widths, biases, strict=True)]
        )
    weight = Weight.joined([node["weight"] for node in siblings])
    conv = first.but(output=whole, weight=weight, bias=bias)
    nodes = [Node("conv2d", conv.inputs, whole, layer, conv.attributes)]
    start = 0
    for node in siblings:
        nodes.append(Node("slice", (whole,), node.output, node.layer, {"start": start}))
        start += node.output.shape[1]
    return nodes


def _joined_name(layers: list[str]) -> str:
    """Return dotted names in one, such as "inception3a.(branch1, branch2.0).conv"."""
    paths = [layer.split(".") for layer in layers]
    shortest = min(map(len, paths))
    head = next((i for i in range(shortest) if len({p[i] for p in paths}) > 1), shortest)
    ends = range(shortest - head)
    tail = next((i for i in ends if len({p[-1 - i] for p in paths}) > 1), len(ends))
    middles = [".".join(p[head : len(p) - tail]) for p in paths]
    first = paths[0]
    return ".".join([*first[:head], f"({', '.join(middles)})", *first[len(first) - tail :]])

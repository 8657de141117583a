"""From what layers do to what the core has steps for."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ..graph import Graph, Node, Value
from ..weight import Weight
from .transposed import conv_transpose2d

__all__ = ["lower"]


def lower(graph: Graph) -> Graph:
    """Put nodes that have steps in place of those that have none, in few forms that fold."""
    nodes: list[Node] = []
    for node in graph.nodes:
        into = _LOWERED.get(node.op)
        nodes += [node] if into is None else into(node)
    return graph.with_nodes(nodes)


def _with_weights(node: Node) -> list[Node]:
    bias = node["bias"]
    return [node.but(bias=None if bias is None else bias.astype(np.float64))]


def _linear(node: Node) -> list[Node]:
    """On rows; whatever has more axes is rows, too."""
    (node,) = _with_weights(node)
    x, y = node.inputs[0], node.output
    if len(x.shape) <= 3:
        return [node]
    batch, lines = x.shape[0], prod(x.shape[1:-1])
    rows, out = Value((batch, lines, x.shape[-1])), Value((batch, lines, y.shape[-1]))
    return [
        Node("reshape", (x,), rows, node.layer),
        node.but(inputs=(rows,), output=out),
        Node("reshape", (out,), y, node.layer),
    ]


def _prelu(node: Node) -> list[Node]:
    return [node.but(weight=node["weight"].copy())]


def _batch_norm(node: Node) -> list[Node]:
    """One factor and one summand a channel."""
    names = ("mean", "var", "weight", "bias")
    mean, var, weight, bias = (
        None if node[name] is None else node[name].astype(np.float64) for name in names
    )
    with np.errstate(all="ignore"):  # a variance below 0 gives NaN, as in the layer
        scale = (1.0 if weight is None else weight) / np.sqrt(var + node["eps"])
        shift = (0.0 if bias is None else bias) - mean * scale
    return [_affine(node, node.inputs[0], node.output, scale, shift)]


def _negative(node: Node) -> list[Node]:
    return [_affine(node, node.inputs[0], node.output, -1, 0)]


def _arithmetic(node: Node) -> list[Node]:
    """With constants, numbers or one a channel, a factor and a summand, which may fold."""
    function, reverse = node["function"], node["reverse"]
    if node["constant"] is None:
        return _of_two(node)
    constant = _per_channel(node)
    if constant is None or (function == "div" and reverse):
        return [node.but(constant=np.array(node["constant"], np.float32, order="C"))]
    scale: Any = -1 if function == "sub" and reverse else 1
    shift: Any = -constant if function == "sub" and not reverse else constant
    if function in ("mul", "div"):
        with np.errstate(all="ignore"):  # infinity and NaN as in the layer
            scale, shift = constant if function == "mul" else 1 / constant, 0
    return [_affine(node, node.inputs[0], node.output, scale, shift)]


def _of_two(node: Node) -> list[Node]:
    """A sum of equal shapes is a step that convolutions take over."""
    x, y = node.inputs
    if x.shape != y.shape or node["function"] not in ("add", "sub"):
        return [node]
    nodes: list[Node] = []
    if node["function"] == "sub":
        nodes.append(_affine(node, y, Value(y.shape), -1, 0))
        y = nodes[0].output
    return [*nodes, Node("add", (x, y), node.output, node.layer, {"activation": None})]


def _index(node: Node) -> list[Node]:
    """A stretch of the channels of feature maps is read where it lies."""
    x = node.inputs[0]
    channels, *others = node["ranges"]
    whole = all(r == (0, n, 1) for r, n in zip(others, x.shape[2:], strict=True))
    if len(x.shape) != 4 or not whole or channels[2] != 1:
        return [node]
    return [Node("slice", (x,), node.output, node.layer, {"start": channels[0]})]


def _reduce(node: Node) -> list[Node]:
    """Over height and width a pooling; over others a product with a row of equal weights."""
    x, y = node.inputs[0], node.output
    axes, layer = node["axes"], node.layer
    count = prod(x.shape[axis] for axis in axes)
    nodes: list[Node] = []
    if len(x.shape) == 4 and axes == (2, 3):
        value = Value((*x.shape[:2], 1, 1))
        nodes.append(Node("adaptive_avg_pool2d", (x,), value, layer))
        if node.op == "sum":
            x, value = value, Value(value.shape)
            nodes.append(_affine(node, x, value, count, 0))
    else:
        kept = [axis for axis in range(len(x.shape)) if axis not in axes]
        dims = (*kept, *axes)
        if dims != tuple(range(len(dims))):
            moved = Value(tuple(x.shape[axis] for axis in dims))
            nodes.append(Node("permute", (x,), moved, layer, {"dims": dims}))
            x = moved
        lines = prod(x.shape[1 : len(kept)])
        rows, value = Value((x.shape[0], lines, count)), Value((x.shape[0], lines, 1))
        weight = np.full((1, count), 1 / count if node.op == "mean" else 1, np.float32)
        options = {"weight": Weight.of(weight), "bias": None, "activation": None}
        nodes.append(Node("reshape", (x,), rows, layer))
        nodes.append(Node("linear", (rows,), value, layer, options))
    return [*nodes, Node("reshape", (value,), y, layer)]


def _affine(node: Node, x: Value, y: Value, scale: Any, shift: Any) -> Node:
    """Return the node for x * scale + shift, numbers or one a channel."""
    channels = x.shape[_channel_axis(x)]
    factors, summands = (
        np.ascontiguousarray(np.broadcast_to(np.asarray(v, np.float64), (channels,)))
        for v in (scale, shift)
    )
    attributes = {"scale": factors, "shift": summands, "activation": None}
    return Node("affine", (x,), y, node.layer, attributes)


def _channel_axis(x: Value) -> int:
    """Return the axis that lies last in memory."""
    return 1 if len(x.shape) == 4 else len(x.shape) - 1


def _per_channel(node: Node) -> NDArray[np.float64] | None:
    """Return the constant operand as a number, or as one a channel; None if it is neither."""
    x = node.inputs[0]
    array = node["constant"].astype(np.float64)
    padded = (1,) * (len(x.shape) - array.ndim) + array.shape
    axis = _channel_axis(x)
    fits = len(padded) == len(x.shape) and padded[axis] in (1, x.shape[axis])
    if not fits or any(n != 1 for i, n in enumerate(padded) if i != axis):
        return None
    result: NDArray[np.float64] = array.reshape(-1)
    return result


_LOWERED: Final[dict[str, Callable[[Node], list[Node]]]] = {
    "arithmetic": _arithmetic,
    "batch_norm": _batch_norm,
    "conv2d": _with_weights,
    "conv_transpose2d": conv_transpose2d,
    "index": _index,
    "linear": _linear,
    "mean": _reduce,
    "negative": _negative,
    "prelu": _prelu,
    "sum": _reduce,
}

"""From what layers do to what the core has steps for; what it has none for is refused here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ..graph import Graph, Node, Value

__all__ = ["Uncompilable", "lower"]


@dataclass
class Uncompilable(Exception):
    """A node without a step; the message goes on after the layer's name."""

    node: Node
    reason: str

    def __str__(self) -> str:
        return f"{self.reason}, which cannot be compiled"


def lower(graph: Graph) -> Graph:
    """Put nodes that have steps in place of those that have none. Raises Uncompilable."""
    nodes: list[Node] = []
    for node in graph.nodes:
        into = _LOWERED.get(node.op)
        nodes += [node] if into is None else into(node)
    return graph.with_nodes(nodes)


def _with_weights(node: Node) -> list[Node]:
    if node.op == "linear" and len(node.inputs[0].shape) not in (2, 3):
        shape = node.inputs[0].shape
        raise Uncompilable(node, f"applies a linear layer to other than rows (x={shape})")
    bias = node["bias"]
    return [node.but(bias=None if bias is None else bias.astype(np.float64))]


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
    if node["constant"] is None:
        return _of_two(node)
    function, reverse = node["function"], node["reverse"]
    constant = _per_channel(node)
    scale: Any = -1 if function == "sub" and reverse else 1
    shift: Any = -constant if function == "sub" and not reverse else constant
    if function == "div" and reverse:
        raise Uncompilable(node, "divides by a result")
    if function in ("mul", "div"):
        scale, shift = constant if function == "mul" else 1 / constant, 0
    return [_affine(node, node.inputs[0], node.output, scale, shift)]


def _of_two(node: Node) -> list[Node]:
    x, y = node.inputs
    function = node["function"]
    if x.shape != y.shape or function not in ("add", "sub"):
        raise Uncompilable(
            node, f"uses np.{_NUMPY[function]} on two results (x={x.shape}, y={y.shape})"
        )
    nodes: list[Node] = []
    if function == "sub":
        nodes.append(_affine(node, y, Value(y.shape), -1, 0))
        y = nodes[0].output
    return [*nodes, Node("add", (x, y), node.output, node.layer, {"activation": None})]


def _index(node: Node) -> list[Node]:
    """A stretch of channels of feature maps."""
    x = node.inputs[0]
    channels, *others = node["ranges"]
    whole = all(r == (0, n, 1) for r, n in zip(others, x.shape[2:], strict=True))
    if len(x.shape) != 4 or not whole or channels[2] != 1:
        raise Uncompilable(node, f"takes other than a stretch of channels (x={x.shape})")
    return [Node("slice", (x,), node.output, node.layer, {"start": channels[0]})]


def _reduce(node: Node) -> list[Node]:
    """Over height and width."""
    x, y = node.inputs[0], node.output
    if len(x.shape) != 4 or node["axes"] != (2, 3):
        raise Uncompilable(node, f"takes the {node.op} over axes {node['axes']}")
    pooled = Value((*x.shape[:2], 1, 1))
    nodes = [Node("adaptive_avg_pool2d", (x,), pooled, node.layer)]
    if node.op == "sum":
        nodes.append(_affine(node, pooled, Value(pooled.shape), prod(x.shape[2:]), 0))
    if node["keepdims"]:
        return [*nodes[:-1], nodes[-1].but(output=y)]
    return [*nodes, Node("reshape", (nodes[-1].output,), y, node.layer)]


def _permute(node: Node) -> list[Node]:
    dims = node["dims"]
    raise Uncompilable(node, f"puts axes in another order (x={node.inputs[0].shape}, {dims=})")


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


def _per_channel(node: Node) -> NDArray[np.float64]:
    """Return the constant operand as a number, or as one a channel."""
    x = node.inputs[0]
    array = node["constant"].astype(np.float64)
    padded = (1,) * (len(x.shape) - array.ndim) + array.shape
    axis = _channel_axis(x)
    fits = len(padded) == len(x.shape) and padded[axis] in (1, x.shape[axis])
    if not fits or any(n != 1 for i, n in enumerate(padded) if i != axis):
        raise Uncompilable(
            node,
            "combines its input with a constant that is not one number, or one per channel "
            f"(x={x.shape}, constant={array.shape})",
        )
    result: NDArray[np.float64] = array.reshape(-1)
    return result


_NUMPY: Final = {"add": "add", "sub": "subtract", "mul": "multiply", "div": "true_divide"}
_LOWERED: Final[dict[str, Callable[[Node], list[Node]]]] = {
    "arithmetic": _arithmetic,
    "batch_norm": _batch_norm,
    "conv2d": _with_weights,
    "index": _index,
    "linear": _with_weights,
    "mean": _reduce,
    "negative": _negative,
    "permute": _permute,
    "prelu": _prelu,
    "sum": _reduce,
}

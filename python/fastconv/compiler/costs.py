"""What a step costs, and how it is described to people."""

from __future__ import annotations

from math import prod
from typing import Any

from .graph import Node

__all__ = ["description", "macs", "moved_bytes", "parameters"]


def macs(node: Node) -> int:
    """Return the multiply-accumulates of the plain formula, whatever the algorithm."""
    if node.op in ("conv2d", "linear", "conv2d_max_pool2d"):
        pooled = 4 if _pools(node) else 1
        return pooled * prod((*node.output.shape, *node["weight"].shape[1:]))
    return 0


def parameters(node: Node) -> int:
    """Return the numbers that a step holds."""
    arrays = (node.get(name) for name in ("weight", "bias", "scale", "shift"))
    return sum(int(array.size) for array in arrays if array is not None)


def moved_bytes(node: Node) -> int:
    """Return the bytes of a step's weights, inputs and output, each once."""
    values = (*node.inputs, node.output)
    return 4 * (parameters(node) + sum(prod(value.shape) for value in values))


def description(node: Node) -> str:
    """Return a step in words, such as "conv 3x3/2 + residual + relu"."""
    parts = [_NAMES.get(node.op, node.op)]
    if node.op in ("conv2d", "conv2d_max_pool2d"):
        kernel = node["weight"].shape[2:]
        parts[0] += " " + _window(kernel, node["stride"], node["dilation"])
        if node["groups"] > 1:
            parts[0] += f", {node['groups']} groups"
        if len(node.inputs) > 1:
            parts.append("residual")
    elif node.op in ("max_pool2d", "avg_pool2d"):
        parts[0] += " " + _window(node["kernel"], node["stride"], node["dilation"])
    elif node.op == "adaptive_avg_pool2d" and node.output.shape[2:] == (1, 1):
        parts[0] = "global average pool"
    elif node.op == "arithmetic":
        parts[0] = _ARITHMETIC[node["function"]]
    elif node.op == "activation":
        return _activation(node["activation"])
    if node.get("activation") is not None:
        parts.append(_activation(node["activation"]))
    if _pools(node):
        parts.append("max pool 2x2/2")
    return " + ".join(parts)


def _pools(node: Node) -> bool:
    return node.op == "conv2d_max_pool2d" or bool(node.get("pools"))


_ARITHMETIC = {"add": "add", "sub": "subtract", "mul": "multiply", "div": "divide"}
_NAMES = {
    "adaptive_avg_pool2d": "adaptive average pool",
    "affine": "scale and shift",
    "avg_pool2d": "average pool",
    "conv2d": "conv",
    "conv2d_max_pool2d": "conv",
    "local_response_norm": "local response norm",
    "log_softmax": "log softmax",
    "max_pool2d": "max pool",
    "to_nchw": "to NCHW",
    "to_nhwc": "to NHWC",
}


def _window(kernel: Any, stride: Any, dilation: Any) -> str:
    text = "x".join(map(str, kernel))
    if stride != (1, 1):
        text += f"/{stride[0]}" if stride[0] == stride[1] else "/" + "x".join(map(str, stride))
    if dilation != (1, 1):
        text += ", dilation " + "x".join(map(str, dilation))
    return text


def _activation(activation: Any) -> str:
    if activation == "relu":
        return "relu"
    name, *values = activation
    if name == "clip" and values == [0.0, 6.0]:
        return "relu6"
    return f"{name}({', '.join('' if v is None else f'{v:g}' for v in values)})"

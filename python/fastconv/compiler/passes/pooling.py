"""Pooling in the pass that computes what is pooled: layers with few input channels."""

from __future__ import annotations

from math import prod
from typing import Any

from ..graph import Graph, Node, fuse

__all__ = ["fuse_pooling"]

_MOST_CHANNELS = 24  # on grey pictures; with more, the matrix product fills its vectors
_FEW_CHANNELS = 8  # with no more outputs, vectors would be half empty
_FEW_WEIGHTS = 4096  # with more, Winograd's algorithms pay


def fuse_pooling(graph: Graph) -> Graph:
    """Let convolutions of few input channels keep the maxima of 2x2 windows alone."""

    def absorb(producer: Node, node: Node) -> Node | None:
        if node.op == "max_pool2d" and _halves(node) and _is_plain(producer):
            return producer.but(op="conv2d_max_pool2d", output=node.output)
        return None

    return fuse(graph, absorb)


def _halves(pool: Node) -> bool:
    """Whether windows of 2x2 lie side by side and leave an odd last line or column out."""
    _, _, height, width = pool.inputs[0].shape
    whole = pool["ceil_mode"] is False or height % 2 == width % 2 == 0
    return (
        (pool["kernel"], pool["stride"], pool["dilation"]) == ((2, 2), (2, 2), (1, 1))
        and not any(map(any, pool["padding"]))
        and whole
    )


def _is_plain(conv: Node) -> bool:
    if conv.op != "conv2d" or len(conv.inputs) > 1:
        return False
    inputs, outputs = conv.inputs[0].shape[1], conv.output.shape[1]
    if inputs == 1:
        few = outputs <= _MOST_CHANNELS
    else:
        few = inputs <= _FEW_CHANNELS < outputs and prod(conv["weight"].shape) <= _FEW_WEIGHTS
    return (
        few
        and conv["groups"] == 1
        and (conv["stride"], conv["dilation"]) == ((1, 1), (1, 1))
        and _never_falls(conv["activation"])
    )


def _never_falls(activation: Any) -> bool:
    """Whether the maximum may be taken before the activation."""
    return activation in (None, "relu") or activation[0] == "clip" or activation[1] >= 0

"""Pooling in the pass that computes what is pooled.

Layers with few input channels have kernels of their own, which compute no more than the maxima;
Winograd's algorithms write no more.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

from ..graph import Graph, Node, fuse

__all__ = ["fuse_pooling", "pool_tiles"]

_MOST_CHANNELS = 24  # on grey pictures; with more, the matrix product fills its vectors
_FEW_CHANNELS = 8  # with no more outputs, vectors would be half empty
_FEW_WEIGHTS = 4096  # with more, Winograd's algorithms pay


def fuse_pooling(graph: Graph) -> Graph:
    """Let convolutions of few input channels keep the maxima of 2x2 windows alone."""

    def absorb(producer: Node, node: Node) -> Node | None:
        if node.op == "max_pool2d" and _halves(node) and _is_plain(producer) and _is_few(producer):
            return producer.but(op="conv2d_max_pool2d", output=node.output)
        return None

    return fuse(graph, absorb)


def pool_tiles(graph: Graph, is_winograds: Callable[[Node], bool]) -> Graph:
    """Let convolutions by Winograd's algorithms do so: `is_winograds(node)` says which they are."""

    def absorb(producer: Node, node: Node) -> Node | None:
        if node.op != "max_pool2d" or not _halves(node) or not _is_plain(producer):
            return None
        return producer.but(output=node.output, pools=True) if is_winograds(producer) else None

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
    return (
        conv.op == "conv2d"
        and len(conv.inputs) == 1
        and not conv.get("pools")
        and (conv["stride"], conv["dilation"]) == ((1, 1), (1, 1))
        and _never_falls(conv["activation"])
    )


def _is_few(conv: Node) -> bool:
    inputs, outputs = conv.inputs[0].shape[1], conv.output.shape[1]
    if inputs == 1:
        few = outputs <= _MOST_CHANNELS
    else:
        few = inputs <= _FEW_CHANNELS < outputs and prod(conv["weight"].shape) <= _FEW_WEIGHTS
    return bool(few and conv["groups"] == 1)


def _never_falls(activation: Any) -> bool:
    """Whether the maximum may be taken before the activation."""
    return activation in (None, "relu") or activation[0] == "clip" or activation[1] >= 0

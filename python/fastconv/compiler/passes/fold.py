"""Arithmetic on constants, done once: batch norms and padding become part of their neighbours."""

from __future__ import annotations

from ..graph import Graph, Node, fuse
from ..weight import scaled_bias

__all__ = ["fold_affine", "fold_padding"]


def fold_affine(graph: Graph) -> Graph:
    """Fold a factor and a summand per channel into the layer with weights, or pair, before it."""

    def absorb(producer: Node, node: Node) -> Node | None:
        if node.op != "affine" or producer.get("activation") is not None:
            return None
        scale, shift = node["scale"], node["shift"]
        if producer.op == "affine":
            return producer.but(
                output=node.output,
                scale=producer["scale"] * scale,
                shift=producer["shift"] * scale + shift,
                activation=node["activation"],
            )
        if producer.op in ("conv2d", "linear"):
            return producer.but(
                output=node.output,
                weight=producer["weight"].scaled(scale),
                bias=scaled_bias(producer["bias"], scale, shift),
                activation=node["activation"],
            )
        return None

    return fuse(graph, absorb)


def fold_padding(graph: Graph) -> Graph:
    """Fold zeros around a picture into the padding of the convolution that reads it."""

    def absorb(producer: Node, node: Node) -> Node | None:
        if node.op != "conv2d" or producer.op != "pad" or producer["value"] != 0:
            return None
        (top, bottom), (left, right) = node["padding"]
        (more_top, more_bottom), (more_left, more_right) = producer["padding"]
        padding = ((top + more_top, bottom + more_bottom), (left + more_left, right + more_right))
        return node.but(inputs=producer.inputs, padding=padding)

    return fuse(graph, absorb)

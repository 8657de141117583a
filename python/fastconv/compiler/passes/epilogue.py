"""What a step can do to its result before writing it: add another picture, apply an activation."""

from __future__ import annotations

from ..graph import Graph, Node, fuse

__all__ = ["fuse_activations", "fuse_additions"]

_WITH_ACTIVATION = ("conv2d", "linear", "affine", "add")


def fuse_activations(graph: Graph) -> Graph:
    """Let layers with weights, and additions, apply the activation that follows them."""

    def absorb(producer: Node, node: Node) -> Node | None:
        if (
            node.op == "activation"
            and producer.op in _WITH_ACTIVATION
            and producer["activation"] is None
        ):
            return producer.but(output=node.output, activation=node["activation"])
        return None

    return fuse(graph, absorb)


def fuse_additions(graph: Graph) -> Graph:
    """Let the convolution that makes one summand add the other, its residual."""

    def absorb(producer: Node, node: Node) -> Node | None:
        if (
            node.op != "add"
            or producer.op != "conv2d"
            or len(producer.inputs) > 1
            or producer["activation"] is not None
        ):
            return None
        (residual,) = (x for x in node.inputs if x is not producer.output)
        return producer.but(
            inputs=(*producer.inputs, residual),
            output=node.output,
            activation=node["activation"],
        )

    return fuse(graph, absorb)

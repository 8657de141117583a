"""Transposed convolutions as convolutions: of the picture with zeros between its pixels."""

from __future__ import annotations

import numpy as np

from ..graph import Node, Value
from ..weight import Weight

__all__ = ["conv_transpose2d"]


def conv_transpose2d(node: Node) -> list[Node]:
    """Return nodes for a transposed convolution, whose kernel is turned around."""
    nodes: list[Node] = []
    (n, c, h, w), (down, right) = node.inputs[0].shape, node["stride"]

    def then(op: str, shape: tuple[int, ...], **attributes: object) -> None:
        x = nodes[-1].output if nodes else node.inputs[0]
        nodes.append(Node(op, (x,), Value(shape), node.layer, attributes))

    if right > 1:
        then("reshape", (n, c * h, w, 1))
        then("pad", (n, c * h, w, right), padding=((0, 0), (0, right - 1)), value=0.0)
    if down > 1:
        then("reshape", (n, c * h, 1, w * right))
        then("pad", (n, c * h, down, w * right), padding=((0, down - 1), (0, 0)), value=0.0)
    if nodes:
        then("reshape", (n, c, h * down, w * right))

    (weight,) = node["weight"].parts
    ranges, padding = [(0, c, 1)], []
    for axis, size in enumerate((h * down, w * right)):
        reach = node["dilation"][axis] * (weight.shape[2 + axis] - 1)
        before = reach - node["padding"][axis][0]
        after = node.output.shape[2 + axis] - size - before + reach
        ranges.append((max(0, -before), size - max(0, -after), 1))
        padding.append((max(0, before), max(0, after)))
    kept = tuple(stop - start for start, stop, _ in ranges)
    if kept != (c, h * down, w * right):
        then("index", (n, *kept), ranges=tuple(ranges))
    then(
        "conv2d",
        node.output.shape,
        weight=Weight.of(_turned(weight, node["groups"])),
        bias=None,
        stride=(1, 1),
        padding=tuple(padding),
        dilation=node["dilation"],
        groups=node["groups"],
        activation=None,
    )
    return [*nodes[:-1], nodes[-1].but(output=node.output)]


def _turned(weight: np.ndarray, groups: int) -> np.ndarray:
    """Return (C, O / groups, KH, KW) as the weight (O, C / groups, KH, KW) that does the same."""
    channels, outputs, *kernel = weight.shape
    grouped = weight.reshape(groups, channels // groups, outputs, *kernel).swapaxes(1, 2)
    turned = grouped.reshape(groups * outputs, channels // groups, *kernel)[:, :, ::-1, ::-1]
    return np.ascontiguousarray(turned)

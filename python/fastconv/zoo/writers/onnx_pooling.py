"""This library's poolings in ONNX's terms.

ONNX's own rounding up has changed with its versions, and Caffe's rule is not among its rules. But
with the right padding every rule is that of rounding down.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...autograd.geometry import Padding
from ...compiler.graph import Node

__all__ = ["Window", "adaptive_matrix"]


class Window:
    """Where the windows of a pooling node lie.

    reaching: the padding with which rounding down gives all windows.
    overflow: what of it lies beyond the layer's own padding; overflows: whether anything does.
    none: no padding.
    """

    none: Padding = ((0, 0), (0, 0))

    def __init__(self, node: Node) -> None:
        self._kernel = node["kernel"]
        reaching, overflow = [], []
        for axis in range(2):
            before, after = node["padding"][axis]
            size, count = node.inputs[0].shape[2 + axis], node.output.shape[2 + axis]
            extent = node["dilation"][axis] * (node["kernel"][axis] - 1) + 1
            stride = node["stride"][axis]
            end = after
            if (size + before + after - extent) // stride + 1 != count:
                end = max(0, (count - 1) * stride + extent - size - before)
            assert (size + before + end - extent) // stride + 1 == count
            reaching.append((before, end))
            overflow.append((0, max(0, end - after)))
        self.reaching: Padding = (reaching[0], reaching[1])
        self.overflow: Padding = (overflow[0], overflow[1])
        self.overflows = self.overflow != self.none

    def beyond(self, padding: Padding) -> bool:
        """Whether a padding is as large as the kernel."""
        return any(max(sides) >= k for sides, k in zip(padding, self._kernel, strict=True))


def adaptive_matrix(size: int, count: int) -> NDArray[np.float32]:
    """Return the matrix (count, size) of the means that adaptive pooling takes along an axis."""
    matrix = np.zeros((count, size), np.float32)
    for i in range(count):
        start, end = i * size // count, -(-(i + 1) * size // count)
        matrix[i, start:end] = 1 / (end - start)
    return matrix

"""Builder: values brought into the order of axes, or the shape, that a layer needs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ... import nn
from ..archive import FormatError
from ..scheme import in_order
from .emitter import Emitter, Scale
from .graph import Node
from .values import Shape, Value

__all__ = ["Builder", "float32"]

# Sizes of layers come from shapes that a file only declares; more would be no network.
_MOST_CHANNELS = 1 << 22


def float32(array: NDArray[Any]) -> NDArray[np.float32]:
    """Return weights as layers hold them: float32, in order, their own."""
    return in_order(array, np.float32)


class Builder:
    """Adds the layers of a network. TensorFlow's shapes and axes in, values of the network out."""

    def __init__(self) -> None:
        self.emitter = Emitter()
        self.batches: set[int | None] = set()  # that the inputs were declared with
        self._known_orders: dict[tuple[Value, tuple[int, ...]], Value] = {}

    def unary(self, node: Node, x: Value, module: nn.Module) -> Value:
        """Add a layer that treats every element alike."""
        return x.named(self.emitter.emit(node.label, module, x.name))

    def reordered(self, node: Node, x: Value, order: Sequence[int]) -> Value:
        """Return a value with its axes in an order, and its features in TensorFlow's."""
        order = tuple(order)
        if x.order == order and x.chw is None:
            return x
        if (x, order) not in self._known_orders:
            self._known_orders[x, order] = self._reordered(node, x, order)
        return self._known_orders[x, order]

    def _reordered(self, node: Node, x: Value, order: tuple[int, ...]) -> Value:
        if x.chw is not None:
            c, h, w = x.chw
            name = x.name
            for part in (nn.Reshape(0, c, h, w), nn.Permute(0, 2, 3, 1), nn.Flatten()):
                name = self.emitter.emit(f"{node.label}/order", part, name)
            return Value(name, x.shape, x.order)
        moved = [axis for axis in x.order if x.shape[axis] != 1]
        if moved == [axis for axis in order if x.shape[axis] != 1] and order[0] == 0 == x.order[0]:
            module: nn.Module = nn.Reshape(0, *self._known(node, [x.shape[a] for a in order[1:]]))
        else:
            module = nn.Permute(*(x.order.index(axis) for axis in order))
        name = self.emitter.emit(f"{node.label}/permute", module, x.name)
        return Value(name, x.shape, order)

    def plain(self, node: Node, x: Value) -> Value:
        """Return a value with TensorFlow's order of axes and of features."""
        return self.reordered(node, x, range(len(x.shape)))

    def plain_features(self, node: Node, x: Value) -> Value:
        """Return a value whose features have TensorFlow's order."""
        return self.reordered(node, x, x.order)

    def image(self, node: Node, x: Any, order: tuple[int, ...]) -> Value:
        """Return feature maps as (N, C, H, W), given the layout that they have in TensorFlow."""
        if not isinstance(x, Value) or len(x.shape) != 4:
            shape = getattr(x, "shape", None)
            raise FormatError(f"tensorflow: {node} must have feature maps as input (shape={shape})")
        return self.reordered(node, x, order)

    def channels(self, node: Node, x: Value) -> int:
        """Return how many channels there are: the size of the network's second axis."""
        return self._known(node, [x.sizes[1]])[0]

    def reshaped(self, node: Node, x: Value, shape: Shape) -> Value:
        """Return a value in another shape, with the batch as it is (shape[0] is)."""
        rest = self._known(node, shape[1:])
        if math.prod(rest) != math.prod(self._known(node, x.shape[1:])):
            raise FormatError(
                f"tensorflow: {node} must keep the elements of every picture "
                f"(from={x.shape}, to={shape})"
            )
        if tuple(rest) == x.shape[1:]:
            return x
        x = self.plain_features(node, x)
        size = len(shape)
        if [s for s in rest if s != 1] == [s for s in x.shape[1:] if s != 1] and x.order[0] == 0:
            # Only sizes of 1 come and go: the others stay in the network's order.
            before = [axis for axis in range(1, len(x.shape)) if x.shape[axis] != 1]
            after = dict(zip(before, [a for a in range(1, size) if shape[a] != 1], strict=True))
            kept = [after[axis] for axis in x.order if axis in after]
            order = (0, *kept, *(axis for axis in range(1, size) if axis not in kept))
            chw = None
        elif size == 2 and x.order == (0, 3, 1, 2):
            _, c, h, w = x.sizes
            assert c is not None and h is not None and w is not None  # _known looked at them
            order, chw = (0, 1), (c, h, w)
        else:
            x = self.plain(node, x)
            order, chw = tuple(range(size)), None
        if size == 2:
            module: nn.Module = nn.Flatten()
        else:
            module = nn.Reshape(0, *(rest[axis - 1] for axis in order[1:]))
        return Value(self.emitter.emit(node.label, module, x.name), shape, order, chw)

    def scaled(
        self,
        node: Node,
        x: Value,
        weight: NDArray[Any] | None = None,
        bias: NDArray[Any] | None = None,
    ) -> Value:
        """Multiply by and add constants that are one number, or one a channel."""
        arrays = [array for array in (weight, bias) if array is not None]
        axis = self._varying(node, x, arrays)
        if len(x.shape) < 2 or axis == 0:
            raise FormatError(
                f"tensorflow: {node} must have a constant with one number a channel "
                f"(shapes={[array.shape for array in arrays]}, input={x.shape})"
            )
        if axis is not None and x.order[1] != axis:
            others = [other for other in x.order[1:] if other != axis]
            x = self.reordered(node, x, (0, axis, *others))
        count = self.channels(node, x)

        def vector(array: NDArray[Any] | None) -> NDArray[np.float32] | None:
            if array is None:
                return None
            values = np.broadcast_to(np.ravel(array), count)
            if x.chw is not None:
                c, h, w = x.chw
                values = values.reshape(h, w, c).transpose(2, 0, 1).ravel()
            return float32(values)

        scale = Scale(vector(weight), vector(bias))
        return x.named(self.emitter.emit(node.label, scale, x.name))

    def _varying(self, node: Node, x: Value, arrays: list[NDArray[Any]]) -> int | None:
        """Return the only axis along which constants vary, None for single numbers."""
        rank, varying = len(x.shape), set()
        for array in arrays:
            if array.dtype == object or array.ndim > rank:
                raise FormatError(
                    f"tensorflow: {node} must have a constant that broadcasts to its input "
                    f"(shape={array.shape}, input={x.shape})"
                )
            first = rank - array.ndim
            varying |= {first + place for place, size in enumerate(array.shape) if size != 1}
            for axis in varying:
                if axis >= first and array.shape[axis - first] not in (1, x.shape[axis]):
                    raise FormatError(
                        f"tensorflow: {node} must have a constant of its input's size "
                        f"(shape={array.shape}, input={x.shape})"
                    )
        if len(varying) > 1:
            raise FormatError(
                f"tensorflow: {node} must have a constant with one number a channel "
                f"(shapes={[array.shape for array in arrays]}, input={x.shape})"
            )
        return varying.pop() if varying else None

    def _known(self, node: Node, sizes: Sequence[int | None]) -> list[int]:
        known = [size for size in sizes if size is not None]
        if len(known) < len(sizes) or max(known, default=0) > _MOST_CHANNELS:
            raise FormatError(
                f"tensorflow: {node} must have an input whose sizes, but for the batch, are known "
                f"(sizes={tuple(sizes)}, at most={_MOST_CHANNELS})"
            )
        return known

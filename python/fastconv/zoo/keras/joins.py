"""Keras's layers that join values or move their elements, and those that do nothing."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from ... import nn
from .build import Builder
from .config import Layer
from .rows import affine
from .values import Size, Value

__all__ = ["concatenate", "flatten", "identity", "join", "merge", "permute", "reshape"]

_JOINS: dict[str, Callable[[], nn.Module]] = {
    "Add": nn.Add,
    "Average": nn.Add,
    "Multiply": nn.Mul,
    "Subtract": nn.Sub,
}
# Keras 1's modes of Merge.
_MODES = {"sum": "Add", "ave": "Average", "mul": "Multiply", "concat": "Concatenate"}


def identity(builder: Builder, layer: Layer, reads: list[Value]) -> Value:
    """Dropout and noise, which only training has."""
    (x,) = reads
    return x


def merge(builder: Builder, layer: Layer, reads: list[Value]) -> Value:
    """Keras 1's Merge."""
    mode = layer.get("mode", default="sum")
    if not isinstance(mode, str) or mode not in _MODES or layer.get("mode_type") == "lambda":
        raise layer.refused(
            "mode must be one that this library can build", mode=mode, known=[*_MODES]
        )
    if _MODES[mode] == "Concatenate":
        return concatenate(builder, layer, reads)
    return join(builder, layer, reads, _MODES[mode])


def join(builder: Builder, layer: Layer, reads: list[Value], kind: str = "") -> Value:
    """Add, Average, Multiply, Subtract."""
    kind = kind or layer.kind
    if len(reads) < 2 or (kind == "Subtract" and len(reads) != 2):
        raise layer.refused("the layer must read several values", inputs=len(reads))
    reads = _alike(builder, layer, reads)
    shape = _broadcast(layer, reads)
    y = builder.add(layer, _JOINS[kind](), reads, shape, reads[0].order)
    if kind == "Average":
        y = affine(builder, layer, y, 1 / len(reads), 0, part="mean")
    return y


def concatenate(builder: Builder, layer: Layer, reads: list[Value]) -> Value:
    """Concatenate, or Merge by "concat"."""
    given = layer.get("axis", "concat_axis", default=-1)
    dims = {builder.axis(layer, x, given) for x in reads}
    if len({len(x.shape) for x in reads}) != 1 or len(dims) != 1:
        raise layer.refused("inputs must have as many axes", shapes=[x.shape for x in reads])
    at = given % (len(reads[0].shape) + 1) - 1
    shape: list[Size] = list(reads[0].shape)
    sizes = [x.shape[at] for x in reads]
    for axis in range(len(shape)):
        if axis != at and len({x.shape[axis] for x in reads}) != 1:
            raise layer.refused(
                "inputs must agree but along the axis", axis=given, shapes=[x.shape for x in reads]
            )
    known = [size for size in sizes if size is not None]
    shape[at] = sum(known) if len(known) == len(sizes) else None
    order = None
    if any(x.order is not None for x in reads):
        order = tuple(part for x in reads for part in x.order or ((x.shape[0] or 0,),))
    return builder.add(layer, nn.Concat(dims.pop()), reads, tuple(shape), order)


def flatten(builder: Builder, layer: Layer, reads: list[Value]) -> Value:
    """Flatten; what order it leaves is known to the value, so that nothing has to move."""
    (x,) = reads
    first = layer.get("data_format") == "channels_first"
    if not x.shape or None in x.shape:
        raise layer.refused("the size of the input must be known", input=x.shape)
    size = math.prod(n or 1 for n in x.shape)
    if not x.is_maps:
        if first and len(x.shape) > 1:
            raise layer.refused("data_format must be channels_last here", input=x.shape)
        if len(x.shape) == 1:
            return x
        return builder.add(layer, nn.Flatten(), x, (size,))
    if first and builder.channels_last:
        raise layer.refused("data_format must be that of the other layers", data_format=first)
    channels, height, width = builder.maps(x)
    # Since Keras 2.2, Flatten itself brings channels-first maps into the order of channels-last.
    moves = (builder.channels_last or first) and channels > 1 and height * width > 1
    order = ((channels, height, width),) if moves else None
    return builder.add(layer, nn.Flatten(), x, (size,), order)


def reshape(builder: Builder, layer: Layer, reads: list[Value]) -> Value:
    """Reshape, in Keras's order of elements."""
    (x,) = reads
    target = layer.get("target_shape", "dims", default=[])
    if not isinstance(target, list) or not all(
        isinstance(n, int) and not isinstance(n, bool) and (n == -1 or n > 0) for n in target
    ):
        raise layer.refused("target_shape must be sizes, one of them -1", target_shape=target)
    if None in x.shape:
        raise layer.refused("the size of the input must be known", input=x.shape)
    size = math.prod(n or 1 for n in x.shape)
    rest = math.prod(n for n in target if n != -1)
    if not target or target.count(-1) > 1 or size % rest or (-1 not in target and size != rest):
        raise layer.refused(
            "target_shape must hold the input's elements", target_shape=target, input=x.shape
        )
    shape = tuple(size // rest if n == -1 else n for n in target)
    if shape == x.shape:
        return x
    maps = Value("", shape)
    if len(shape) == 3 and len(x.shape) == 1:
        channels, height, width = builder.maps(maps)
        # Rows whose features already lie as those of our maps.
        alike = x.order is None and (
            not builder.channels_last or channels == 1 or height * width == 1
        )
        if alike or (x.order == ((channels, height, width),) and builder.channels_last):
            return builder.add(layer, nn.Reshape(0, channels, height, width), x, shape)
    if len(shape) == 1 and x.is_maps:
        return flatten(builder, Layer(layer.name, "Flatten", {}), [x])
    x = builder.plain(layer, x)
    y = builder.add(layer, nn.Reshape(0, *shape), x, shape)
    return _as_maps(builder, layer, y)


def permute(builder: Builder, layer: Layer, reads: list[Value]) -> Value:
    """Permute."""
    (x,) = reads
    dims = layer.get("dims")
    if not isinstance(dims, list) or sorted(map(str, dims)) != [
        str(n + 1) for n in range(len(x.shape))
    ]:
        raise layer.refused("dims must name every axis once, from 1 on", dims=dims, input=x.shape)
    shape = tuple(x.shape[n - 1] for n in dims)
    x = builder.plain(layer, x)
    return _as_maps(builder, layer, builder.add(layer, nn.Permute(0, *dims), x, shape))


def _as_maps(builder: Builder, layer: Layer, x: Value) -> Value:
    """Return a value in Keras's order in ours: with three axes, it is feature maps."""
    if x.is_maps and builder.channels_last:
        return builder.add(layer, nn.Permute(0, 3, 1, 2), x, x.shape, part="chw")
    return x


def _alike(builder: Builder, layer: Layer, reads: list[Value]) -> list[Value]:
    """Return values whose features lie in one order."""
    if len({x.order for x in reads}) == 1:
        return reads
    return [builder.plain(layer, x) for x in reads]


def _broadcast(layer: Layer, reads: list[Value]) -> Any:
    """Return the shape of what is computed element by element."""
    shapes = [x.shape for x in reads]
    if len(set(shapes)) == 1:
        return shapes[0]
    shape: list[Size] = []
    for sizes in zip(*shapes, strict=False):
        larger = {size for size in sizes if size != 1}
        if len(larger) > 1:
            shape = []
            break
        shape.append(larger.pop() if larger else 1)
    if len({len(s) for s in shapes}) != 1 or not shape:
        raise layer.refused("the shapes of inputs must fit", shapes=shapes)
    return tuple(shape)

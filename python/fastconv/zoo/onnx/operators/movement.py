"""Operators that move elements and compute nothing."""

from __future__ import annotations

from ....nn import Concat, Flatten, Identity, Module, Permute, Reshape, ZeroPad2d
from ..functions import movement
from ..layers import Operator
from ..node import Node
from ..registry import converts
from ..shapes import BATCH


@converts("Identity")
def identity(node: Node) -> Module:
    return Identity()


@converts("Concat")
def concat(node: Node) -> Module:
    axis = node.integer("axis", 1) if node.version < 4 else node.integer("axis")
    if all(node.info(i).is_float for i in range(len(node.inputs))):
        return Concat(axis)
    return Operator(movement.concat, axis=axis)


@converts("Flatten")
def flatten(node: Node) -> Module:
    axis = node.integer("axis", 1)
    rank = node.info().rank
    if axis == 1 and rank is not None and rank > 1:
        return Flatten()
    return Operator(movement.flatten, axis=axis)


@converts("Reshape")
def reshape(node: Node) -> Module:
    node.ignore("consumed_inputs")
    allowzero = node.flag("allowzero")
    if node.version < 5:
        return _keeping_batch(node, node.integers("shape"))
    wanted = node.constant(1)
    if wanted is not None:
        sizes: tuple[int, ...] | None = tuple(int(size) for size in wanted.reshape(-1))
    else:
        sizes = _inferred(node)
        if sizes is not None:
            allowzero = False  # there, 0 is the batch
    if sizes is None or not node.info().is_float or (allowzero and 0 in sizes):
        return Operator(movement.reshape, allowzero=allowzero)
    node.taken.add(1)
    return _keeping_batch(node, sizes)


def _keeping_batch(node: Node, sizes: tuple[int, ...]) -> Module:
    """Return the layer; where the file names the batch it was exported with, any batch will do."""
    x = node.info().shape
    # For that batch it is the same; and the inferred size may stem from an earlier Reshape.
    if x and node.batch is not None and sizes[:1] == (node.batch,) and x[0] in (BATCH, node.batch):
        sizes = (0, *sizes[1:])
    return Reshape(*sizes)


def _inferred(node: Node) -> tuple[int, ...] | None:
    """Return the sizes that ONNX inferred for a shape that is computed, if one is open at most.

    0 stands for a batch that stays where it is, -1 for the open one.
    """
    x, y = node.info().shape, node.output_info().shape
    if x is None or y is None:
        return None
    sizes = [
        0 if size == BATCH and x[i : i + 1] == (BATCH,) else size if isinstance(size, int) else -1
        for i, size in enumerate(y)
    ]
    return tuple(sizes) if sizes.count(-1) <= 1 and 0 not in y else None


@converts("Transpose")
def transpose(node: Node) -> Module:
    if node.has("perm"):
        return Permute(*node.integers("perm"))
    return Operator(movement.transpose)


@converts("Squeeze", "Unsqueeze")
def squeeze(node: Node) -> Module:
    function = movement.squeeze if node.op == "Squeeze" else movement.unsqueeze
    if node.version < 13:
        axes = node.integers("axes", ()) if node.op == "Squeeze" else node.integers("axes")
        return Operator(function, axes=axes) if axes else Operator(function)
    if node.given(1) and node.constant(1) is not None:
        return Operator(function, axes=tuple(int(axis) for axis in node.take(1).reshape(-1)))
    return Operator(function)


@converts("Pad")
def pad(node: Node) -> Module:
    mode = node.text("mode", "constant")
    if mode not in ("constant", "edge", "reflect", "wrap"):
        raise node.error("mode must be known", mode=mode)
    if node.version < 11:
        pads = node.integers("paddings" if node.version < 2 else "pads")
        value = node.number("value", 0.0)
        plain = mode == "constant" and value == 0
        return (
            _zero_pad(node, pads)
            if plain and _planes(node, pads)
            else Operator(movement.pad, pads=pads, value=value, mode=mode)
        )
    fill = node.constant(2)
    zero = not node.given(2) or (fill is not None and not fill.any())
    found = node.constant(1)
    if mode == "constant" and zero and found is not None and not node.given(3):
        pads = tuple(int(n) for n in found.reshape(-1))
        if _planes(node, pads):
            node.taken.update({1, 2})
            return _zero_pad(node, pads)
    return Operator(movement.pad, mode=mode)


def _planes(node: Node, pads: tuple[int, ...]) -> bool:
    """Whether only height and width of pictures are padded, and nothing is cut off."""
    info = node.info()
    inner = len(pads) == 8 and not any(pads[i] for i in (0, 1, 4, 5))
    return info.is_float and info.rank == 4 and inner and min(pads) >= 0


def _zero_pad(node: Node, pads: tuple[int, ...]) -> Module:
    _, _, top, left, _, _, bottom, right = pads
    return ZeroPad2d((left, right, top, bottom))


@converts("Split")
def split(node: Node) -> Module:
    axis = node.integer("axis", 0)
    node.results = len(node.outputs)
    parts = node.integer("num_outputs", node.results)
    if parts != node.results:
        raise node.error("num_outputs must be that of the outputs", num_outputs=parts)
    if node.version < 13 and node.has("split"):
        return Operator(movement.split, sizes=node.integers("split"), axis=axis, parts=parts)
    return Operator(movement.split, axis=axis, parts=parts)


@converts("Gather")
def gather(node: Node) -> Module:
    return Operator(movement.gather, axis=node.integer("axis", 0))


@converts("Slice")
def slice_(node: Node) -> Module:
    if node.version < 10:
        options = {"starts": node.integers("starts"), "ends": node.integers("ends")}
        if node.has("axes"):
            options["axes"] = node.integers("axes")
        return Operator(movement.slice_, **options)
    return Operator(movement.slice_)


@converts("Expand")
def expand(node: Node) -> Module:
    return Operator(movement.expand)


@converts("Tile")
def tile(node: Node) -> Module:
    if node.version < 6:
        raise node.error("Tile is known from opset 6", version=node.version)
    return Operator(movement.tile)

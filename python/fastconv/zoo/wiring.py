"""From a list of layers that read and write named values to a GraphModule."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..autograd import Tensor, no_grad, use_backend
from ..nn import GraphModule, Module
from .archive import FormatError

__all__ = ["Node", "Value", "Wiring"]

Shape = tuple[int, ...]

# Shapes are found with two pictures, which tells a layer that mixes them.
_BATCH = 2
_SIDE = 1 << 14
_ELEMENTS = 1 << 28
_NODES = 20_000


@dataclass(eq=False)
class Value:
    """What a layer writes. shape: without the batch; None where the file does not tell."""

    name: str
    shape: Shape | None
    node: Node | None = None
    readers: int = 0


@dataclass(eq=False)
class Node:
    """A layer; its module may still be replaced by one for the same shapes."""

    name: str
    module: Module
    reads: list[Value]


class Wiring:
    """A network being put together: layers are added in order, names mean what was written last.

    Every layer is tried on arrays without values where the shape of its input is known, so that
    what does not fit is refused in its name. Errors are FormatErrors that begin with `op`.
    """

    def __init__(self, op: str) -> None:
        self._op = op
        self._current: dict[str, Value] = {}
        self._inputs: list[Value] = []
        self._nodes: list[tuple[Node, Value]] = []
        self._names: set[str] = set()

    def input(self, name: str, shape: Shape | None) -> Value:
        """Add an input of the network; shape: without the batch."""
        if shape is not None and (
            not shape
            or min(shape) < 1
            or max(shape) > _SIDE
            or math.prod(shape) > _ELEMENTS // _BATCH
        ):
            raise FormatError(
                f"{self._op}: an input must have sizes from 1 to {_SIDE}, and at most "
                f"{_ELEMENTS // _BATCH} elements (input={name!r}, shape={shape})"
            )
        value = Value(self._free(name, "input"), shape)
        self._current[name] = value
        self._inputs.append(value)
        return value

    def value(self, layer: str, name: str) -> Value:
        """Return what a name means now; FormatError, in a layer's name, if it means nothing."""
        if name not in self._current:
            raise FormatError(
                f"{self._op}: a layer must read what inputs or layers before it write "
                f"(layer={layer!r}, unknown={name!r})"
            )
        return self._current[name]

    def known(self, name: str) -> bool:
        """Whether a name means anything yet."""
        return name in self._current

    def alias(self, layer: str, name: str, of: str) -> None:
        """Let a name mean what another one means now."""
        self._current[name] = self.value(layer, of)

    def add(self, layer: str, module: Module, reads: Sequence[str], write: str) -> Value:
        """Add a layer that writes one value; return that."""
        if len(self._nodes) >= _NODES:
            raise FormatError(f"{self._op}: a network must have at most {_NODES} layers")
        inputs = [self.value(layer, name) for name in reads]
        module.eval()
        shape = self._shape(layer, module, [value.shape for value in inputs])
        for value in inputs:
            value.readers += 1
        node = Node(layer, module, inputs)
        out = Value(self._free(write, layer), shape, node)
        self._nodes.append((node, out))
        self._current[write] = out
        return out

    def network(self, outputs: Sequence[Value]) -> GraphModule:
        """Return the layers that the outputs need, in order, as a network in inference mode."""
        needed = set(outputs)
        nodes = []
        for node, out in reversed(self._nodes):
            if out in needed:
                nodes.append((node, out))
                needed.update(node.reads)
        inputs = [value for value in self._inputs if value in needed]
        if not inputs or not nodes:
            raise FormatError(
                f"{self._op}: the network must compute something from an input "
                f"(outputs={[value.name for value in outputs]})"
            )
        net = GraphModule([v.name for v in inputs], [v.name for v in outputs])
        if len(inputs) == 1 and inputs[0].shape is not None:
            net.input_shape = inputs[0].shape
        for node, out in reversed(nodes):
            net.append(node.name, node.module, [value.name for value in node.reads], out.name)
        return net.eval()

    def _shape(self, layer: str, module: Module, shapes: Sequence[Shape | None]) -> Shape | None:
        arguments = []
        for shape in shapes:
            if shape is None:
                return None
            arguments.append(Tensor(np.broadcast_to(np.float32(0), (_BATCH, *shape))))
        try:
            with no_grad(), use_backend("shapes"):
                out: Any = module(*arguments).shape
        except (ValueError, TypeError, IndexError, MemoryError) as error:
            raise FormatError(
                f"{self._op}: a layer must fit its input (layer={layer!r}, "
                f"kind={type(module).__name__}, input={list(shapes)}, reason={error})"
            ) from error
        if not out or out[0] != _BATCH or math.prod(out) > _ELEMENTS:
            raise FormatError(
                f"{self._op}: a layer must keep the batch, and give at most "
                f"{_ELEMENTS // _BATCH} elements a picture (layer={layer!r}, "
                f"kind={type(module).__name__}, input={list(shapes)}, output={list(out[1:])})"
            )
        return tuple(out[1:])

    def _free(self, name: str, layer: str) -> str:
        """Return a name for a new value; one written again is called after its layer, too."""
        name = name or layer
        free, number = name, 1
        while free in self._names:
            free = f"{name}/{layer}" if number == 1 else f"{name}/{layer}_{number}"
            number += 1
        self._names.add(free)
        return free

"""From a description and weights to a network of this library."""

from __future__ import annotations

import heapq
import math
from collections.abc import Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ... import nn
from ...nn import init
from ..archive import FormatError
from .config import Layer, Model, Ref, refuse
from .values import Reorder, Value, features

__all__ = ["Builder", "Weights", "build", "set_weights"]

# What goes beyond is no network but an attack: elements of a value, calls of layers (networks
# inside networks, each used twice, grow without bounds).
_ELEMENTS = 1 << 28
_CALLS = 10_000

Weights = Mapping[str, Sequence[NDArray[Any]]]  # by the paths of layers


def build(model: Model, weights: Weights, *, old: bool, theano: bool) -> nn.GraphModule:
    """Return the network of a description: it takes (N, C, H, W) whatever Keras's order of axes.

    weights: every layer's arrays in Keras's order; those of a layer in a network inside under
    "network/layer". old: they are Keras 1's, which kept kernels for channels-first as (O, I, H, W).
    theano: that backend made them; it turns kernels round and pads "same" in its own way.

    Paddings "same" are those for the size of picture that the file declares.
    """
    builder = Builder(model, weights, old, theano)
    with init.skip_init():
        return builder.network()


def set_weights(layer: Layer, module: nn.Module, *arrays: NDArray[Any] | None) -> None:
    """Copy arrays into a module's parameters, in their order; None for those it has not."""
    given = [array for array in arrays if array is not None]
    for (name, parameter), array in zip(module.named_parameters(), given, strict=True):
        if parameter.shape != array.shape:
            raise layer.refused(
                "weights must have the layer's shapes",
                **{name: parameter.shape},
                received=array.shape,
            )
        parameter.data[...] = array


class Builder:
    """What handlers of layers (`layers.HANDLERS`) work with."""

    def __init__(self, model: Model, weights: Weights, old: bool, theano: bool) -> None:
        self.old = old
        self.theano = theano
        self.channels_last = _channels_last(model)
        self._model = model
        self._weights = weights
        self._net = nn.GraphModule((), ())
        self._prefix = ""  # of the network inside that is being built
        self._modules: dict[tuple[str, Any], nn.Module] = {}
        self._values = 0
        self._calls = 0

    def network(self) -> nn.GraphModule:
        """Build it all."""
        model = self._model
        inputs = []
        for ref in model.inputs:
            layer = model.layers[ref.layer]
            inputs.append(Value(layer.name, _declared(layer)))
        self._net.inputs = tuple(value.name for value in inputs)
        outputs = [self._in_order(value) for value in self._run(model, inputs)]
        self._net.outputs = tuple(value.name for value in outputs)
        if len(inputs) == 1 and inputs[0].is_maps and None not in inputs[0].shape:
            channels, height, width = self.maps(inputs[0])
            self._net.input_shape = (channels, height, width)
        return self._net

    # For handlers.

    def maps(self, value: Value, layer: Layer | None = None) -> tuple[Any, Any, Any]:
        """Return (C, H, W) of a value, which must be feature maps if `layer` is to read it."""
        if layer is not None and (not value.is_maps or value.shape[2 * self.channels_last] is None):
            raise layer.refused("the input must be feature maps", shape=value.shape)
        a, b, c = value.shape
        return (c, a, b) if self.channels_last else (a, b, c)

    def shape(self, channels: int | None, height: int | None, width: int | None) -> Any:
        """Return Keras's shape of feature maps."""
        if self.channels_last:
            return height, width, channels
        return channels, height, width

    def axis(self, layer: Layer, value: Value, axis: Any) -> int:
        """Return which of our axes an axis of Keras's is, the batch included in both."""
        ndim = len(value.shape) + 1
        if isinstance(axis, list) and len(axis) == 1:
            axis = axis[0]
        if isinstance(axis, bool) or not isinstance(axis, int) or not -ndim <= axis < ndim:
            raise layer.refused("axis must be one of the input's", axis=axis, shape=value.shape)
        dim = axis % ndim
        if dim == 0:
            raise layer.refused("axis must not be the batch", axis=axis)
        if value.is_maps and self.channels_last:
            return (0, 2, 3, 1)[dim]
        return dim

    def channels(self, layer: Layer, value: Value) -> int:
        """Return how many channels maps, or features a row, have."""
        channels = self.maps(value)[0] if value.is_maps else value.shape[0]
        if channels is None or len(value.shape) == 2:
            raise layer.refused("the input must be maps or rows of known width", input=value.shape)
        return int(channels)

    def weights(self, layer: Layer, *counts: int) -> Sequence[NDArray[Any]]:
        """Return a layer's arrays, of which there must be one of these numbers."""
        arrays = self._weights.get(self._prefix + layer.name, ())
        if len(arrays) not in counts:
            shapes = [array.shape for array in arrays]
            raise layer.refused(
                f"the layer must have {' or '.join(map(str, counts))} weights", shapes=shapes
            )
        return arrays

    def add(
        self,
        layer: Layer,
        module: nn.Module,
        reads: Value | Sequence[Value],
        shape: tuple[int | None, ...],
        order: Any = None,
        part: str = "",
    ) -> Value:
        """Append a module for a layer (for its `part`, where it takes several).

        A layer that is used again with inputs like the first time's keeps its module.
        """
        reads = (reads,) if isinstance(reads, Value) else tuple(reads)
        if math.prod(size or 1 for size in shape) > _ELEMENTS:
            raise layer.refused(f"a value must have at most {_ELEMENTS} elements", shape=shape)
        name = self._prefix + layer.name + (f"_{part}" if part else "")
        key = name, tuple((value.shape, value.order) for value in reads)
        module = self._modules.setdefault(key, module)
        self._values += 1
        value = Value(f"{name}:{self._values}", shape, order)
        self._net.append(name, module, [read.name for read in reads], value.name)
        return value

    def plain(self, layer: Layer, value: Value) -> Value:
        """Return a value with its elements in Keras's order, axis for axis."""
        if value.is_maps and self.channels_last:
            return self.add(layer, nn.Permute(0, 2, 3, 1), value, value.shape, part="hwc")
        if value.order is not None:
            module = Reorder(np.argsort(features(value.order)))
            return self.add(layer, module, value, value.shape, part="order")
        return value

    # The walk.

    def _run(self, model: Model, inputs: Sequence[Value]) -> list[Value]:
        """Append the layers of a network; return its outputs."""
        if len(inputs) != len(model.inputs):
            raise refuse(
                "a network must be given all its inputs",
                inputs=[ref.layer for ref in model.inputs],
                received=len(inputs),
            )
        at: dict[Ref, Value] = dict(zip(model.inputs, inputs, strict=True))
        for name, call in _ordered(model, at):
            layer = model.layers[name]
            reads = _look_up(at, layer.calls[call - layer.first])
            for result, value in enumerate(self._call(layer, reads)):
                at[Ref(name, call, result)] = value
        return _look_up(at, model.outputs)

    def _call(self, layer: Layer, reads: list[Value]) -> list[Value]:
        from .layers import HANDLERS

        self._calls += 1
        if self._calls > _CALLS:
            raise layer.refused(
                f"a network must have at most {_CALLS} calls of layers", calls="more"
            )
        if layer.model is not None:
            outside = self._prefix
            self._prefix += f"{layer.name}/"
            try:
                return self._run(layer.model, reads)
            finally:
                self._prefix = outside
        if layer.kind not in HANDLERS:
            raise layer.refused(
                "the layer must be one that this library can build", class_name=layer.kind
            )
        if not reads:
            raise layer.refused("the layer must have an input", inputs=0)
        return [HANDLERS[layer.kind](self, layer, reads)]

    def _in_order(self, value: Value) -> Value:
        """Return an output of the network with its features in Keras's order."""
        return value if value.is_maps else self.plain(Layer("output", "Output", {}), value)


def _look_up(at: Mapping[Ref, Value], refs: Sequence[Ref]) -> list[Value]:
    missing = [tuple(ref) for ref in refs if ref not in at]
    if missing:
        raise refuse("values must be computed by the layers", missing=missing)
    return [at[ref] for ref in refs]


def _ordered(model: Model, known: Mapping[Ref, Value]) -> list[tuple[str, int]]:
    """Return the calls of all layers, each after those it reads, else in the file's order."""
    calls = [
        (name, layer.first + i)
        for name, layer in model.layers.items()
        for i in range(len(layer.calls))
    ]
    place = {call: i for i, call in enumerate(calls)}
    sorter: TopologicalSorter[int] = TopologicalSorter()
    for (name, number), i in place.items():
        layer = model.layers[name]
        sorter.add(i)
        for ref in layer.calls[number - layer.first]:
            made = place.get((ref.layer, ref.call))
            if made is not None:
                sorter.add(i, made)
            elif ref not in known:
                raise layer.refused("the layer must read what others compute", value=tuple(ref))
    try:
        sorter.prepare()
    except CycleError as error:
        circle = [calls[i][0] for i in error.args[1]]
        raise FormatError(
            f"keras: layers must not read each other in a circle ({circle})"
        ) from None
    ready: list[int] = []
    order = []
    while sorter.is_active():
        for i in sorter.get_ready():
            heapq.heappush(ready, i)
        i = heapq.heappop(ready)
        order.append(calls[i])
        sorter.done(i)
    return order


def _declared(layer: Layer) -> tuple[int | None, ...]:
    """Return the shape that an input declares, without the batch."""
    shape = layer.get("batch_shape", "batch_input_shape")
    if shape is None and isinstance(layer.get("shape"), list):
        shape = [None, *layer.config["shape"]]
    if (
        not isinstance(shape, list)
        or not 2 <= len(shape) <= 4
        or any(
            n is not None and (isinstance(n, bool) or not isinstance(n, int) or n < 1)
            for n in shape[1:]
        )
        or math.prod(n or 1 for n in shape[1:]) > _ELEMENTS
    ):
        raise layer.refused("an input must declare its shape", shape=shape)
    return tuple(shape[1:])


def _channels_last(model: Model) -> bool:
    """Return the order of axes, the same for all layers that have one."""
    found: dict[bool, Layer] = {}
    for layer in model.everywhere():
        # Flatten's says in which order it takes the elements, not how they lie.
        value = layer.get("data_format", "dim_ordering") if layer.kind != "Flatten" else None
        if value in ("channels_last", "tf"):
            found[True] = layer
        elif value in ("channels_first", "th"):
            found[False] = layer
        elif value not in (None, "default"):
            raise layer.refused("data_format must be known", data_format=value)
    if len(found) == 2:
        raise found[False].refused("all layers must have one data_format", others=found[True].name)
    return False not in found

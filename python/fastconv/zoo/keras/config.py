"""Keras's descriptions of networks, of all its versions in one form.

A description is JSON: {"class_name": ..., "config": ...}, where the config of a sequential network
is a list of layers (or holds one), and that of a functional one holds layers with "inbound_nodes",
the values that every call of the layer reads. What would be code, a Lambda or a class of the user,
is refused by name and never looked into.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, NamedTuple

from ..archive import FormatError

__all__ = ["Layer", "Model", "Ref", "model_of", "parse", "refuse"]

_FUNCTIONAL = ("Functional", "Model", "Network")
_MODELS = ("Sequential", *_FUNCTIONAL)
# Where Keras's own layers and networks have lived, so that `Add` is the layer and not the
# operation of the same name (keras.src.ops.numpy).
_MODULES = re.compile(
    r"(tensorflow\.|tf_)?(python\.)?keras"
    r"(\.src)?(\.(layers|engine|models|legacy)(\..*)?)?"
)


class Ref(NamedTuple):
    """A value: what call number `call` of a layer returned, and which of its results."""

    layer: str
    call: int
    result: int


@dataclass
class Layer:
    """A layer as configured; `calls` are the values that each use of it reads, from number `first`
    on."""

    name: str
    kind: str  # its class
    config: dict[str, Any]
    calls: list[tuple[Ref, ...]] = field(default_factory=list)
    first: int = 0
    model: Model | None = None  # where the layer is a network itself

    def get(self, *names: str, default: Any = None) -> Any:
        """Return the setting under the first name that is there: versions renamed many."""
        for name in names:
            if self.config.get(name) is not None:
                return self.config[name]
        return default

    def flag(self, *names: str, default: bool) -> bool:
        """Return a setting that is true or false."""
        value = self.get(*names, default=default)
        if not isinstance(value, bool):
            raise self.refused("a setting must be true or false", **{names[0]: value})
        return value

    def pair(self, *names: str, default: Any = 1) -> tuple[int, int]:
        """Return a setting that is (height, width), or one positive integer for both."""
        value = self.get(*names, default=default)
        pair = value if isinstance(value, (list, tuple)) else (value, value)
        if len(pair) != 2 or any(
            isinstance(n, bool) or not isinstance(n, int) or n < 1 for n in pair
        ):
            raise self.refused(
                "a setting must be one or two positive integers", **{names[0]: value}
            )
        return pair[0], pair[1]

    def number(self, *names: str, default: float) -> float:
        """Return a setting that is a number."""
        value = self.get(*names, default=default)
        if isinstance(value, dict) and isinstance(value.get("config"), dict):
            value = value["config"].get("value")  # Keras 3 wraps NumPy's numbers
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise self.refused("a setting must be a number", **{names[0]: value})
        return float(value)

    def refused(self, rule: str, **values: Any) -> FormatError:
        """Return the error that names this layer."""
        return refuse(f"layer {self.name!r} ({self.kind}): {rule}", **values)


@dataclass
class Model:
    """A network: its layers by name, inputs and outputs."""

    layers: dict[str, Layer]
    inputs: tuple[Ref, ...]
    outputs: tuple[Ref, ...]

    def everywhere(self) -> Iterator[Layer]:
        """Yield the layers, those of networks inside included."""
        for layer in self.layers.values():
            yield layer
            if layer.model is not None:
                yield from layer.model.everywhere()

    def paths(self, prefix: str = "") -> Iterator[str]:
        """Yield the names of all layers, those inside a network after its own and a slash."""
        for layer in self.layers.values():
            yield prefix + layer.name
            if layer.model is not None:
                yield from layer.model.paths(f"{prefix}{layer.name}/")


def refuse(rule: str, **values: Any) -> FormatError:
    """Return the error for a description that breaks a rule."""
    text = ", ".join(f"{name}={value!r}" for name, value in values.items())
    return FormatError(f"keras: {rule} ({text})")


def parse(content: str | bytes, source: str) -> Any:
    """Return JSON's content; FormatError if it is none."""
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"keras: {source} must be JSON (reason={error})") from error


def model_of(description: Any) -> Model:
    """Return the network that a whole description, as `parse` returns it, is of."""
    try:
        model = _model(_of_layer(description, "model"))
        paths = list(model.paths())
    except RecursionError:
        raise FormatError("keras: networks must not be nested without end") from None
    if len(set(paths)) != len(paths):
        raise refuse(
            "layers must have names of their own", layers=len(paths), names=len(set(paths))
        )
    return model


def _model(layer: Layer) -> Model:
    if layer.kind == "Sequential":
        return _sequential(layer)
    if layer.kind in _FUNCTIONAL and "layers" in layer.config:
        return _functional(layer)
    raise layer.refused("the network must be sequential or functional", class_name=layer.kind)


def _of_layer(entry: Any, fallback: str) -> Layer:
    """Return a layer without its calls."""
    if not isinstance(entry, dict) or not isinstance(entry.get("class_name"), str):
        raise refuse("a layer must have a class_name", entry=str(entry)[:80])
    kind, config = entry["class_name"], entry.get("config")
    if kind == "Sequential" and isinstance(config, list):
        config = {"layers": config}  # before 2.2.3
    if not isinstance(config, dict):
        raise refuse("a layer must have a config", class_name=kind, config=config)
    name = config.get("name") or entry.get("name") or fallback
    if not isinstance(name, str):
        raise refuse("a layer's name must be a text", class_name=kind, name=name)
    layer = Layer(name, kind, config)
    module, registered = entry.get("module"), entry.get("registered_name")
    if (module is not None and not (isinstance(module, str) and _MODULES.fullmatch(module))) or (
        isinstance(registered, str) and ">" in registered
    ):
        raise layer.refused(
            "the layer must be one of Keras's own", module=module, registered_name=registered
        )
    return layer


def _listed(layer: Layer) -> list[tuple[Layer, dict[str, Any]]]:
    """Return the layers of a network, those that are networks with what is inside."""
    entries = layer.config.get("layers")
    if not isinstance(entries, list) or not entries:
        raise layer.refused("a network must have a list of layers", layers=entries)
    listed = []
    names = set()
    for number, entry in enumerate(entries):
        part = _of_layer(entry, f"{layer.name}_{number}")
        if part.name in names:
            raise layer.refused("layers must have names of their own", name=part.name)
        names.add(part.name)
        if part.kind in _MODELS:
            part.model = _model(part)
        listed.append((part, entry))
    return listed


def _sequential(network: Layer) -> Model:
    layers = [layer for layer, _ in _listed(network)]
    if layers[0].kind != "InputLayer":
        shape = _input_shape(layers[0]) or network.config.get("build_input_shape")
        name = f"{layers[0].name}_input"
        layers.insert(0, Layer(name, "InputLayer", {"batch_shape": shape}))
    for before, layer in pairwise(layers):
        layer.calls.append((Ref(before.name, 0, 0),))
    return Model(
        {layer.name: layer for layer in layers},
        (Ref(layers[0].name, 0, 0),),
        (Ref(layers[-1].name, 0, 0),),
    )


def _input_shape(layer: Layer) -> Any:
    """Return the shape, batch included, that the first layer of a sequential network is given."""
    if layer.model is not None and layer.model.inputs:
        return _input_shape(layer.model.layers[layer.model.inputs[0].layer])
    shape = layer.get("batch_shape", "batch_input_shape")
    if shape is None and isinstance(layer.get("input_shape"), list):
        shape = [None, *layer.config["input_shape"]]
    if shape is None and layer.get("input_dim") is not None:
        shape = [None, layer.config["input_dim"]]
    return shape


def _functional(network: Layer) -> Model:
    layers = {}
    for layer, entry in _listed(network):
        nodes = entry.get("inbound_nodes", [])
        if not isinstance(nodes, list):
            raise layer.refused("inbound_nodes must be a list", inbound_nodes=nodes)
        layer.calls = [_call(layer, node) for node in nodes]
        layers[layer.name] = layer
    inputs = _ends(network, "input_layers")
    outputs = _ends(network, "output_layers")
    _number_calls(layers, outputs)
    for ref in (*inputs, *outputs, *(r for x in layers.values() for c in x.calls for r in c)):
        if ref.layer not in layers:
            raise network.refused("values must come from the network's layers", layer=ref.layer)
    for ref in inputs:
        if layers[ref.layer].kind != "InputLayer":
            raise network.refused("inputs must be InputLayers", layer=ref.layer)
    return Model(layers, inputs, outputs)


def _number_calls(layers: dict[str, Layer], outputs: tuple[Ref, ...]) -> None:
    """Let the calls of networks inside begin at 1 where Keras counts their making as call 0."""
    read = [ref for layer in layers.values() for call in layer.calls for ref in call]
    for layer in layers.values():
        if layer.model is not None:
            numbers = {ref.call for ref in (*read, *outputs) if ref.layer == layer.name}
            layer.first = int(0 not in numbers and max(numbers, default=0) == len(layer.calls))


def _ends(network: Layer, key: str) -> tuple[Ref, ...]:
    """Return the values in input_layers or output_layers: one, or a list, or names with them."""
    ends = network.config.get(key)
    if isinstance(ends, dict):
        ends = list(ends.values())
    if isinstance(ends, list) and ends and isinstance(ends[0], str):
        ends = [ends]
    if not isinstance(ends, list) or not ends:
        raise network.refused("a network must have inputs and outputs", **{key: ends})
    return tuple(_ref(network, end) for end in ends)


def _call(layer: Layer, node: Any) -> tuple[Ref, ...]:
    """Return the values that one of a layer's inbound nodes reads."""
    if isinstance(node, dict):  # Keras 3
        args = node.get("args")
        if not isinstance(args, list) or _tensors(node.get("kwargs")):
            raise layer.refused("the inputs of a call must be its arguments", node=str(node)[:80])
        read = []
        for arg in args:
            for tensor in arg if isinstance(arg, list) else [arg]:
                if not isinstance(tensor, dict) or tensor.get("class_name") != "__keras_tensor__":
                    raise layer.refused("a layer must read tensors alone", found=str(tensor)[:80])
                config = tensor.get("config")
                read.append(_ref(layer, config.get("keras_history") if config else None))
        return tuple(read)
    if not isinstance(node, list):
        raise layer.refused("an inbound node must be a list", node=node)
    if node and isinstance(node[0], str):
        node = [node]
    for value in node:
        if isinstance(value, list) and len(value) > 3 and _references(value[3]):
            raise layer.refused("the inputs of a call must be its arguments", node=str(node)[:80])
    return tuple(_ref(layer, value) for value in node)


def _tensors(value: Any) -> bool:
    """Whether there is a tensor in the keyword arguments of a call."""
    if isinstance(value, dict):
        found = value.get("class_name") == "__keras_tensor__"
        return found or any(map(_tensors, value.values()))
    return isinstance(value, list) and any(map(_tensors, value))


def _references(kwargs: Any) -> bool:
    """Whether a keyword argument of a call is another layer's result, as [name, 0, 0]."""
    values = kwargs.values() if isinstance(kwargs, dict) else ()
    return any(isinstance(v, list) and len(v) >= 3 and isinstance(v[0], str) for v in values)


def _ref(layer: Layer, value: Any) -> Ref:
    if (
        not isinstance(value, list)
        or len(value) < 3
        or not isinstance(value[0], str)
        or not all(isinstance(n, int) and not isinstance(n, bool) and n >= 0 for n in value[1:3])
    ):
        raise layer.refused("a value must be [layer, call, result]", value=value)
    return Ref(value[0], value[1], value[2])

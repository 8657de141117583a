"""The layers of a network while it is built, joined where the file has them in pieces."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ... import nn

__all__ = ["Emitter", "Layer", "Scale"]

_Vector = NDArray[np.float32]


@dataclass
class Scale:
    """A factor and a summand a channel, before it is known whether another layer takes them up."""

    weight: _Vector | None
    bias: _Vector | None


@dataclass
class Layer:
    name: str
    module: nn.Module | Scale
    reads: list[str]
    writes: str


class Emitter:
    """Collects layers, each writing a value of its own."""

    def __init__(self) -> None:
        self.layers: list[Layer] = []
        self._taken: set[str] = set()

    def emit(self, name: str, module: nn.Module | Scale, *reads: str) -> str:
        """Add a layer; return the name of the value that it writes."""
        writes, number = name, 1
        while writes in self._taken:
            number += 1
            writes = f"{name}_{number}"
        self._taken.add(writes)
        self.layers.append(Layer(name, module, list(reads), writes))
        return writes

    def reserve(self, name: str) -> None:
        """Keep a name for an input."""
        self._taken.add(name)

    def writer(self, value: str) -> Layer | None:
        """Return the layer that writes a value; None for inputs."""
        return next((layer for layer in reversed(self.layers) if layer.writes == value), None)

    def network(self, inputs: Sequence[str], outputs: Sequence[str]) -> nn.GraphModule:
        """Return the network, without layers that the outputs do not need."""
        layers = _joined(_needed(self.layers, outputs), outputs)
        net = nn.GraphModule(inputs, outputs)
        for layer in layers:
            module = layer.module
            if isinstance(module, Scale):
                module = _affine(module)
            net.append(layer.name, module, layer.reads, layer.writes)
        return net


def _needed(layers: list[Layer], outputs: Sequence[str]) -> list[Layer]:
    needed, kept = set(outputs), []
    for layer in reversed(layers):
        if layer.writes in needed:
            needed.update(layer.reads)
            kept.append(layer)
    return kept[::-1]


def _joined(layers: list[Layer], outputs: Sequence[str]) -> list[Layer]:
    """Return layers of which zero padding and biases have become parts of the convolutions."""
    uses = Counter([value for layer in layers for value in layer.reads] + list(outputs))
    kept: dict[str, Layer] = {}  # by what they write
    for layer in layers:
        before = kept.get(layer.reads[0]) if uses[layer.reads[0]] == 1 else None
        if before is not None and _takes_up(before, layer):
            del kept[before.writes]
            joined = before if isinstance(layer.module, Scale) else layer
            layer = Layer(joined.name, joined.module, before.reads, layer.writes)
        kept[layer.writes] = layer
    return list(kept.values())


def _takes_up(before: Layer, layer: Layer) -> bool:
    """Make one of the two layers do both's work if that can be; return whether it does."""
    first, second = before.module, layer.module
    if isinstance(second, Scale):
        if isinstance(first, Scale):
            _chain(first, second)
            return True
        if not isinstance(first, (nn.Conv2d, nn.Linear)) or first.bias is not None:
            return False
        if second.weight is not None or second.bias is None:
            return False
        first.bias = nn.Parameter(second.bias)
        return True
    if not isinstance(first, nn.ZeroPad2d) or not isinstance(second, nn.Conv2d):
        return False
    if second.padding != (0, 0):
        return False
    (top, bottom), (left, right) = first.padding
    second.padding = (top, left) if top == bottom and left == right else first.padding
    return True


def _chain(first: Scale, second: Scale) -> None:
    """Make the first scaling do the second's work, too."""
    if second.weight is not None:
        first.weight = second.weight if first.weight is None else first.weight * second.weight
        first.bias = None if first.bias is None else first.bias * second.weight
    if second.bias is not None:
        first.bias = second.bias if first.bias is None else first.bias + second.bias


def _affine(scale: Scale) -> nn.Affine:
    given = scale.weight if scale.weight is not None else scale.bias
    assert given is not None
    affine = nn.Affine(len(given), bias=scale.bias is not None)
    if scale.weight is not None:
        affine.weight = nn.Parameter(scale.weight)
    if scale.bias is not None:
        affine.bias = nn.Parameter(scale.bias)
    return affine

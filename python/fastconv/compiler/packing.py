"""Packed weights: made once for each layer, shared by the networks of all batch sizes."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import _core
from .graph import Node
from .weight import Weight

__all__ = ["Packer"]

# What a network can count on of a cache that all cores and programs share.
_CACHE_BYTES = 32 << 20


class Packer:
    """Packs the weights of nodes.

    `winograd` allows the algorithms that multiply less, `weights` is the type that linear layers
    keep theirs in, "fp32" or "bf16". `parameters` is the size of the network: the weights of a
    small one stay in a cache from run to run.
    """

    def __init__(self, *, winograd: bool, weights: str, parameters: int) -> None:
        self._weights_stay = 4 * parameters <= _CACHE_BYTES
        self._winograd = winograd
        self._weights = weights
        self._convolutions: dict[Weight, dict[str, _core.PackedConv2d]] = {}
        self._linears: dict[Weight, _core.PackedLinear] = {}
        self._algorithms: dict[Node, str] = {}

    def conv2d(self, node: Node) -> _core.PackedConv2d:
        """Return a convolution's packed weights, for the batch and the picture that it reads."""
        weight = node["weight"]
        known = self._convolutions.setdefault(weight, {})
        # The algorithm depends on the sizes, but only 3x3 kernels have a choice.
        choice = self._winograd and weight.shape[2:] == (3, 3) and node.output.shape[0] > 0
        if known and not choice:
            packed = next(iter(known.values()))
        else:
            packed = self._pack(node)
            packed = known.setdefault(packed.algorithm, packed)
        self._algorithms[node] = packed.algorithm
        return packed

    def linear(self, node: Node) -> _core.PackedLinear:
        """Return a linear layer's packed weights."""
        weight = node["weight"]
        packed = self._linears.get(weight)
        if packed is None:
            packed = _core.PackedLinear(
                weight.array(), _bias(node), node["activation"], self._weights
            )
            self._linears[weight] = packed
        return packed

    def algorithm(self, node: Node) -> str:
        """Return how a convolution computes, or what a linear layer has instead of fp32."""
        if node.op == "linear" and self._weights != "fp32":
            return self._weights
        return self._algorithms.get(node, "")

    def _pack(self, node: Node) -> _core.PackedConv2d:
        (top, bottom), (left, right) = node["padding"]
        batch, _, height, width = node.inputs[0].shape
        return _core.PackedConv2d(
            node["weight"].array(),
            _bias(node),
            node["stride"],
            (top, bottom, left, right),
            node["dilation"],
            node["groups"],
            node["activation"],
            "fastest" if self._winograd else "direct",
            batch,
            (height, width),
            self._weights_stay,
        )


def _bias(node: Node) -> Any:
    return None if node["bias"] is None else node["bias"].astype(np.float32)

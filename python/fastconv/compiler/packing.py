"""Packed weights: made once for each layer, shared by the networks of all batch sizes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from .. import _core
from .graph import Node
from .weight import Weight

__all__ = ["Packer", "choice_key"]

_FEW_CHANNELS = 8

# For kernels of so many strides (rounded up) each way the core has more than one algorithm.
_WINOGRAD_STRIDES = (3, 4, 5)


class Packer:
    """Packs the weights of nodes.

    `winograd` allows the algorithms that multiply less, `weights` is the type that linear layers
    keep theirs in, "fp32" or "bf16". `parameters` is the size of the network: the weights of a
    small one stay in a cache from run to run. `choices` has the algorithms that were tuned, by
    choice_key; an estimate chooses the others.
    """

    def __init__(
        self,
        *,
        winograd: bool,
        weights: str,
        parameters: int,
        choices: Mapping[str, str] | None = None,
    ) -> None:
        self._choices = choices or {}
        self._forced: str | None = None
        self._weights_stay = 4 * parameters <= _core.kept_weight_bytes()
        self._winograd = winograd
        self._weights = weights
        self._convolutions: dict[Weight, dict[str, _core.PackedConv2d]] = {}
        self._linears: dict[Weight, _core.PackedLinear] = {}
        self._pooled: dict[Weight, _core.PooledConv2d] = {}
        self._algorithms: dict[Node, str] = {}

    def conv2d(self, node: Node) -> _core.PackedConv2d:
        """Return a convolution's packed weights, for the batch and the picture that it reads."""
        weight = node["weight"]
        known = self._convolutions.setdefault(weight, {})
        by_size = len(self.candidates(node)) > 1 or (self._winograd and _has_few_outputs(node))
        if known and not by_size:
            packed = next(iter(known.values()))
        else:
            packed = self._pack(node)
            packed = known.setdefault(packed.algorithm, packed)
        self._algorithms[node] = packed.algorithm
        return packed

    def candidates(self, node: Node) -> tuple[str, ...]:
        """Return the algorithms that compute a convolution; which is best depends on its size.

        More than one if Winograd's do, too. Few output channels have no choice: the core has an
        answer of its own for them.
        """
        if node.op != "conv2d" or not self._winograd or node.output.shape[0] == 0:
            return ("direct",)
        channels = node.inputs[0].shape[1]
        depthwise = node["groups"] == channels == node.output.shape[1] > 1
        (kernel, width), (stride, across) = node["weight"].shape[2:], node["stride"]
        square = kernel == width and stride == across and node["dilation"] == (1, 1)
        strides = -(-kernel // stride)
        fits = square and strides in _WINOGRAD_STRIDES
        if not fits or depthwise or _has_few_outputs(node):
            return ("direct",)
        return ("direct", "winograd2", "winograd4", *(["winograd6"] if strides == 3 else []))

    def is_winograds(self, node: Node) -> bool:
        """Whether an estimate takes one of Winograd's algorithms for a convolution."""
        if len(self.candidates(node)) == 1:
            return False
        (top, bottom), (left, right) = node["padding"]
        batch, _, height, width = node.inputs[0].shape
        algorithm = _core.fastest_conv2d(
            node["weight"].shape,
            node["stride"],
            (top, bottom, left, right),
            node["dilation"],
            node["groups"],
            batch,
            (height, width),
            self._weights_stay,
        )
        return algorithm != "direct"

    def force(self, algorithm: str) -> None:
        """Pack what has a choice for one algorithm from now on."""
        self._forced = algorithm

    def pooled_conv2d(self, node: Node) -> _core.PooledConv2d:
        """Return the packed weights of a convolution that pools its result."""
        packed = self._pooled.get(node["weight"])
        if packed is None:
            (top, bottom), (left, right) = node["padding"]
            sides = (top, bottom, left, right)
            packed = _core.PooledConv2d(
                node["weight"].array(),
                _bias(node),
                sides,
                node["activation"],
                "fastest" if self._winograd else "direct",
            )
            self._pooled[node["weight"]] = packed
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
            self._algorithm_for(node),
            batch,
            (height, width),
            self._weights_stay,
        )

    def _algorithm_for(self, node: Node) -> str:
        if not self._winograd:
            return "direct"
        candidates = self.candidates(node)
        if len(candidates) == 1:
            return "fastest"
        if self._forced is not None:
            return self._forced if self._forced in candidates else "direct"
        return self._choices.get(choice_key(node), "fastest")


def choice_key(node: Node) -> str:
    """Return what the best algorithm of a convolution depends on, for people and tuning files."""
    batch, channels, height, width = node.inputs[0].shape
    kernel, stride = node["weight"].shape[2], node["stride"][0]
    window = f"{kernel}x{kernel}" + (f"/{stride}" if stride > 1 else "")
    (top, bottom), (left, right) = node["padding"]
    return (
        f"conv2d {window} {channels}->{node.output.shape[1]}, groups {node['groups']}, "
        f"padding {top},{bottom},{left},{right}, input {batch}x{height}x{width}"
        + (", max pool" if node.get("pools") else "")
    )


def _has_few_outputs(node: Node) -> bool:
    return bool(node.output.shape[1] // node["groups"] <= _FEW_CHANNELS)


def _bias(node: Node) -> Any:
    return None if node["bias"] is None else node["bias"].astype(np.float32)

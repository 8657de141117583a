"""Which function converts which operator."""

from __future__ import annotations

from collections.abc import Callable

from ...nn import Module
from .node import Node

__all__ = ["CONVERTERS", "Converter", "converts"]

Converter = Callable[[Node], Module]

# By name of the operator in ONNX's own domain. A converter reads the opset's number off the node.
CONVERTERS: dict[str, Converter] = {}


def converts(*operators: str) -> Callable[[Converter], Converter]:
    """Register a converter: Node -> the layer that computes it from the inputs not taken."""

    def register(function: Converter) -> Converter:
        for operator in operators:
            CONVERTERS[operator] = function
        return function

    return register

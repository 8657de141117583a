"""Arithmetic on arrays of one shape."""

from __future__ import annotations

from ._arguments import Activation, Array, require_float, require_shape
from .activation import apply_activation

__all__ = ["add"]


def add(x: Array, y: Array, *, activation: Activation = None) -> Array:
    """activation(x + y); x and y have the same shape."""
    require_float("add", x=x, y=y)
    require_shape("add", x.shape, y=y)
    return apply_activation("add", x + y, activation)

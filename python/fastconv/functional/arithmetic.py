"""Arithmetic on arrays of one shape."""

from __future__ import annotations

from fastconv import _core
from fastconv.functional import _arrays
from fastconv.functional._arrays import Array
from fastconv.functional._order import pair
from fastconv.functional.activation import Activation

__all__ = ["add"]


def add(x: Array, y: Array, *, activation: Activation = None) -> Array:
    """activation(x + y), for x and y of one shape; the end of a residual block in one pass.

    activation is None, "relu", ("leaky_relu", slope) or ("clip", min, max). The result has x's
    memory order. Raises TypeError for anything but float32 arrays, ValueError for two shapes.
    """
    x, y = pair("add", x=x, y=y)
    out = _arrays.empty_like(x)
    _core.add(_arrays.flat(x), _arrays.flat(y), activation, _arrays.flat(out))
    return out

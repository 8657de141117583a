"""Memory order: an array in C order, and two arrays in one order."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastconv import _core
from fastconv.functional import _arrays
from fastconv.functional._arrays import Array

__all__ = ["contiguous", "pair"]

_NHWC = (0, 2, 3, 1)


def contiguous(x: Array) -> Array:
    """The array in C order; `x` itself if it is so already."""
    if x.flags.c_contiguous:
        return x
    if x.ndim == 4 and x.transpose(_NHWC).flags.c_contiguous:
        out = _arrays.empty((x.size,)).reshape(x.shape)
        _core.nhwc_to_nchw(x.transpose(_NHWC), out)
        return out
    return np.ascontiguousarray(x)


def pair(operation: str, **arrays: Any) -> tuple[Array, Array]:
    """Check two named arrays of one shape; the first, dense, and the second in its memory order."""
    (name, x), (other_name, y) = arrays.items()
    x = _arrays.dense(operation, name, x)
    y = _arrays.check(operation, other_name, y)
    if x.shape != y.shape:
        raise ValueError(
            f"{operation}: {name} and {other_name} must have the same shape "
            f"({name}={x.shape}, {other_name}={y.shape})"
        )
    if x.flags.c_contiguous:
        return x, contiguous(y)
    return x, _arrays.nchw(_arrays.nhwc(operation, other_name, y))

"""Moving elements: concatenation, padding, memory order.

All raise TypeError for anything but float32 arrays and ValueError for shapes that do not fit.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fastconv import _core
from fastconv.functional import _arrays
from fastconv.functional._arrays import Array
from fastconv.functional._geometry import Padding, sides
from fastconv.functional._order import contiguous
from fastconv.functional._scalars import integer, number

__all__ = ["concat", "pad", "pad_backward", "to_channels_last", "to_contiguous"]

_NHWC = (0, 2, 3, 1)


def concat(xs: Sequence[Array], dim: int = 1) -> Array:
    """Join arrays of equal shape but for axis `dim` along that axis; four axes: channels-last."""
    arrays = [_arrays.check("concat", f"xs[{i}]", x) for i, x in enumerate(xs)]
    if not arrays:
        raise ValueError("concat: at least one array is needed (arrays=0)")
    first = arrays[0]
    axis = integer("concat", "dim", dim)
    if not -first.ndim <= axis < first.ndim:
        raise ValueError(
            f"concat: dim must be an axis of the arrays (dim={dim}, xs[0]={first.shape})"
        )
    axis %= first.ndim
    for i, x in enumerate(arrays):
        expected = (*first.shape[:axis], *x.shape[axis : axis + 1], *first.shape[axis + 1 :])
        if x.shape != expected:
            raise ValueError(
                f"concat: arrays must agree in all axes but dim "
                f"(dim={dim}, xs[0]={first.shape}, xs[{i}]={x.shape})"
            )
    size = sum(x.shape[axis] for x in arrays)
    out = _arrays.empty((*first.shape[:axis], size, *first.shape[axis + 1 :]))
    if out.ndim == 4:
        arrays = [_arrays.nhwc("concat", f"xs[{i}]", x) for i, x in enumerate(arrays)]
        _core.concat(arrays, _NHWC.index(axis), out.transpose(_NHWC))
    else:
        _core.concat([np.ascontiguousarray(x) for x in arrays], axis, out)
    return out


def pad(x: Array, padding: Padding, value: float = 0.0) -> Array:
    """Surround each plane with `value`: (N, C, H, W) -> (N, C, top+H+bottom, left+W+right).

    padding is an int for all sides, (vertical, horizontal) or ((top, bottom), (left, right)).
    """
    view = _arrays.nhwc("pad", "x", x)
    top, bottom, left, right = around = _sides("pad", padding)
    n, h, w, c = view.shape
    out = _arrays.empty((n, c, top + h + bottom, left + w + right))
    _core.pad(view, around, number("pad", "value", value), out.transpose(_NHWC))
    return out


def pad_backward(grad_output: Array, padding: Padding) -> Array:
    """Gradient of `pad`: the part of grad_output (N, C, H, W) inside the padding."""
    view = _arrays.nhwc("pad_backward", "grad_output", grad_output)
    top, bottom, left, right = around = _sides("pad_backward", padding)
    n, h, w, c = view.shape
    if h < top + bottom or w < left + right:
        raise ValueError(
            f"pad_backward: grad_output must be as large as its padding "
            f"(grad_output={grad_output.shape}, padding={padding})"
        )
    out = _arrays.empty((n, c, h - top - bottom, w - left - right))
    _core.pad_backward(view, around, out.transpose(_NHWC))
    return out


def to_channels_last(x: Array) -> Array:
    """x (N, C, H, W) with its memory in (N, H, W, C) order; x itself if it is so already."""
    x = _arrays.check("to_channels_last", "x", x, 4)
    if x.transpose(_NHWC).flags.c_contiguous:
        return x
    return _arrays.nchw(_arrays.nhwc("to_channels_last", "x", x))


def to_contiguous(x: Array) -> Array:
    """x, of any shape, with its memory in C order; x itself if it is so already."""
    return contiguous(_arrays.check("to_contiguous", "x", x))


def _sides(operation: str, padding: Padding) -> tuple[int, int, int, int]:
    top, bottom, left, right = sides(operation, padding)
    if min(top, bottom, left, right) < 0:
        raise ValueError(f"{operation}: padding must not be negative (padding={padding})")
    return top, bottom, left, right

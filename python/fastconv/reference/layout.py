"""Moving elements: concatenation, padding, memory order."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ._arguments import Array, Padding, invalid, padding_pairs, require_float, require_ndim

__all__ = ["concat", "pad", "pad_backward", "to_channels_last", "to_contiguous"]


def concat(xs: Sequence[Array], dim: int = 1) -> Array:
    """Join arrays along axis `dim`; all other axes agree."""
    if not xs:
        raise invalid("concat", "at least one array is needed", arrays=0)
    first = xs[0]
    for x in xs:
        require_float("concat", x=x)
    if not -first.ndim <= dim < first.ndim:
        raise invalid("concat", "dim must be an axis of the arrays", dim=dim, shape=first.shape)
    axis = dim % first.ndim
    for x in xs:
        others = [s[:axis] + s[axis + 1 :] for s in (x.shape, first.shape)]
        if x.ndim != first.ndim or others[0] != others[1]:
            rule = "arrays must agree in all axes but dim"
            raise invalid("concat", rule, dim=dim, first=first.shape, other=x.shape)
    return np.concatenate(xs, axis)


def pad(x: Array, padding: Padding, value: float = 0.0) -> Array:
    """Surround each plane with `value`: (N, C, H, W) -> (N, C, top+H+bottom, left+W+right)."""
    require_float("pad", x=x)
    require_ndim("pad", 4, x=x)
    vertical, horizontal = padding_pairs("pad", padding)
    return np.pad(x, ((0, 0), (0, 0), vertical, horizontal), constant_values=value)


def pad_backward(grad_output: Array, padding: Padding) -> Array:
    """Gradient of pad: the part inside the padding."""
    require_float("pad_backward", grad_output=grad_output)
    require_ndim("pad_backward", 4, grad_output=grad_output)
    (top, bottom), (left, right) = padding_pairs("pad_backward", padding)
    height, width = grad_output.shape[2:]
    if height < top + bottom or width < left + right:
        values = {"grad_output": grad_output.shape, "padding": padding}
        raise invalid("pad_backward", "grad_output must be as large as its padding", **values)
    inside: Array = grad_output[:, :, top : height - bottom, left : width - right].copy()
    return inside


def to_channels_last(x: Array) -> Array:
    """x (N, C, H, W) with memory in N, H, W, C order; not copied if it is so already."""
    require_float("to_channels_last", x=x)
    require_ndim("to_channels_last", 4, x=x)
    y: Array = np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    return y


def to_contiguous(x: Array) -> Array:
    """x with its last axis innermost in memory (C order); x itself if it is so already."""
    require_float("to_contiguous", x=x)
    return x if x.flags.c_contiguous else x.copy(order="C")

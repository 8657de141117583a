"""What moves elements: padding, slices, and the like."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....autograd import Function, Tensor, ops

__all__ = [
    "concat",
    "expand",
    "flatten",
    "gather",
    "pad",
    "place",
    "reshape",
    "slice_",
    "split",
    "squeeze",
    "tile",
    "to_shape",
    "transpose",
    "unsqueeze",
]


class _Pad(Function):
    """With one value; negative numbers cut off."""

    @staticmethod
    def forward(ctx: Any, x: NDArray[Any], pads: Any, value: Any) -> Any:
        ctx.cut = tuple(
            slice(max(-before, 0), size - max(-after, 0))
            for (before, after), size in zip(pads, x.shape, strict=True)
        )
        ctx.shape = x.shape
        widths = [(max(before, 0), max(after, 0)) for before, after in pads]
        ctx.inside = tuple(
            slice(before, before + max(s.stop - s.start, 0))
            for (before, _), s in zip(widths, ctx.cut, strict=True)
        )
        return np.pad(x[ctx.cut], widths, constant_values=value)

    @staticmethod
    def backward(ctx: Any, grad: NDArray[Any]) -> Any:
        out = np.zeros(ctx.shape, grad.dtype)
        out[ctx.cut] = grad[ctx.inside]
        return out


class _Place(Function):
    """The opposite of x[key]: into zeros."""

    @staticmethod
    def forward(ctx: Any, x: NDArray[Any], shape: tuple[int, ...], key: Any) -> Any:
        ctx.key = key
        out = np.zeros(shape, x.dtype)
        out[key] = x
        return out

    @staticmethod
    def backward(ctx: Any, grad: NDArray[Any]) -> Any:
        return grad[ctx.key]


def integers(x: Tensor | Sequence[int]) -> list[int]:
    """Return the elements of a tensor of whole numbers, or of a sequence."""
    if not isinstance(x, Tensor):
        return list(x)
    if x.dtype.kind not in "iu":
        raise TypeError(f"sizes and axes must be integers (dtype={x.dtype})")
    return [int(value) for value in x.data.reshape(-1)]


def _axis(axis: int, ndim: int) -> int:
    if not -ndim <= axis < max(ndim, 1):
        raise ValueError(f"axis must be one of the input's (axis={axis}, ndim={ndim})")
    return axis % max(ndim, 1)


def _one_axis(x: Tensor, axis: int, key: Any) -> Tensor:
    return ops.index(x, (slice(None),) * axis + (key,))


def pad(
    x: Tensor,
    pads: Tensor | Sequence[int],
    value: Tensor | float | None = None,
    axes: Tensor | Sequence[int] | None = None,
    *,
    mode: str = "constant",
) -> Tensor:
    """Pad, or with negative numbers cut, all axes or `axes`: (before..., after...)."""
    where = range(x.ndim) if axes is None else [_axis(a, x.ndim) for a in integers(axes)]
    numbers = integers(pads)
    if len(numbers) != 2 * len(where):
        raise ValueError(f"pads must be two numbers an axis (pads={numbers}, axes={list(where)})")
    sides = [(0, 0)] * x.ndim
    for i, axis in enumerate(where):
        sides[axis] = (numbers[i], numbers[len(where) + i])
    if mode == "constant":
        fill = value.data.reshape(-1)[0] if isinstance(value, Tensor) else value or 0
        planes = x.ndim == 4 and x.dtype == np.float32 and not any(map(any, sides[:2]))
        if planes and min(map(min, sides)) >= 0:
            return ops.pad(x, tuple(sides[2:]), float(fill))
        return _Pad.apply(x, tuple(sides), x.dtype.type(fill))
    for axis, (before, after) in enumerate(sides):
        if before or after:
            around = np.arange(x.shape[axis])[max(-before, 0) : x.shape[axis] - max(-after, 0)]
            widths: Any = (max(before, 0), max(after, 0))
            x = _one_axis(x, axis, np.pad(around, widths, mode=mode))  # type: ignore[call-overload]
    return x


def place(x: Tensor, shape: tuple[int, ...], key: Any) -> Tensor:
    """Return zeros of a shape in which x stands at [key]."""
    return _Place.apply(x, shape, key)


def reshape(x: Tensor, shape: Tensor | Sequence[int], *, allowzero: bool = False) -> Tensor:
    """Reshape; 0 keeps the input's size at that place unless `allowzero`."""
    sizes = integers(shape)
    if not allowzero:
        sizes = [x.shape[i] if size == 0 else size for i, size in enumerate(sizes)]
    return to_shape(x, sizes)


def to_shape(x: Tensor, sizes: Sequence[int]) -> Tensor:
    """Return x in another shape."""
    if x.ndim == 4 and x.dtype.kind != "f":  # that kernel is for pictures
        return Tensor(x.data.reshape(sizes))
    return ops.reshape(x, tuple(sizes))


def flatten(x: Tensor, *, axis: int) -> Tensor:
    """Return a matrix whose columns are the axes from `axis` on."""
    at = axis + x.ndim if axis < 0 else axis
    rows = int(np.prod(x.shape[:at], dtype=np.int64))
    return to_shape(x, (rows, x.size // rows if rows else 0))


def transpose(x: Tensor) -> Tensor:
    """Reverse the order of the axes."""
    return ops.permute(x, tuple(range(x.ndim))[::-1])


def squeeze(x: Tensor, axes: Tensor | Sequence[int] | None = None) -> Tensor:
    """Drop axes of size 1: all, or `axes`."""
    if axes is None:
        dropped = {i for i, size in enumerate(x.shape) if size == 1}
    else:
        dropped = {_axis(a, x.ndim) for a in integers(axes)}
    if any(x.shape[axis] != 1 for axis in dropped):
        raise ValueError(f"only axes of size 1 may be dropped (axes={axes}, shape={x.shape})")
    return to_shape(x, [size for i, size in enumerate(x.shape) if i not in dropped])


def unsqueeze(x: Tensor, axes: Tensor | Sequence[int]) -> Tensor:
    """Insert axes of size 1 where the result has `axes`."""
    numbers = integers(axes)
    ndim = x.ndim + len(numbers)
    new = {_axis(a, ndim) for a in numbers}
    if len(new) != len(numbers):
        raise ValueError(f"axes must differ (axes={numbers})")
    old = iter(x.shape)
    return to_shape(x, [1 if i in new else next(old) for i in range(ndim)])


def concat(*xs: Tensor, axis: int) -> Tensor:
    """Join tensors of any one type along an axis."""
    if all(x.dtype == np.float32 for x in xs):
        return ops.concat(xs, _axis(axis, xs[0].ndim))
    return Tensor(np.concatenate([x.data for x in xs], axis))


def split(
    x: Tensor, sizes: Tensor | Sequence[int] | None = None, *, axis: int, parts: int
) -> Tensor | tuple[Tensor, ...]:
    """Return parts of x along an axis: of these sizes, or of one size but for the last."""
    axis = _axis(axis, x.ndim)
    total = x.shape[axis]
    if sizes is None:
        size = -(-total // parts)
        lengths = [max(min(size, total - i * size), 0) for i in range(parts)]
    else:
        lengths = integers(sizes)
    if len(lengths) != parts or sum(lengths) != total or min(lengths) < 0:
        raise ValueError(f"parts must add up to the axis (split={lengths}, size={total})")
    found = tuple(
        _one_axis(x, axis, slice(end - size, end))
        for size, end in zip(lengths, itertools.accumulate(lengths), strict=True)
    )
    return found if parts > 1 else found[0]


def gather(x: Tensor, indices: Tensor, *, axis: int = 0) -> Tensor:
    """Return the slices of x along an axis that `indices`, of any shape, number."""
    axis = _axis(axis, x.ndim)
    if indices.dtype.kind not in "iu":
        raise TypeError(f"indices must be integers (dtype={indices.dtype})")
    return _one_axis(x, axis, indices.data)


def slice_(
    x: Tensor,
    starts: Tensor | Sequence[int],
    ends: Tensor | Sequence[int],
    axes: Tensor | Sequence[int] | None = None,
    steps: Tensor | Sequence[int] | None = None,
) -> Tensor:
    """Return a part of x; ends beyond the axes are cut to them."""
    first, last = integers(starts), integers(ends)
    where = list(range(len(first))) if axes is None else integers(axes)
    by = [1] * len(first) if steps is None else integers(steps)
    if not len(first) == len(last) == len(where) == len(by) or 0 in by:
        raise ValueError(
            f"starts, ends, axes and steps must have one length and steps not be 0 "
            f"(starts={first}, ends={last}, axes={where}, steps={by})"
        )
    key = [slice(None)] * x.ndim
    for start, end, axis, step in zip(first, last, where, by, strict=True):
        at = _axis(axis, x.ndim)
        size = x.shape[at]
        # Negative ends count from the back, once: what is still negative lies before the start.
        start, end = (value + size if value < 0 else value for value in (start, end))
        if step > 0:
            key[at] = slice(min(max(start, 0), size), min(max(end, 0), size), step)
        else:
            end = min(max(end, -1), size - 1)
            key[at] = slice(min(max(start, 0), size - 1), None if end < 0 else end, step)
    return ops.index(x, tuple(key))


def expand(x: Tensor, shape: Tensor | Sequence[int]) -> Tensor:
    """Broadcast x against a shape."""
    sizes = np.broadcast_shapes(x.shape, tuple(integers(shape)))
    if x.dtype.kind == "f":
        return ops.mul(x, np.broadcast_to(np.ones((), x.dtype), sizes))
    return Tensor(np.broadcast_to(x.data, sizes))


def tile(x: Tensor, repeats: Tensor | Sequence[int]) -> Tensor:
    """Repeat x along every axis as often as `repeats` says."""
    times = integers(repeats)
    if len(times) != x.ndim:
        raise ValueError(f"repeats must have one number an axis (repeats={times}, x={x.shape})")
    for axis, count in enumerate(times):
        if count != 1:
            x = _one_axis(x, axis, np.tile(np.arange(x.shape[axis]), count))
    return x

"""Arrays at the door: checks types, brings memory into the layout that kernels want.

Kernels see C-ordered float32; pictures as (N, H, W, C). Arrays of this library have PyTorch's
shape (N, C, H, W) over that memory, so a transposed view is all it takes; any other layout costs
one copy.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastconv import _core

__all__ = ["Array", "check", "dense", "empty", "empty_like", "flat", "nchw", "nhwc", "vector"]

Array = NDArray[np.float32]

_FLOAT32 = np.dtype(np.float32)
_MAX_FLOATS = (2**63 - 1) // 4
_ALIGNED_FROM = 1024  # floats; NumPy's own memory is quicker to get and starts on 16 bytes


def check(operation: str, name: str, x: Any, rank: int | None = None) -> Array:
    """The array itself, once it is a float32 ndarray of the given rank."""
    if not isinstance(x, np.ndarray):
        kind = type(x).__name__
        hint = "; fastconv.autograd.ops takes tensors" if kind == "Tensor" else ""
        raise TypeError(f"{operation}: {name} must be a NumPy array{hint} (type={kind})")
    if x.dtype is not _FLOAT32 and x.dtype != _FLOAT32:  # one object in all but odd cases
        raise TypeError(
            f"{operation}: {name} must be float32; convert it with astype (dtype={x.dtype})"
        )
    if rank is not None and x.ndim != rank:
        raise ValueError(f"{operation}: {name} must have {rank} axes (shape={x.shape})")
    array: Array = x
    return array


def empty(shape: tuple[int, ...]) -> Array:
    """An uninitialised output: channels-last memory for four axes, C order otherwise."""
    size = math.prod(shape)
    # Of an empty array too, the other extents must make sense.
    if (size or math.prod(max(extent, 1) for extent in shape)) > _MAX_FLOATS:
        raise ValueError(f"the size of an array overflows 64 bits (shape={shape})")
    memory = _core.empty_floats(size) if size >= _ALIGNED_FROM else np.empty(size, np.float32)
    if len(shape) == 4:
        n, c, h, w = shape
        return nchw(memory.reshape(n, h, w, c))
    return memory.reshape(shape)


def nchw(x: Array) -> Array:
    """(N, H, W, C) memory seen as (N, C, H, W)."""
    view: Array = x.transpose(0, 3, 1, 2)
    return view


def nhwc(operation: str, name: str, x: Any) -> Array:
    """(N, C, H, W) in any layout -> a C-ordered (N, H, W, C) array; a view where memory allows."""
    view: Array = check(operation, name, x, 4).transpose(0, 2, 3, 1)
    if view.flags.c_contiguous:
        return view
    if x.flags.c_contiguous:
        out = np.empty(view.shape, np.float32)
        _core.nchw_to_nhwc(x, out)
        return out
    return np.ascontiguousarray(view)


def dense(operation: str, name: str, x: Any) -> Array:
    """An array that fills its memory in C or channels-last order; `x` itself if it does."""
    array = check(operation, name, x)
    if array.flags.c_contiguous:
        return array
    return nchw(nhwc(operation, name, x)) if array.ndim == 4 else np.ascontiguousarray(array)


def flat(x: Array) -> Array:
    """The memory of a dense array as one C-ordered axis, in memory order."""
    return (x if x.flags.c_contiguous else x.transpose(0, 2, 3, 1)).reshape(-1)


def empty_like(x: Array) -> Array:
    """An uninitialised output of a dense array's shape and memory order."""
    if x.ndim == 4 and not x.flags.c_contiguous:
        return empty(x.shape)
    return empty((x.size,)).reshape(x.shape)


def vector(operation: str, name: str, x: Any, length: int) -> Array:
    """A C-ordered vector of the given length."""
    if check(operation, name, x, 1).shape != (length,):
        raise ValueError(
            f"{operation}: {name} must have one value per channel "
            f"(expected={length}, shape={x.shape})"
        )
    return np.ascontiguousarray(x)

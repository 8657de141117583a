"""Values that are made of sizes and numbers, not of pictures."""

from __future__ import annotations

import math

import numpy as np

from ....autograd import Tensor
from ..model import MAX_BYTES
from .movement import integers

__all__ = ["constant", "filled", "range_", "shape", "size"]


def constant(*, value: np.ndarray) -> Tensor:
    """Return a value of the file."""
    return Tensor(value)


def filled(sizes: Tensor, *, value: np.generic) -> Tensor:
    """Return one value in an array of these sizes, which takes no memory."""
    shape = tuple(integers(sizes))
    if min(shape, default=1) < 0 or math.prod(shape) * value.itemsize > MAX_BYTES:
        raise ValueError(f"sizes must be sensible (shape={shape}, max_bytes={MAX_BYTES})")
    return Tensor(np.broadcast_to(value, shape))


def range_(start: Tensor, limit: Tensor, delta: Tensor) -> Tensor:
    """Return the numbers from start up to limit, by delta."""
    first, last, by = start.item(), limit.item(), delta.item()
    if by == 0 or (last - first) / by * start.dtype.itemsize > MAX_BYTES:
        raise ValueError(f"Range: numbers must be few (start={first}, limit={last}, delta={by})")
    return Tensor(np.arange(first, last, by).astype(start.dtype))


def shape(x: Tensor, *, start: int = 0, end: int | None = None) -> Tensor:
    """Return x's sizes from axis `start` to before `end`."""
    return Tensor(np.array(x.shape[slice(start, end)], np.int64))


def size(x: Tensor) -> Tensor:
    """Return the number of x's elements."""
    return Tensor(np.array(x.size, np.int64))

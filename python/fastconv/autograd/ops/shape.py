"""Operations that move elements and compute nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..function import Function

if TYPE_CHECKING:
    from ..tensor import Tensor

__all__ = [
    "concat",
    "flatten",
    "index",
    "pad",
    "permute",
    "reshape",
    "to_channels_last",
    "to_contiguous",
]


class Reshape(Function):
    @staticmethod
    def forward(ctx: Any, x: np.ndarray, shape: Any) -> np.ndarray:
        ctx.input_shape = x.shape
        # Feature maps lie channels-last in memory; NumPy would transpose them element by element.
        if x.ndim == 4:
            x = ctx.kernels.to_contiguous(x)
        out: np.ndarray = x.reshape(shape)
        return out

    @staticmethod
    def backward(ctx: Any, grad: np.ndarray) -> Any:
        return grad.reshape(ctx.input_shape)


class Concat(Function):
    @staticmethod
    def forward(ctx: Any, dim: int, *xs: np.ndarray) -> np.ndarray:
        out: np.ndarray = ctx.kernels.concat(xs, dim)
        ctx.dim = dim % out.ndim
        ctx.sizes = [x.shape[ctx.dim] for x in xs]
        return out

    @staticmethod
    def backward(ctx: Any, grad: np.ndarray) -> Any:
        before = (slice(None),) * ctx.dim
        grads: list[np.ndarray | None] = [None]  # of dim
        start = 0
        for size in ctx.sizes:
            here = (*before, slice(start, start + size))
            grads.append(grad[here])
            start += size
        return tuple(grads)


class Index(Function):
    @staticmethod
    def forward(ctx: Any, x: np.ndarray, key: Any) -> Any:
        ctx.input_shape, ctx.key = x.shape, key
        return x[key]

    @staticmethod
    def backward(ctx: Any, grad: np.ndarray) -> Any:
        out = np.zeros(ctx.input_shape, grad.dtype)
        np.add.at(out, ctx.key, grad)  # an array of indices may name an element twice
        return out


class Permute(Function):
    @staticmethod
    def forward(ctx: Any, x: np.ndarray, dims: tuple[int, ...]) -> np.ndarray:
        ctx.dims = tuple(dim % x.ndim for dim in dims)
        out: np.ndarray = x.transpose(dims)
        return out

    @staticmethod
    def backward(ctx: Any, grad: np.ndarray) -> Any:
        return grad.transpose(np.argsort(ctx.dims)), None


class Pad(Function):
    @staticmethod
    def forward(ctx: Any, x: np.ndarray, padding: Any, value: float) -> np.ndarray:
        ctx.padding = padding
        out: np.ndarray = ctx.kernels.pad(x, padding, value)
        return out

    @staticmethod
    def backward(ctx: Any, grad: np.ndarray) -> Any:
        return ctx.kernels.pad_backward(grad, ctx.padding)


class ToChannelsLast(Function):
    @staticmethod
    def forward(ctx: Any, x: np.ndarray) -> np.ndarray:
        out: np.ndarray = ctx.kernels.to_channels_last(x)
        return out

    @staticmethod
    def backward(ctx: Any, grad: np.ndarray) -> Any:
        return grad


class ToContiguous(Function):
    @staticmethod
    def forward(ctx: Any, x: np.ndarray) -> np.ndarray:
        out: np.ndarray = ctx.kernels.to_contiguous(x)
        return out

    @staticmethod
    def backward(ctx: Any, grad: np.ndarray) -> Any:
        return grad


def reshape(x: Any, shape: int | Sequence[int]) -> Tensor:
    """Return the elements of x, in logical C order, in another shape (one size may be -1)."""
    return Reshape.apply(x, shape)


def flatten(x: Any, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """Join the axes from `start_dim` to `end_dim` into one, in logical (N, C, H, W) order."""
    ndim = x.ndim
    start, end = (dim + ndim if dim < 0 else dim for dim in (start_dim, end_dim))
    if not 0 <= start <= end < max(ndim, 1):
        raise ValueError(
            f"flatten: start_dim and end_dim must be axes of x in order "
            f"(start_dim={start_dim}, end_dim={end_dim}, ndim={ndim})"
        )
    shape = x.shape
    joined = 1
    for size in shape[start : end + 1]:
        joined *= size
    return Reshape.apply(x, (*shape[:start], joined, *shape[end + 1 :]))


def concat(xs: Sequence[Any], dim: int = 1) -> Tensor:
    """Join tensors along an axis; their other sizes must agree."""
    return Concat.apply(dim, *xs)


def index(x: Any, key: Any) -> Tensor:
    """Return x[key], as NumPy indexes."""
    return Index.apply(x, key)


def permute(x: Any, dims: Sequence[int]) -> Tensor:
    """Return x with its axes in another order: axis i of the result is axis `dims[i]` of x."""
    return Permute.apply(x, tuple(dims))


def pad(x: Any, padding: Any, value: float = 0.0) -> Tensor:
    """Surround the planes of x (N, C, H, W) with `value`."""
    return Pad.apply(x, padding, value)


def to_channels_last(x: Any) -> Tensor:
    """Return x (N, C, H, W) with its channels next to each other in memory."""
    return ToChannelsLast.apply(x)


def to_contiguous(x: Any) -> Tensor:
    """Return x with its elements in C order in memory."""
    return ToContiguous.apply(x)

"""Layers that move elements and compute nothing."""

from __future__ import annotations

import math
from typing import Any

from .._arguments import integer
from ..autograd import Tensor, ops
from ..autograd.geometry import Padding
from .module import Module

__all__ = ["Flatten", "Identity", "Permute", "Reshape", "ZeroPad2d"]


class Flatten(Module):
    """Join the axes from `start_dim` to `end_dim`, in logical (N, C, H, W) order."""

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        self.start_dim = integer("Flatten", "start_dim", start_dim, -4)
        self.end_dim = integer("Flatten", "end_dim", end_dim, -4)

    def forward(self, x: Tensor) -> Tensor:
        return ops.flatten(x, self.start_dim, self.end_dim)

    def extra_repr(self) -> str:
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Identity(Module):
    """Return the input. Any arguments are accepted and ignored."""

    def __init__(self, *args: Any, **options: Any) -> None:
        pass

    def forward(self, x: Tensor) -> Tensor:
        return x


class Reshape(Module):
    """The elements, in logical order, in another shape: one size may be -1, and 0 keeps the
    input's size at that place, so that (0, -1) works for any batch."""

    def __init__(self, *shape: int) -> None:
        if any(isinstance(size, bool) or not isinstance(size, int) or size < -1 for size in shape):
            raise ValueError(f"Reshape: sizes must be integers from -1 on (shape={shape})")
        self.shape = shape

    def forward(self, x: Tensor) -> Tensor:
        sizes = [x.shape[i] if size == 0 else size for i, size in enumerate(self.shape)]
        kept = [i for i, size in enumerate(self.shape) if size == 0 and x.shape[i] == 0]
        if kept and -1 in sizes:  # the empty axes say nothing of the others
            rest = math.prod(size for i, size in enumerate(x.shape) if i not in kept)
            known = math.prod(size for i, size in enumerate(sizes) if size > 0)
            if rest % known:
                raise ValueError(
                    f"Reshape: the sizes must divide the rest of the input (input={x.shape}, "
                    f"shape={self.shape})"
                )
            sizes[sizes.index(-1)] = rest // known
        return ops.reshape(x, sizes)

    def extra_repr(self) -> str:
        return ", ".join(map(str, self.shape))


class Permute(Module):
    """The axes in another order: axis i of the output is axis `dims[i]` of the input."""

    def __init__(self, *dims: int) -> None:
        if sorted(dims) != list(range(len(dims))):
            raise ValueError(f"Permute: dims must name every axis once (dims={dims})")
        self.dims = dims

    def forward(self, x: Tensor) -> Tensor:
        return ops.permute(x, self.dims)

    def extra_repr(self) -> str:
        return ", ".join(map(str, self.dims))


class ZeroPad2d(Module):
    """Surround the planes of (N, C, H, W) with zeros.

    `padding` is an integer or, as in PyTorch, (left, right, top, bottom).
    """

    def __init__(self, padding: Any) -> None:
        sides = padding if isinstance(padding, (tuple, list)) else (padding,) * 4
        if len(sides) != 4:
            raise ValueError(
                f"ZeroPad2d: padding must be an integer or (left, right, top, bottom) "
                f"(padding={padding!r})"
            )
        left, right, top, bottom = (integer("ZeroPad2d", "padding", side, 0) for side in sides)
        self.padding: Padding = ((top, bottom), (left, right))

    def forward(self, x: Tensor) -> Tensor:
        return ops.pad(x, self.padding)

    def extra_repr(self) -> str:
        (top, bottom), (left, right) = self.padding
        return f"({left}, {right}, {top}, {bottom})"

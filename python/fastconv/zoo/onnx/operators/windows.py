"""The attributes that convolutions and poolings share."""

from __future__ import annotations

from collections.abc import Sequence

from ..functions.windows import AUTO_PAD, Window
from ..node import Node

__all__ = ["MAX_SIZE", "kernel_of", "window_of"]

MAX_SIZE = 2**31 - 1


def kernel_of(node: Node, rank: int | None = None) -> tuple[int, ...]:
    """Return kernel_shape, which must have `rank` sizes where that is known."""
    kernel = node.integers("kernel_shape")
    if not kernel or not all(1 <= k <= MAX_SIZE for k in kernel):
        raise node.error("kernel_shape must be positive", kernel_shape=kernel)
    if rank is not None and len(kernel) != rank:
        raise node.error("kernel_shape must have a size an axis", kernel_shape=kernel, axes=rank)
    return kernel


def window_of(node: Node, kernel: Sequence[int]) -> Window:
    """Return strides, pads, dilations and auto_pad, once they fit the kernel's axes."""
    axes = len(kernel)
    stride = node.integers("strides", (1,) * axes)
    dilation = node.integers("dilations", (1,) * axes)
    pads = node.integers("pads", (0,) * 2 * axes)
    auto_pad = node.text("auto_pad", "NOTSET") or "NOTSET"
    fits = len(stride) == len(dilation) == axes and len(pads) == 2 * axes
    if not fits or not all(1 <= n <= MAX_SIZE for n in (*stride, *dilation)):
        raise node.error(
            "strides, dilations and pads must fit the kernel",
            kernel_shape=tuple(kernel),
            strides=stride,
            dilations=dilation,
            pads=pads,
        )
    if not all(0 <= n <= MAX_SIZE for n in pads) or auto_pad not in AUTO_PAD:
        raise node.error(
            "pads must not be negative, and auto_pad be known", pads=pads, auto_pad=auto_pad
        )
    return Window(stride, tuple(zip(pads[:axes], pads[axes:], strict=True)), dilation, auto_pad)

"""Sliding windows: what convolution and pooling share.

A window has KH x KW taps. Tap (i, j) of output pixel (oh, ow) reads the padded input at
row oh*stride + i*dilation (columns alike), so all outputs together read, through one tap, a
regular grid of the padded input: a strided view. Forward passes read these views, backward
passes add to them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ._arguments import Array, IntPair, Padding, invalid, padding_pairs, pair

__all__ = ["Window", "conv_output_size", "conv_window", "pool_output_size", "pool_window"]


@dataclass(frozen=True)
class Window:
    """Kernel, stride and dilation as (height, width); padding as ((top, bottom), (left, right))."""

    kernel: tuple[int, int]
    stride: tuple[int, int]
    dilation: tuple[int, int]
    padding: tuple[tuple[int, int], tuple[int, int]]

    @property
    def extent(self) -> tuple[int, int]:
        """Rows and columns from the first tap to the last, both included."""
        (kh, kw), (dh, dw) = self.kernel, self.dilation
        return dh * (kh - 1) + 1, dw * (kw - 1) + 1

    def taps(self) -> Iterator[tuple[int, int]]:
        """All (i, j), row by row."""
        return ((i, j) for i in range(self.kernel[0]) for j in range(self.kernel[1]))

    def padded_size(self, size: tuple[int, int], out: tuple[int, int]) -> tuple[int, int]:
        """Size of a padded plane in which every tap of every output pixel exists."""
        rows, columns = (
            max(before + length, (count - 1) * step + extent)
            for (before, _), length, count, step, extent in zip(
                self.padding, size, out, self.stride, self.extent, strict=True
            )
        )
        return rows, columns

    def pad(self, x: Array, out: tuple[int, int]) -> Array:
        """A copy of x (..., H, W), surrounded by zeros."""
        padded = np.zeros(x.shape[:-2] + self.padded_size(x.shape[-2:], out), x.dtype)
        self.inside(padded, x.shape[-2:])[...] = x
        return padded

    def inside(self, padded: Array, size: tuple[int, int]) -> Array:
        """The view of a padded array (..., PH, PW) that holds the input's own elements."""
        (top, _), (left, _) = self.padding
        return padded[..., top : top + size[0], left : left + size[1]]

    def tap(self, padded: Array, i: int, j: int, out: tuple[int, int]) -> Array:
        """The view (..., OH, OW) of what all output pixels see through tap (i, j)."""
        (dh, dw), (sh, sw) = self.dilation, self.stride
        rows = slice(i * dh, i * dh + (out[0] - 1) * sh + 1, sh)
        columns = slice(j * dw, j * dw + (out[1] - 1) * sw + 1, sw)
        return padded[..., rows, columns]


def conv_window(
    op: str, kernel: tuple[int, int], stride: IntPair, padding: Padding, dilation: IntPair
) -> Window:
    """The window of a convolution."""
    return Window(
        pair(op, "kernel_size", kernel, 1),
        pair(op, "stride", stride, 1),
        pair(op, "dilation", dilation, 1),
        padding_pairs(op, padding),
    )


def conv_output_size(op: str, size: tuple[int, int], window: Window) -> tuple[int, int]:
    """floor((H + top + bottom - dilation*(k-1) - 1) / stride) + 1 per axis, at least 1."""
    height, width = (
        (length + sum(padding) - extent) // step + 1
        for length, padding, extent, step in zip(
            size, window.padding, window.extent, window.stride, strict=True
        )
    )
    if min(height, width) < 1:
        raise invalid(
            op,
            "the kernel must fit in the padded input",
            kernel=window.kernel,
            dilation=window.dilation,
            padding=window.padding,
            input=tuple(size),
        )
    return height, width


def pool_window(
    op: str,
    kernel_size: IntPair,
    stride: IntPair | None,
    padding: Padding,
    dilation: IntPair = 1,
) -> Window:
    """The window of a pooling; padding may be at most half the kernel, as in PyTorch."""
    kernel = pair(op, "kernel_size", kernel_size, 1)
    window = Window(
        kernel,
        kernel if stride is None else pair(op, "stride", stride, 1),
        pair(op, "dilation", dilation, 1),
        padding_pairs(op, padding),
    )
    if any(max(p) > k // 2 for p, k in zip(window.padding, kernel, strict=True)):
        rule = "padding must be at most half the kernel"
        raise invalid(op, rule, padding=window.padding, kernel_size=kernel)
    return window


def pool_output_size(
    op: str, size: tuple[int, int], window: Window, ceil_mode: bool | str
) -> tuple[int, int]:
    """Output size of a pooling in the three modes.

    False rounds down. True (PyTorch) and "caffe" round up, which may add a window that starts
    past the input, in the bottom or right padding: PyTorch always drops it, Caffe only if the
    pooling is padded at all. Such a window of an unpadded pooling holds nothing: ValueError.
    """
    if not isinstance(ceil_mode, bool) and ceil_mode != "caffe":
        raise invalid(op, "ceil_mode must be False, True or 'caffe'", ceil_mode=ceil_mode)
    padded = any(sum(padding) > 0 for padding in window.padding)
    drops = ceil_mode is True or (ceil_mode == "caffe" and padded)
    out = []
    for axis in range(2):
        length, step, extent = size[axis], window.stride[axis], window.extent[axis]
        before, after = window.padding[axis]
        span = length + before + after - extent
        count = (-(-span // step) if ceil_mode else span // step) + 1
        if drops and (count - 1) * step >= length + before:
            count -= 1
        if count < 1:
            rule = "the kernel must fit in the padded input"
            raise invalid(op, rule, kernel_size=window.kernel, input=tuple(size))
        if not _every_window_meets_input(length, count, axis, window):
            raise invalid(
                op,
                "every window must hold an element of the input",
                kernel_size=window.kernel,
                stride=window.stride,
                input=tuple(size),
            )
        out.append(count)
    return out[0], out[1]


def _every_window_meets_input(length: int, count: int, axis: int, window: Window) -> bool:
    first = np.arange(count)[:, None] * window.stride[axis] - window.padding[axis][0]
    positions = first + np.arange(window.kernel[axis]) * window.dilation[axis]
    return bool(((positions >= 0) & (positions < length)).any(axis=1).all())

"""Poolings."""

from __future__ import annotations

from ....nn import AdaptiveAvgPool2d, AvgPool2d, MaxPool2d, Module
from ..functions import pooling
from ..functions.windows import Window
from ..layers import Operator
from ..node import Node
from ..registry import converts
from .windows import kernel_of, window_of


@converts("MaxPool")
def max_pool(node: Node) -> Module:
    kernel = kernel_of(node)
    window = window_of(node, kernel)
    ceil_mode = node.flag("ceil_mode")
    column_major = node.flag("storage_order")
    if node.wanted(1):
        node.results = 2
        return Operator(
            pooling.max_pool_indices,
            kernel=kernel,
            window=window,
            ceil_mode=ceil_mode,
            column_major=column_major,
        )
    if _plain(kernel, window):
        return MaxPool2d(kernel, window.stride, _pads(window), window.dilation, ceil_mode=ceil_mode)
    return Operator(pooling.max_pool, kernel=kernel, window=window, ceil_mode=ceil_mode)


@converts("AveragePool")
def average_pool(node: Node) -> Module:
    kernel = kernel_of(node)
    window = window_of(node, kernel)
    ceil_mode = node.flag("ceil_mode")
    padded = node.flag("count_include_pad")
    if _plain(kernel, window) and set(window.dilation) == {1}:
        return AvgPool2d(kernel, window.stride, _pads(window), ceil_mode, padded)
    return Operator(
        pooling.avg_pool,
        kernel=kernel,
        window=window,
        ceil_mode=ceil_mode,
        count_include_pad=padded,
    )


@converts("GlobalAveragePool")
def global_average_pool(node: Node) -> Module:
    if node.info().rank == 4:
        return AdaptiveAvgPool2d(1)
    return Operator(pooling.global_avg_pool)


@converts("GlobalMaxPool")
def global_max_pool(node: Node) -> Module:
    return Operator(pooling.global_max_pool)


def _plain(kernel: tuple[int, ...], window: Window) -> bool:
    """Whether the layers of nn take this window: padding of up to half of it, the same for any
    size of the input."""
    fixed = window.auto_pad in ("NOTSET", "VALID")
    small = all(max(sides) <= k // 2 for sides, k in zip(window.pads, kernel, strict=True))
    return len(kernel) == 2 and fixed and small


def _pads(window: Window) -> tuple[tuple[int, ...], ...]:
    return window.pads if window.auto_pad == "NOTSET" else ((0, 0), (0, 0))

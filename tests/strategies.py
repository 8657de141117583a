"""Hypothesis strategies: convolutions and poolings of every odd shape, always valid ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st

__all__ = ["ConvCase", "PoolCase", "conv_cases", "pool_cases"]

Pair = tuple[int, int]
Padding = tuple[Pair, Pair]


def _normal(shape: tuple[int, ...], seed: int) -> Any:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


@dataclass(frozen=True)
class ConvCase:
    """One convolution: `conv2d(*case.arrays(), **case.arguments())`."""

    x_shape: tuple[int, int, int, int]
    weight_shape: tuple[int, int, int, int]
    has_bias: bool
    stride: Pair
    padding: Padding
    dilation: Pair
    groups: int
    seed: int

    def arrays(self) -> tuple[Any, Any, Any]:
        """x, weight and bias (or None), standard normal float32."""
        bias = _normal(self.weight_shape[:1], self.seed + 2) if self.has_bias else None
        return _normal(self.x_shape, self.seed), _normal(self.weight_shape, self.seed + 1), bias

    def arguments(self) -> dict[str, Any]:
        """All other arguments by name."""
        names = ("stride", "padding", "dilation", "groups")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True)
class PoolCase:
    """One pooling: `max_pool2d(case.array(), **case.max_arguments())`, or avg_pool2d alike."""

    x_shape: tuple[int, int, int, int]
    kernel_size: Pair
    stride: Pair
    padding: Padding
    dilation: Pair
    ceil_mode: bool | str
    count_include_pad: bool
    seed: int

    def array(self) -> Any:
        """x, float32 with many equal elements, so that ties are met."""
        return np.round(_normal(self.x_shape, self.seed) * 4) / 4

    def max_arguments(self) -> dict[str, Any]:
        """Arguments of max_pool2d by name."""
        return {**self._shared(), "dilation": self.dilation}

    def avg_arguments(self) -> dict[str, Any]:
        """Arguments of avg_pool2d by name; it has no dilation."""
        return {**self._shared(), "count_include_pad": self.count_include_pad}

    def _shared(self) -> dict[str, Any]:
        names = ("kernel_size", "stride", "padding", "ceil_mode")
        return {name: getattr(self, name) for name in names}


def _pair(low: int, high: int) -> st.SearchStrategy[Pair]:
    return st.tuples(st.integers(low, high), st.integers(low, high))


@st.composite
def conv_cases(draw: st.DrawFn, *, max_channels: int = 40, max_output: int = 9) -> ConvCase:
    """Convolutions of up to max_channels channels, plain, grouped or depthwise.

    The output size is drawn and the input made to fit: any remainder that the stride leaves.
    """
    groups = draw(st.one_of(st.just(1), st.integers(2, max_channels)))
    most = max(1, max_channels // groups)
    inputs = draw(st.integers(1, most)) if groups == 1 else draw(st.integers(1, min(most, 5)))
    outputs = draw(st.integers(1, most)) if groups == 1 else draw(st.integers(1, min(most, 5)))
    kernel = draw(st.one_of(st.sampled_from([(1, 1), (3, 3)]), _pair(1, 5)))
    stride, dilation = draw(_pair(1, 3)), draw(st.one_of(st.just((1, 1)), _pair(1, 3)))
    padding = draw(st.tuples(_pair(0, 3), _pair(0, 3)))
    size = []
    for axis in range(2):
        extent = dilation[axis] * (kernel[axis] - 1) + 1
        span = draw(st.integers(0, max_output - 1)) * stride[axis]
        remainder = draw(st.integers(0, stride[axis] - 1))
        size.append(max(1, span + extent + remainder - sum(padding[axis])))
    return ConvCase(
        x_shape=(draw(st.integers(0, 3)), groups * inputs, size[0], size[1]),
        weight_shape=(groups * outputs, inputs, *kernel),
        has_bias=draw(st.booleans()),
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=groups,
        seed=draw(st.integers(0, 2**16)),
    )


@st.composite
def pool_cases(draw: st.DrawFn, *, max_channels: int = 40, max_size: int = 14) -> PoolCase:
    """Poolings in all three ceil modes, overlapping or not, padded by up to half the kernel."""
    kernel = draw(_pair(1, 4))
    ceil_mode = draw(st.sampled_from([False, True, "caffe"]))
    # Caffe's rounding up leaves no empty window as long as windows leave no gaps.
    stride = tuple(draw(st.integers(1, min(k, 3) if ceil_mode == "caffe" else 3)) for k in kernel)
    padding = tuple(draw(_pair(0, k // 2)) for k in kernel)
    dilation = draw(st.one_of(st.just((1, 1)), _pair(1, 2)))
    size = []
    for axis in range(2):
        extent = dilation[axis] * (kernel[axis] - 1) + 1
        # At least as long as the dilation, so that no window steps over the whole input.
        smallest = max(extent - sum(padding[axis]), dilation[axis])
        size.append(draw(st.integers(smallest, max(smallest, max_size))))
    return PoolCase(
        x_shape=(draw(st.integers(0, 3)), draw(st.integers(1, max_channels)), size[0], size[1]),
        kernel_size=kernel,
        stride=(stride[0], stride[1]),
        padding=(padding[0], padding[1]),
        dilation=dilation,
        ceil_mode=ceil_mode,
        count_include_pad=draw(st.booleans()),
        seed=draw(st.integers(0, 2**16)),
    )
